/* ops: see ops.h. Every op does the same four things: say what shape the result has, check that the
 * inputs fit, ask whether to go on (ready), call the kernel. FLOPs are those of the matrix products
 * (convolutions, attention); the rest is under one percent of a step. */
#include "kernels/ops.h"

#include <assert.h>

#include "kernels/backend.h"

enum { GROUPS = 32 };

/* Is there something to do? Not after an error, and not when the owner wants to stop. */
static bool ready(dev *d, double flops)
{
    if (d->status != DEV_OK)
        return false;
    if (d->stop && d->stop(d->stop_arg)) {
        dev_fail(d, DEV_STOPPED, "%s: stopped", d->name);
        return false;
    }
    d->counters.ops++;
    d->counters.flops += flops;
    return true;
}

static bool is_shape(tensor t, int64_t n, int64_t h, int64_t w, int64_t c)
{
    return t.dim[0] == n && t.dim[1] == h && t.dim[2] == w && t.dim[3] == c;
}

/* An input has its type and, unless nothing is read anyway, its data. */
static bool is_input(const dev *d, tensor t, dtype type)
{
    return tensor_given(t) && t.type == type && (t.data || d->options.dry || d->status != DEV_OK);
}

/* A feature map, or a text. */
static bool is_map(const dev *d, tensor t)
{
    return is_input(d, t, d->storage);
}

/* Of a kernel that takes either feature maps or what is kept in fp32: latents, masks. */
static bool is_value(const dev *d, tensor t)
{
    return is_map(d, t) || is_input(d, t, F32);
}

static bool is_vector(const dev *d, tensor t, dtype type, int64_t c)
{
    return is_input(d, t, type) && is_shape(t, 1, 1, 1, c);
}

static tensor result(dev *d, const tensor *out, dtype type, int64_t n, int64_t h, int64_t w,
                     int64_t c)
{
    if (!out)
        return dev_tensor(d, type, n, h, w, c);
    assert(is_input(d, *out, type) && is_shape(*out, n, h, w, c));
    return *out;
}

static tensor result_like(dev *d, const tensor *out, dtype type, tensor x)
{
    return result(d, out, type, x.dim[0], x.dim[1], x.dim[2], x.dim[3]);
}

void op_reserve(dev *d, weight *w, arena *to, int stride)
{
    assert(w->out > 0 && w->in > 0 && (w->k == 1 || w->k == 3));
    bool ok;
    if (d->status != DEV_OK)
        return;
    d->kernels->reserve(d, &(reserve_args){.w = w, .stride = stride});
    w->data = arena_take(to, w->bytes, &ok);
    if (!ok)
        dev_fail(d, DEV_NO_MEMORY, "%s: %zu bytes of weights on top of %zu do not fit into %zu",
                 d->name, w->bytes, to->used, to->capacity);
}

void op_pack_all(dev *d, const pack_item *item, int n)
{
    if (!ready(d, 0) || d->options.dry)
        return;
    for (int i = 0; i < n; i++) {
        assert(item[i].w.data && item[i].source);
        assert(item[i].type == F32 || item[i].type == F16 || item[i].type == BF16);
        const int64_t end = item[i].first + pack_count(&item[i]);
        assert(item[i].first >= 0 && item[i].first % PACK_CHANNELS == 0 && end <= item[i].w.out &&
               (end % PACK_CHANNELS == 0 || end == item[i].w.out));
    }
    d->kernels->pack(d, &(pack_args){.n = n, .item = item});
}

void op_pack(dev *d, weight *w, arena *to, const void *source, dtype type, int stride)
{
    op_reserve(d, w, to, stride);
    op_pack_all(d, &(pack_item){.w = *w, .source = source, .type = type}, 1);
}

/* Output pixels along a side of `size` input pixels. */
static int64_t conv_side(int64_t size, const weight *w, int stride, bool pad_after)
{
    if (w->k == 1)
        return size;
    return (size + (pad_after ? 1 : 2) - w->k) / stride + 1;
}

