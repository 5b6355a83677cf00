/* The tensors of a model, from its configuration: see config.h. The one idea: this walk is the only
 * place where names and shapes are written down; checking a file, counting weights and writing test
 * models all listen to it. The order is that of the original single-file checkpoints. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "worker/model/config.h"

#define UNET "model.diffusion_model."
#define VAE  "first_stage_model."
#define TEXT "cond_stage_model.transformer.text_model."

enum { NAME_MOST = 160, SKIPS_MOST = MODEL_LEVELS_MAX * (MODEL_BLOCKS_MAX + 1) };

typedef struct {
    const model_config *c;
    model_config_visit *visit;
    void *arg;
} walk;

/* What a layer's "weight" looks like, and whether it has a "bias" of dim[0] values. */
typedef struct {
    int64_t dim[4];
    int dims;
    bool bias;
} shape;

static shape conv_shape(int in, int out, int k)
{
    return (shape){.dim = {out, in, k, k}, .dims = 4, .bias = true};
}

static shape linear_shape(int in, int out)
{
    return (shape){.dim = {out, in, 1, 1}, .dims = 2, .bias = true};
}

static shape matrix_shape(int in, int out)
{
    return (shape){.dim = {out, in, 1, 1}, .dims = 2};
}

static shape norm_shape(int channels)
{
    return (shape){.dim = {channels, 1, 1, 1}, .dims = 1, .bias = true};
}

