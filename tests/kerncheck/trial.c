/* A trial: its buffers, and the list of things that must not change its result. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/kerncheck/check.h"

const int *real_shape(session *s, const int *table, int rows, int columns)
{
    s->shapes = rows;
    return s->shape < 0 ? NULL : table + s->shape * columns;
}

trial trial_new(session *s, double tolerance,
                void (*call)(dev *, const trial *, const tensor *, const weight *, int64_t))
{
    return (trial){.s = s, .tolerance = tolerance, .call = call};
}

static tensor add_slot(trial *t, int i, slot made, tensor shape)
{
    shape.data = calloc(tensor_bytes(shape) + 1, 1);
    made.t = shape;
    if (made.in)
        fill_values(&t->s->random, shape.data, shape.type, tensor_count(shape), !t->s->bench);
    t->at[i] = made;
    return shape;
}

tensor trial_in(trial *t, int i, slot_scope scope, tensor shape)
{
    return add_slot(t, i, (slot){.batched = scope == BATCHED, .in = true}, shape);
}

void trial_out(trial *t, int i, slot_scope scope, tensor shape)
{
    add_slot(t, i, (slot){.batched = scope == BATCHED, .out = true}, shape);
}

void trial_in_out(trial *t, int i, slot_scope scope, tensor shape)
{
    add_slot(t, i, (slot){.batched = scope == BATCHED, .in = true, .out = true}, shape);
}

void trial_shape(trial *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(t->shape, sizeof t->shape, format, args);
    va_end(args);
}

void trial_fail(const trial *t, const char *format, ...)
{
    session *s = t->s;
    printf("FAIL %s [%s] (--seed %llu --kernel %s, round %d): ", s->kernel, t->shape,
           (unsigned long long)s->seed, s->kernel, s->round);
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    s->failures++;
}

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

static int64_t samples_of(const trial *t)
{
    for (int i = 0; i < SLOTS; i++)
        if (t->at[i].batched)
            return t->at[i].t.dim[0];
    return 1;
}

/* Each sample alone must give its part of the batch, to the bit. */
static bool samples_alone(const trial *t, const subject *on, const outcome *batch)
{
    int64_t n = samples_of(t);
    bool good = true;
    for (int64_t i = 0; i < n && n > 1 && !t->together && good; i++) {
        trial one = trial_sample(t, i);
        outcome got, part = {0};
        for (int j = 0; j < SLOTS; j++)
            if (t->at[j].out && t->at[j].batched)
                part.out[j] = (char *)batch->out[j] + (size_t)i * tensor_bytes(one.at[j].t);
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
    for (int i = 0; i < SLOTS; i++)
        free(t->at[i].t.data);
}
