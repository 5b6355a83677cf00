/* activate, add, geglu, pixel_shuffle, pixel_unshuffle, resize_nearest, timestep_embedding, gather,
 * finite. */
#include <math.h>

#include "tests/kerncheck/check.h"

enum { OUT, X, Y };

/* Largest value of a sample, at most `most`. */
static double largest(tensor x, double most)
{
    double found = 0;
    for (int64_t i = 0; i < tensor_count(x); i++)
        found = fmax(found, fabs((double)((const float *)x.data)[i]));
    return fmin(found, most);
}

/* Where an activation is nearly 0, what counts is the rounding of 1 + erf: up to about x = -6. */
static const double TAIL = 0x1p-22, TAIL_END = 8;

/* n, h, w, c of a random trial, or of row `s->shape`. */
static void four_sizes(session *s, const int *table, int rows, int64_t size[4])
{
    const int64_t most[4] = {SAMPLES_MOST, 65, 65, 257};
    const int *real = real_shape(s, table, rows, 4);
    draw_sizes(&s->random, 4, size, most, 200000);
    for (int i = 0; real && i < 4; i++)
        size[i] = real[i];
}

static tensor shaped(const int64_t size[4])
{
    return floats(size[0], size[1], size[2], size[3]);
}

static void name_shape(trial *t, const int64_t size[4], const char *kind, int64_t number)
{
    trial_shape(t, "%lldx%lldx%lldx%lld %s %lld", (long long)size[0], (long long)size[1],
                (long long)size[2], (long long)size[3], kind, (long long)number);
}

static void call_activate(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    (void)first;
    tensor out = at[OUT];
    bool in_place = !tensor_given(at[X]);
    op_activate(d, &out, in_place ? out : at[X], *(const activation *)t->own);
}

void check_activate(session *s)
{
    static const int shapes[][4] = {{2, 1, 77, 3072}, {2, 1, 1, 1280}};
    int64_t size[4];
    four_sizes(s, shapes[0], 2, size);
    activation act = s->bench ? ACT_QUICK_GELU : (activation)draw_below(&s->random, ACT_COUNT);
    trial t = trial_new(s, 1e-5, call_activate);
    t.own = &act;
    if (draw_bool(&s->random)) {
        trial_in_out(&t, OUT, BATCHED, shaped(size));
    } else {
        trial_in(&t, X, BATCHED, shaped(size));
        trial_out(&t, OUT, BATCHED, shaped(size));
    }
    tensor x = t.at[X].in ? t.at[X].t : t.at[OUT].t;
    for (int64_t i = 0; i < size[0]; i++)
        t.slack[i] = TAIL * largest(tensor_sample(x, i), TAIL_END);
    name_shape(&t, size, "act", act);
    trial_run(&t);
}

static void call_add(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    (void)first;
    tensor out = at[OUT];
    bool in_place = !tensor_given(at[X]);
    op_add_scaled(d, &out, in_place ? out : at[X], *(const float *)t->own, at[Y]);
}

void check_add(session *s)
{
    static const int shapes[][4] = {{2, 1, 4096, 320}, {2, 16, 16, 1280}};
    int64_t size[4];
    four_sizes(s, shapes[0], 2, size);
    bool every = draw_bool(&s->random);
    float scale = draw_bool(&s->random) ? 1 : 0.2f;
    trial t = trial_new(s, 0, call_add);
    t.own = &scale;
    trial_in(&t, Y, every ? SHARED : BATCHED,
             floats(every ? 1 : size[0], size[1], size[2], size[3]));
    if (draw_bool(&s->random)) {
        trial_in_out(&t, OUT, BATCHED, shaped(size));
    } else {
        trial_in(&t, X, BATCHED, shaped(size));
        trial_out(&t, OUT, BATCHED, shaped(size));
    }
    name_shape(&t, size, "one for all", every);
    trial_run(&t);
}

static void call_geglu(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)t;
    (void)w;
    (void)first;
    tensor out = at[OUT];
    op_geglu(d, &out, at[X]);
}

void check_geglu(session *s)
{
    static const int shapes[][4] = {{2, 1, 4096, 1280}, {2, 1, 1024, 2560}, {2, 1, 256, 5120}};
    int64_t size[4];
    four_sizes(s, shapes[0], 3, size);
    trial t = trial_new(s, 1e-5, call_geglu);
    tensor x = trial_in(&t, X, BATCHED, floats(size[0], size[1], size[2], 2 * size[3]));
    for (int64_t i = 0; i < size[0]; i++) {
        tensor one = tensor_sample(x, i);
        t.slack[i] = TAIL * largest(one, INFINITY) * largest(one, TAIL_END);
    }
    trial_out(&t, OUT, BATCHED, shaped(size));
    name_shape(&t, size, "from", 2 * size[3]);
    trial_run(&t);
}

static void call_shuffle(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    (void)first;
    tensor out = at[OUT];
    op_pixel_shuffle(d, &out, at[X], *(const int *)t->own, at[Y]);
}

void check_pixel_shuffle(session *s)
{
    static const int shapes[][4] = {{1, 192, 192, 3}};
    int64_t size[4];
    four_sizes(s, shapes[0], 1, size);
    int factor = s->shape >= 0 ? 4 : 1 + (int)draw_below(&s->random, 4);
    int64_t f = factor;
    trial t = trial_new(s, 0, call_shuffle);
    t.own = &factor;
    trial_in(&t, X, BATCHED, floats(size[0], size[1], size[2], size[3] * f * f));
    if (draw_bool(&s->random))
        trial_in(&t, Y, BATCHED, shaped(size));
    trial_out(&t, OUT, BATCHED, floats(size[0], size[1] * f, size[2] * f, size[3]));
    name_shape(&t, size, "by", f);
    trial_run(&t);
}

