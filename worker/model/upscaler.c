/* Upscalers: see upscaler.h. The one idea: nothing is concatenated. The dense blocks of RRDB, whose
 * every convolution sees all results before it, write them side by side into one buffer of which
 * the next one reads the first channels.
 *
 * Channels go in as red, green, blue, the order the published networks were trained with. (The
 * reference web UI feeds some of them the other way round.) */
#include "worker/model/upscaler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/layers.h"
#include "worker/model/weights.h"

static const float RESIDUAL = 0.2f; /* how much of a block's result is added to its input */

/* ---- life ---- */

static void take_layers(void *arg, params *p)
{
    upscaler *u = arg;
    int count = upscaler_layers(&u->config);
    u->layer = calloc((size_t)count, sizeof *u->layer);
    u->slope = calloc((size_t)count, sizeof *u->slope);
    if (!u->layer || !u->slope) {
        err_set(p->e, ERR_NO_MEMORY, "%s: no memory for %d layers", u->path, count);
        return;
    }
    p->winograd = true; /* the weights are small, and the pictures are large */
    for (int i = 0; i < count && p->e->code == ERR_OK; i++) {
        upscaler_layer l = upscaler_layer_at(&u->config, i);
        u->layer[i] = params_conv(p, 1, "%s", l.name);
        if (*l.slope)
            u->slope[i] = params_vector(p, "%s", l.slope);
    }
}

static void forget_layers(void *arg)
{
    upscaler *u = arg;
    free(u->layer);
    free(u->slope);
    u->layer = NULL;
    u->slope = NULL;
}

upscaler *upscaler_load(dev *d, const char *path, err *e)
{
    err local = {0};
    if (!e)
        e = &local;
    checkpoint *file = NULL;
    upscaler *u = calloc(1, sizeof *u);
    if (!u) {
        err_set(e, ERR_NO_MEMORY, "%s: no memory for the upscaler", path);
        return NULL;
    }
    if ((size_t)snprintf(u->path, sizeof u->path, "%s", path) >= sizeof u->path) {
        err_set(e, ERR_TOO_LARGE,
                "the path of the upscaler has %zu characters, expected at most %zu", strlen(path),
                sizeof u->path - 1);
        goto out;
    }
    file = checkpoint_open(path, e);
    if (file && upscaler_config_read(&u->config, file, e) == ERR_OK)
        weights_load(&u->weights, d,
                     &(weights_source){file, NULL, u, take_layers, forget_layers, NULL}, e);
out:
    checkpoint_free(&file);
    if (e->code != ERR_OK)
        upscaler_free(&u);
    return u;
}

void upscaler_free(upscaler **u)
{
    if (!*u)
        return;
    forget_layers(*u);
    arena_done(&(*u)->weights);
    free(*u);
    *u = NULL;
}

/* ---- RRDB ---- */

/* A dense block: x [n,h,w,c] -> out; the results of its convolutions lie side by side in `growth`.
 */
static void dense_block(dev *d, tensor *out, tensor x, tensor growth, const conv *layer)
{
    int64_t grown = 0;
    for (int i = 0; i < RRDB_CONVS - 1; i++, grown += layer->w.out)
        layer_conv(d, NEW, x, &layer[i],
                   (conv2d_options){.growth = growth, .grown = grown, .act = ACT_LEAKY_RELU});
    layer_conv(d, out, x, &layer[RRDB_CONVS - 1], (conv2d_options){.x2 = growth});
    op_add_scaled(d, out, *out, RESIDUAL, x);
}

/* All blocks: first [n,h,w,c] -> the result, in scratch. A block reads slot i (at first `first`)
 * and leaves its result in slot i + 1, with the third one in between. */
static tensor blocks(dev *d, const upscaler *u, tensor first)
{
    const upscaler_config *c = &u->config;
    int64_t n = first.dim[0], h = first.dim[1], w = first.dim[2];
    tensor slot[3], x = first;
    for (int i = 0; i < 3; i++)
        slot[i] = dev_tensor(d, d->storage, n, h, w, c->width);
    tensor growth = dev_tensor(d, d->storage, n, h, w, (RRDB_CONVS - 1) * (int64_t)c->growth);
    const conv *layer = u->layer + 1;
    for (int i = 0; i < c->blocks; i++, layer += RRDB_DENSE * RRDB_CONVS) {
        tensor *to = &slot[(i + 1) % 3], *between = &slot[(i + 2) % 3];
        dense_block(d, to, x, growth, layer);
        dense_block(d, between, *to, growth, layer + RRDB_CONVS);
        dense_block(d, to, *between, growth, layer + 2 * RRDB_CONVS);
        x = op_add_scaled(d, to, *to, RESIDUAL, x);
    }
    return x;
}

