/* Bare: see bare.h. What launch.h wants in device memory and table.h has on the host is copied for
 * each launch. */
#include "tests/cuemu/bare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/cuda/launch.h"
#include "kernels/half.h"
#include "tests/cuemu/cuemu.h"

enum { SHARED_MOST = 227 << 10 };

static void launched(dev *d, int status)
{
    if (status != 0)
        dev_fail(d, DEV_BROKEN, "launch: error %d", status);
}

static void *there(const void *host, size_t bytes)
{
    return host ? memcpy(cuemu_malloc(bytes), host, bytes) : NULL;
}

/* The way back of an array, and its end. */
static void gone(void *array, void *host, size_t bytes)
{
    if (host)
        memcpy(host, array, bytes);
    cuemu_free(array);
}

/* ---- convolutions: the reference convolves; the end is ours ---- */

/* A tensor in fp32, in scratch, which is the host's. */
static tensor widened(dev *d, tensor t)
{
    if (!t.data)
        return t;
    tensor wide = dev_tensor(d, F32, t.dim[0], t.dim[1], t.dim[2], t.dim[3]);
    for (int64_t i = 0; i < tensor_count(t); i++)
        ((float *)wide.data)[i] = load_float(t.data, t.type, i);
    return wide;
}

/* A tensor of fp32 on the device, as its type of feature maps. */
static tensor narrowed(const dev *d, tensor t)
{
    tensor narrow = t;
    narrow.type = d->storage;
    narrow.data = cuemu_malloc(tensor_bytes(narrow));
    for (int64_t i = 0; i < tensor_count(t); i++)
        store_float(narrow.data, narrow.type, i, ((const float *)t.data)[i]);
    return narrow;
}

static bool holds_all(dtype type, tensor t)
{
    const float *v = t.data;
    bool all = true;
    for (int64_t i = 0; i < tensor_count(t); i++)
        all &= type != F16 || fabsf(v[i]) < 65504;
    return all;
}

static void bare_conv2d(dev *d, const conv2d_args *a)
{
    const tensor o = a->out;
    const size_t mark = dev_mark(d);
    const bool later = a->x.dim[1] % 2 == 0; /* the bias is left, as of an x2 upsample */
    conv2d_args plain = *a, rest = *a;
    plain.out = dev_tensor(d, F32, o.dim[0], o.dim[1], o.dim[2], a->w->out);
    plain.x = widened(d, a->x);
    plain.x2 = widened(d, a->x2);
    plain.bias = later ? (tensor){0} : widened(d, a->bias);
    rest.bias = later ? a->bias : (tensor){0};
    plain.slope = plain.residual = (tensor){0};
    plain.act = ACT_NONE;
    plain.out_at = 0;
    if (d->status == DEV_OK) {
        ref_conv2d(d, &plain);
        ((bare *)d->impl)->beyond |= !holds_all(d->storage, plain.out);
        const tensor made = narrowed(d, plain.out);
        launched(d, launch_conv_finish(NULL, &rest, made));
        cuemu_free(made.data);
    }
    dev_release(d, mark);
}

/* ---- launches with something besides ---- */

static void bare_group_norm(dev *d, const group_norm_args *a)
{
    const size_t shared = ((const bare *)d->impl)->clusters ? SHARED_MOST : 0;
    char *scratch = cuemu_malloc(launch_group_norm_scratch(a, shared));
    launched(d, launch_group_norm(NULL, a, shared, scratch));
    cuemu_free(scratch);
}

static void bare_attention(dev *d, const attention_args *a)
{
    attention_args b = *a;
    b.keys = there(a->keys, (size_t)a->q.dim[0] * sizeof *a->keys);
    launched(d, launch_attention(NULL, &b, SHARED_MOST));
    gone((void *)b.keys, NULL, 0);
}

static void bare_timestep_embedding(dev *d, const timestep_embedding_args *a)
{
    timestep_embedding_args b = *a;
    b.t = there(a->t, (size_t)a->out.dim[0] * sizeof *a->t);
    launched(d, launch_timestep_embedding(NULL, &b));
    gone((void *)b.t, NULL, 0);
}

