/* pack: what was packed is read back. A convolution of pictures that are zero but for one pixel and
 * channel gives the filters themselves. */
#include "tests/kerncheck/check.h"

enum { OUT, X, MATRIX, SMALLER = 7 };

typedef struct {
    int k, exponent[2];
    int64_t split; /* output channels of the first of two matrices; 0: there is one */
} own;

/* The matrix as one item, or as two, each times its own power of two. */
static int parts_of(pack_item item[2], const weight *w, tensor m, const own *o)
{
    const size_t channel = (size_t)(w->in * w->k * w->k) * dtype_bytes(m.type);
    item[0] = (pack_item){
        .w = *w, .source = m.data, .type = m.type, .exponent = o->exponent[0], .count = o->split};
    if (o->split == 0)
        return 1;
    item[1] = (pack_item){*w,       (const char *)m.data + (size_t)o->split * channel,
                          m.type,   o->exponent[1],
                          o->split, w->out - o->split};
    return 2;
}

static void call(dev *d, const trial *t, const tensor *at, const weight *unused, int64_t first)
{
    (void)unused;
    (void)first;
    const tensor m = t->at[MATRIX].t;
    arena *to = d->options.dry ? &t->s->dry_weights : &t->s->weights;
    const own *o = t->own;
    pack_item item[2];
    weight w = {.out = m.dim[0], .in = m.dim[1], .k = o->k};
    tensor out = at[OUT];
    arena_release(to, 0);
    op_reserve(d, &w, to, 1);
    op_pack_all(d, item, parts_of(item, &w, at[MATRIX], o));
    if (to->used < w.bytes || (d->status == DEV_OK && (w.data == NULL) != d->options.dry))
        trial_fail(t, "%s says %zu bytes, took %zu", d->name, w.bytes, to->used);
    if (!t->s->bench)
        op_conv2d(d, &out, at[X], &w, (conv2d_options){0});
}

/* Sample i: channel i is 1 in the middle of 3x3 pixels (k 3), or at the only pixel (k 1). */
static void one_hot(tensor x)
{
    int64_t size = x.dim[1] * x.dim[2] * x.dim[3];
    float *to = x.data;
    for (int64_t i = 0; i < tensor_count(x); i++)
        to[i] = i % size == size / x.dim[3] / 2 * x.dim[3] + i / size;
}

/* Every device says the same as its dry walk, and room for all the values. */
static void call_reserve(dev *d, const trial *t, const tensor *at, const weight *unused,
                         int64_t first)
{
    (void)unused;
    (void)first;
    const int *stride = t->own;
    const tensor m = t->at[MATRIX].t;
    const size_t least = tensor_bytes(floats(m.dim[0], m.dim[1], m.dim[2], m.dim[3]));
    weight w = {.out = m.dim[0], .in = m.dim[1], .k = (int)m.dim[2]};
    arena small, counted;
    (void)at;
    arena_init(&counted, 0, true);
    op_reserve(d, &w, &counted, *stride);
    if (w.bytes < least || counted.used < w.bytes)
        trial_fail(t, "%s reserves %zu bytes of values in %zu", d->name, least, w.bytes);
    if (d->options.dry)
        return;
    arena_init(&small, w.bytes - 1, false);
    op_reserve(d, &w, &small, *stride);
    if (d->status != DEV_NO_MEMORY)
        trial_fail(t, "%s reserves %zu bytes in one less", d->name, w.bytes);
    dev_clear(d);
    arena_done(&small);
}

void check_reserve(session *s)
{
    int64_t size[2], most[2] = {257, 257};
    draw_sizes(&s->random, 2, size, most, 4096);
    int k = draw_bool(&s->random) ? 1 : 3, stride = k == 3 && draw_bool(&s->random) ? 2 : 1;
    trial t = trial_new(s, 0, call_reserve);
    t.own = &stride;
    t.together = true;
    trial_in(&t, MATRIX, SHARED, tensor_of(NULL, F16, size[0], size[1], k, k));
    t.at[MATRIX].odd = true;
    trial_shape(&t, "%lld->%lld k%d stride %d", (long long)size[1], (long long)size[0], k, stride);
    trial_run(&t);
}

void check_pack(session *s)
{
    static const int shapes[][3] = {{320, 320, 3}, {1280, 1280, 1}, {320, 4, 3},
                                    {4, 320, 3},   {1280, 2560, 1}, {3072, 768, 1}};
    const int *real = real_shape(s, shapes[0], 6, 3);
    int64_t size[2], most[2] = {257, 257};
    draw_sizes(&s->random, 2, size, most, 4096);
    int k = real ? real[2] : draw_bool(&s->random) ? 1 : 3;
    int64_t out = real ? real[0] : size[0], in = real ? real[1] : size[1];
    int64_t side = k == 1 ? 1 : 3;
    own o = {k,
             {-(int)draw_below(&s->random, SMALLER), -(int)draw_below(&s->random, SMALLER)},
             PACK_CHANNELS * draw_below(&s->random, (out + PACK_CHANNELS - 1) / PACK_CHANNELS)};
    dtype type = (dtype)draw_below(&s->random, 3);
    trial t = trial_new(s, 1e-4, call);
    t.own = &o;
    t.by_sample = true; /* Winograd rounds by the largest value of a tile */
    t.together = true;
    t.winograd = k == 3;
    if (!s->bench) { /* only the packing is timed */
        one_hot(trial_in(&t, X, SHARED, floats(in, side, side, in)));
        trial_out(&t, OUT, SHARED, floats(in, side, side, out));
    }
    trial_in(&t, MATRIX, SHARED, tensor_of(NULL, type, out, in, k, k));
    t.at[MATRIX].odd = true;
    trial_shape(&t, "%lld->%lld k%d type %d times 2^%d, 2^%d from channel %lld on", (long long)in,
                (long long)out, k, type, o.exponent[0], o.exponent[1], (long long)o.split);
    trial_run(&t);
}
