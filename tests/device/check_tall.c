/* group_norm of a tall map: 42 parts and a rest when there are no clusters; and with them all that
 * a cluster's shared memory can hold. */
#include "tests/device/check_more.h"

enum { OUT, X, X2, ADD, SCALE, SHIFT, GROUPS = 8, CHANNELS = 32 };

static void call(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)t;
    (void)w;
    (void)first;
    tensor out = at[OUT];
    op_group_norm(d, &out, at[X], at[SCALE], at[SHIFT],
                  (group_norm_options){.groups = GROUPS, .eps = 1e-5, .act = ACT_SILU});
}

void check_tall_norm(session *s)
{
    const tensor shape = floats(1, 200, 128, CHANNELS);
    trial t = trial_new(s, 2e-5, call);
    trial_in(&t, X, BATCHED, shape);
    trial_in(&t, SCALE, SHARED, floats(1, 1, 1, CHANNELS));
    trial_in(&t, SHIFT, SHARED, floats(1, 1, 1, CHANNELS));
    for (int i = X; i <= SHIFT; i++)
        if (t.at[i].t.data)
            fill_values(&s->random, t.at[i].t.data, F32, tensor_count(t.at[i].t), false);
    trial_out(&t, OUT, BATCHED, shape);
    trial_shape(&t, "200x128x%d groups %d", CHANNELS, GROUPS);
    trial_run(&t);
}
