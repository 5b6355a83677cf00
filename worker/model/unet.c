/* The UNet: see unet.h. A list of blocks down, a middle, a list of blocks up. The result of every
 * block down stays on the scratch stack until its partner on the way up has used it; what flows up
 * lives in a pair of places below them, so that the stack shrinks as the skips are taken. */
#include "worker/model/unet.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/resblock.h"
#include "worker/model/tokenizer.h"
#include "worker/model/transformer.h"

#define UNET "model.diffusion_model."

enum { SKIPS_MAX = 64, NAME_BYTES = 128 };

/* One entry of input_blocks or output_blocks: what it has, in this order. */
typedef struct {
    bool has_res, has_attention, has_resample;
    resblock res;
    transformer attention;
    conv resample; /* stride 2 going down; after nearest x2 going up */
} block;

struct unet {
    conv time1, time2, in, out;
    conv text;  /* keys and values of every block's cross-attention, side by side */
    conv times; /* the time embedding as every block adds it, side by side */
    norm norm_out;
    block *down, *up; /* going up there is one more: input_blocks.0 is `in` */
    int downs, ups;
    model_parts *parts;
    int first; /* piece: the blocks down, the two of the middle, the blocks up */
    resblock middle1, middle2;
    transformer middle_attention;
};

/* What every block is told beside its picture. */
typedef struct {
    tensor time;           /* [n,1,1,*] */
    tensor text;           /* [n,1,t_max,*] */
    const int32_t *tokens; /* host: how many of them each sample uses */
} conditions;

/* What is at hand while it is loaded. */
typedef struct {
    params *p;
    const model_config *config;
    joint text, times;
} loading;

static void load_res(block *b, loading *l, int level, const char *list, int i)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, UNET "%s.%d.0", list, i);
    resblock_load(&b->res, l->p, &resblock_of_unet, 0, name, &l->times);
    b->has_res = true;
    if (l->config->attention[level]) {
        snprintf(name, sizeof name, UNET "%s.%d.1", list, i);
        transformer_load(&b->attention, l->p, l->config->heads, name, &l->text);
        b->has_attention = true;
    }
}

static void load_down(unet *u, loading *l)
{
    const model_config *c = l->config;
    int i = 1; /* input_blocks.0 is the first convolution */
    for (int level = 0; level < c->levels; level++) {
        for (int j = 0; j < c->blocks; j++, i++) {
            params_piece(l->p, PART_UNET, true);
            load_res(&u->down[i - 1], l, level, "input_blocks", i);
        }
        if (level == c->levels - 1)
            break;
        params_piece(l->p, PART_UNET, true);
        block *b = &u->down[i - 1];
        b->resample = params_conv(l->p, 2, UNET "input_blocks.%d.0.op", i++);
        b->has_resample = true;
    }
}

static void load_up(unet *u, loading *l)
{
    const model_config *c = l->config;
    int i = 0;
    for (int level = c->levels - 1; level >= 0; level--)
        for (int j = 0; j <= c->blocks; j++, i++) {
            block *b = &u->up[i];
            params_piece(l->p, PART_UNET, true);
            load_res(b, l, level, "output_blocks", i);
            if (level == 0 || j < c->blocks)
                continue;
            b->resample =
                params_doubled(l->p, UNET "output_blocks.%d.%d.conv", i, b->has_attention ? 2 : 1);
            b->has_resample = true;
        }
}

static void load_middle(unet *u, loading *l)
{
    params *p = l->p;
    params_piece(p, PART_UNET, true);
    resblock_load(&u->middle1, p, &resblock_of_unet, 0, UNET "middle_block.0", &l->times);
    transformer_load(&u->middle_attention, p, l->config->heads, UNET "middle_block.1", &l->text);
    params_piece(p, PART_UNET, true);
    resblock_load(&u->middle2, p, &resblock_of_unet, 0, UNET "middle_block.2", &l->times);
}

