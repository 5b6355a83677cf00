/* conv2d: kernel sizes, strides, paddings, a second input, dense connections, bias, activation,
 * slopes, residual (also in place), and the shapes of Stable Diffusion 1.5 at 512x512 and of
 * upscalers. */
#include "tests/kerncheck/check.h"

enum { OUT, X, X2, MATRIX, BIAS, SLOPE, RESIDUAL };

typedef struct {
    conv2d_options o; /* its tensors come from the slots */
    bool in_place;    /* the residual is the output */
    bool dense;       /* the output is also the second input */
} own;

static void call(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)first;
    const own *c = t->own;
    tensor out = at[OUT];
    conv2d_options o = c->o;
    o.x2 = at[X2];
    o.bias = at[BIAS];
    o.slope = at[SLOPE];
    o.residual = c->in_place ? out : at[RESIDUAL];
    if (c->dense)
        o.growth = out;
    op_conv2d(d, c->dense ? NEW : &out, at[X], w, o);
}

typedef struct {
    int n, h, w, in, in2, out, k, stride, pad_after;
} shape;

static const shape shapes[] = {
    {2, 64, 64, 320, 0, 320, 3, 1, 0},      {2, 32, 32, 640, 0, 640, 3, 1, 0},
    {2, 16, 16, 1280, 0, 1280, 3, 1, 0},    {2, 8, 8, 1280, 0, 1280, 3, 1, 0},
    {2, 16, 16, 1280, 1280, 1280, 3, 1, 0}, {2, 64, 64, 320, 320, 320, 3, 1, 0},
    {2, 64, 64, 320, 0, 320, 3, 2, 0},      {2, 64, 64, 4, 0, 320, 3, 1, 0},
    {2, 64, 64, 320, 0, 4, 3, 1, 0},        {2, 1, 4096, 320, 0, 320, 1, 1, 0},
    {2, 1, 4096, 320, 0, 2560, 1, 1, 0},    {2, 1, 1024, 640, 0, 640, 1, 1, 0},
    {2, 1, 256, 1280, 0, 1280, 1, 1, 0},    {2, 1, 256, 5120, 0, 1280, 1, 1, 0},
    {2, 1, 77, 768, 0, 320, 1, 1, 0},       {1, 64, 64, 512, 0, 512, 3, 1, 0},
    {1, 256, 256, 256, 0, 256, 3, 1, 0},    {1, 512, 512, 128, 0, 128, 3, 1, 0},
    {1, 256, 256, 128, 0, 128, 3, 2, 1},    {1, 512, 512, 128, 0, 3, 3, 1, 0},
    {1, 192, 192, 64, 0, 64, 3, 1, 0},      {1, 192, 192, 64, 128, 64, 3, 1, 0},
    {1, 192, 192, 3, 0, 64, 3, 1, 0},       {1, 192, 192, 64, 0, 48, 3, 1, 0},
};

/* Channels that some backends treat as one: others are filled up. */
static int whole_vectors(int channels)
{
    return (channels + 7) / 8 * 8;
}

static shape random_shape(randoms *r)
{
    int64_t size[6], most[6] = {SAMPLES_MOST, 65, 65, 257, 129, 257};
    shape c = {.k = draw_bool(r) ? 3 : 1};
    draw_sizes(r, 6, size, most, 30000000);
    c.n = (int)size[0];
    c.h = (int)size[1];
    c.w = (int)size[2];
    c.in = (int)size[3];
    c.in2 = draw_bool(r) ? (int)size[4] : 0;
    c.out = (int)size[5];
    if (draw_bool(r)) {
        c.in = whole_vectors(c.in);
        c.in2 = whole_vectors(c.in2);
        c.out = whole_vectors(c.out);
    }
    c.stride = c.k == 3 && draw_below(r, 3) == 0 ? 2 : 1;
    c.pad_after = c.stride == 2 && draw_bool(r) && c.h > 1 && c.w > 1;
    return c;
}

static int side(int size, const shape *c)
{
    return c->k == 1 ? size : (size + (c->pad_after ? 1 : 2) - 3) / c->stride + 1;
}

static void conv_trial(session *s, shape c)
{
    randoms *r = &s->random;
    int out_h = side(c.h, &c), out_w = side(c.w, &c);
    own o = {.o = {.stride = c.stride, .pad_after = c.pad_after}};
    /* Winograd's rounding is relative to the largest value of a tile, not to one row. */
    trial t = trial_new(s, c.k == 3 && c.stride == 1 ? 1e-4 : 2e-5, call);
    t.by_sample = true;
    t.own = &o;
    t.matrix = (weight){.out = c.out, .in = c.in + c.in2, .k = c.k};
    t.winograd = c.k == 3;
    t.matrix_slot = MATRIX;
    t.matrix_stride = c.stride;
    trial_in(&t, X, BATCHED, floats(c.n, c.h, c.w, c.in));
    trial_in(&t, MATRIX, SHARED, floats(c.out, c.in + c.in2, c.k, c.k));
    if (s->bench || draw_bool(r))
        trial_in(&t, BIAS, SHARED, floats(1, 1, 1, c.out));
    bool slope = !s->bench && draw_below(r, 4) == 0;
    if (slope) { /* large ones would multiply the rounding of single channels */
        tensor slopes = trial_in(&t, SLOPE, SHARED, floats(1, 1, 1, c.out));
        for (int i = 0; i < c.out; i++)
            ((float *)slopes.data)[i] = (float)(2 * draw_unit(r) - 1);
    }
    o.o.act = s->bench || slope ? ACT_NONE : (activation)draw_below(r, ACT_COUNT);
    o.dense = !s->bench && c.stride == 1 && draw_below(r, 4) == 0;
    o.o.grown = o.dense ? c.in2 : 0;
    int residual = s->bench || o.dense ? 0 : (int)draw_below(r, 3);
    o.in_place = residual == 2;
    int more = o.dense ? c.in2 + (int)draw_below(r, 3) : 0;
    if (o.in_place || o.dense)
        trial_in_out(&t, OUT, BATCHED, floats(c.n, out_h, out_w, c.out + more));
    else
        trial_out(&t, OUT, BATCHED, floats(c.n, out_h, out_w, c.out));
    if (c.in2 && !o.dense)
        trial_in(&t, X2, BATCHED, floats(c.n, c.h, c.w, c.in2));
    if (residual == 1)
        trial_in(&t, RESIDUAL, BATCHED, floats(c.n, out_h, out_w, c.out));
    trial_shape(&t, "%dx%dx%d %d+%d->%d k%d s%d%s%s act %d%s residual %d", c.n, c.h, c.w, c.in,
                c.in2, c.out, c.k, c.stride, c.pad_after ? " after" : "", o.dense ? " dense" : "",
                o.o.act, slope ? " slope" : "", residual);
    trial_run(&t);
}

void check_conv2d(session *s)
{
    const int *real =
        real_shape(s, &shapes[0].n, sizeof shapes / sizeof *shapes, sizeof *shapes / sizeof(int));
    conv_trial(s, real ? shapes[s->shape] : random_shape(&s->random));
}
