/* Convolutions, linear layers and attention: ops as calls of cuDNN and cuBLASLt (shape.h says
 * which), and around them what the libraries leave: whole vectors of channels on the way in, and
 * activation, slope and place on the way out. */
#include <math.h>
#include <stdio.h>

#include "kernels/cuda/note.h"
#include "kernels/half.h"

enum { PATCH_MOST = 9 };

/* ---- weights: [out][k][k][in], channels padded with zeros to whole vectors; where the table wants
 * an x2 upsample at some size, its [in][4][4][out] behind that ---- */

enum { ONE_FORM, BOTH_FORMS };

static size_t form_bytes(const dev *d, const weight *w, int side)
{
    return (size_t)(whole_vectors(w->out) * whole_vectors(w->in) * side * side) *
           dtype_bytes(d->storage);
}

void cuda_reserve(dev *d, const reserve_args *a)
{
    weight *w = a->w;
    const gpu *g = d->impl;
    const bool both =
        w->doubled &&
        tuning_wants_upsample(&g->table, d->storage, whole_vectors(w->in), whole_vectors(w->out));
    w->layout = both ? BOTH_FORMS : ONE_FORM;
    w->bytes = form_bytes(d, w, w->k) + (both ? form_bytes(d, w, UPSAMPLE_SIDE) : 0);
}

/* One output channel of the item's own, from the file's [in][k][k]. */
static void pack_channel(const pack_item *item, dtype type, int64_t out, char *to)
{
    const weight *w = &item->w;
    const int64_t in = whole_vectors(w->in), taps = (int64_t)w->k * w->k;
    const float scale = ldexpf(1, item->exponent);
    for (int64_t i = 0; i < w->in; i++)
        for (int64_t tap = 0; tap < taps; tap++)
            store_float(to, type, tap * in + i,
                        scale *
                            load_float(item->source, item->type, (out * w->in + i) * taps + tap));
}

/* One input channel of an x2 upsample. */
static void pack_upsample(const pack_item *item, dtype type, int64_t in, char *to)
{
    enum { TAPS = UPSAMPLE_SIDE * UPSAMPLE_SIDE };
    const weight *w = &item->w;
    const float scale = ldexpf(1, item->exponent);
    for (int64_t out = 0; out < w->out; out++) {
        float small[3][3], large[UPSAMPLE_SIDE][UPSAMPLE_SIDE];
        for (int tap = 0; tap < 9; tap++)
            small[tap / 3][tap % 3] =
                scale * load_float(item->source, item->type, (out * w->in + in) * 9 + tap);
        upsample_taps(small, large);
        for (int tap = 0; tap < TAPS; tap++)
            store_float(to, type, tap * whole_vectors(w->out) + out,
                        large[tap / UPSAMPLE_SIDE][tap % UPSAMPLE_SIDE]);
    }
}

/* Part of a weight's memory, channel by channel: output channels of the one form, input channels of
 * the other. */
typedef struct {
    char *begin;
    size_t channel; /* bytes */
    int64_t count;
    void (*pack)(const pack_item *item, dtype type, int64_t i, char *to);
} weight_part;

/* As many channels at a time as the staging memory holds. What is beyond the last one stays zero:
 * memory of an arena begins so. */
static void pack_part(dev *d, const pack_item *item, const weight_part *c)
{
    const int64_t most = (int64_t)(STAGE_BYTES / c->channel);
    if (most == 0) {
        dev_fail(d, DEV_BROKEN, "%s: a layer of %lld to %lld channels is too wide", d->name,
                 (long long)item->w.in, (long long)item->w.out);
        return;
    }
    for (int64_t done = 0, now; done < c->count; done += now) {
        char *to = stage_take(d);
        if (!to)
            return;
        now = c->count - done < most ? c->count - done : most;
        memset(to, 0, (size_t)now * c->channel);
        for (int64_t i = 0; i < now; i++)
            c->pack(item, d->storage, done + i, to + (size_t)i * c->channel);
        stage_send(d, c->begin + (size_t)done * c->channel, (size_t)now * c->channel);
    }
}