/* Inputs, weights and places of a convolution fit, whatever its output. */
static void check_conv(const dev *d, const conv2d_args *a)
{
    const weight *w = a->w;
    assert(w->k == 3 ? a->stride == 1 || a->stride == 2 : w->k == 1 && a->stride == 1);
    assert(!a->pad_after || a->stride == 2);
    assert(!a->doubled || (w->k == 3 && a->stride == 1 && !tensor_given(a->x2)));
    assert(w->data || d->options.dry || d->status != DEV_OK);
    assert(is_map(d, a->x) && w->in == a->x.dim[3] + a->x2_channels);
    if (tensor_given(a->x2))
        assert(is_map(d, a->x2) && a->x2.dim[3] >= a->x2_channels &&
               is_shape(a->x2, a->x.dim[0], a->x.dim[1], a->x.dim[2], a->x2.dim[3]));
    if (tensor_given(a->bias))
        assert(is_vector(d, a->bias, d->storage, w->out));
    if (tensor_given(a->slope))
        assert(is_vector(d, a->slope, F32, w->out) && a->act == ACT_NONE);
}

/* The kernel, after a nearest x2 that it leaves to others. */
static void convolve(dev *d, conv2d_args *a)
{
    const size_t mark = dev_mark(d);
    if (a->doubled && !(d->backend->doubles && d->backend->doubles(d, a))) {
        a->x = op_resize_nearest(d, NEW, a->x, 2 * a->x.dim[1], 2 * a->x.dim[2]);
        a->doubled = false;
    }
    const double pixels = (double)(a->out.dim[0] * a->out.dim[1] * a->out.dim[2]);
    if (ready(d, 2 * pixels * (double)(a->w->out * a->w->k * a->w->k * a->w->in)))
        d->kernels->conv2d(d, a);
    dev_release(d, mark);
}

tensor op_conv2d(dev *d, tensor *out, tensor x, const weight *w, conv2d_options o)
{
    bool dense = tensor_given(o.growth);
    int stride = o.stride ? o.stride : 1, times = o.doubled ? 2 : 1;
    int64_t n = x.dim[0], h = conv_side(times * x.dim[1], w, stride, o.pad_after);
    int64_t width = conv_side(times * x.dim[2], w, stride, o.pad_after);
    conv2d_args a = {.x = x,
                     .x2 = dense && o.grown ? o.growth : o.x2,
                     .x2_channels = dense                ? o.grown
                                    : tensor_given(o.x2) ? o.x2.dim[3]
                                                         : 0,
                     .out_at = o.grown,
                     .w = w,
                     .bias = o.bias,
                     .slope = o.slope,
                     .residual = o.residual,
                     .act = o.act,
                     .stride = stride,
                     .pad_after = o.pad_after,
                     .doubled = o.doubled};
    check_conv(d, &a);
    if (dense) {
        assert(!out && !tensor_given(o.x2) && !tensor_given(o.residual));
        assert(is_map(d, o.growth) && is_shape(o.growth, n, h, width, o.growth.dim[3]));
        assert(o.grown + w->out <= o.growth.dim[3] && (!x.data || x.data != o.growth.data));
        a.out = o.growth;
    } else {
        assert(o.grown == 0);
        a.out = result(d, out, d->storage, n, h, width, w->out);
        assert(!a.out.data || (a.out.data != x.data && a.out.data != o.x2.data));
    }
    if (tensor_given(o.residual))
        assert(is_map(d, o.residual) && tensor_same_shape(o.residual, a.out));
    convolve(d, &a);
    return a.out;
}

tensor op_linear(dev *d, tensor *out, tensor x, const weight *w, conv2d_options o)
{
    assert(w->k == 1);
    return op_conv2d(d, out, x, w, o);
}

tensor op_group_norm(dev *d, tensor *out, tensor x, tensor scale, tensor shift,
                     group_norm_options o)
{
    int64_t c = x.dim[3] + (tensor_given(o.x2) ? o.x2.dim[3] : 0);
    group_norm_args a = {.x = x,
                         .x2 = o.x2,
                         .add = o.add,
                         .add_at = o.add_at,
                         .scale = scale,
                         .shift = shift,
                         .groups = o.groups ? o.groups : GROUPS,
                         .eps = o.eps > 0 ? o.eps : 1e-5,
                         .act = o.act};
    assert(is_map(d, x) && c % a.groups == 0);
    assert(is_vector(d, scale, F32, c) && is_vector(d, shift, F32, c));
    if (tensor_given(o.x2))
        assert(is_map(d, o.x2) && is_shape(o.x2, x.dim[0], x.dim[1], x.dim[2], o.x2.dim[3]));
    if (tensor_given(o.add))
        assert(is_map(d, o.add) && is_shape(o.add, x.dim[0], 1, 1, o.add.dim[3]) && o.add_at >= 0 &&
               o.add_at + c <= o.add.dim[3]);
    a.out = result(d, out, d->storage, x.dim[0], x.dim[1], x.dim[2], c);
    if (ready(d, 0))
        d->kernels->group_norm(d, &a);
    return a.out;
}

