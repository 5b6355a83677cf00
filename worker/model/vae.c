/* The autoencoder: see vae.h. Encoder and decoder are the same thing: a convolution, a list of
 * stages, a norm and a convolution; only the lists differ. Results of the stages alternate between
 * two places; they are the stream that has a scale: the first convolution and whatever is added to
 * it bring the scale along, the last norm takes it away. */
#include "worker/model/vae.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker/model/resblock.h"

#define VAE "first_stage_model."

enum { NAME_BYTES = 128 };
static const double EPS = 1e-6;

typedef struct {
    norm norm;
    conv qkv, out;
    double eps;
} self_attention;

typedef enum { STAGE_RES, STAGE_ATTENTION, STAGE_DOWN, STAGE_UP } stage_kind;

typedef struct {
    stage_kind kind;
    union {
        resblock res;
        self_attention attention; /* one head, in place */
        conv resample;
    };
} stage;

/* Encoder or decoder. */
typedef struct {
    conv in, out;
    stage *stage;
    int stages;
    norm norm_out;
    int stream;
} half;

struct vae {
    half encoder, decoder;
    conv quant, post_quant;
    int factor;
};

static void add_res(half *f, params *p, const char *name)
{
    stage *s = &f->stage[f->stages++];
    s->kind = STAGE_RES;
    resblock_load(&s->res, p, &resblock_of_vae, f->stream, name, NULL);
}

static void add_resample(half *f, params *p, stage_kind kind, const char *name)
{
    stage *s = &f->stage[f->stages++];
    s->kind = kind;
    p->scaling = (scaling){.in = f->stream, .out = f->stream};
    s->resample =
        kind == STAGE_DOWN ? params_conv(p, 2, "%s", name) : params_doubled(p, "%s", name);
    p->scaling = (scaling){0};
}

/* What the stream's norms add to its variance. */
static double eps_of(const half *f)
{
    return ldexp(EPS, 2 * f->stream);
}

static void load_attention(self_attention *a, const half *f, params *p, const char *name)
{
    a->eps = eps_of(f);
    a->norm = params_norm(p, "%s.norm", name);
    a->qkv = layer_load_qkv(p, name, (const char *const[]){"q", "k", "v"});
    p->scaling = (scaling){.out = f->stream};
    a->out = params_linear(p, "%s.proj_out", name);
    p->scaling = (scaling){0};
}

static void add_middle(half *f, params *p, const char *name)
{
    char block[NAME_BYTES];
    snprintf(block, sizeof block, "%s.block_1", name);
    add_res(f, p, block);
    stage *s = &f->stage[f->stages++];
    s->kind = STAGE_ATTENTION;
    snprintf(block, sizeof block, "%s.attn_1", name);
    load_attention(&s->attention, f, p, block);
    snprintf(block, sizeof block, "%s.block_2", name);
    add_res(f, p, block);
}

/* `blocks` resblocks and, unless it is the last one on this way, the change of size. */
static void add_level(half *f, params *p, stage_kind kind, int level, int blocks, bool last)
{
    const char *way = kind == STAGE_DOWN ? VAE "encoder.down" : VAE "decoder.up";
    const char *sampler = kind == STAGE_DOWN ? "downsample" : "upsample";
    char name[NAME_BYTES];
    for (int j = 0; j < blocks; j++) {
        snprintf(name, sizeof name, "%s.%d.block.%d", way, level, j);
        add_res(f, p, name);
    }
    if (last)
        return;
    snprintf(name, sizeof name, "%s.%d.%s.conv", way, level, sampler);
    add_resample(f, p, kind, name);
}

static void load_in(half *f, params *p, const char *name)
{
    p->scaling = (scaling){.out = f->stream};
    f->in = params_conv(p, 1, "%s", name);
    p->scaling = (scaling){0};
}

static void load_encoder(half *f, params *p, const model_config *c)
{
    load_in(f, p, VAE "encoder.conv_in");
    for (int level = 0; level < c->vae_levels; level++)
        add_level(f, p, STAGE_DOWN, level, c->vae_blocks, level == c->vae_levels - 1);
    add_middle(f, p, VAE "encoder.mid");
    f->norm_out = params_norm(p, VAE "encoder.norm_out");
    f->out = params_conv(p, 1, VAE "encoder.conv_out");
}

static void load_decoder(half *f, params *p, const model_config *c)
{
    load_in(f, p, VAE "decoder.conv_in");
    add_middle(f, p, VAE "decoder.mid");
    for (int level = c->vae_levels - 1; level >= 0; level--)
        add_level(f, p, STAGE_UP, level, c->vae_blocks + 1, level == 0);
    f->norm_out = params_norm(p, VAE "decoder.norm_out");
    f->out = params_conv(p, 1, VAE "decoder.conv_out");
}