static void pack_one(dev *d, const pack_item *item)
{
    const weight *w = &item->w;
    const size_t each = dtype_bytes(d->storage);
    weight_part c = {.channel = (size_t)(whole_vectors(w->in) * w->k * w->k) * each,
                     .count = pack_count(item),
                     .pack = pack_channel};
    c.begin = (char *)w->data + (size_t)item->first * c.channel;
    pack_part(d, item, &c);
    if (w->layout != BOTH_FORMS)
        return;
    assert(item->first == 0 && pack_count(item) == w->out);
    c = (weight_part){.begin = (char *)w->data + form_bytes(d, w, w->k),
                      .channel = form_bytes(d, w, UPSAMPLE_SIDE) / (size_t)whole_vectors(w->in),
                      .count = w->in,
                      .pack = pack_upsample};
    pack_part(d, item, &c);
}

void cuda_pack(dev *d, const pack_args *a)
{
    for (int i = 0; i < a->n && d->status == DEV_OK; i++)
        pack_one(d, &a->item[i]);
}

/* ---- convolutions ---- */

/* One op_conv2d on its way. */
typedef struct {
    const conv2d_args *a;
    conv_call call[SHAPE_CALLS];
    int calls;
    bool unfinished;
    tensor x;    /* as the first call reads it */
    tensor made; /* what the libraries write: a->out, or a tensor of whole vectors */
} convolution;

static bool is_whole(int64_t channels)
{
    return channels == whole_vectors(channels);
}

/* Takes the scratch that is needed. */
static convolution open_convolution(dev *d, const conv2d_args *a)
{
    convolution c = {.a = a, .x = a->x, .made = a->out};
    c.calls = conv_calls(a, d->storage, c.call, &c.unfinished);
    if (c.call[0].reads_both || !is_whole(a->x.dim[3]))
        c.x = dev_tensor(d, d->storage, a->x.dim[0], a->x.dim[1], a->x.dim[2],
                         whole_vectors(a->w->in));
    if (c.unfinished || !is_whole(a->w->out) || a->out.dim[3] != a->w->out)
        c.made = dev_tensor(d, d->storage, a->out.dim[0], a->out.dim[1], a->out.dim[2],
                            whole_vectors(a->w->out));
    return c;
}

static void note_convolution(note *n, const convolution *c)
{
    const conv2d_args *a = c->a;
    note_tensor(n, a->out);
    note_tensor(n, a->x);
    note_tensor(n, a->x2);
    note_tensor(n, a->bias);
    note_tensor(n, a->slope);
    note_tensor(n, a->residual);
    note_number(n, (int64_t)(uintptr_t)c->x.data);
    note_number(n, (int64_t)(uintptr_t)c->made.data);
    note_number(n, (int64_t)(uintptr_t)a->w->data);
    note_number(n, a->w->out);
    note_number(n, a->w->in);
    note_number(n, a->w->k);
    note_number(n, a->x2_channels);
    note_number(n, a->out_at);
    note_number(n, a->act);
    note_number(n, a->stride);
    note_number(n, a->pad_after);
    note_number(n, a->doubled);
}

/* Tuning, which listens on a dry device, is to time both ways. */
bool doubles(const dev *d, const conv2d_args *a)
{
    char shape[SHAPE_NAME_BYTES], name[SHAPE_NAME_BYTES];
    const gpu *g = d->impl;
    conv_call call[SHAPE_CALLS];
    bool unfinished;
    const int64_t rows = a->out.dim[0];
    conv_calls(a, d->storage, call, &unfinished);
    if (a->w->doubled && g->wanted) {
        wanted_plan(g->wanted, &call[0].plan, rows);
        return false;
    }
    plan_shape_name(&call[0].plan, shape);
    choice_name(shape, g->by_rows ? rows : EVERY_ROWS, name);
    return a->w->layout == BOTH_FORMS && tuning_wants(&g->table, name);
}

