/* step, reference. All sums of one element are formed before any is stored, because every one of
 * them sees the old values. fp32 in the listed order: this decides the bits of pictures, so every
 * backend does exactly the same. */
#include "kernels/table.h"

enum { SUMS = 1 + STEP_HISTORY + 1 }; /* x, history, denoised */

typedef struct {
    const float *coef;
    float *to; /* NULL: not wanted */
} step_sum;

static void list_terms(const step_row *r, const float *term[STEP_TERMS])
{
    term[STEP_X] = r->x.data;
    for (int i = 0; i < STEP_PREDICTIONS; i++)
        term[STEP_PREDICTION + i] = r->prediction[i].data;
    for (int i = 0; i < STEP_HISTORY; i++)
        term[STEP_PAST + i] = r->history[i].data;
    term[STEP_NOISE] = r->noise.data;
    term[STEP_INIT] = r->init.data;
}

static float sum_terms(const float *const term[STEP_TERMS], const float *coef, int64_t at)
{
    float sum = 0;
    for (int i = 0; i < STEP_TERMS; i++)
        if (coef[i] != 0)
            sum += coef[i] * term[i][at];
    return sum;
}

static void step_one(const step_row *r)
{
    const float *term[STEP_TERMS];
    list_terms(r, term);
    step_sum sums[SUMS] = {{r->coef_x, r->x.data}, {r->coef_denoised, r->denoised.data}};
    for (int i = 0; i < STEP_HISTORY; i++)
        sums[2 + i] = (step_sum){r->coef_history[i], r->stored[i] ? r->history[i].data : NULL};
    const float *mask = r->mask.data, *init = r->init.data;
    float *input = r->input.data;
    int64_t c = r->x.dim[3];
    for (int64_t at = 0; at < tensor_count(r->x); at++) {
        float value[SUMS];
        for (int i = 0; i < SUMS; i++)
            value[i] = sums[i].to ? sum_terms(term, sums[i].coef, at) : 0;
        if (mask)
            value[0] = init[at] + mask[at / c] * (value[0] - init[at]);
        for (int i = 0; i < SUMS; i++)
            if (sums[i].to)
                sums[i].to[at] = value[i];
        if (input)
            input[at] = value[0] * r->input_scale;
    }
}

void ref_step(dev *d, const step_args *a)
{
    if (d->options.dry)
        return;
    for (int i = 0; i < a->n; i++)
        step_one(&a->row[i]);
}