tensor op_layer_norm(dev *d, tensor *out, tensor x, tensor scale, tensor shift, double eps)
{
    assert(is_map(d, x) && is_vector(d, scale, F32, x.dim[3]) &&
           is_vector(d, shift, F32, x.dim[3]));
    const layer_norm_args a = {.out = result_like(d, out, d->storage, x),
                               .x = x,
                               .scale = scale,
                               .shift = shift,
                               .eps = eps};
    if (ready(d, 0))
        d->kernels->layer_norm(d, &a);
    return a.out;
}

tensor op_attention(dev *d, tensor *out, tensor q, tensor k, tensor v, int heads, bool causal,
                    const int32_t *keys)
{
    assert(heads > 0 && q.dim[3] % heads == 0 && k.dim[3] == q.dim[3]);
    return op_attend(d, out,
                     (attention_args){.q = q,
                                      .k = k,
                                      .v = v,
                                      .heads = heads,
                                      .head = (int)(q.dim[3] / heads),
                                      .causal = causal,
                                      .keys = keys});
}

tensor op_attend(dev *d, tensor *out, attention_args a)
{
    const int64_t n = a.q.dim[0], tq = a.q.dim[2], tk = a.k.dim[2];
    const int64_t c = (int64_t)a.heads * a.head;
    assert(is_map(d, a.q) && is_map(d, a.k) && is_map(d, a.v));
    assert(is_shape(a.q, n, 1, tq, a.q.dim[3]) && is_shape(a.k, n, 1, tk, a.k.dim[3]));
    assert(tensor_same_shape(a.k, a.v) && a.heads > 0 && a.head > 0 && c <= a.q.dim[3]);
    assert(a.k_at >= 0 && a.k_at + c <= a.k.dim[3] && a.v_at >= 0 && a.v_at + c <= a.v.dim[3]);
    for (int64_t i = 0; a.keys && i < n; i++)
        assert(a.keys[i] >= 1 && a.keys[i] <= tk);
    a.out = result(d, out, d->storage, n, 1, tq, c);
    if (ready(d, 4.0 * (double)(n * c) * (double)(tq * tk)))
        d->kernels->attention(d, &a);
    return a.out;
}

tensor op_geglu(dev *d, tensor *out, tensor x)
{
    assert(is_map(d, x) && x.dim[3] % 2 == 0);
    const geglu_args a = {
        .out = result(d, out, d->storage, x.dim[0], x.dim[1], x.dim[2], x.dim[3] / 2), .x = x};
    if (ready(d, 0))
        d->kernels->geglu(d, &a);
    return a.out;
}

tensor op_activate(dev *d, tensor *out, tensor x, activation act)
{
    assert(is_map(d, x) && act < ACT_COUNT);
    const activate_args a = {.out = result_like(d, out, d->storage, x), .x = x, .act = act};
    if (ready(d, 0))
        d->kernels->activate(d, &a);
    return a.out;
}

tensor op_add(dev *d, tensor *out, tensor x, tensor y)
{
    return op_add_scaled(d, out, x, 1, y);
}

tensor op_add_scaled(dev *d, tensor *out, tensor x, float scale, tensor y)
{
    assert(is_map(d, x) && is_map(d, y));
    assert((y.dim[0] == x.dim[0] || y.dim[0] == 1) &&
           is_shape(y, y.dim[0], x.dim[1], x.dim[2], x.dim[3]));
    const add_args a = {.out = result_like(d, out, d->storage, x), .a = x, .b = y, .scale = scale};
    if (ready(d, 0))
        d->kernels->add(d, &a);
    return a.out;
}

