#include "tests/cuemu/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/launch.h"
#include "kernels/half.h"
#include "tests/cuemu/cuemu.h"

enum { HELD_MOST = 128, ASKEW = 4, SHARED_MOST = 227 << 10 };

/* What one call has on the device. */
typedef struct {
    dev *d;
    const adapter *as;
    int count;
    struct {
        tensor host, there;
        char *block;
        bool back;
    } held[HELD_MOST];
} visit;

static visit begin(dev *d)
{
    return (visit){.d = d, .as = d->impl};
}

static void put(void *to, dtype type, int64_t i, float v)
{
    if (type == F32)
        ((float *)to)[i] = v;
    else
        ((uint16_t *)to)[i] = type == F16 ? cuemu_round_f16(v) : cuemu_round_bf16(v);
}

float rounded_to(float v, dtype type)
{
    uint32_t there[1];
    put(there, type, 0, v);
    return load_float(there, type, 0);
}

/* A tensor on the device, an fp32 one as `type`. */
static tensor send_as(visit *v, tensor host, dtype type, size_t offset, bool back)
{
    tensor there = host;
    if (!host.data)
        return host;
    there.type = host.type == F32 ? type : host.type;
    char *block = cuemu_malloc(tensor_bytes(there) + offset);
    there.data = block + offset;
    v->held[v->count].host = host;
    v->held[v->count].there = there;
    v->held[v->count].block = block;
    v->held[v->count++].back = back;
    if (host.type != F32)
        memcpy(there.data, host.data, tensor_bytes(host));
    else
        for (int64_t i = 0; i < tensor_count(host); i++)
            put(there.data, type, i, load_float(host.data, F32, i));
    return there;
}

static tensor send(visit *v, tensor host)
{
    return send_as(v, host, v->as->type, v->as->askew ? ASKEW : 0, false);
}

static tensor send_out(visit *v, tensor host)
{
    return send_as(v, host, v->as->type, v->as->askew ? ASKEW : 0, true);
}

/* An input that may be the output itself. */
static tensor send_or(visit *v, tensor host, tensor out, tensor sent)
{
    return host.data && host.data == out.data ? sent : send(v, host);
}

static tensor send_f32(visit *v, tensor host)
{
    return send_as(v, host, F32, 0, false);
}

static tensor send_state(visit *v, tensor host)
{
    return send_as(v, host, F32, 0, true);
}

/* What table.h keeps on the host. */
static void *send_array(visit *v, const void *host, size_t bytes)
{
    tensor array = tensor_of((void *)host, U8, 1, 1, 1, (int64_t)bytes);
    return send_as(v, array, U8, 0, false).data;
}

/* Results go back, everything is freed. */
static void end(visit *v, int status)
{
    for (int i = v->count - 1; i >= 0; i--) {
        const tensor host = v->held[i].host, there = v->held[i].there;
        float *to = host.data;
        if (v->held[i].back && host.type != F32)
            memcpy(host.data, there.data, tensor_bytes(host));
        else if (v->held[i].back)
            for (int64_t j = 0; j < tensor_count(host); j++)
                to[j] = load_float(there.data, there.type, j);
        cuemu_free(v->held[i].block);
    }
    if (status != 0)
        dev_fail(v->d, DEV_BROKEN, "launch: error %d", status);
}

static bool holds_all(dtype type, tensor t)
{
    const float *v = t.data;
    bool all = true;
    for (int64_t i = 0; i < tensor_count(t); i++)
        all &= type != F16 || fabsf(v[i]) < 65504;
    return all;
}

