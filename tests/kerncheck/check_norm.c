/* group_norm and layer_norm. Rounding an input by one unit moves the result by unit / deviation, so
 * a nearly constant group may be off by that much: the slack. */
#include <math.h>

#include "tests/kerncheck/check.h"

enum { OUT, X, X2, ADD, SCALE, SHIFT };
static const double UNIT = 4 * 0x1p-24;

typedef struct {
    int groups;
    int64_t add_at;
    double eps;
    activation act;
} own;

static void call_group_norm(dev *d, const trial *t, const tensor *at, const weight *w,
                            int64_t first)
{
    (void)w;
    (void)first;
    const own *o = t->own;
    tensor out = at[OUT];
    op_group_norm(d, &out, at[X], at[SCALE], at[SHIFT],
                  (group_norm_options){.x2 = at[X2],
                                       .add = at[ADD],
                                       .add_at = o->add_at,
                                       .groups = o->groups,
                                       .eps = o->eps,
                                       .act = o->act});
}

static double largest(tensor x)
{
    double most = 0;
    for (int64_t i = 0; x.data && i < tensor_count(x); i++)
        most = fmax(most, fabs((double)((const float *)x.data)[i]));
    return most;
}

/* Value (pixel, channel) of x ++ x2 + add, one sample. */
static double joined(const trial *t, int64_t sample, int64_t pixel, int64_t c)
{
    int64_t c1 = t->at[X].t.dim[3];
    bool first = c < c1;
    tensor x = tensor_sample(t->at[first ? X : X2].t, sample);
    double v = ((const float *)x.data)[pixel * x.dim[3] + (first ? c : c - c1)];
    const slot *add = &t->at[ADD];
    const own *o = t->own;
    return add->t.data ? v + ((const float *)tensor_sample(add->t, sample).data)[o->add_at + c] : v;
}

/* Largest |v| / deviation over the groups of a sample. */
static double condition(const trial *t, int64_t sample, int64_t pixels, int64_t channels,
                        int groups, double eps)
{
    double worst = 0, count = (double)(pixels * channels / groups);
    for (int g = 0; g < groups; g++) {
        double sum = 0, squares = 0, most = 0;
        int64_t from = g * channels / groups, to = (g + 1) * channels / groups;
        for (int64_t i = from; i < to; i++)
            for (int64_t p = 0; p < pixels; p++) {
                double v = joined(t, sample, p, i);
                sum += v;
                most = fmax(most, fabs(v));
            }
        for (int64_t i = from; i < to; i++)
            for (int64_t p = 0; p < pixels; p++)
                squares += pow(joined(t, sample, p, i) - sum / count, 2);
        worst = fmax(worst, most / sqrt(squares / count + eps));
    }
    return worst;
}

/* How wide `add` is, of which c channels count: often they are somewhere among others. */
static int64_t add_width(own *o, randoms *r, int64_t c)
{
    const int64_t step = draw_bool(r) ? 8 : 1, behind = step * draw_below(r, 5);
    o->add_at = step * draw_below(r, 5);
    return o->add_at + c + behind;
}