/* On a dry device: the shapes are noted. */
static void want_calls(const dev *d, const convolution *c)
{
    const gpu *g = d->impl;
    const int64_t rows = c->a->out.dim[0];
    for (int i = 0; i < c->calls && d->options.dry && g->wanted; i++)
        if (c->call[i].is_product)
            wanted_product(g->wanted, &c->call[i].product, rows);
        else
            wanted_plan(g->wanted, &c->call[i].plan, rows);
}

/* How often the libraries have been asked for a choice. */
static void count_asked(dev *d, const gpu *g)
{
    d->asked = (uint64_t)(plans_count(g->plans).picked + products_picked(g->products));
}

static void run_product(dev *d, gpu *g, const convolution *c, const conv_call *call)
{
    char why[PRODUCT_WHY_BYTES];
    const conv2d_args *a = c->a;
    const size_t skipped = call->reads_x2 ? (size_t)a->x.dim[3] * dtype_bytes(d->storage) : 0;
    const product_places at = {.x = call->reads_x2 ? a->x2.data : c->x.data,
                               .w = (const char *)a->w->data + skipped,
                               .bias = call->product.bias ? a->bias.data : NULL,
                               .residual = !call->product.residual ? NULL
                                           : call->onto            ? c->made.data
                                                                   : a->residual.data,
                               .y = c->made.data,
                               .workspace = g->by_rows ? g->workspace : NULL};
    if (!products_run(g->products, &call->product, a->out.dim[0], &at, g->stream, why))
        gpu_refused(d, why);
    count_asked(d, g);
}

/* A cuDNN plan on n operands. */
static void run_plan(dev *d, gpu *g, const plan_shape *s, int64_t rows, const plan_operand *operand,
                     void *const *at, int n)
{
    char why[PLAN_WHY_BYTES];
    const plan *made = plans_get(g->plans, s, rows, why);
    plan_launch *launch = NULL;
    count_asked(d, g);
    if (made && plan_workspace(made) > WORKSPACE_BYTES)
        snprintf(why, sizeof why, "a plan wants %lld bytes of workspace, there are %d",
                 (long long)plan_workspace(made), WORKSPACE_BYTES);
    else if (made)
        launch = plan_launch_new(operand, at, n, g->workspace, why);
    if (!launch || !plan_run(g->planner, made, launch, why))
        gpu_refused(d, why);
    plan_launch_free(&launch);
}

static void run_convolution(dev *d, gpu *g, const convolution *c, const plan_shape *s)
{
    const conv2d_args *a = c->a;
    plan_operand operand[PLAN_OPERANDS] = {PLAN_X, PLAN_W, PLAN_Y};
    const size_t skipped = s->kind == SHAPE_UPSAMPLE ? form_bytes(d, a->w, a->w->k) : 0;
    void *at[PLAN_OPERANDS] = {c->x.data, (char *)a->w->data + skipped, c->made.data};
    int n = 3;
    if (s->conv.residual) {
        operand[n] = PLAN_RESIDUAL;
        at[n++] = a->residual.data;
    }
    if (s->conv.bias) {
        operand[n] = PLAN_BIAS;
        at[n++] = tensor_given(a->bias) ? a->bias.data : g->zeros;
    }
    run_plan(d, g, s, a->out.dim[0], operand, at, n);
}