/* The reference convolves; the end is ours. */
static void call_conv2d(dev *d, const conv2d_args *a)
{
    const tensor o = a->out;
    conv2d_args plain = *a, b = *a;
    if (d->options.dry)
        return;
    visit v = begin(d);
    plain.out = tensor_of(NULL, F32, o.dim[0], o.dim[1], o.dim[2], a->w->out);
    plain.out.data = malloc(tensor_bytes(plain.out));
    plain.slope = plain.residual = (tensor){0};
    plain.act = ACT_NONE;
    plain.out_at = 0;
    ref_conv2d(d, &plain);
    ((adapter *)d->impl)->beyond |= !holds_all(v.as->type, plain.out);
    b.out = send_out(&v, a->out);
    b.residual = send_or(&v, a->residual, a->out, b.out);
    b.slope = send_f32(&v, a->slope);
    end(&v, launch_conv_finish(NULL, &b, send(&v, plain.out)));
    free(plain.out.data);
}

static void call_group_norm(dev *d, const group_norm_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    group_norm_args b = *a;
    b.out = send_out(&v, a->out);
    b.x = send_or(&v, a->x, a->out, b.out);
    b.x2 = send(&v, a->x2);
    b.add = send(&v, a->add);
    b.scale = send_f32(&v, a->scale);
    b.shift = send_f32(&v, a->shift);
    const size_t shared = v.as->clusters ? SHARED_MOST : 0;
    const size_t bytes = launch_group_norm_scratch(&b, shared);
    char *scratch = cuemu_malloc(bytes);
    end(&v, launch_group_norm(NULL, &b, shared, scratch));
    cuemu_free(scratch);
}

static void call_layer_norm(dev *d, const layer_norm_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    layer_norm_args b = *a;
    b.out = send_out(&v, a->out);
    b.x = send_or(&v, a->x, a->out, b.out);
    b.scale = send_f32(&v, a->scale);
    b.shift = send_f32(&v, a->shift);
    end(&v, launch_layer_norm(NULL, &b));
}

static void call_attention(dev *d, const attention_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    attention_args b = *a;
    b.out = send_out(&v, a->out);
    b.q = send(&v, a->q);
    b.k = send(&v, a->k);
    b.v = send(&v, a->v);
    if (a->keys)
        b.keys = send_array(&v, a->keys, (size_t)a->q.dim[0] * sizeof *a->keys);
    end(&v, launch_attention(NULL, &b, SHARED_MOST));
}

static void call_geglu(dev *d, const geglu_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    const geglu_args b = {send_out(&v, a->out), send(&v, a->x)};
    end(&v, launch_geglu(NULL, &b));
}

static void call_activate(dev *d, const activate_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    activate_args b = *a;
    b.out = send_out(&v, a->out);
    b.x = send_or(&v, a->x, a->out, b.out);
    end(&v, launch_activate(NULL, &b));
}

static void call_add(dev *d, const add_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    add_args b = *a;
    b.out = send_out(&v, a->out);
    b.a = send_or(&v, a->a, a->out, b.out);
    b.b = send(&v, a->b);
    end(&v, launch_add(NULL, &b));
}

static void call_pixel_shuffle(dev *d, const pixel_shuffle_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    const pixel_shuffle_args b = {send_out(&v, a->out), send(&v, a->x), send(&v, a->base),
                                  a->factor};
    end(&v, launch_pixel_shuffle(NULL, &b));
}

static void call_pixel_unshuffle(dev *d, const pixel_unshuffle_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    const pixel_unshuffle_args b = {send_out(&v, a->out), send(&v, a->x), a->factor};
    end(&v, launch_pixel_unshuffle(NULL, &b));
}

static void call_resize_nearest(dev *d, const resize_nearest_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    const resize_nearest_args b = {send_out(&v, a->out), send(&v, a->x)};
    end(&v, launch_resize_nearest(NULL, &b));
}

static void call_timestep_embedding(dev *d, const timestep_embedding_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    const timestep_embedding_args b = {send_out(&v, a->out),
                                       send_array(&v, a->t, (size_t)a->out.dim[0] * sizeof *a->t)};
    end(&v, launch_timestep_embedding(NULL, &b));
}