unet *unet_load(const model_config *config, params *p)
{
    int downs = config->levels * (config->blocks + 1) - 1, ups = downs + 1;
    if (ups > SKIPS_MAX) {
        err_set(p->e, ERR_TOO_LARGE, "the UNet has %d blocks a side, expected at most %d", ups,
                SKIPS_MAX);
        return NULL;
    }
    unet *u = calloc(1, sizeof *u);
    block *blocks = calloc((size_t)(downs + ups), sizeof *blocks);
    if (!u || !blocks) {
        err_set(p->e, ERR_NO_MEMORY, "no memory for %d UNet blocks", downs + ups);
        free(u);
        free(blocks);
        return NULL;
    }
    loading l = {.p = p, .config = config};
    *u =
        (unet){.down = blocks, .up = blocks + downs, .downs = downs, .ups = ups, .parts = p->parts};
    u->first = params_piece(p, PART_UNET, false) + 1;
    u->time1 = params_linear(p, UNET "time_embed.0");
    u->time2 = params_linear(p, UNET "time_embed.2");
    u->in = params_conv(p, 1, UNET "input_blocks.0.0");
    u->norm_out = params_norm(p, UNET "out.0");
    u->out = params_conv(p, 1, UNET "out.2");
    load_down(u, &l);
    load_middle(u, &l);
    load_up(u, &l);
    params_piece(p, PART_UNET, false);
    u->text = params_join(p, &l.text);
    u->times = params_join(p, &l.times);
    if (p->e->code)
        unet_free(&u);
    return u;
}

void unet_free(unet **u)
{
    if (*u)
        free((*u)->down); /* `up` is its second half */
    free(*u);
    *u = NULL;
}

int64_t unet_time_width(const unet *u)
{
    return u->times.w.out;
}

/* The timesteps are the tokens of one sample. The second SiLU is the one that every block would
 * begin with. */
tensor unet_times(dev *d, tensor *out, const unet *u, const double *t, int n)
{
    double all[UNET_TIMES] = {0};
    assert(n > 0 && n <= UNET_TIMES);
    memcpy(all, t, (size_t)n * sizeof *t);
    tensor y = layer_result(d, out, UNET_TIMES, 1, 1, u->times.w.out);
    size_t mark = dev_mark(d);
    tensor waves = op_timestep_embedding(d, NEW, all, UNET_TIMES, u->time1.w.in);
    tensor tokens = tensor_reshape(waves, 1, 1, UNET_TIMES, waves.dim[3]); /* [1,1,n,c] */
    tensor to = tensor_reshape(y, 1, 1, UNET_TIMES, y.dim[3]);
    tensor a = layer_linear(d, NEW, tokens, &u->time1, (conv2d_options){.act = ACT_SILU});
    tensor b = layer_linear(d, NEW, a, &u->time2, (conv2d_options){.act = ACT_SILU});
    layer_linear(d, &to, b, &u->times, (conv2d_options){0}); /* [1,1,n,*] */
    dev_release(d, mark);
    return y;
}

/* x [n,h,w,i] -> [n,h,w,o], or [n,(h+1)/2,(w+1)/2,o] */
static tensor down_block(dev *d, const block *b, tensor x, const conditions *c)
{
    if (b->has_resample)
        return layer_conv(d, NEW, x, &b->resample, (conv2d_options){0});
    tensor y = resblock_forward(d, NEW, &b->res, x, (tensor){0}, c->time);
    if (b->has_attention)
        transformer_forward(d, &b->attention, y, c->text, c->tokens);
    return y;
}

static tensor middle_block(dev *d, const unet *u, tensor x, pair *places, const conditions *c)
{
    int64_t n = x.dim[0], h = x.dim[1], w = x.dim[2];
    tensor y = pair_next(places, n, h, w, u->middle1.conv2.w.out);
    tensor z = pair_next(places, n, h, w, u->middle2.conv2.w.out);
    parts_arrive(u->parts, d, u->first + u->downs);
    resblock_forward(d, &y, &u->middle1, x, (tensor){0}, c->time);
    transformer_forward(d, &u->middle_attention, y, c->text, c->tokens);
    parts_arrive(u->parts, d, u->first + u->downs + 1);
    return resblock_forward(d, &z, &u->middle2, y, (tensor){0}, c->time);
}

