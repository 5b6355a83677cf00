/* Adapter: see adapter.h. The first half is one visit of a call's tensors to the device; the second
 * says for each kernel which of its arguments is what. */
#include "tests/device/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/half.h"
#include "kernels/ops.h"
#include "tests/device/visit.h"

float rounded_to(float v, dtype type)
{
    float there;
    store_float(&there, type, 0, v);
    return load_float(&there, type, 0);
}

/* ---- weights: kept on the host as they are in the file, packed by each convolution ---- */

enum { PARTS_MOST = 4 };

/* The items that a weight is packed from, each matrix where all of them as F32 would have it. */
typedef struct {
    int parts;
    pack_item part[PARTS_MOST];
} packed;

static void call_reserve(dev *d, const reserve_args *a)
{
    const adapter *as = d->impl;
    weight *w = a->w, there = *w, dry = *w;
    const size_t values = (size_t)(w->out * w->in * w->k * w->k);
    as->to->kernels->reserve(as->to, &(reserve_args){.w = &there, .stride = a->stride});
    if (as->dry)
        as->dry->kernels->reserve(as->dry, &(reserve_args){.w = &dry, .stride = a->stride});
    if (there.bytes < values * dtype_bytes(as->to->storage))
        dev_fail(d, DEV_BROKEN, "%zu values are reserved %zu bytes", values, there.bytes);
    if (as->dry && dry.bytes != there.bytes)
        dev_fail(d, DEV_BROKEN, "%zu bytes are reserved, %zu when dry", there.bytes, dry.bytes);
    w->bytes = sizeof(packed) + values * sizeof(float);
}

static void call_pack(dev *d, const pack_args *a)
{
    for (int i = 0; i < a->n; i++) {
        pack_item item = a->item[i];
        const weight *w = &item.w;
        const size_t channel = (size_t)(w->in * w->k * w->k);
        packed *all = w->data;
        char *to = (char *)(all + 1) + (size_t)item.first * channel * sizeof(float);
        if (item.first == 0)
            all->parts = 0;
        if (all->parts == PARTS_MOST) {
            dev_fail(d, DEV_BROKEN, "a weight of more than %d matrices", PARTS_MOST);
            return;
        }
        memcpy(to, item.source, (size_t)pack_count(&item) * channel * dtype_bytes(item.type));
        item.source = to;
        all->part[all->parts++] = item;
    }
}

static weight pack_there(adapter *as, const weight *w, int stride)
{
    packed all = *(const packed *)w->data;
    weight there = {.out = w->out, .in = w->in, .k = w->k};
    arena_release(&as->weights, 0);
    op_reserve(as->to, &there, &as->weights, stride);
    for (int i = 0; i < all.parts; i++)
        all.part[i].w = there;
    op_pack_all(as->to, all.part, all.parts);
    return there;
}

/* ---- each kernel's arguments ---- */

static void call_conv2d(dev *d, const conv2d_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    const weight there = pack_there(v.as, a->w, a->stride);
    conv2d_args b = *a;
    b.w = &there;
    b.out = send_out(&v, a->out);
    b.x = send(&v, a->x);
    b.x2 = send_or(&v, a->x2, a->out, b.out);
    b.bias = send_padded(&v, a->bias);
    b.slope = send_f32(&v, a->slope);
    b.residual = send_or(&v, a->residual, a->out, b.out);
    visit_end(&v, walk_conv2d, &b);
}

static void call_group_norm(dev *d, const group_norm_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    group_norm_args b = *a;
    b.out = send_out(&v, a->out);
    b.x = send_or(&v, a->x, a->out, b.out);
    b.x2 = send(&v, a->x2);
    b.add = send(&v, a->add);
    b.scale = send_f32(&v, a->scale);
    b.shift = send_f32(&v, a->shift);
    visit_end(&v, walk_group_norm, &b);
}

static void call_layer_norm(dev *d, const layer_norm_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    layer_norm_args b = *a;
    b.out = send_out(&v, a->out);
    b.x = send_or(&v, a->x, a->out, b.out);
    b.scale = send_f32(&v, a->scale);
    b.shift = send_f32(&v, a->shift);
    visit_end(&v, walk_layer_norm, &b);
}

static void call_attention(dev *d, const attention_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    attention_args b = *a;
    b.out = send_out(&v, a->out);
    b.q = send(&v, a->q);
    b.k = send_or(&v, a->k, a->q, b.q);
    b.v = send_or(&v, a->v, a->k, b.k);
    lend(&v, &b.keys, a->keys, a->q.dim[0], sizeof *a->keys);
    visit_end(&v, walk_attention, &b);
}

static void call_geglu(dev *d, const geglu_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    geglu_args b = {send_out(&v, a->out), send(&v, a->x)};
    visit_end(&v, walk_geglu, &b);
}

