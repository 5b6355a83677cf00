/* embed and emphasis. */
#include <math.h>
#include <stdlib.h>

#include "tests/kerncheck/check.h"

enum { OUT, TABLE, POSITION };

static void call_embed(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    const int32_t *ids = t->own;
    tensor out = at[OUT];
    op_embed(d, &out, ids + first * out.dim[2], out.dim[0], at[TABLE], at[POSITION]);
}

void check_embed(session *s)
{
    static const int shapes[][4] = {{2, 77, 49408, 768}};
    const int *real = real_shape(s, shapes[0], 1, 4);
    int64_t size[4], most[4] = {SAMPLES_MOST, 77, 257, 257};
    draw_sizes(&s->random, 4, size, most, 4000000);
    for (int i = 0; real && i < 4; i++)
        size[i] = real[i];
    int64_t n = size[0], tokens = size[1], rows = size[2], c = size[3];
    dtype type = (dtype)draw_below(&s->random, 3);
    int32_t *ids = malloc((size_t)(n * tokens) * sizeof *ids);
    for (int64_t i = 0; i < n * tokens; i++)
        ids[i] = (int32_t)draw_below(&s->random, rows);
    trial t = trial_new(s, 0, call_embed);
    t.own = ids;
    trial_in(&t, TABLE, SHARED, tensor_of(NULL, type, 1, 1, rows, c));
    trial_in(&t, POSITION, SHARED, floats(1, 1, tokens, c));
    trial_out(&t, OUT, BATCHED, floats(n, 1, tokens, c));
    t.at[TABLE].odd = true;
    t.moved = (double)(n * tokens * c) * (double)(2 * sizeof(float) + dtype_bytes(type));
    trial_shape(&t, "%lldx%lld of %lldx%lld type %d", (long long)n, (long long)tokens,
                (long long)rows, (long long)c, type);
    trial_run(&t);
    free(ids);
}

static void call_emphasis(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    (void)first;
    op_emphasis(d, at[OUT], t->own);
}

/* How much the sum of x `times` (NULL: 1) may lose by rounding, relative to what it is. */
static double cancelled(tensor x, const double *times)
{
    double sum = 0, size = 0;
    const float *v = x.data;
    for (int64_t i = 0; i < tensor_count(x); i++) {
        double term = v[i] * (times ? times[i / x.dim[3]] : 1);
        sum += term;
        size += fabs(term);
    }
    return sum != 0 ? size / fabs(sum) : 1;
}

void check_emphasis(session *s)
{
    static const int shapes[][3] = {{1, 77, 768}, {3, 77, 768}};
    const int *real = real_shape(s, shapes[0], 2, 3);
    int64_t size[3], most[3] = {SAMPLES_MOST, 77, 257};
    draw_sizes(&s->random, 3, size, most, 200000);
    for (int i = 0; real && i < 3; i++)
        size[i] = real[i];
    int64_t tokens = size[0] * size[1];
    double *weight_of = malloc((size_t)tokens * sizeof *weight_of);
    bool plain = draw_below(&s->random, 4) == 0;
    for (int64_t i = 0; i < tokens; i++)
        weight_of[i] = plain || draw_bool(&s->random) ? 1 : 0.5 + draw_unit(&s->random);
    trial t = trial_new(s, 1e-5, call_emphasis);
    t.own = weight_of;
    t.together = true; /* the mean is that of the whole text */
    trial_in_out(&t, OUT, SHARED, floats(size[0], 1, size[1], size[2]));
    tensor x = t.at[OUT].t;
    t.tolerance = plain ? 0 : 1e-5 + 1e-13 * (cancelled(x, NULL) + cancelled(x, weight_of));
    trial_shape(&t, "%lldx%lldx%lld%s", (long long)size[0], (long long)size[1], (long long)size[2],
                plain ? " all 1" : "");
    trial_run(&t);
    free(weight_of);
}