tensor op_pixel_shuffle(dev *d, tensor *out, tensor x, int factor, tensor base)
{
    int64_t n = x.dim[0], h = x.dim[1], w = x.dim[2], c = x.dim[3] / factor / factor;
    assert(is_map(d, x) && factor > 0 && x.dim[3] == c * factor * factor && c > 0);
    if (tensor_given(base))
        assert(is_map(d, base) && is_shape(base, n, h, w, c));
    const pixel_shuffle_args a = {.out = result(d, out, d->storage, n, h * factor, w * factor, c),
                                  .x = x,
                                  .base = base,
                                  .factor = factor};
    if (ready(d, 0))
        d->kernels->pixel_shuffle(d, &a);
    return a.out;
}

tensor op_pixel_unshuffle(dev *d, tensor *out, tensor x, int factor)
{
    assert(is_map(d, x) && factor > 0);
    int64_t h = (x.dim[1] + factor - 1) / factor, w = (x.dim[2] + factor - 1) / factor;
    const pixel_unshuffle_args a = {
        .out = result(d, out, d->storage, x.dim[0], h, w, x.dim[3] * factor * factor),
        .x = x,
        .factor = factor};
    if (ready(d, 0))
        d->kernels->pixel_unshuffle(d, &a);
    return a.out;
}

tensor op_resize_nearest(dev *d, tensor *out, tensor x, int64_t h, int64_t w)
{
    assert(is_map(d, x));
    const resize_nearest_args a = {.out = result(d, out, d->storage, x.dim[0], h, w, x.dim[3]),
                                   .x = x};
    if (ready(d, 0))
        d->kernels->resize_nearest(d, &a);
    return a.out;
}

tensor op_timestep_embedding(dev *d, tensor *out, const double *t, int64_t n, int64_t c)
{
    assert(c % 2 == 0);
    const timestep_embedding_args a = {.out = result(d, out, d->storage, n, 1, 1, c), .t = t};
    if (ready(d, 0))
        d->kernels->timestep_embedding(d, &a);
    return a.out;
}

tensor op_embed(dev *d, tensor *out, const int32_t *ids, int64_t n, tensor table, tensor position)
{
    int64_t rows = table.dim[2], t = position.dim[2], c = table.dim[3];
    assert(table.type == F32 || table.type == F16 || table.type == BF16);
    assert(is_input(d, table, table.type) && is_shape(table, 1, 1, rows, c));
    assert(is_input(d, position, F32) && is_shape(position, 1, 1, t, c));
    for (int64_t i = 0; !d->options.dry && i < n * t; i++)
        assert(ids[i] >= 0 && ids[i] < rows);
    const embed_args a = {.out = result(d, out, d->storage, n, 1, t, c),
                          .ids = ids,
                          .table = table,
                          .position = position};
    if (ready(d, 0))
        d->kernels->embed(d, &a);
    return a.out;
}

void op_emphasis(dev *d, tensor x, const double *weights)
{
    assert(is_map(d, x) && x.dim[1] == 1);
    const emphasis_args a = {.x = x, .weights = weights};
    if (ready(d, 0))
        d->kernels->emphasis(d, &a);
}

void op_place(dev *d, tensor out, int64_t first, const tensor *source, int64_t c, float scale)
{
    assert(is_value(d, out) && first >= 0 && first + c <= out.dim[3]);
    for (int64_t i = 0; i < out.dim[0]; i++)
        assert(is_value(d, source[i]) && source[i].dim[3] >= c &&
               is_shape(source[i], 1, out.dim[1], out.dim[2], source[i].dim[3]));
    const gather_args a = {.out = out, .source = source, .first = first, .c = c, .scale = scale};
    if (ready(d, 0))
        d->kernels->gather(d, &a);
}

tensor op_gather(dev *d, tensor *out, const tensor *source, int64_t n, int64_t c, float scale)
{
    tensor to =
        result(d, out, out ? out->type : d->storage, n, source[0].dim[1], source[0].dim[2], c);
    op_place(d, to, 0, source, c, scale);
    return to;
}

/* Not given, or like x. */
static bool is_term(const dev *d, tensor t, tensor x)
{
    return !tensor_given(t) || (is_value(d, t) && tensor_same_shape(t, x));
}

static bool reads_only_given(const step_row *r, const float coef[STEP_TERMS])
{
    bool good = true;
    for (int i = 0; i < STEP_PREDICTIONS; i++)
        good &= coef[STEP_PREDICTION + i] == 0 || tensor_given(r->prediction[i]);
    for (int i = 0; i < STEP_HISTORY; i++)
        good &= coef[STEP_PAST + i] == 0 || tensor_given(r->history[i]);
    good &= coef[STEP_NOISE] == 0 || tensor_given(r->noise);
    good &= coef[STEP_CHANGE] == 0 || r->hold[STEP_HOLD_DENOISED].on;
    return good && (coef[STEP_INIT] == 0 || tensor_given(r->init));
}

