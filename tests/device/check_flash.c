/* attention for heads that the matrix instructions serve: every padded size, several tiles of keys
 * and of queries, none of them full. */
#include "tests/device/check_more.h"

enum { OUT, Q, K, V, SAMPLES = 2, HEADS = 2 };

typedef struct {
    bool causal, limited;
    int32_t keys[SAMPLES];
} own;

static void call(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    const own *o = t->own;
    tensor out = at[OUT];
    op_attention(d, &out, at[Q], at[K], at[V], HEADS, o->causal,
                 o->limited ? o->keys + first : NULL);
}

void check_flash(session *s)
{
    static const int shapes[][5] = {/* queries, keys, channels, causal, limited */
                                    {70, 150, 8, 0, 0},  {130, 65, 16, 0, 1}, {64, 193, 24, 1, 0},
                                    {77, 77, 32, 1, 1},  {65, 129, 40, 0, 0}, {70, 150, 48, 1, 0},
                                    {77, 77, 64, 1, 0},  {33, 150, 72, 0, 1}, {70, 150, 80, 0, 0},
                                    {1, 140, 96, 0, 0},  {70, 64, 104, 1, 1}, {70, 150, 128, 1, 0},
                                    {65, 77, 136, 0, 1}, {70, 150, 160, 0, 0}};
    randoms *r = &s->random;
    const int *real = real_shape(s, shapes[0], CHECK_FLASH_SHAPES, 5);
    const int64_t tq = real ? real[0] : draw_size(r, 130), tk = real ? real[1] : draw_size(r, 200);
    const int64_t head = real ? real[2] : 8 * (1 + draw_below(r, 20));
    own o = {.causal = real ? real[3] : draw_bool(r), .limited = real ? real[4] : draw_bool(r)};
    for (int i = 0; i < SAMPLES; i++)
        o.keys[i] = (int32_t)(1 + draw_below(r, tk));
    trial t = trial_new(s, 2e-5, call);
    t.own = &o;
    trial_in(&t, Q, BATCHED, floats(SAMPLES, 1, tq, HEADS * head));
    trial_in(&t, K, BATCHED, floats(SAMPLES, 1, tk, HEADS * head));
    trial_in(&t, V, BATCHED, floats(SAMPLES, 1, tk, HEADS * head));
    trial_out(&t, OUT, BATCHED, floats(SAMPLES, 1, tq, HEADS * head));
    for (int i = Q; i <= V; i++) /* check_attention has the hostile values */
        fill_values(r, t.at[i].t.data, F32, tensor_count(t.at[i].t), false);
    for (int i = 0; i < SAMPLES; i++)
        t.slack[i] = 1e-6; /* weights and values of about 1, weights rounded to fp16 */
    trial_shape(&t, "(%lld,%lld) %dx%lld%s%s", (long long)tq, (long long)tk, HEADS, (long long)head,
                o.causal ? " causal" : "", o.limited ? " limited" : "");
    trial_run(&t);
}