static void run_calls(dev *d, gpu *g, const convolution *c)
{
    const conv2d_args *a = c->a;
    if (c->x.data != a->x.data)
        gpu_launched(
            d,
            launch_join(g->stream, c->x, a->x, a->x2, c->call[0].reads_both ? a->x2_channels : 0),
            "join");
    for (int i = 0; i < c->calls; i++)
        if (c->call[i].is_product)
            run_product(d, g, c, &c->call[i]);
        else
            run_convolution(d, g, c, &c->call[i].plan);
    if (c->made.data == a->out.data)
        return;
    conv2d_args rest = *a;
    if (!c->unfinished) /* the libraries have added it */
        rest.residual = (tensor){0};
    if (!a->doubled)
        rest.bias = (tensor){0};
    gpu_launched(d, launch_conv_finish(g->stream, &rest, c->made), "conv_finish");
}

void cuda_conv2d(dev *d, const conv2d_args *a)
{
    const size_t mark = dev_mark(d);
    const convolution c = open_convolution(d, a);
    note n = {0};
    want_calls(d, &c);
    note_convolution(&n, &c);
    if (d->status == DEV_OK && begins(d, "conv2d", &n))
        run_calls(d, d->impl, &c);
    dev_release(d, mark);
}

/* ---- attention ---- */

/* A count for each row: `counts`, or `every`. */
static const void *hand_counts(dev *d, const int32_t *counts, int64_t rows, int64_t every)
{
    int32_t count[ATTENTION_ROWS_MOST];
    assert(rows <= ATTENTION_ROWS_MOST);
    for (int64_t i = 0; i < rows; i++)
        count[i] = counts ? counts[i] : (int32_t)every;
    return hand(d, count, (size_t)rows * sizeof *count);
}

static void run_sdpa(dev *d, gpu *g, const plan_shape *s, const attention_args *a,
                     const void *queries, const void *keys)
{
    const float scale = 1 / sqrtf((float)s->attention.d);
    const plan_operand operand[PLAN_OPERANDS] = {PLAN_Q,     PLAN_K,       PLAN_V,   PLAN_Y,
                                                 PLAN_SCALE, PLAN_QUERIES, PLAN_KEYS};
    const size_t size = dtype_bytes(a->q.type);
    void *const at[PLAN_OPERANDS] = {a->q.data,
                                     (char *)a->k.data + (size_t)a->k_at * size,
                                     (char *)a->v.data + (size_t)a->v_at * size,
                                     a->out.data,
                                     (void *)&scale,
                                     (void *)queries,
                                     (void *)keys};
    run_plan(d, g, s, a->q.dim[0], operand, at, s->attention.counted ? 7 : 5);
}

void cuda_attention(dev *d, const attention_args *a)
{
    plan_shape s;
    note n = {0};
    gpu *g = d->impl;
    bool ours = !attention_shape_of(a, d->storage, &s);
    if (d->options.dry && g->wanted && !ours)
        wanted_plan(g->wanted, &s, a->q.dim[0]);
    if (d->options.dry || !gpu_of(d))
        return;
    char why[PLAN_WHY_BYTES] = "";
    ours = ours || !plans_serve(g->plans, &s, a->q.dim[0], why);
    if (why[0]) {
        gpu_refused(d, why);
        return;
    }
    attention_args b = *a;
    const void *queries = NULL, *keys = NULL;
    if (a->keys || (!ours && s.attention.counted))
        keys = hand_counts(d, a->keys, a->q.dim[0], a->k.dim[2]);
    if (!ours && s.attention.counted)
        queries = hand_counts(d, NULL, a->q.dim[0], a->q.dim[2]);
    b.keys = keys;
    note_tensor(&n, a->out);
    note_tensor(&n, a->q);
    note_tensor(&n, a->k);
    note_tensor(&n, a->v);
    note_number(&n, a->k_at);
    note_number(&n, a->v_at);
    note_number(&n, a->heads);
    note_number(&n, a->head);
    note_number(&n, a->causal);
    note_number(&n, a->keys != NULL);
    if (!begins(d, "attention", &n))
        return;
    if (ours)
        gpu_launched(d, launch_attention(g->stream, &b, g->properties.sharedMemPerBlockOptin),
                     "attention");
    else
        run_sdpa(d, g, &s, a, queries, keys);
}