static bool is_hold(const dev *d, const step_row *r, const step_hold *h)
{
    return is_input(d, r->mask, F32) && is_shape(r->mask, 1, r->x.dim[1], r->x.dim[2], 1) &&
           (h->init == 0 || tensor_given(r->init)) && (h->noise == 0 || tensor_given(r->noise)) &&
           h->exponent >= 0 && h->contrast >= 0;
}

static void check_step(const dev *d, const step_row *r)
{
    tensor x = r->x;
    const bool denoised = tensor_given(r->denoised) || r->hold[STEP_HOLD_DENOISED].on;
    assert(is_input(d, x, F32) && x.dim[0] == 1 && x.dim[3] <= STEP_CHANNELS);
    assert(is_term(d, r->noise, x) && is_term(d, r->init, x));
    assert(is_term(d, r->denoised, x) && is_term(d, r->input, x));
    assert(reads_only_given(r, r->coef_x));
    assert(!denoised || (reads_only_given(r, r->coef_denoised) && !r->coef_denoised[STEP_CHANGE]));
    for (int i = 0; i < STEP_PREDICTIONS; i++)
        assert(is_term(d, r->prediction[i], x));
    for (int i = 0; i < STEP_HISTORY; i++) {
        assert(is_term(d, r->history[i], x));
        assert(!r->stored[i] ||
               (tensor_given(r->history[i]) && reads_only_given(r, r->coef_history[i])));
    }
    for (int i = 0; i < STEP_HOLDS; i++)
        assert(!r->hold[i].on || is_hold(d, r, &r->hold[i]));
}

void op_step(dev *d, int n, const step_row *row)
{
    for (int i = 0; i < n; i++)
        check_step(d, &row[i]);
    const step_args a = {.n = n, .row = row};
    if (ready(d, 0))
        d->kernels->step(d, &a);
}

static tensor pixels_in(dev *d, const tensor *out, tensor x, pixel_range range)
{
    assert(is_input(d, x, U8) && x.dim[3] == 3);
    const pixels_in_args a = {.out = result_like(d, out, d->storage, x), .x = x, .range = range};
    if (ready(d, 0))
        d->kernels->pixels_in(d, &a);
    return a.out;
}

tensor op_pixels_in(dev *d, tensor *out, tensor x)
{
    return pixels_in(d, out, x, PIXELS_SIGNED);
}

tensor op_unit_in(dev *d, tensor *out, tensor x)
{
    return pixels_in(d, out, x, PIXELS_UNIT);
}

static tensor pixels_out(dev *d, tensor out, tensor x, pixel_range range)
{
    assert(is_map(d, x));
    const pixels_out_args a = {.out = out, .x = x, .range = range};
    if (ready(d, 0))
        d->kernels->pixels_out(d, &a);
    return a.out;
}

tensor op_pixels_out(dev *d, tensor *out, tensor x)
{
    return pixels_out(d, result_like(d, out, U8, x), x, PIXELS_SIGNED);
}

tensor op_unit_out(dev *d, tensor *out, tensor x)
{
    int64_t h = out ? out->dim[1] : x.dim[1], w = out ? out->dim[2] : x.dim[2];
    assert(h <= x.dim[1] && w <= x.dim[2]);
    return pixels_out(d, result(d, out, U8, x.dim[0], h, w, x.dim[3]), x, PIXELS_UNIT);
}

tensor op_preview(dev *d, tensor *out, tensor x, const float matrix[4][3])
{
    assert(is_input(d, x, F32) && x.dim[3] == 4);
    preview_args a = {.out = result(d, out, U8, x.dim[0], x.dim[1], x.dim[2], 3), .x = x};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            a.matrix[i][j] = matrix[i][j];
    if (ready(d, 0))
        d->kernels->preview(d, &a);
    return a.out;
}

void op_finite(dev *d, tensor x, bool *flag)
{
    assert(is_value(d, x));
    const finite_args a = {.x = x, .flag = flag};
    if (ready(d, 0))
        d->kernels->finite(d, &a);
}
