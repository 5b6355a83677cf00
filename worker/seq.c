/* Sequences: see seq.h. The one idea: a sampler's update over its terms and the guidance over the
 * rows are both sums, so their product is one row of coefficients for op_step. */
#include "worker/seq.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- making */

/* out = uncond + cfg * (cond - uncond); without guidance the negative prompt is not evaluated. */
static void set_rows(seq *s, const seq_options *o)
{
    s->row[s->rows++] = (seq_row){.text = o->positive, .share = o->cfg_scale};
    if (o->cfg_scale != 1.0)
        s->row[s->rows++] = (seq_row){.text = o->negative, .share = 1.0 - o->cfg_scale};
}

static void keep_tensors(dev *d, seq *s, const seq_options *o)
{
    const int64_t h = o->h, w = o->w, c = 4;
    s->x = dev_keep(d, F32, 1, h, w, c);
    s->input = dev_keep(d, F32, 1, h, w, c);
    s->draw = dev_keep(d, F32, 1, h, w, c);
    if (o->preview)
        s->denoised = dev_keep(d, F32, 1, h, w, c);
    for (int i = 0; i < SAMPLER_HISTORY; i++)
        s->history[i] = dev_keep(d, F32, 1, h, w, c);
    for (int i = 0; i < s->rows; i++)
        s->row[i].prediction = dev_keep(d, F32, 1, h, w, c);
}

static void draw_noise(dev *d, seq *s)
{
    noise_draw(&s->noise, s->host, (int)s->x.dim[3], (int)s->x.dim[1], (int)s->x.dim[2]);
    dev_upload(d, s->draw, s->host);
}

/* What the rows are asked next, for `input` of the coming op_step. */
static float next_input_scale(seq *s)
{
    for (int i = 0; i < s->rows; i++)
        s->row[i].ready = false;
    return sampler_next(&s->sampler, &s->eval) ? (float)s->eval.input_scale : 1.0f;
}

static void start(dev *d, seq *s, const tensor *latent)
{
    draw_noise(d, s);
    step_row row = {
        .x = s->x, .noise = s->draw, .input = s->input, .input_scale = next_input_scale(s)};
    row.coef_x[STEP_NOISE] = (float)s->sampler.start_noise;
    if (latent) {
        row.init = *latent;
        row.coef_x[STEP_INIT] = (float)s->sampler.start_latent;
    }
    op_step(d, 1, &row);
}

seq *seq_new(dev *d, const seq_options *o, err *e)
{
    seq *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_NO_MEMORY, "no memory for a picture of the job");
        return NULL;
    }
    set_rows(s, o);
    s->host = malloc((size_t)(o->h * o->w * 4) * sizeof *s->host);
    noise_init(&s->noise, o->rng, o->seed);
    int rc = s->host ? sampler_init(&s->sampler, o->sampler, o->scheduler, o->steps, o->t_enc,
                                    o->latent != NULL, e)
                     : err_set(e, ERR_NO_MEMORY, "no memory for a latent");
    if (!rc)
        keep_tensors(d, s, o);
    if (!rc && d->status == DEV_OK)
        start(d, s, o->latent);
    if (rc || d->status != DEV_OK)
        seq_free(d, &s);
    return s;
}

/* x, input, draw, denoised; the history; a prediction for each row. */
size_t seq_bytes(int64_t h, int64_t w)
{
    return (4 + SAMPLER_HISTORY + STEP_PREDICTIONS) * (size_t)(h * w * 4) * sizeof(float);
}

void seq_free(dev *d, seq **at)
{
    seq *s = *at;
    if (!s)
        return;
    dev_drop(d, &s->x);
    dev_drop(d, &s->input);
    dev_drop(d, &s->draw);
    dev_drop(d, &s->denoised);
    for (int i = 0; i < SAMPLER_HISTORY; i++)
        dev_drop(d, &s->history[i]);
    for (int i = 0; i < s->rows; i++)
        dev_drop(d, &s->row[i].prediction);
    free(s->host);
    free(s);
    *at = NULL;
}

/* ---------------------------------------------------------------- stepping */

/* One sum of the sampler as coefficients over op_step's terms. */
static void spread(float to[STEP_TERMS], const double from[TERM_COUNT], const seq *s)
{
    to[STEP_X] = (float)from[TERM_X];
    for (int i = 0; i < s->rows; i++)
        to[STEP_PREDICTION + i] = (float)(from[TERM_EPS] * s->row[i].share);
    for (int i = 0; i < SAMPLER_HISTORY; i++)
        to[STEP_PAST + i] = (float)from[TERM_HISTORY + i];
    to[STEP_NOISE] = (float)from[TERM_NOISE];
}

static step_row accept(dev *d, seq *s)
{
    sampler_step step;
    sampler_accept(&s->sampler, &step);
    if (step.noise)
        draw_noise(d, s);
    step_row row = {.x = s->x, .noise = s->draw, .denoised = s->denoised, .input = s->input};
    spread(row.coef_x, step.x, s);
    spread(row.coef_denoised, step.denoised, s);
    for (int i = 0; i < s->rows; i++)
        row.prediction[i] = s->row[i].prediction;
    for (int i = 0; i < SAMPLER_HISTORY; i++) {
        row.history[i] = s->history[i];
        row.stored[i] = step.stored[i];
        spread(row.coef_history[i], step.history[i], s);
    }
    row.input_scale = next_input_scale(s);
    return row;
}

void seq_step(dev *d, seq **list, int count)
{
    step_row rows[16];
    int n = 0;
    assert(count <= 16);
    for (int i = 0; i < count; i++)
        if (seq_rows_ready(list[i]))
            rows[n++] = accept(d, list[i]);
    if (n)
        op_step(d, n, rows);
}

bool seq_rows_ready(const seq *s)
{
    for (int i = 0; i < s->rows; i++)
        if (!s->row[i].ready)
            return false;
    return true;
}

bool seq_ended(const seq *s)
{
    return sampler_evaluations_done(&s->sampler) == sampler_evaluations(&s->sampler);
}