static void bare_embed(dev *d, const embed_args *a)
{
    embed_args b = *a;
    b.ids = there(a->ids, (size_t)(a->out.dim[0] * a->out.dim[2]) * sizeof *a->ids);
    launched(d, launch_embed(NULL, &b));
    gone((void *)b.ids, NULL, 0);
}

static void bare_emphasis(dev *d, const emphasis_args *a)
{
    emphasis_args b = *a;
    b.weights = there(a->weights, (size_t)(a->x.dim[0] * a->x.dim[2]) * sizeof *a->weights);
    launched(d, launch_emphasis(NULL, &b));
    gone((void *)b.weights, NULL, 0);
}

static void bare_gather(dev *d, const gather_args *a)
{
    gather_args b = *a;
    b.source = there(a->source, (size_t)a->out.dim[0] * sizeof *a->source);
    launched(d, launch_gather(NULL, &b));
    gone((void *)b.source, NULL, 0);
}

static void bare_step(dev *d, const step_args *a)
{
    const tensor x = a->row[0].x;
    step_args b = *a;
    b.row = there(a->row, (size_t)a->n * sizeof *a->row);
    launched(d, launch_step(NULL, &b, x.dim[1] * x.dim[2], (int)x.dim[3]));
    gone((void *)b.row, NULL, 0);
}

static void bare_finite(dev *d, const finite_args *a)
{
    const size_t bytes = (size_t)a->x.dim[0] * sizeof *a->flag;
    finite_args b = {a->x, there(a->flag, bytes)};
    launched(d, launch_finite(NULL, &b));
    gone(b.flag, a->flag, bytes);
}

/* ---- the others ---- */

#define PLAIN(X)                                                                                   \
    X(layer_norm)                                                                                  \
    X(geglu)                                                                                       \
    X(activate)                                                                                    \
    X(add)                                                                                         \
    X(pixel_shuffle)                                                                               \
    X(pixel_unshuffle)                                                                             \
    X(resize_nearest)                                                                              \
    X(pixels_in)                                                                                   \
    X(pixels_out)                                                                                  \
    X(preview)
#define LAUNCH(name)                                                                               \
    static void bare_##name(dev *d, const name##_args *a)                                          \
    {                                                                                              \
        launched(d, launch_##name(NULL, a));                                                       \
    }
PLAIN(LAUNCH)

static void bare_reserve(dev *d, const reserve_args *a)
{
    ref_reserve(d, a);
}

static void bare_pack(dev *d, const pack_args *a)
{
    ref_pack(d, a);
}

#define ENTRY(name, cpu) .name = bare_##name,
static const kernel_table kernels = {KERNELS(ENTRY)};
#undef ENTRY

/* ---- memory ---- */

static void *take(dev *d, size_t bytes)
{
    (void)d;
    return cuemu_malloc(bytes);
}

static void give(dev *d, void *p)
{
    (void)d;
    cuemu_free(p);
}

static void copy(dev *d, void *to, const void *from, size_t bytes)
{
    (void)d;
    memcpy(to, from, bytes);
}

static void close_bare(dev *d)
{
    (void)d;
}

/* Scratch and weights are the host's: only what ref does reads them. */
static const backend_memory memory = {.take = take, .give = give, .write = copy, .read = copy};
static const backend row = {
    .name = "bare", .kernels = &kernels, .memory = &memory, .close = close_bare};

dev *bare_dev(bare *impl, char *why)
{
    const dev_options o = {.backend = "ref", .threads = 1, .scratch_bytes = (size_t)1 << 28};
    dev *d = dev_new(&o, why);
    if (!d)
        return NULL;
    d->backend = &row;
    d->kernels = &kernels;
    d->impl = impl;
    snprintf(d->name, sizeof d->name, "cuemu");
    return d;
}

_Static_assert(sizeof(bool) == 1, "flags are copied as bytes");
