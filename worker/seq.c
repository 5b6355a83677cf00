/* Sequences: see seq.h. The one idea: a sampler's update over its terms and the guidance over the
 * rows are both sums, so their product is one row of coefficients for op_step; a mask adds holds to
 * it (kernels/table.h). */
#include "worker/seq.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- making */

static_assert((int)GUIDANCE_ROWS_MAX <= (int)STEP_PREDICTIONS, "op_step takes every row");

static void set_rows(seq *s, const seq_options *o)
{
    const guidance *g = o->guidance;
    s->texts = o->texts;
    for (int i = 0; i < g->rows; i++)
        s->row[s->rows++] = (seq_row){.share = g->row[i].share, .text = g->row[i].text};
}

static void keep_tensors(dev *d, seq *s, const seq_options *o)
{
    const int64_t h = o->h, w = o->w, c = 4;
    s->x = dev_keep(d, F32, 1, h, w, c);
    s->input = dev_keep(d, F32, 1, h, w, c);
    s->draw = dev_keep(d, F32, 1, h, w, c);
    if (o->preview)
        s->denoised = dev_keep(d, F32, 1, h, w, c);
    if (o->mask)
        s->known = dev_keep(d, F32, 1, h, w, c);
    if (o->time_width)
        s->times = dev_keep(d, d->storage, UNET_TIMES, 1, 1, o->time_width);
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

/* What the mask holds in the evaluation that s->eval asks for. */
static step_hold hold_now(const seq *s)
{
    step_hold h = {.on = tensor_given(s->mask), .init = 1, .exponent = 1};
    if (s->soft.on) {
        const double level = s->eval.holds_input ? s->eval.timestep : s->eval.sigma;
        h.exponent = pow(level, s->soft.schedule_bias) * s->soft.preservation_strength;
        h.contrast = s->soft.transition_contrast_boost;
    }
    return h;
}

/* Asks the rows anew: `input` of the coming op_step. After the last evaluation x is the result,
 * which a mask holds too. */
static void ask_next(seq *s, step_row *row)
{
    for (int i = 0; i < s->rows; i++)
        s->row[i].ready = false;
    row->input = s->input;
    row->input_scale = 1;
    if (!sampler_next(&s->sampler, &s->eval)) {
        const bool on = tensor_given(s->mask) && !s->soft.on;
        row->hold[STEP_HOLD_X] = (step_hold){.on = on, .init = 1, .exponent = 1};
        return;
    }
    row->input_scale = (float)s->eval.input_scale;
    if (s->eval.holds_input) {
        row->hold[STEP_HOLD_INPUT] = hold_now(s);
        row->hold[STEP_HOLD_INPUT].init = (float)s->eval.known_latent;
        row->hold[STEP_HOLD_INPUT].noise = (float)s->eval.known_noise;
    }
}

/* The latent with what the mask covers replaced as asked. */
static void make_known(dev *d, seq *s, const seq_options *o)
{
    const bool replaced =
        o->content == CONTENT_LATENT_NOISE || o->content == CONTENT_LATENT_NOTHING;
    step_row row = {.x = s->known, .noise = s->draw, .init = *o->latent, .mask = s->mask};
    row.coef_x[STEP_INIT] = !replaced;
    row.coef_x[STEP_NOISE] = o->content == CONTENT_LATENT_NOISE;
    row.hold[STEP_HOLD_X] = (step_hold){.on = replaced, .init = 1, .exponent = 1};
    op_step(d, 1, &row);
}

static void start(dev *d, seq *s, const seq_options *o)
{
    step_row row = {.x = s->x, .noise = s->draw, .mask = s->mask};
    draw_noise(d, s);
    row.coef_x[STEP_NOISE] = (float)s->sampler.start_noise;
    if (o->mask)
        make_known(d, s, o);
    if (o->latent) {
        row.init = o->mask ? s->known : *o->latent;
        row.coef_x[STEP_INIT] = (float)s->sampler.start_latent;
    }
    ask_next(s, &row);
    op_step(d, 1, &row);
}

seq *seq_new(dev *d, const seq_options *o, err *e)
{
    seq *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_NO_MEMORY, "no memory for a picture of the job");
        return NULL;
    }
    assert(!o->mask || o->latent);
    set_rows(s, o);
    s->mask = o->mask ? *o->mask : (tensor){0};
    s->extra = o->extra ? *o->extra : (tensor){0};
    s->soft = o->soft;
    s->host = malloc((size_t)(o->h * o->w * 4) * sizeof *s->host);
    noise_init(&s->noise, o->rng, o->seed);
    int rc = s->host ? sampler_init(&s->sampler, o->sampler, o->scheduler, o->steps, o->t_enc,
                                    o->latent != NULL, e)
                     : err_set(e, ERR_NO_MEMORY, "no memory for a latent");
    assert(rc || s->sampler.steps <= o->guidance->steps);
    if (!rc)
        keep_tensors(d, s, o);
    if (!rc && d->status == DEV_OK)
        start(d, s, o);
    if (rc || d->status != DEV_OK)
        seq_free(d, &s);
    return s;
}