vae *vae_load(const model_config *config, params *p, vae_form form)
{
    size_t most = (size_t)(config->vae_levels * (config->vae_blocks + 2) + 3);
    vae *v = calloc(1, sizeof *v);
    stage *stages = calloc(2 * most, sizeof *stages);
    if (!v || !stages) {
        err_set(p->e, ERR_NO_MEMORY, "no memory for the autoencoder's %zu stages", 2 * most);
        free(v);
        free(stages);
        return NULL;
    }
    v->encoder = (half){.stage = stages, .stream = form.stream};
    v->decoder = (half){.stage = stages + most, .stream = form.stream};
    v->factor = config->factor;
    if (!form.only_decoder) {
        params_piece(p, PART_ENCODER, false);
        load_encoder(&v->encoder, p, config);
        v->quant = params_linear(p, VAE "quant_conv");
    }
    params_piece(p, form.only_decoder ? PART_WIDE : PART_DECODER, false);
    v->post_quant = params_linear(p, VAE "post_quant_conv");
    load_decoder(&v->decoder, p, config);
    assert((size_t)v->encoder.stages <= most && (size_t)v->decoder.stages <= most);
    if (p->e->code)
        vae_free(&v);
    return v;
}

void vae_free(vae **v)
{
    if (*v)
        free((*v)->encoder.stage); /* the decoder's are its second half */
    free(*v);
    *v = NULL;
}

/* The shape that a stage makes of *h, *w; its channels, or 0 when it works in place. */
static int64_t stage_shape(const stage *s, int64_t *h, int64_t *w)
{
    switch (s->kind) {
    case STAGE_RES: return s->res.conv2.w.out;
    case STAGE_ATTENTION: return 0;
    case STAGE_DOWN: *h /= 2, *w /= 2; break;
    case STAGE_UP: *h *= 2, *w *= 2; break;
    }
    return s->resample.w.out;
}

/* x [n,h,w,c] += attention over all its pixels */
static void attend(dev *d, const self_attention *l, tensor x)
{
    int64_t n = x.dim[0], h = x.dim[1], w = x.dim[2], c = x.dim[3];
    size_t mark = dev_mark(d);
    tensor pixels = layer_group_norm(d, NEW, x, &l->norm, (group_norm_options){.eps = l->eps});
    tensor a = tensor_reshape(pixels, n, 1, h * w, c), xt = tensor_reshape(x, n, 1, h * w, c);
    layer_attend(d, a, a, &l->qkv, 1, false); /* [n,1,h*w,c] */
    layer_linear(d, &xt, a, &l->out, (conv2d_options){.residual = xt});
    dev_release(d, mark);
}

static void run_stage(dev *d, tensor *out, const stage *s, tensor x)
{
    switch (s->kind) {
    case STAGE_RES: resblock_forward(d, out, &s->res, x, (tensor){0}, (tensor){0}); break;
    case STAGE_ATTENTION: attend(d, &s->attention, x); break;
    case STAGE_DOWN:
        layer_conv(d, out, x, &s->resample, (conv2d_options){.pad_after = true});
        break;
    case STAGE_UP: layer_upsample(d, out, x, &s->resample); break;
    }
}

static pair open_places(dev *d, const half *f, tensor x)
{
    int64_t n = x.dim[0], h = x.dim[1], w = x.dim[2];
    pair places = {0};
    pair_want(&places, n * h * w * f->in.w.out);
    for (int i = 0; i < f->stages; i++) {
        int64_t c = stage_shape(&f->stage[i], &h, &w);
        if (c)
            pair_want(&places, n * h * w * c);
    }
    pair_open(d, &places);
    return places;
}

/* x [n,h,w,i] -> out [n,h',w',o] */
static void half_forward(dev *d, tensor out, const half *f, tensor x)
{
    int64_t n = x.dim[0], h = x.dim[1], w = x.dim[2];
    size_t mark = dev_mark(d);
    pair places = open_places(d, f, x);
    tensor y = pair_next(&places, n, h, w, f->in.w.out);
    layer_conv(d, &y, x, &f->in, (conv2d_options){0});
    for (int i = 0; i < f->stages; i++) {
        int64_t c = stage_shape(&f->stage[i], &h, &w);
        tensor z = c ? pair_next(&places, n, h, w, c) : y;
        run_stage(d, &z, &f->stage[i], y);
        y = z;
    }
    tensor a = layer_group_norm(d, NEW, y, &f->norm_out,
                                (group_norm_options){.act = ACT_SILU, .eps = eps_of(f)});
    layer_conv(d, &out, a, &f->out, (conv2d_options){0});
    dev_release(d, mark);
}

tensor vae_encode(dev *d, tensor *out, const vae *v, tensor x)
{
    int64_t n = x.dim[0], h = x.dim[1] / v->factor, w = x.dim[2] / v->factor;
    assert(h * v->factor == x.dim[1] && w * v->factor == x.dim[2] && v->encoder.stages);
    tensor y = layer_result(d, out, n, h, w, v->quant.w.out);
    size_t mark = dev_mark(d);
    tensor raw = dev_tensor(d, d->storage, n, h, w, v->encoder.out.w.out); /* [n,h,w,8] */
    half_forward(d, raw, &v->encoder, x);
    layer_conv(d, &y, raw, &v->quant, (conv2d_options){0}); /* [n,h,w,8] */
    dev_release(d, mark);
    return y;
}

tensor vae_decode(dev *d, tensor *out, const vae *v, tensor z)
{
    int64_t n = z.dim[0], h = z.dim[1], w = z.dim[2];
    tensor y =
        layer_result(d, out, n, h * v->factor, w * v->factor, v->decoder.out.w.out); /* [n,H,W,3] */
    size_t mark = dev_mark(d);
    tensor raw = layer_conv(d, NEW, z, &v->post_quant, (conv2d_options){0}); /* [n,h,w,4] */
    half_forward(d, y, &v->decoder, raw);
    dev_release(d, mark);
    return y;
}