static void call_embed(dev *d, const embed_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    const size_t ids = (size_t)(a->out.dim[0] * a->out.dim[2]) * sizeof *a->ids;
    const embed_args b = {send_out(&v, a->out), send_array(&v, a->ids, ids),
                          send_as(&v, a->table, F32, 0, false), send_f32(&v, a->position)};
    end(&v, launch_embed(NULL, &b));
}

static void call_emphasis(dev *d, const emphasis_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    const size_t weights = (size_t)(a->x.dim[0] * a->x.dim[2]) * sizeof *a->weights;
    const emphasis_args b = {send_out(&v, a->x), send_array(&v, a->weights, weights)};
    end(&v, launch_emphasis(NULL, &b));
}

static void call_gather(dev *d, const gather_args *a)
{
    enum { SOURCES_MOST = 16 };
    tensor source[SOURCES_MOST];
    if (d->options.dry)
        return;
    visit v = begin(d);
    gather_args b = *a;
    b.out = send_out(&v, a->out);
    for (int64_t i = 0; i < a->out.dim[0]; i++)
        source[i] = send(&v, a->source[i]);
    b.source = send_array(&v, source, (size_t)a->out.dim[0] * sizeof *source);
    end(&v, launch_gather(NULL, &b));
}

static step_row send_row(visit *v, const step_row *row)
{
    step_row there = *row;
    there.x = send_state(v, row->x);
    for (int i = 0; i < STEP_PREDICTIONS; i++)
        there.prediction[i] = send(v, row->prediction[i]);
    for (int i = 0; i < STEP_HISTORY; i++)
        there.history[i] = send_state(v, row->history[i]);
    there.noise = send_f32(v, row->noise);
    there.init = send_f32(v, row->init);
    there.mask = send_f32(v, row->mask);
    there.denoised = send_state(v, row->denoised);
    there.input = send_out(v, row->input);
    return there;
}

static void call_step(dev *d, const step_args *a)
{
    enum { ROWS_MOST = 5 };
    step_row row[ROWS_MOST];
    if (d->options.dry)
        return;
    visit v = begin(d);
    for (int i = 0; i < a->n; i++)
        row[i] = send_row(&v, &a->row[i]);
    const step_args b = {a->n, send_array(&v, row, (size_t)a->n * sizeof *row)};
    const tensor x = a->row[0].x;
    end(&v, launch_step(NULL, &b, x.dim[1] * x.dim[2], (int)x.dim[3]));
}

static void call_pixels_in(dev *d, const pixels_in_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    const pixels_in_args b = {send_out(&v, a->out), send(&v, a->x), a->range};
    end(&v, launch_pixels_in(NULL, &b));
}

static void call_pixels_out(dev *d, const pixels_out_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    const pixels_out_args b = {send_out(&v, a->out), send(&v, a->x), a->range};
    end(&v, launch_pixels_out(NULL, &b));
}

static void call_preview(dev *d, const preview_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    preview_args b = *a;
    b.out = send_out(&v, a->out);
    b.x = send(&v, a->x);
    end(&v, launch_preview(NULL, &b));
}

static void call_finite(dev *d, const finite_args *a)
{
    if (d->options.dry)
        return;
    visit v = begin(d);
    const tensor flag = tensor_of(a->flag, U8, 1, 1, 1, a->x.dim[0]);
    const finite_args b = {send(&v, a->x), send_as(&v, flag, U8, 0, true).data};
    end(&v, launch_finite(NULL, &b));
}

kernel_table adapter_table(void)
{
#define ENTRY(name, cpu) .name = call_##name,
    void (*const call_reserve)(dev *, const reserve_args *) = ref_reserve;
    void (*const call_pack)(dev *, const pack_args *) = ref_pack;
    return (kernel_table){KERNELS(ENTRY)};
#undef ENTRY
}

_Static_assert(sizeof(bool) == 1, "flags are copied as bytes");