static void call_unshuffle(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    (void)first;
    tensor out = at[OUT];
    op_pixel_unshuffle(d, &out, at[X], *(const int *)t->own);
}

void check_pixel_unshuffle(session *s)
{
    static const int shapes[][4] = {{1, 192, 192, 3}};
    int64_t size[4];
    four_sizes(s, shapes[0], 1, size);
    int factor = s->shape >= 0 ? 2 : 1 + (int)draw_below(&s->random, 4);
    trial t = trial_new(s, 0, call_unshuffle);
    t.own = &factor;
    trial_in(&t, X, BATCHED, shaped(size));
    trial_out(&t, OUT, BATCHED,
              floats(size[0], (size[1] + factor - 1) / factor, (size[2] + factor - 1) / factor,
                     size[3] * factor * factor));
    name_shape(&t, size, "by", factor);
    trial_run(&t);
}

static void call_resize(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)t;
    (void)w;
    (void)first;
    tensor out = at[OUT];
    op_resize_nearest(d, &out, at[X], out.dim[1], out.dim[2]);
}

void check_resize_nearest(session *s)
{
    static const int shapes[][4] = {{2, 32, 32, 640}, {1, 256, 256, 256}};
    int64_t size[4];
    four_sizes(s, shapes[0], 2, size);
    int64_t h = draw_size(&s->random, 65), w = draw_size(&s->random, 65);
    if (s->shape >= 0 || draw_bool(&s->random)) {
        h = 2 * size[1];
        w = 2 * size[2];
    }
    trial t = trial_new(s, 0, call_resize);
    trial_in(&t, X, BATCHED, shaped(size));
    trial_out(&t, OUT, BATCHED, floats(size[0], h, w, size[3]));
    name_shape(&t, size, "to height", h);
    trial_run(&t);
}

static void call_timestep(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    const double *steps = t->own;
    tensor out = at[OUT];
    op_timestep_embedding(d, &out, steps + first, out.dim[0], out.dim[3]);
}

void check_timestep_embedding(session *s)
{
    static const int shapes[][2] = {{2, 320}};
    const int *real = real_shape(s, shapes[0], 1, 2);
    double steps[SAMPLES_MOST];
    int64_t n = real ? real[0] : draw_size(&s->random, SAMPLES_MOST);
    int64_t c = real ? real[1] : 2 * draw_size(&s->random, 257);
    for (int i = 0; i < SAMPLES_MOST; i++)
        steps[i] = draw_bool(&s->random) ? (double)draw_below(&s->random, 1000)
                                         : 999 * draw_unit(&s->random);
    /* One unit of the float angle at t = 999 is 6e-5. */
    trial t = trial_new(s, 1e-5, call_timestep);
    for (int i = 0; i < SAMPLES_MOST; i++)
        t.slack[i] = 2 * 0x1p-24 * steps[i];
    t.own = steps;
    trial_out(&t, OUT, BATCHED, floats(n, 1, 1, c));
    trial_shape(&t, "%lldx%lld", (long long)n, (long long)c);
    trial_run(&t);
}

typedef struct {
    int64_t first, c;
    float scale;
} gather_case;

static void call_gather(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    (void)first;
    const gather_case *g = t->own;
    tensor out = at[OUT], source[SAMPLES_MOST];
    for (int64_t i = 0; i < out.dim[0]; i++)
        source[i] = tensor_sample(at[X], i);
    if (g->c == out.dim[3])
        op_gather(d, &out, source, out.dim[0], g->c, g->scale);
    else
        op_place(d, out, g->first, source, g->c, g->scale);
}

/* Into a tensor of its own, or among channels that stay. */
void check_gather(session *s)
{
    static const int shapes[][4] = {{2, 64, 64, 4}};
    randoms *r = &s->random;
    int64_t size[4];
    four_sizes(s, shapes[0], 1, size);
    int64_t more = !s->bench && draw_bool(r) ? draw_below(r, 9) : 0;
    int64_t around = !s->bench && draw_bool(r) ? 1 + draw_below(r, 9) : 0;
    gather_case g = {.first = around ? draw_below(r, around + 1) : 0,
                     .c = size[3],
                     .scale = draw_bool(r) ? 1 : (float)draw_unit(r) * 7};
    trial t = trial_new(s, 0, call_gather);
    t.own = &g;
    trial_in(&t, X, BATCHED, floats(size[0], size[1], size[2], size[3] + more));
    if (around)
        trial_in_out(&t, OUT, BATCHED, floats(size[0], size[1], size[2], size[3] + around));
    else
        trial_out(&t, OUT, BATCHED, shaped(size));
    name_shape(&t, size, "of more", more);
    trial_run(&t);
}

static void call_finite(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)t;
    (void)w;
    (void)first;
    op_finite(d, at[X], at[OUT].data);
}

void check_finite(session *s)
{
    static const int shapes[][4] = {{2, 64, 64, 4}, {1, 512, 512, 3}};
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    int64_t size[4];
    four_sizes(s, shapes[0], 2, size);
    trial t = trial_new(s, 0, call_finite);
    tensor x = trial_in(&t, X, BATCHED, shaped(size));
    int64_t spoilt = draw_below(&s->random, 3);
    for (int64_t i = 0; i < spoilt; i++)
        ((float *)x.data)[draw_below(&s->random, tensor_count(x))] = bad[draw_below(&s->random, 3)];
    trial_out(&t, OUT, BATCHED, tensor_of(NULL, U8, size[0], 1, 1, 1));
    name_shape(&t, size, "not finite", spoilt);
    trial_run(&t);
}