static void layer(const walk *w, shape s, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void layer(const walk *w, shape s, const char *format, ...)
{
    char base[NAME_MOST], name[NAME_MOST + 8];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(base, sizeof base, format, args);
    va_end(args);
    assert(length < NAME_MOST);
    snprintf(name, sizeof name, "%s.weight", base);
    w->visit(w->arg, name, s.dim, s.dims);
    if (!s.bias)
        return;
    snprintf(name, sizeof name, "%s.bias", base);
    w->visit(w->arg, name, (int64_t[4]){s.dim[0], 1, 1, 1}, 1);
}

static void unet_resblock(const walk *w, const char *at, int in, int out)
{
    layer(w, norm_shape(in), UNET "%s.in_layers.0", at);
    layer(w, conv_shape(in, out, 3), UNET "%s.in_layers.2", at);
    layer(w, linear_shape(w->c->time_width, out), UNET "%s.emb_layers.1", at);
    layer(w, norm_shape(out), UNET "%s.out_layers.0", at);
    layer(w, conv_shape(out, out, 3), UNET "%s.out_layers.3", at);
    if (in != out)
        layer(w, conv_shape(in, out, 1), UNET "%s.skip_connection", at);
}

static void unet_transformer(const walk *w, const char *at, int c)
{
    layer(w, norm_shape(c), UNET "%s.norm", at);
    layer(w, conv_shape(c, c, 1), UNET "%s.proj_in", at);
    for (int i = 1; i <= 2; i++) {
        int from = i == 1 ? c : w->c->context;
        layer(w, matrix_shape(c, c), UNET "%s.transformer_blocks.0.attn%d.to_q", at, i);
        layer(w, matrix_shape(from, c), UNET "%s.transformer_blocks.0.attn%d.to_k", at, i);
        layer(w, matrix_shape(from, c), UNET "%s.transformer_blocks.0.attn%d.to_v", at, i);
        layer(w, linear_shape(c, c), UNET "%s.transformer_blocks.0.attn%d.to_out.0", at, i);
    }
    layer(w, linear_shape(c, 8 * c), UNET "%s.transformer_blocks.0.ff.net.0.proj", at);
    layer(w, linear_shape(4 * c, c), UNET "%s.transformer_blocks.0.ff.net.2", at);
    for (int i = 1; i <= 3; i++)
        layer(w, norm_shape(c), UNET "%s.transformer_blocks.0.norm%d", at, i);
    layer(w, conv_shape(c, c, 1), UNET "%s.proj_out", at);
}

/* Going down; returns the number of skip connections and their widths. */
static int unet_down(const walk *w, int *skip)
{
    const model_config *c = w->c;
    int skips = 0, channels = c->width[0];
    char at[32];
    layer(w, conv_shape(c->in_channels, channels, 3), UNET "input_blocks.0.0");
    skip[skips++] = channels;
    for (int level = 0; level < c->levels; level++) {
        for (int i = 0; i < c->blocks; i++) {
            snprintf(at, sizeof at, "input_blocks.%d.0", skips);
            unet_resblock(w, at, channels, c->width[level]);
            channels = c->width[level];
            snprintf(at, sizeof at, "input_blocks.%d.1", skips);
            if (c->attention[level])
                unet_transformer(w, at, channels);
            skip[skips++] = channels;
        }
        if (level < c->levels - 1) {
            layer(w, conv_shape(channels, channels, 3), UNET "input_blocks.%d.0.op", skips);
            skip[skips++] = channels;
        }
    }
    return skips;
}

static void unet_up(const walk *w, const int *skip, int skips)
{
    const model_config *c = w->c;
    int channels = c->width[c->levels - 1], index = 0;
    char at[32];
    for (int level = c->levels; level-- > 0;) {
        for (int i = 0; i <= c->blocks; i++, index++) {
            snprintf(at, sizeof at, "output_blocks.%d.0", index);
            unet_resblock(w, at, channels + skip[--skips], c->width[level]);
            channels = c->width[level];
            snprintf(at, sizeof at, "output_blocks.%d.1", index);
            if (c->attention[level])
                unet_transformer(w, at, channels);
            if (level && i == c->blocks)
                layer(w, conv_shape(channels, channels, 3), UNET "output_blocks.%d.%d.conv", index,
                      c->attention[level] ? 2 : 1);
        }
    }
}

static void unet(const walk *w)
{
    const model_config *c = w->c;
    int skip[SKIPS_MOST], base = c->width[0], deepest = c->width[c->levels - 1];
    layer(w, linear_shape(base, c->time_width), UNET "time_embed.0");
    layer(w, linear_shape(c->time_width, c->time_width), UNET "time_embed.2");
    int skips = unet_down(w, skip);
    unet_resblock(w, "middle_block.0", deepest, deepest);
    unet_transformer(w, "middle_block.1", deepest);
    unet_resblock(w, "middle_block.2", deepest, deepest);
    unet_up(w, skip, skips);
    layer(w, norm_shape(base), UNET "out.0");
    layer(w, conv_shape(base, c->out_channels, 3), UNET "out.2");
}

static void vae_resblock(const walk *w, const char *at, int in, int out)
{
    layer(w, norm_shape(in), VAE "%s.norm1", at);
    layer(w, conv_shape(in, out, 3), VAE "%s.conv1", at);
    layer(w, norm_shape(out), VAE "%s.norm2", at);
    layer(w, conv_shape(out, out, 3), VAE "%s.conv2", at);
    if (in != out)
        layer(w, conv_shape(in, out, 1), VAE "%s.nin_shortcut", at);
}

static void vae_middle(const walk *w, const char *coder, int c)
{
    static const char *const projection[] = {"q", "k", "v", "proj_out"};
    char at[64];
    snprintf(at, sizeof at, "%s.mid.block_1", coder);
    vae_resblock(w, at, c, c);
    layer(w, norm_shape(c), VAE "%s.mid.attn_1.norm", coder);
    for (int i = 0; i < 4; i++)
        layer(w, conv_shape(c, c, 1), VAE "%s.mid.attn_1.%s", coder, projection[i]);
    snprintf(at, sizeof at, "%s.mid.block_2", coder);
    vae_resblock(w, at, c, c);
}

static void vae_encoder(const walk *w)
{
    const model_config *c = w->c;
    int channels = c->vae_width[0];
    char at[64];
    layer(w, conv_shape(3, channels, 3), VAE "encoder.conv_in");
    for (int level = 0; level < c->vae_levels; level++) {
        for (int i = 0; i < c->vae_blocks; i++) {
            snprintf(at, sizeof at, "encoder.down.%d.block.%d", level, i);
            vae_resblock(w, at, channels, c->vae_width[level]);
            channels = c->vae_width[level];
        }
        if (level < c->vae_levels - 1)
            layer(w, conv_shape(channels, channels, 3), VAE "encoder.down.%d.downsample.conv",
                  level);
    }
    vae_middle(w, "encoder", channels);
    layer(w, norm_shape(channels), VAE "encoder.norm_out");
    layer(w, conv_shape(channels, 2 * c->latent_channels, 3), VAE "encoder.conv_out");
}

static void vae_decoder(const walk *w)
{
    const model_config *c = w->c;
    int channels = c->vae_width[c->vae_levels - 1];
    char at[64];
    layer(w, conv_shape(c->latent_channels, channels, 3), VAE "decoder.conv_in");
    vae_middle(w, "decoder", channels);
    for (int level = c->vae_levels; level-- > 0;) {
        for (int i = 0; i <= c->vae_blocks; i++) {
            snprintf(at, sizeof at, "decoder.up.%d.block.%d", level, i);
            vae_resblock(w, at, channels, c->vae_width[level]);
            channels = c->vae_width[level];
        }
        if (level)
            layer(w, conv_shape(channels, channels, 3), VAE "decoder.up.%d.upsample.conv", level);
    }
    layer(w, norm_shape(channels), VAE "decoder.norm_out");
    layer(w, conv_shape(channels, 3, 3), VAE "decoder.conv_out");
}

static void vae(const walk *w)
{
    int moments = 2 * w->c->latent_channels;
    vae_encoder(w);
    vae_decoder(w);
    layer(w, conv_shape(moments, moments, 1), VAE "quant_conv");
    layer(w, conv_shape(w->c->latent_channels, w->c->latent_channels, 1), VAE "post_quant_conv");
}

static void text(const walk *w)
{
    static const char *const projection[] = {"q_proj", "k_proj", "v_proj", "out_proj"};
    const model_config *c = w->c;
    int d = c->text_width;
    layer(w, matrix_shape(d, c->vocabulary), TEXT "embeddings.token_embedding");
    layer(w, matrix_shape(d, c->positions), TEXT "embeddings.position_embedding");
    for (int i = 0; i < c->text_layers; i++) {
        for (int k = 0; k < 4; k++)
            layer(w, linear_shape(d, d), TEXT "encoder.layers.%d.self_attn.%s", i, projection[k]);
        layer(w, norm_shape(d), TEXT "encoder.layers.%d.layer_norm1", i);
        layer(w, norm_shape(d), TEXT "encoder.layers.%d.layer_norm2", i);
        layer(w, linear_shape(d, c->text_mlp), TEXT "encoder.layers.%d.mlp.fc1", i);
        layer(w, linear_shape(c->text_mlp, d), TEXT "encoder.layers.%d.mlp.fc2", i);
    }
    layer(w, norm_shape(d), TEXT "final_layer_norm");
}

void model_config_tensors(const model_config *c, model_config_visit *visit, void *arg)
{
    walk w = {c, visit, arg};
    if (c->levels)
        unet(&w);
    if (c->vae_levels)
        vae(&w);
    if (c->text_layers)
        text(&w);
}
