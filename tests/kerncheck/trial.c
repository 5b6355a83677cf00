/* A trial: its shape and its buffers. What is done with it is the trial_run of each program. */
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

int64_t trial_samples(const trial *t)
{
    for (int i = 0; i < SLOTS; i++)
        if (t->at[i].batched)
            return t->at[i].t.dim[0];
    return 1;
}

outcome trial_part(const trial *t, const outcome *batch, int64_t i)
{
    outcome part = {0};
    for (int j = 0; j < SLOTS; j++)
        if (t->at[j].out && t->at[j].batched)
            part.out[j] =
                (char *)batch->out[j] + (size_t)i * tensor_bytes(tensor_sample(t->at[j].t, i));
    return part;
}

void trial_done(trial *t)
{
    for (int i = 0; i < SLOTS; i++)
        free(t->at[i].t.data);
}
