/* attention: self, cross, causal, limited keys. A score is a sum that rounds by its own size, and
 * exp makes that a relative error of the weights: the slack. */
#include <math.h>

#include "tests/kerncheck/check.h"

enum { OUT, Q, K, V };
static const double UNIT = 8 * 0x1p-24;

typedef struct {
    int heads;
    bool causal, limited;
    int32_t keys[SAMPLES_MOST];
} own;

static void call(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    const own *o = t->own;
    tensor out = at[OUT];
    op_attention(d, &out, at[Q], at[K], at[V], o->heads, o->causal,
                 o->limited ? o->keys + first : NULL);
}

/* Largest length of a head's vector; largest value. */
static double longest(tensor x, int64_t head)
{
    double most = 0;
    const float *v = x.data;
    for (int64_t i = 0; i < tensor_count(x); i += head) {
        double squares = 0;
        for (int64_t j = i; j < i + head; j++)
            squares += (double)v[j] * v[j];
        most = fmax(most, squares);
    }
    return sqrt(most);
}

void check_attention(session *s)
{
    static const int shapes[][6] = {{2, 4096, 4096, 8, 40, 0}, {2, 1024, 1024, 8, 80, 0},
                                    {2, 256, 256, 8, 160, 0},  {2, 64, 64, 8, 160, 0},
                                    {2, 4096, 77, 8, 40, 0},   {2, 1024, 77, 8, 80, 0},
                                    {2, 77, 77, 12, 64, 1},    {1, 4096, 4096, 1, 512, 0}};
    const int *real = real_shape(s, shapes[0], 8, 6);
    randoms *r = &s->random;
    int64_t size[5], most[5] = {SAMPLES_MOST, 257, 257, 8, 160};
    draw_sizes(r, 5, size, most, 4000000);
    int64_t n = real ? real[0] : size[0], tq = real ? real[1] : size[1];
    int64_t tk = real ? real[2] : size[2], head = real ? real[4] : size[4];
    own o = {.heads = real ? real[3] : (int)size[3],
             .causal = real ? real[5] : draw_below(r, 4) == 0,
             .limited = !real && draw_bool(r)};
    int64_t c = o.heads * head;
    for (int64_t i = 0; i < n; i++)
        o.keys[i] = (int32_t)(1 + draw_below(r, tk));
    trial t = trial_new(s, 2e-5, call);
    t.own = &o;
    tensor q = trial_in(&t, Q, BATCHED, floats(n, 1, tq, c));
    tensor k = trial_in(&t, K, BATCHED, floats(n, 1, tk, c));
    tensor v = trial_in(&t, V, BATCHED, floats(n, 1, tk, c));
    trial_out(&t, OUT, BATCHED, floats(n, 1, tq, c));
    for (int64_t i = 0; i < n; i++) {
        double score = longest(tensor_sample(q, i), head) * longest(tensor_sample(k, i), head);
        double value = longest(tensor_sample(v, i), 1);
        t.slack[i] = UNIT * value * (1 + score / sqrt((double)head));
    }
    trial_shape(&t, "%lldx(%lld,%lld) %dx%lld%s%s", (long long)n, (long long)tq, (long long)tk,
                o.heads, (long long)head, o.causal ? " causal" : "", o.limited ? " limited" : "");
    trial_run(&t);
}
