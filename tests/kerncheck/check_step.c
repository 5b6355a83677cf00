/* step: random coefficients over random subsets of terms, outputs and holds; equal to the bit. */
#include <string.h>

#include "tests/kerncheck/check.h"

enum { /* as the terms, as far as they are tensors */
       X,
       PREDICTION,
       HISTORY = PREDICTION + STEP_PREDICTIONS,
       NOISE = HISTORY + STEP_HISTORY,
       INIT,
       MASK,
       DENOISED,
       INPUT
};

static void call(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    const step_row *model = t->own; /* coefficients of every sample */
    step_row row[SAMPLES_MOST];
    int n = (int)at[X].dim[0];
    for (int i = 0; i < n; i++) {
        tensor part[SLOTS] = {0};
        for (int j = 0; j < SLOTS; j++)
            if (tensor_given(at[j]))
                part[j] = tensor_sample(at[j], i);
        row[i] = model[first + i];
        row[i].x = part[X];
        memcpy(row[i].prediction, part + PREDICTION, sizeof row[i].prediction);
        memcpy(row[i].history, part + HISTORY, sizeof row[i].history);
        row[i].noise = part[NOISE];
        row[i].init = part[INIT];
        row[i].mask = part[MASK];
        row[i].denoised = part[DENOISED];
        row[i].input = part[INPUT];
    }
    op_step(d, n, row);
}

/* A mask like real ones: much of it 0 or 1. */
static void make_mask(randoms *r, tensor mask)
{
    float *m = mask.data;
    for (int64_t i = 0; i < tensor_count(mask); i++)
        m[i] = (float)(draw_bool(r) ? draw_unit(r) : (double)draw_below(r, 2));
}

static void draw_holds(randoms *r, const bool given[STEP_TERMS], step_hold hold[STEP_HOLDS])
{
    for (int i = 0; i < STEP_HOLDS; i++) {
        hold[i] = (step_hold){.on = draw_bool(r),
                              .exponent = draw_bool(r) ? 1 : 8 * draw_unit(r),
                              .contrast = draw_bool(r) ? 0 : 1 + 31 * draw_unit(r)};
        if (given[STEP_INIT])
            hold[i].init = draw_bool(r) ? 1 : (float)draw_unit(r);
        if (given[STEP_NOISE] && draw_bool(r))
            hold[i].noise = (float)draw_unit(r);
    }
}

/* Terms that are not there get 0, as do some that are. */
static void draw_coefficients(randoms *r, const bool given[STEP_TERMS], float coef[STEP_TERMS])
{
    for (int i = 0; i < STEP_TERMS; i++)
        coef[i] = given[i] && draw_below(r, 4) ? (float)(4 * draw_unit(r) - 2) : 0;
}

void check_step(session *s)
{
    static const int shapes[][4] = {{1, 64, 64, 4}, {4, 64, 64, 4}};
    const int *real = real_shape(s, shapes[0], 2, 4);
    randoms *r = &s->random;
    int64_t size[4], most[4] = {SAMPLES_MOST, 65, 65, 9};
    draw_sizes(r, 4, size, most, 50000);
    for (int i = 0; real && i < 4; i++)
        size[i] = real[i];
    tensor like = floats(size[0], size[1], size[2], size[3]);
    step_row rows[SAMPLES_MOST] = {0};
    bool given[STEP_TERMS] = {[STEP_X] = true};
    trial t = trial_new(s, 0, call);
    t.own = rows;
    trial_in_out(&t, X, BATCHED, like);
    for (int i = STEP_PREDICTION; i <= STEP_INIT; i++) {
        given[i] = draw_bool(r);
        if (!given[i])
            continue;
        if (i >= STEP_PAST && i < STEP_NOISE) /* slots and terms count alike */
            trial_in_out(&t, i, BATCHED, like);
        else
            trial_in(&t, i, BATCHED, like);
    }
    const bool masked = draw_bool(r);
    if (masked)
        make_mask(r, trial_in(&t, MASK, BATCHED, floats(size[0], size[1], size[2], 1)));
    if (draw_bool(r))
        trial_out(&t, DENOISED, BATCHED, like);
    if (draw_bool(r))
        trial_out(&t, INPUT, BATCHED, like);
    for (int64_t n = 0; n < size[0]; n++) {
        if (masked)
            draw_holds(r, given, rows[n].hold);
        draw_coefficients(r, given, rows[n].coef_denoised);
        given[STEP_CHANGE] = rows[n].hold[STEP_HOLD_DENOISED].on;
        draw_coefficients(r, given, rows[n].coef_x);
        rows[n].input_scale = (float)draw_unit(r);
        for (int i = 0; i < STEP_HISTORY; i++) {
            rows[n].stored[i] = given[STEP_PAST + i] && draw_bool(r);
            draw_coefficients(r, given, rows[n].coef_history[i]);
        }
        given[STEP_CHANGE] = false;
    }
    trial_shape(&t, "%lldx%lldx%lldx%lld", (long long)size[0], (long long)size[1],
                (long long)size[2], (long long)size[3]);
    trial_run(&t);
}

_Static_assert((int)PREDICTION == STEP_PREDICTION && (int)HISTORY == STEP_PAST &&
                   (int)NOISE == STEP_NOISE && (int)INIT == STEP_INIT && (int)INPUT < SLOTS,
               "slots follow the terms");
