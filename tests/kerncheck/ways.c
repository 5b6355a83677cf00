/* trial_run of kerncheck: the list of things that must not change the result of a trial. */
#include "tests/kerncheck/check.h"

/* Dry and real: same scratch, same FLOPs. */
static bool run_both(const trial *t, const subject *on, int salt, int64_t first, outcome *o)
{
    outcome dry;
    *o = (outcome){0};
    if (!run_dry(t, on->dry, first, &dry))
        return false;
    o->scratch = dry.scratch;
    if (!run_once(t, on->real, salt, first, o))
        return false;
    if (dry.flops != o->flops)
        trial_fail(t, "%s: %g FLOPs when dry, %g when not", on->real->name, dry.flops, o->flops);
    return dry.flops == o->flops;
}

/* Each sample alone must give its part of the batch, to the bit. */
static bool samples_alone(const trial *t, const subject *on, const outcome *batch)
{
    int64_t n = trial_samples(t);
    bool good = true;
    for (int64_t i = 0; i < n && n > 1 && !t->together && good; i++) {
        trial one = trial_sample(t, i);
        const outcome part = trial_part(t, batch, i);
        outcome got;
        good = run_both(&one, on, (int)i + 1, i, &got) &&
               compare_bits(&one, on->real, "a sample alone and in its batch", &got, &part);
        outcome_done(&got);
    }
    return good;
}

static bool again(const trial *t, const subject *on, const outcome *base)
{
    outcome got;
    bool good = run_both(t, on, 1, 0, &got) &&
                compare_bits(t, on->real, "two runs (other addresses, other garbage)", &got, base);
    outcome_done(&got);
    return good;
}

static void check_trial(trial *t)
{
    session *s = t->s;
    outcome expected, base[BITS] = {0};
    bool known[BITS] = {false};
    bool good = run_both(t, &s->ref, 0, 0, &expected);
    for (int i = 0; i < s->subjects && good; i++) {
        const subject *on = &s->subject[i];
        if (on->real->options.winograd_most > 0 && !t->winograd)
            continue; /* there is no choice to make */
        outcome got;
        good = run_both(t, on, i, 0, &got);
        if (good && known[on->bits]) {
            good = compare_bits(t, on->real, "other threads or band rows", &got, &base[on->bits]);
        } else if (good) {
            good = compare_values(t, on->real, &got, &expected) && again(t, on, &got) &&
                   samples_alone(t, on, &got);
            known[on->bits] = true;
            base[on->bits] = got;
            continue;
        }
        outcome_done(&got);
    }
    for (int i = 0; i < BITS; i++)
        outcome_done(&base[i]);
    outcome_done(&expected);
}

void trial_run(trial *t)
{
    if (t->s->bench)
        bench_trial(t);
    else
        check_trial(t);
    trial_done(t);
}