/* x, input, draw, denoised, known; the history; a prediction for each row. */
size_t seq_bytes(int64_t h, int64_t w, int rows)
{
    return (size_t)(5 + SAMPLER_HISTORY + rows) * (size_t)(h * w * 4) * sizeof(float);
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
    dev_drop(d, &s->known);
    dev_drop(d, &s->times);
    for (int i = 0; i < SAMPLER_HISTORY; i++)
        dev_drop(d, &s->history[i]);
    for (int i = 0; i < s->rows; i++)
        dev_drop(d, &s->row[i].prediction);
    free(s->host);
    free(s);
    *at = NULL;
}

/* ---------------------------------------------------------------- stepping */

/* One sum of the sampler as coefficients over op_step's terms. `change`: what one of eps counts as
 * one of the change that a mask makes; 0: it makes none. */
static void spread(float to[STEP_TERMS], const double from[TERM_COUNT], const seq *s, double change)
{
    to[STEP_X] = (float)from[TERM_X];
    for (int i = 0; i < s->rows; i++)
        to[STEP_PREDICTION + i] = (float)(from[TERM_EPS] * s->row[i].share);
    for (int i = 0; i < SAMPLER_HISTORY; i++)
        to[STEP_PAST + i] = (float)from[TERM_HISTORY + i];
    to[STEP_NOISE] = (float)from[TERM_NOISE];
    to[STEP_CHANGE] = (float)(from[TERM_EPS] * change);
}

static step_row accept(dev *d, seq *s)
{
    sampler_step step;
    double change = 0;
    sampler_accept(&s->sampler, &step);
    if (step.noise)
        draw_noise(d, s);
    step_row row = {
        .x = s->x, .noise = s->draw, .init = s->known, .mask = s->mask, .denoised = s->denoised};
    row.hold[STEP_HOLD_DENOISED] = hold_now(s); /* with a timestep sampler for previews alone */
    if (tensor_given(s->mask) && !s->eval.holds_input)
        change = 1 / step.denoised[TERM_EPS];
    spread(row.coef_x, step.x, s, change);
    spread(row.coef_denoised, step.denoised, s, 0);
    for (int i = 0; i < s->rows; i++)
        row.prediction[i] = s->row[i].prediction;
    for (int i = 0; i < SAMPLER_HISTORY; i++) {
        row.history[i] = s->history[i];
        row.stored[i] = step.stored[i];
        spread(row.coef_history[i], step.history[i], s, change);
    }
    ask_next(s, &row);
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

/* The timesteps of the coming evaluations: no sampler chooses them by what the UNet answers. */
static int coming_timesteps(const seq *s, double t[UNET_TIMES])
{
    sampler ahead = s->sampler;
    sampler_eval eval;
    sampler_step ignored;
    int n = 0;
    for (; n < UNET_TIMES && sampler_next(&ahead, &eval); n++) {
        t[n] = eval.timestep;
        sampler_accept(&ahead, &ignored);
    }
    return n;
}

void seq_know_time(dev *d, seq *s, const unet *u)
{
    const int now = sampler_evaluations_done(&s->sampler);
    double t[UNET_TIMES];
    if (now >= s->times_from && now < s->times_to)
        return;
    const int n = coming_timesteps(s, t);
    unet_times(d, &s->times, u, t, n);
    s->times_from = now;
    s->times_to = d->status == DEV_OK ? now + n : now;
}

tensor seq_time(const seq *s)
{
    return tensor_sample(s->times, sampler_evaluations_done(&s->sampler) - s->times_from);
}

const conditioning *seq_text(const seq *s, int row)
{
    assert(!seq_ended(s));
    return s->texts[s->row[row].text[s->sampler.step]];
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

int seq_distance(dev *d, const seq *s, float *distance, err *e)
{
    const int64_t c = s->x.dim[3], pixels = s->x.dim[1] * s->x.dim[2];
    float *known = calloc(1, tensor_bytes(s->known));
    assert(tensor_given(s->known));
    if (!known)
        return err_set(e, ERR_NO_MEMORY, "no memory for a latent");
    dev_download(d, s->host, s->x);
    dev_download(d, known, s->known);
    for (int64_t p = 0; p < pixels; p++) {
        double squares = 0;
        for (int64_t k = p * c; k < (p + 1) * c; k++)
            squares += ((double)s->host[k] - known[k]) * ((double)s->host[k] - known[k]);
        distance[p] = (float)sqrt(squares);
    }
    free(known);
    return 0;
}