/* x [n,h',w',i], skip [n,h,w,i2] -> [n,h,w,o], or [n,2h,2w,o] */
static tensor up_block(dev *d, const block *b, tensor x, tensor skip, pair *places,
                       const conditions *c)
{
    int64_t n = skip.dim[0], h = skip.dim[1], w = skip.dim[2];
    tensor y = pair_next(places, n, h, w, b->res.conv2.w.out);
    size_t mark = dev_mark(d);
    if (x.dim[1] != h || x.dim[2] != w) /* an odd size was rounded up on the way down */
        x = op_resize_nearest(d, NEW, x, h, w);
    resblock_forward(d, &y, &b->res, x, skip, c->time);
    dev_release(d, mark);
    if (b->has_attention)
        transformer_forward(d, &b->attention, y, c->text, c->tokens);
    if (!b->has_resample)
        return y;
    tensor z = pair_next(places, n, 2 * h, 2 * w, b->resample.w.out);
    return layer_upsample(d, &z, y, &b->resample);
}

/* The places for all that middle_block and the up_blocks will ask for, in their order. */
static pair open_places(dev *d, const unet *u, tensor x)
{
    int64_t h[SKIPS_MAX] = {x.dim[1]}, w[SKIPS_MAX] = {x.dim[2]}, n = x.dim[0];
    for (int i = 0; i < u->downs; i++) {
        bool halved = u->down[i].has_resample;
        h[i + 1] = halved ? (h[i] + 1) / 2 : h[i];
        w[i + 1] = halved ? (w[i] + 1) / 2 : w[i];
    }
    pair places = {0};
    int last = u->downs;
    pair_want(&places, n * h[last] * w[last] * u->middle1.conv2.w.out);
    pair_want(&places, n * h[last] * w[last] * u->middle2.conv2.w.out);
    for (int i = 0; i < u->ups; i++) {
        const block *b = &u->up[i];
        int64_t pixels = n * h[last - i] * w[last - i];
        pair_want(&places, pixels * b->res.conv2.w.out);
        if (b->has_resample)
            pair_want(&places, 4 * pixels * b->resample.w.out);
    }
    pair_open(d, &places);
    return places;
}

int64_t unet_text_width(const unet *u)
{
    return u->text.w.out;
}

/* Whole chunks, one at a time: a backend may choose by the number of tokens how it multiplies. */
tensor unet_text(dev *d, tensor *out, const unet *u, tensor context)
{
    const int64_t n = context.dim[0], t = context.dim[2];
    const int64_t portion = t % CHUNK_TOKENS == 0 ? CHUNK_TOKENS : t, parts = n * (t / portion);
    tensor y = layer_result(d, out, n, 1, t, u->text.w.out);
    tensor from = tensor_reshape(context, parts, 1, portion, context.dim[3]);
    tensor to = tensor_reshape(y, parts, 1, portion, y.dim[3]);
    for (int64_t i = 0; i < parts; i++) {
        tensor one = tensor_sample(to, i);
        layer_linear(d, &one, tensor_sample(from, i), &u->text, (conv2d_options){0});
    }
    return y;
}

tensor unet_forward(dev *d, tensor *out, const unet *u, tensor x, tensor time, tensor text,
                    const int32_t *tokens)
{
    int64_t n = x.dim[0], h = x.dim[1], w = x.dim[2];
    tensor eps = layer_result(d, out, n, h, w, u->out.w.out);
    size_t start = dev_mark(d), mark[SKIPS_MAX];
    parts_call(u->parts, d, u->first);
    conditions c = {.time = time, .text = text, .tokens = tokens};
    pair places = open_places(d, u, x);

    tensor skip[SKIPS_MAX];
    mark[0] = dev_mark(d);
    skip[0] = layer_conv(d, NEW, x, &u->in, (conv2d_options){0}); /* [n,h,w,c] */
    for (int i = 0; i < u->downs; i++) {
        mark[i + 1] = dev_mark(d);
        parts_arrive(u->parts, d, u->first + i);
        skip[i + 1] = down_block(d, &u->down[i], skip[i], &c);
    }
    tensor y = middle_block(d, u, skip[u->downs], &places, &c);
    for (int i = 0; i < u->ups; i++) {
        int partner = u->downs - i;
        parts_arrive(u->parts, d, u->first + u->downs + 2 + i);
        y = up_block(d, &u->up[i], y, skip[partner], &places, &c);
        dev_release(d, mark[partner]);
    }
    tensor a = layer_group_norm(d, NEW, y, &u->norm_out, (group_norm_options){.act = ACT_SILU});
    layer_conv(d, &eps, a, &u->out, (conv2d_options){0}); /* [n,h,w,4] */
    dev_release(d, start);
    return eps;
}
