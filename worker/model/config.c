/* The configuration of a model from its tensors: see config.h. The one idea: sizes are voted for by
 * all tensors that show them, so that one wrong tensor is reported as wrong instead of making every
 * other one look wrong; then the walk over what the configuration implies finds the rest. */
#include "worker/model/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "worker/model/expect.h"
#include "worker/model/folder_config.h"

#define UNET "model.diffusion_model."
#define VAE  "first_stage_model."
#define TEXT "cond_stage_model.transformer.text_model."

enum {
    NAME_MOST = 160,
    VOTES_MOST = 96,
    GROUPS = 32, /* of every group norm */
    HEAD = 64,   /* channels a head, where the number of heads is not fixed */
    TEXT_LAYERS_MOST = 64,
    SIDE_MOST = 1 << 20, /* of any tensor */
    VOCABULARY = 49408,
    POSITIONS = 77,
    LATENT_CHANNELS = 4,
    INPAINTING_CHANNELS = 9 /* latent, mask, latent of the masked picture */
};

typedef struct {
    const checkpoint *file;
    model_config *c;
    problems *p;
} reading;

/* What a file that holds one of these is. */
static const struct {
    const char *prefix, *what;
} others[] = {
    {"conditioner.embedders.", "Stable Diffusion XL"},
    {UNET "label_emb.", "a network with class labels (Stable Diffusion XL, unCLIP)"},
    {"cond_stage_model.model.", "Stable Diffusion 2 (OpenCLIP text encoder)"},
    {UNET "joint_blocks.", "Stable Diffusion 3"},
    {UNET "double_blocks.", "Flux"},
    {"double_blocks.", "Flux"},
    {"control_model.", "a ControlNet"},
    {"lora_unet_", "a LoRA"},
    {"lora_te_", "a LoRA"},
};

/* The votes for one size. */
typedef struct {
    int64_t value[VOTES_MOST];
    int count;
} votes;

