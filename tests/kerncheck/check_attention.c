/* attention: self, cross, causal, limited keys; apart, or side by side in wider rows. A score is a
 * sum that rounds by its own size, and exp makes that a relative error of the weights: the slack.
 */
#include <math.h>

#include "tests/kerncheck/check.h"

enum { OUT, Q, K, V };
static const double UNIT = 8 * 0x1p-24;

/* What lies side by side in one tensor. */
typedef enum { APART, KEYS_AND_VALUES, ALL_THREE, SIDES } side_by_side;

typedef struct {
    side_by_side side;
    int heads, head;
    int64_t gap; /* channels of nobody before the keys of KEYS_AND_VALUES, and behind the values */
    bool causal, limited;
    int32_t keys[SAMPLES_MOST];
} own;

/* The arguments but for `out`, in copies of the slots. */
static attention_args args_of(const own *o, const tensor *at)
{
    const int64_t c = (int64_t)o->heads * o->head;
    attention_args a = {.q = at[Q],
                        .k = at[o->side == ALL_THREE ? Q : K],
                        .heads = o->heads,
                        .head = o->head,
                        .causal = o->causal};
    a.v = o->side == APART ? at[V] : a.k;
    a.k_at = o->side == APART ? 0 : o->side == ALL_THREE ? c : o->gap;
    a.v_at = o->side == APART ? 0 : a.k_at + c;
    return a;
}

static void call(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    const own *o = t->own;
    tensor out = at[OUT];
    attention_args a = args_of(o, at);
    a.keys = o->limited ? o->keys + first : NULL;
    if (o->side == APART)
        op_attention(d, &out, a.q, a.k, a.v, a.heads, a.causal, a.keys);
    else
        op_attend(d, &out, a);
}

/* Largest length of `size` channels in a row, of those from `first` to `end` of every token. */
static double longest(tensor x, int64_t first, int64_t end, int64_t size)
{
    double most = 0;
    const float *v = x.data;
    for (int64_t token = 0; token < x.dim[2]; token++, v += x.dim[3])
        for (int64_t i = first; i < end; i += size) {
            double squares = 0;
            for (int64_t j = i; j < i + size; j++)
                squares += (double)v[j] * v[j];
            most = fmax(most, squares);
        }
    return sqrt(most);
}

static double slack_of(const own *o, const attention_args *a, int64_t sample)
{
    const int64_t c = (int64_t)o->heads * o->head;
    const tensor q = tensor_sample(a->q, sample), k = tensor_sample(a->k, sample);
    const double score = longest(q, 0, c, o->head) * longest(k, a->k_at, a->k_at + c, o->head);
    const double value = longest(tensor_sample(a->v, sample), a->v_at, a->v_at + c, 1);
    return UNIT * value * (1 + score / sqrt(o->head));
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
    int64_t tk = real ? real[2] : size[2];
    own o = {.side = (side_by_side)draw_below(r, SIDES),
             .heads = real ? real[3] : (int)size[3],
             .head = real ? real[4] : (int)size[4],
             .gap = 8 * draw_below(r, 3),
             .causal = real ? real[5] : draw_below(r, 4) == 0,
             .limited = !real && draw_bool(r)};
    if (o.side == ALL_THREE && !real)
        tq = tk = tq < tk ? tq : tk;
    else if (o.side == ALL_THREE && tq != tk)
        o.side = KEYS_AND_VALUES;
    const int64_t c = (int64_t)o.heads * o.head, kv = 2 * (c + o.gap);
    for (int64_t i = 0; i < n; i++)
        o.keys[i] = (int32_t)(1 + draw_below(r, tk));
    trial t = trial_new(s, 2e-5, call);
    t.own = &o;
    tensor at[V + 1] = {0};
    at[Q] = trial_in(&t, Q, BATCHED, floats(n, 1, tq, o.side == ALL_THREE ? 3 * c : c));
    if (o.side != ALL_THREE)
        at[K] = trial_in(&t, K, BATCHED, floats(n, 1, tk, o.side == APART ? c : kv));
    if (o.side == APART)
        at[V] = trial_in(&t, V, BATCHED, floats(n, 1, tk, c));
    trial_out(&t, OUT, BATCHED, floats(n, 1, tq, c));
    const attention_args a = args_of(&o, at);
    for (int64_t i = 0; i < n; i++)
        t.slack[i] = slack_of(&o, &a, i);
    trial_shape(&t, "%lldx(%lld,%lld) %dx%d side %d%s%s", (long long)n, (long long)tq,
                (long long)tk, o.heads, o.head, o.side, o.causal ? " causal" : "",
                o.limited ? " limited" : "");
    trial_run(&t);
}