void check_group_norm(session *s)
{
    static const int shapes[][6] = {{2, 64, 64, 320, 0, 0},   {2, 64, 64, 320, 320, 0},
                                    {2, 32, 32, 640, 0, 1},   {2, 16, 16, 1280, 1280, 0},
                                    {2, 8, 8, 1280, 0, 1},    {1, 64, 64, 512, 0, 0},
                                    {1, 256, 256, 256, 0, 0}, {1, 512, 512, 128, 0, 0}};
    const int *real = real_shape(s, shapes[0], 8, 6);
    randoms *r = &s->random;
    int64_t size[5], most[5] = {SAMPLES_MOST, 65, 65, 33, 9};
    draw_sizes(r, 5, size, most, 100000);
    own o = {.groups = real ? 32 : (int)draw_size(r, 33),
             .eps = draw_bool(r) ? 1e-5 : 1e-6,
             .act = s->bench || draw_bool(r) ? ACT_SILU : (activation)draw_below(r, ACT_COUNT)};
    int64_t n = real ? real[0] : size[0], h = real ? real[1] : size[1];
    int64_t w = real ? real[2] : size[2];
    int64_t c = real ? real[3] + real[4] : o.groups * size[4];
    int64_t c2 = real ? real[4] : draw_bool(r) ? draw_below(r, c) : 0;
    trial t = trial_new(s, 2e-5, call_group_norm);
    t.own = &o;
    trial_in(&t, X, BATCHED, floats(n, h, w, c - c2));
    if (c2)
        trial_in(&t, X2, BATCHED, floats(n, h, w, c2));
    if (real ? real[5] : draw_bool(r))
        trial_in(&t, ADD, BATCHED, floats(n, 1, 1, add_width(&o, r, c)));
    tensor scale = trial_in(&t, SCALE, SHARED, floats(1, 1, 1, c));
    trial_in(&t, SHIFT, SHARED, floats(1, 1, 1, c));
    trial_out(&t, OUT, BATCHED, floats(n, h, w, c));
    for (int64_t i = 0; i < n && !s->bench; i++)
        t.slack[i] = UNIT * largest(scale) * condition(&t, i, h * w, c, o.groups, o.eps);
    trial_shape(&t, "%lldx%lldx%lld %lld+%lld groups %d act %d", (long long)n, (long long)h,
                (long long)w, (long long)(c - c2), (long long)c2, o.groups, o.act);
    trial_run(&t);
}

static void call_layer_norm(dev *d, const trial *t, const tensor *at, const weight *w,
                            int64_t first)
{
    (void)w;
    (void)first;
    const own *o = t->own;
    tensor out = at[OUT];
    op_layer_norm(d, &out, at[X], at[SCALE], at[SHIFT], o->eps);
}

static double layer_condition(tensor x, double eps)
{
    int64_t c = x.dim[3];
    double worst = 0;
    for (const float *row = x.data, *end = row + tensor_count(x); row < end; row += c) {
        double sum = 0, squares = 0, most = 0;
        for (int64_t i = 0; i < c; i++) {
            sum += row[i];
            most = fmax(most, fabs((double)row[i]));
        }
        for (int64_t i = 0; i < c; i++)
            squares += pow(row[i] - sum / (double)c, 2);
        worst = fmax(worst, most / sqrt(squares / (double)c + eps));
    }
    return worst;
}

void check_layer_norm(session *s)
{
    static const int shapes[][3] = {{2, 4096, 320}, {2, 1024, 640}, {2, 256, 1280}, {2, 77, 768}};
    const int *real = real_shape(s, shapes[0], 4, 3);
    int64_t size[3], most[3] = {SAMPLES_MOST, 257, 1025};
    draw_sizes(&s->random, 3, size, most, 200000);
    int64_t n = real ? real[0] : size[0], rows = real ? real[1] : size[1];
    int64_t c = real ? real[2] : size[2];
    own o = {.eps = 1e-5};
    trial t = trial_new(s, 2e-5, call_layer_norm);
    t.own = &o;
    tensor x = trial_in(&t, X, BATCHED, floats(n, 1, rows, c));
    tensor scale = trial_in(&t, SCALE, SHARED, floats(1, 1, 1, c));
    trial_in(&t, SHIFT, SHARED, floats(1, 1, 1, c));
    trial_out(&t, OUT, BATCHED, floats(n, 1, rows, c));
    for (int64_t i = 0; i < n; i++)
        t.slack[i] = UNIT * largest(scale) * layer_condition(tensor_sample(x, i), o.eps);
    trial_shape(&t, "%lldx%lldx%lld", (long long)n, (long long)rows, (long long)c);
    trial_run(&t);
}