static bool has(const reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool has(const reading *r, const char *format, ...)
{
    char prefix[NAME_MOST];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    return checkpoint_has(r->file, prefix);
}

/* Dimension `dim` of the tensor, if it is there. */
static void vote(votes *v, const reading *r, int dim, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void vote(votes *v, const reading *r, int dim, const char *format, ...)
{
    char name[NAME_MOST];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const checkpoint_tensor *t = checkpoint_find(r->file, name);
    if (t && dim < t->dims && t->dim[dim] <= SIDE_MOST && v->count < VOTES_MOST)
        v->value[v->count++] = t->dim[dim];
}

/* The most frequent value, the first of equals; 0: nobody voted. */
static int winner(const votes *v)
{
    int best = 0, value = 0;
    for (int i = 0; i < v->count; i++) {
        int same = 0;
        for (int k = 0; k < v->count; k++)
            same += v->value[k] == v->value[i];
        if (same > best) {
            best = same;
            value = (int)v->value[i];
        }
    }
    return value;
}

/* A size nobody voted for: what it would usually be, so that only the missing tensor is reported.
 */
static int size_or(int value, int usual)
{
    return value ? value : usual;
}

/* 1 + the largest i < most for which a name begins with "<stem>i."; 0: none. */
static int numbered(const reading *r, const char *stem, int most)
{
    int count = 0;
    for (int i = 0; i < most; i++)
        if (has(r, "%s%d.", stem, i))
            count = i + 1;
    return count;
}

/* What every width that goes through a group norm must satisfy. */
static void check_width(const reading *r, const char *what, int level, int width, int multiple)
{
    if (width <= 0 || width % multiple)
        problems_add(r->p, ERR_INVALID, "%s level %d is %d wide, expected a multiple of %d", what,
                     level, width, multiple);
}

typedef struct {
    votes width[MODEL_LEVELS_MAX], context, time;
    int blocks[MODEL_LEVELS_MAX];
} unet_votes;

static void vote_unet_block(unet_votes *v, const reading *r, int level, int block)
{
    static const char *const shows_width[] = {"in_layers.2.weight", "in_layers.2.bias",
                                              "emb_layers.1.bias",  "out_layers.0.weight",
                                              "out_layers.0.bias",  "out_layers.3.bias"};
    for (size_t i = 0; i < sizeof shows_width / sizeof shows_width[0]; i++)
        vote(&v->width[level], r, 0, UNET "input_blocks.%d.0.%s", block, shows_width[i]);
    vote(&v->time, r, 1, UNET "input_blocks.%d.0.emb_layers.1.weight", block);
    vote(&v->context, r, 1, UNET "input_blocks.%d.1.transformer_blocks.0.attn2.to_k.weight", block);
    vote(&v->context, r, 1, UNET "input_blocks.%d.1.transformer_blocks.0.attn2.to_v.weight", block);
    if (has(r, UNET "input_blocks.%d.1.", block))
        r->c->attention[level] = true;
    if (has(r, UNET "input_blocks.%d.1.transformer_blocks.1.", block))
        problems_add(r->p, ERR_INVALID,
                     "not supported: %sinput_blocks.%d has several transformer "
                     "blocks",
                     UNET, block);
}

/* Levels, blocks and attention from the input blocks; false when they cannot be understood. */
static bool walk_input_blocks(unet_votes *v, const reading *r)
{
    int last = numbered(r, UNET "input_blocks.", MODEL_LEVELS_MAX * (MODEL_BLOCKS_MAX + 1) + 1);
    int level = 0;
    for (int i = 1; i < last; i++) {
        if (!has(r, UNET "input_blocks.%d.", i))
            return problems_add(r->p, ERR_INVALID, "%sinput_blocks.%d is missing", UNET, i);
        if (!has(r, UNET "input_blocks.%d.0.op.", i)) {
            v->blocks[level]++;
            vote_unet_block(v, r, level, i);
        } else if (++level == MODEL_LEVELS_MAX) {
            return problems_add(r->p, ERR_INVALID, "not supported: more than %d levels",
                                MODEL_LEVELS_MAX);
        }
    }
    for (int l = 0; l <= level; l++)
        if (v->blocks[l] != v->blocks[0] || v->blocks[l] < 1 || v->blocks[l] > MODEL_BLOCKS_MAX)
            return problems_add(r->p, ERR_INVALID,
                                "level %d has %d blocks and level 0 has %d, "
                                "expected equal numbers from 1 to %d",
                                l, v->blocks[l], v->blocks[0], MODEL_BLOCKS_MAX);
    r->c->blocks = v->blocks[0];
    r->c->levels = level + 1;
    return true;
}

static void read_unet(const reading *r)
{
    unet_votes v = {0};
    votes in = {0}, out = {0};
    model_config *c = r->c;
    if (!has(r, UNET "input_blocks.")) {
        problems_add(r->p, ERR_INVALID, "there is no diffusion network (%sinput_blocks.*)", UNET);
        return;
    }
    if (!walk_input_blocks(&v, r))
        return;
    vote(&in, r, 1, UNET "input_blocks.0.0.weight");
    vote(&out, r, 0, UNET "out.2.weight");
    vote(&out, r, 0, UNET "out.2.bias");
    vote(&v.time, r, 0, UNET "time_embed.0.bias");
    vote(&v.time, r, 0, UNET "time_embed.2.bias");
    vote(&v.context, r, 1, UNET "middle_block.1.transformer_blocks.0.attn2.to_k.weight");
    vote(&v.context, r, 1, UNET "middle_block.1.transformer_blocks.0.attn2.to_v.weight");
    c->in_channels = size_or(winner(&in), LATENT_CHANNELS);
    c->out_channels = size_or(winner(&out), LATENT_CHANNELS);
    c->time_width = winner(&v.time);
    c->context = winner(&v.context);
    c->heads = c->context == 1024 || c->context == 2048 ? 0 : 8;
    for (int l = 0; l < c->levels; l++) {
        c->width[l] = winner(&v.width[l]);
        check_width(r, "diffusion network", l, c->width[l], c->heads ? GROUPS : HEAD);
    }
    if (c->out_channels != LATENT_CHANNELS ||
        (c->in_channels != LATENT_CHANNELS && c->in_channels != INPAINTING_CHANNELS))
        problems_add(r->p, ERR_INVALID,
                     "the diffusion network takes %d and gives %d channels, expected %d (%d for "
                     "inpainting) and %d",
                     c->in_channels, c->out_channels, LATENT_CHANNELS, INPAINTING_CHANNELS,
                     LATENT_CHANNELS);
}

static void read_vae(const reading *r)
{
    static const char *const shows_width[] = {"conv1.weight", "conv1.bias",   "norm2.weight",
                                              "norm2.bias",   "conv2.weight", "conv2.bias"};
    model_config *c = r->c;
    votes width[MODEL_LEVELS_MAX] = {0}, latent = {0};
    int levels = numbered(r, VAE "encoder.down.", MODEL_LEVELS_MAX + 1);
    char stem[NAME_MOST];
    if (!levels || levels > MODEL_LEVELS_MAX) {
        problems_add(r->p, ERR_INVALID,
                     "there is no autoencoder with 1 to %d levels "
                     "(%sencoder.down.*)",
                     MODEL_LEVELS_MAX, VAE);
        return;
    }
    for (int l = 0; l < levels; l++) {
        snprintf(stem, sizeof stem, VAE "encoder.down.%d.block.", l);
        int blocks = numbered(r, stem, MODEL_BLOCKS_MAX);
        c->vae_blocks = blocks > c->vae_blocks ? blocks : c->vae_blocks;
        for (int b = 0; b < blocks; b++)
            for (size_t i = 0; i < sizeof shows_width / sizeof shows_width[0]; i++)
                vote(&width[l], r, 0, "%s%d.%s", stem, b, shows_width[i]);
        c->vae_width[l] = winner(&width[l]);
        check_width(r, "autoencoder", l, c->vae_width[l], GROUPS);
    }
    vote(&latent, r, 1, VAE "decoder.conv_in.weight");
    vote(&latent, r, 0, VAE "post_quant_conv.bias");
    vote(&latent, r, 0, VAE "post_quant_conv.weight");
    c->latent_channels = size_or(winner(&latent), LATENT_CHANNELS);
    c->latent_scale = 0.18215;
    c->vae_levels = levels;
    c->factor = 1 << (levels - 1);
    if (c->latent_channels != LATENT_CHANNELS)
        problems_add(r->p, ERR_INVALID, "the autoencoder has latents of %d channels, expected %d",
                     c->latent_channels, LATENT_CHANNELS);
}

static void read_text(const reading *r)
{
    model_config *c = r->c;
    votes width = {0}, mlp = {0}, vocabulary = {0}, positions = {0};
    int layers = numbered(r, TEXT "encoder.layers.", TEXT_LAYERS_MOST);
    if (!layers) {
        problems_add(r->p, ERR_INVALID, "there is no text encoder (%sencoder.layers.*)", TEXT);
        return;
    }
    vote(&width, r, 0, TEXT "final_layer_norm.weight");
    vote(&width, r, 0, TEXT "final_layer_norm.bias");
    for (int i = 0; i < layers; i++) {
        vote(&width, r, 0, TEXT "encoder.layers.%d.layer_norm1.weight", i);
        vote(&mlp, r, 0, TEXT "encoder.layers.%d.mlp.fc1.bias", i);
    }
    vote(&vocabulary, r, 0, TEXT "embeddings.token_embedding.weight");
    vote(&positions, r, 0, TEXT "embeddings.position_embedding.weight");
    c->text_layers = layers;
    c->text_width = winner(&width);
    c->text_heads = c->text_width / HEAD;
    c->text_mlp = size_or(winner(&mlp), 4 * c->text_width);
    c->vocabulary = size_or(winner(&vocabulary), VOCABULARY);
    c->positions = size_or(winner(&positions), POSITIONS);
    check_width(r, "text encoder", 0, c->text_width, HEAD);
    if (c->vocabulary < VOCABULARY || c->positions != POSITIONS)
        problems_add(r->p, ERR_INVALID,
                     "the text encoder knows %d tokens in %d places, expected %d in %d",
                     c->vocabulary, c->positions, VOCABULARY, POSITIONS);
    if (c->levels && c->context && c->context != c->text_width)
        problems_add(r->p, ERR_INVALID,
                     "the diffusion network takes text of width %d, the text encoder gives %d",
                     c->context, c->text_width);
}

static void check_tensor(void *arg, const char *name, const int64_t *dim, int dims)
{
    const reading *r = arg;
    expect_tensor(r->file, r->p, name, dim, dims);
}

/* Known models of other kinds, by one name that gives them away. */
static bool is_other_kind(const reading *r)
{
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (checkpoint_has(r->file, others[i].prefix))
            return !problems_add(r->p, ERR_INVALID, "not supported: this is %s (it has %s*)",
                                 others[i].what, others[i].prefix);
    return false;
}

int model_config_read(model_config *c, const checkpoint *file, err *e)
{
    problems p = {0};
    reading r = {file, c, &p};
    *c = (model_config){0};
    if (!is_other_kind(&r)) {
        read_unet(&r);
        read_vae(&r);
        read_text(&r);
        /* In a folder only its size tells Stable Diffusion 2's text encoder, which has another
         * activation. */
        if (c->text_width == 1024 && c->text_layers >= 22)
            problems_add(&p, ERR_INVALID,
                         "not supported: this is Stable Diffusion 2 (text encoder "
                         "of 1024 x %d layers)",
                         c->text_layers);
        else
            model_config_tensors(c, check_tensor, &r);
        folder_config_read(c, checkpoint_path(file), &p);
    }
    return problems_report(&p, checkpoint_path(file), e);
}