static void call_activate(dev *d, const activate_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    activate_args b = *a;
    b.out = send_out(&v, a->out);
    b.x = send_or(&v, a->x, a->out, b.out);
    visit_end(&v, walk_activate, &b);
}

static void call_add(dev *d, const add_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    add_args b = *a;
    b.out = send_out(&v, a->out);
    b.a = send_or(&v, a->a, a->out, b.out);
    b.b = send(&v, a->b);
    visit_end(&v, walk_add, &b);
}

static void call_pixel_shuffle(dev *d, const pixel_shuffle_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    pixel_shuffle_args b = {send_out(&v, a->out), send(&v, a->x), send(&v, a->base), a->factor};
    visit_end(&v, walk_pixel_shuffle, &b);
}

static void call_pixel_unshuffle(dev *d, const pixel_unshuffle_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    pixel_unshuffle_args b = {send_out(&v, a->out), send(&v, a->x), a->factor};
    visit_end(&v, walk_pixel_unshuffle, &b);
}

static void call_resize_nearest(dev *d, const resize_nearest_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    resize_nearest_args b = {send_out(&v, a->out), send(&v, a->x)};
    visit_end(&v, walk_resize_nearest, &b);
}

static void call_timestep_embedding(dev *d, const timestep_embedding_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    timestep_embedding_args b = {.out = send_out(&v, a->out)};
    lend(&v, &b.t, a->t, a->out.dim[0], sizeof *a->t);
    visit_end(&v, walk_timestep_embedding, &b);
}

static void call_embed(dev *d, const embed_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    embed_args b = {.out = send_out(&v, a->out),
                    .table = send_f32(&v, a->table),
                    .position = send_f32(&v, a->position)};
    lend(&v, &b.ids, a->ids, a->out.dim[0] * a->out.dim[2], sizeof *a->ids);
    visit_end(&v, walk_embed, &b);
}

static void call_emphasis(dev *d, const emphasis_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    emphasis_args b = {.x = send_out(&v, a->x)};
    lend(&v, &b.weights, a->weights, a->x.dim[0] * a->x.dim[2], sizeof *a->weights);
    visit_end(&v, walk_emphasis, &b);
}

/* Latents are F32, other sources as feature maps: each has its type. */
static void call_gather(dev *d, const gather_args *a)
{
    enum { SOURCES_MOST = 16 };
    tensor source[SOURCES_MOST];
    visit v;
    if (!visit_begin(&v, d))
        return;
    gather_args b = *a;
    b.out = send_out(&v, a->out);
    for (int64_t i = 0; i < a->out.dim[0]; i++)
        source[i] = i % 2 ? send_f32(&v, a->source[i]) : send(&v, a->source[i]);
    lend(&v, &b.source, source, a->out.dim[0], sizeof *source);
    visit_end(&v, walk_gather, &b);
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
    visit v;
    if (!visit_begin(&v, d))
        return;
    for (int i = 0; i < a->n; i++)
        row[i] = send_row(&v, &a->row[i]);
    step_args b = {.n = a->n};
    lend(&v, &b.row, row, a->n, sizeof *row);
    visit_end(&v, walk_step, &b);
}

static void call_pixels_in(dev *d, const pixels_in_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    pixels_in_args b = {send_out(&v, a->out), send(&v, a->x), a->range};
    visit_end(&v, walk_pixels_in, &b);
}

static void call_pixels_out(dev *d, const pixels_out_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    pixels_out_args b = {send_out(&v, a->out), send(&v, a->x), a->range};
    visit_end(&v, walk_pixels_out, &b);
}

static void call_preview(dev *d, const preview_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    preview_args b = *a;
    b.out = send_out(&v, a->out);
    b.x = send_f32(&v, a->x);
    visit_end(&v, walk_preview, &b);
}

static void call_finite(dev *d, const finite_args *a)
{
    visit v;
    if (!visit_begin(&v, d))
        return;
    finite_args b = {.x = send(&v, a->x), .flag = a->flag};
    answered(&v, a->flag, (size_t)a->x.dim[0] * sizeof *a->flag);
    visit_end(&v, walk_finite, &b);
}

#define ENTRY(name, cpu) .name = call_##name,
static const kernel_table kernels = {KERNELS(ENTRY)};
#undef ENTRY

dev *adapter_dev(adapter *a, bool dry, char *why)
{
    const dev_options o = {
        .backend = "ref", .threads = 1, .scratch_bytes = (size_t)1 << 28, .dry = dry};
    dev *d = dev_new(&o, why);
    if (!d)
        return NULL;
    d->kernels = &kernels;
    d->impl = a;
    snprintf(d->name, sizeof d->name, "%s", a->to->name);
    snprintf(d->class_name, sizeof d->class_name, "%s", a->to->class_name);
    return d;
}
