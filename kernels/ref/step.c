/* step, reference. All sums of one pixel are formed before any is stored, because every one of them
 * sees the old values; the x0 prediction comes first, because what a mask changes in it is a term
 * of the others. The sums in fp32 in the listed order: this decides the bits of pictures, so every
 * backend does exactly the same. */
#include <math.h>

#include "kernels/table.h"

enum { DENOISED, X, HISTORY, SUMS = HISTORY + STEP_HISTORY };

typedef struct {
    const float *coef;
    float *to; /* NULL: not wanted */
} step_sum;

/* A row on its way through its pixels. */
typedef struct {
    const step_row *row;
    const float *term[STEP_CHANGE]; /* whole tensors */
    step_sum sum[SUMS];
    float change[STEP_CHANNELS]; /* of this pixel */
} walk;

static void list_terms(walk *w, const step_row *r)
{
    w->term[STEP_X] = r->x.data;
    for (int i = 0; i < STEP_PREDICTIONS; i++)
        w->term[STEP_PREDICTION + i] = r->prediction[i].data;
    for (int i = 0; i < STEP_HISTORY; i++)
        w->term[STEP_PAST + i] = r->history[i].data;
    w->term[STEP_NOISE] = r->noise.data;
    w->term[STEP_INIT] = r->init.data;
}

static void list_sums(walk *w, const step_row *r)
{
    w->sum[DENOISED] = (step_sum){r->coef_denoised, r->denoised.data};
    w->sum[X] = (step_sum){r->coef_x, r->x.data};
    for (int i = 0; i < STEP_HISTORY; i++)
        w->sum[HISTORY + i] =
            (step_sum){r->coef_history[i], r->stored[i] ? r->history[i].data : NULL};
}

static void sum_pixel(const walk *w, const float *coef, int64_t pixel, float *out)
{
    const int64_t c = w->row->x.dim[3];
    for (int64_t k = 0; k < c; k++)
        out[k] = 0;
    for (int i = 0; i < STEP_TERMS; i++) {
        if (coef[i] == 0)
            continue;
        const float *value = i == STEP_CHANGE ? w->change : w->term[i] + pixel * c;
        for (int64_t k = 0; k < c; k++)
            out[k] += coef[i] * value[k];
    }
}

static double known_at(const walk *w, const step_hold *h, int64_t at)
{
    double known = 0;
    if (h->init != 0)
        known += (double)h->init * w->term[STEP_INIT][at];
    if (h->noise != 0)
        known += (double)h->noise * w->term[STEP_NOISE][at];
    return known;
}

static void hold_pixel(const walk *w, const step_hold *h, int64_t pixel, float *value)
{
    if (!h->on)
        return;
    const int64_t c = w->row->x.dim[3];
    const double m = pow(((const float *)w->row->mask.data)[pixel], h->exponent);
    double v[STEP_CHANNELS], scale = 1;
    double squares = 0, value_squares = 0, known_squares = 0;
    for (int64_t k = 0; k < c; k++) {
        const double known = known_at(w, h, pixel * c + k);
        v[k] = (1 - m) * known + m * value[k];
        squares += v[k] * v[k];
        known_squares += known * known;
        value_squares += (double)value[k] * value[k];
    }
    if (h->contrast > 0)
        scale = pow((1 - m) * pow(sqrt(known_squares), h->contrast) +
                        m * pow(sqrt(value_squares), h->contrast),
                    1 / h->contrast) /
                (sqrt(squares) + 1e-5);
    for (int64_t k = 0; k < c; k++)
        value[k] = (float)(scale * v[k]);
}

/* The x0 prediction, held, and the change that makes. */
static void denoise_pixel(walk *w, int64_t pixel, float *out)
{
    const step_hold *h = &w->row->hold[STEP_HOLD_DENOISED];
    float before[STEP_CHANNELS];
    if (!h->on && !w->sum[DENOISED].to)
        return;
    sum_pixel(w, w->sum[DENOISED].coef, pixel, out);
    for (int64_t k = 0; k < w->row->x.dim[3]; k++)
        before[k] = out[k];
    hold_pixel(w, h, pixel, out);
    for (int64_t k = 0; k < w->row->x.dim[3]; k++)
        w->change[k] = out[k] - before[k];
}

static void step_pixel(walk *w, int64_t pixel)
{
    const step_row *r = w->row;
    const int64_t c = r->x.dim[3];
    float value[SUMS][STEP_CHANNELS], input[STEP_CHANNELS];
    denoise_pixel(w, pixel, value[DENOISED]);
    for (int i = X; i < SUMS; i++)
        if (w->sum[i].to)
            sum_pixel(w, w->sum[i].coef, pixel, value[i]);
    hold_pixel(w, &r->hold[STEP_HOLD_X], pixel, value[X]);
    for (int i = 0; i < SUMS; i++)
        for (int64_t k = 0; w->sum[i].to && k < c; k++)
            w->sum[i].to[pixel * c + k] = value[i][k];
    if (!r->input.data)
        return;
    for (int64_t k = 0; k < c; k++)
        input[k] = value[X][k] * r->input_scale;
    hold_pixel(w, &r->hold[STEP_HOLD_INPUT], pixel, input);
    for (int64_t k = 0; k < c; k++)
        ((float *)r->input.data)[pixel * c + k] = input[k];
}

void ref_step(dev *d, const step_args *a)
{
    if (d->options.dry)
        return;
    for (int i = 0; i < a->n; i++) {
        walk w = {.row = &a->row[i]};
        list_terms(&w, w.row);
        list_sums(&w, w.row);
        for (int64_t p = 0; p < w.row->x.dim[1] * w.row->x.dim[2]; p++)
            step_pixel(&w, p);
    }
}