/* nearest x2, convolution, leaky ReLU: [n,h,w,c] -> [n,2h,2w,c] */
static tensor doubled(dev *d, tensor x, const conv *layer)
{
    return layer_conv(d, NEW, x, layer, (conv2d_options){.doubled = true, .act = ACT_LEAKY_RELU});
}

static void rrdb_forward(dev *d, tensor *out, const upscaler *u, tensor x)
{
    const upscaler_config *c = &u->config;
    const conv *layer = u->layer + 1 + c->blocks * RRDB_DENSE * RRDB_CONVS;
    if (c->unshuffle > 1)
        x = op_pixel_unshuffle(d, NEW, x, c->unshuffle);                 /* [n,h,w,3 u u] */
    tensor f = layer_conv(d, NEW, x, &u->layer[0], (conv2d_options){0}); /* [n,h,w,c] */
    size_t mark = dev_mark(d);
    tensor deep = blocks(d, u, f);
    layer_conv(d, &f, deep, layer++, (conv2d_options){.residual = f}); /* [n,h,w,c] */
    dev_release(d, mark);
    for (int i = 0; i < c->doublings; i++)
        f = doubled(d, f, layer++); /* [n,2h,2w,c] … */
    f = layer_conv(d, NEW, f, layer++, (conv2d_options){.act = ACT_LEAKY_RELU}); /* [n,H,W,c] */
    layer_conv(d, out, f, layer, (conv2d_options){0});                           /* [n,H,W,3] */
}

/* ---- SRVGG ---- */

static void srvgg_forward(dev *d, tensor *out, const upscaler *u, tensor x)
{
    int64_t n = x.dim[0], h = x.dim[1], w = x.dim[2];
    int last = upscaler_layers(&u->config) - 1;
    pair places = {0};
    for (int i = 0; i <= last; i++)
        pair_want(&places, n * h * w * u->layer[i].w.out);
    pair_open(d, &places);
    tensor v = x;
    for (int i = 0; i <= last; i++) {
        tensor y = pair_next(&places, n, h, w, u->layer[i].w.out);
        v = layer_conv(d, &y, v, &u->layer[i], (conv2d_options){.slope = u->slope[i]});
    }
    op_pixel_shuffle(d, out, v, u->config.scale, x); /* [n,h,w,3 s s] -> [n,h s,w s,3] */
}

/* ---- both ---- */

tensor upscaler_forward(dev *d, tensor *out, const upscaler *u, tensor x)
{
    const upscaler_config *c = &u->config;
    int64_t h = (x.dim[1] + c->unshuffle - 1) / c->unshuffle * c->unshuffle * c->scale;
    int64_t w = (x.dim[2] + c->unshuffle - 1) / c->unshuffle * c->unshuffle * c->scale;
    tensor y = layer_result(d, out, x.dim[0], h, w, x.dim[3]);
    size_t mark = dev_mark(d);
    if (c->kind == UPSCALER_RRDB)
        rrdb_forward(d, &y, u, x);
    else
        srvgg_forward(d, &y, u, x);
    dev_release(d, mark);
    return y;
}

tensor upscaler_enlarge(dev *d, tensor *out, const upscaler *u, tensor pixels, bool *finite)
{
    int64_t n = pixels.dim[0], h = pixels.dim[1] * u->config.scale;
    int64_t w = pixels.dim[2] * u->config.scale, c = pixels.dim[3];
    tensor y = out ? *out : dev_tensor(d, U8, n, h, w, c);
    size_t mark = dev_mark(d);
    tensor x = upscaler_forward(d, NEW, u, op_unit_in(d, NEW, pixels));
    if (finite)
        op_finite(d, x, finite);
    op_unit_out(d, &y, x);
    dev_release(d, mark);
    return y;
}

model_cost upscaler_measure(dev *dry, const upscaler *u, int width, int height)
{
    size_t mark = dev_mark(dry);
    dev_clear(dry);
    dev_reset_peak(dry);
    bool finite;
    upscaler_enlarge(dry, NEW, u, dev_tensor(dry, U8, 1, height, width, 3), &finite);
    model_cost cost = {.scratch = dry->counters.scratch_peak, .flops = dry->counters.flops};
    dev_release(dry, mark);
    return cost;
}
