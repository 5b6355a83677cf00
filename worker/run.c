/* A work inside the engine: see run.h. The one idea: everything that can be refused is refused
 * here, once, before the first step; after that a job fails only when the device does. */
#include "worker/run.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/clock.h"

/* ---------------------------------------------------------------- admission */

static bool is_guided(const run *r)
{
    return r->work->job.cfg_scale != 1.0;
}

static call_shape one_row(const run *r)
{
    const task *t = &r->work->task;
    int chunks = t->positive.count;
    if (is_guided(r) && t->negative.count > chunks)
        chunks = t->negative.count;
    return (call_shape){1, r->h, r->w, chunks * CHUNK_TOKENS};
}

/* Tensors that stay while the first picture is made: encoded input, sequence, contexts. */
static size_t kept_bytes(const run *r)
{
    const int64_t width = r->resident->model->config.text_width;
    return 2 * seq_bytes(r->h, r->w) + 2 * (size_t)(r->call.tokens * width) * sizeof(float);
}

/* How many evaluations and steps a picture takes: from a sampler made for the purpose. */
static int count_steps(run *r, err *e)
{
    const task *t = &r->work->task;
    sampler s;
    int rc = sampler_init(&s, r->work->job.sampler, r->work->job.scheduler, t->steps, t->t_enc,
                          t->from_picture, e);
    if (rc)
        return rc;
    r->evaluations = sampler_evaluations(&s);
    r->steps = s.steps;
    return 0;
}

static int check_fit(residents *all, run *r, err *e)
{
    const task *t = &r->work->task;
    const model_config *c = &r->resident->model->config;
    int rc = task_fit(t, &r->work->job, c, e);
    if (!rc)
        rc = count_steps(r, e);
    if (rc)
        return rc;
    r->h = t->height / c->factor;
    r->w = t->width / c->factor;
    r->call = one_row(r);
    r->costs = residents_cost(all, r->resident, r->call);
    return residents_fit(all, r->resident, r->call, kept_bytes(r), e);
}

static int find_model(residents *all, run *r, models *names, err *e)
{
    work *w = r->work;
    int rc = models_find(names, w->job.model, &w->file, e);
    if (rc)
        return rc;
    r->resident = residents_get(all, &w->file, e);
    if (!r->resident)
        return e->code;
    snprintf(w->model, sizeof w->model, "%s", r->resident->model->name);
    models_hash_start(names, &w->file);
    return 0;
}

run *run_new(residents *all, models *names, work *w, err *e)
{
    run *r = calloc(1, sizeof *r);
    if (!r) {
        err_set(e, ERR_NO_MEMORY, "no memory for the job");
        return NULL;
    }
    r->work = w;
    r->began = clock_seconds();
    int rc = w->job.task == TASK_NOOP ? 0 : find_model(all, r, names, e);
    if (!rc && r->resident && !w->task.untouched)
        rc = check_fit(all, r, e);
    if (rc)
        run_free(all, &r);
    return r;
}

void run_free(residents *all, run **at)
{
    run *r = *at;
    if (!r)
        return;
    while (r->first) {
        seq *s = r->first;
        r->first = s->next;
        seq_free(all->d, &s);
    }
    residents_text_put(r->positive);
    residents_text_put(r->negative);
    dev_drop(all->d, &r->latent);
    if (r->resident)
        residents_put(all, r->resident);
    free(r);
    *at = NULL;
}

/* ---------------------------------------------------------------- encoding */

double run_encode_flops(const run *r)
{
    const task *t = &r->work->task;
    return (t->positive.count + t->negative.count) * r->costs.text.flops +
           t->from_picture * r->costs.encode.flops;
}

/* The input picture through the encoder: the mean of the posterior, in the sampler's scale. */
static int encode_input(residents *all, run *r, err *e)
{
    dev *d = all->d;
    const task *t = &r->work->task;
    const model_config *c = &r->resident->model->config;
    size_t mark = dev_mark(d);
    bool finite = true;
    r->latent = dev_keep(d, F32, 1, r->h, r->w, c->latent_channels);
    tensor bytes = dev_tensor(d, U8, 1, t->height, t->width, 3);
    dev_upload(d, bytes, t->init.px);
    tensor pixels = op_pixels_in(d, NEW, bytes);                          /* [1,H,W,3] */
    tensor moments = vae_encode(d, NEW, r->resident->model->vae, pixels); /* [1,h,w,8] */
    op_gather(d, &r->latent, &moments, 1, c->latent_channels, (float)c->latent_scale);
    op_finite(d, r->latent, &finite);
    dev_release(d, mark);
    if (d->status != DEV_OK)
        return residents_error(all, "encoding the picture", e);
    if (!finite)
        return err_set(e, ERR_DEVICE,
                       "the encoder of model %s gave NaN or infinity: its weights are damaged",
                       r->resident->model->name);
    return 0;
}

int run_encode(residents *all, run *r, err *e)
{
    const job *j = &r->work->job;
    const task *t = &r->work->task;
    r->positive = residents_text(all, r->resident, &t->positive, j->clip_skip, e);
    if (!r->positive)
        return e->code;
    if (is_guided(r) &&
        !(r->negative = residents_text(all, r->resident, &t->negative, j->clip_skip, e)))
        return e->code;
    return t->from_picture ? encode_input(all, r, e) : 0;
}

/* ---------------------------------------------------------------- pictures */

int run_begin(residents *all, run *r, uint64_t turn, err *e)
{
    const job *j = &r->work->job;
    const task *t = &r->work->task;
    seq_options o = {.sampler = j->sampler,
                     .scheduler = j->scheduler,
                     .steps = t->steps,
                     .t_enc = t->t_enc,
                     .rng = j->rng,
                     .seed = (uint64_t)j->seed + (uint64_t)r->begun,
                     .h = r->h,
                     .w = r->w,
                     .latent = t->from_picture ? &r->latent : NULL,
                     .positive = r->positive,
                     .negative = r->negative,
                     .cfg_scale = j->cfg_scale,
                     .preview = j->want_preview};
    seq *s = seq_new(all->d, &o, e);
    if (!s)
        return all->d->status != DEV_OK ? residents_error(all, "starting a picture", e) : e->code;
    s->picture = r->begun++;
    s->turn = turn;
    seq **end = &r->first;
    while (*end)
        end = &(*end)->next;
    *end = s;
    r->sequences++;
    return 0;
}

static void unlink_seq(run *r, seq *s)
{
    seq **at = &r->first;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    r->sequences--;
}

int run_decode(residents *all, run *r, seq *s, image *out, err *e)
{
    dev *d = all->d;
    const model_config *c = &r->resident->model->config;
    const task *t = &r->work->task;
    int rc = image_new(out, t->width, t->height, 3, e);
    if (rc)
        return rc;
    size_t mark = dev_mark(d);
    bool finite = true;
    tensor z = op_gather(d, NEW, &s->x, 1, c->latent_channels, (float)(1.0 / c->latent_scale));
    tensor pixels = vae_decode(d, NEW, r->resident->model->vae, z); /* [1,H,W,3] */
    op_finite(d, pixels, &finite);
    tensor bytes = op_pixels_out(d, NEW, pixels);
    dev_download(d, out->px, bytes);
    dev_release(d, mark);
    if (d->status != DEV_OK)
        rc = residents_error(all, "decoding the picture", e);
    else if (!finite)
        rc = err_set(e, ERR_DEVICE,
                     "decoding gave NaN or infinity: model %s is damaged or does not suit the job",
                     r->resident->model->name);
    if (rc) {
        image_done(out);
        return rc;
    }
    unlink_seq(r, s);
    seq_free(d, &s);
    return 0;
}

bool run_complete(const run *r)
{
    return r->handed_out == r->work->task.pictures;
}

void run_progress(const run *r, work_progress *p)
{
    const int pictures = r->work->task.pictures;
    *p = (work_progress){.evaluations = pictures * r->evaluations,
                         .steps = pictures * r->steps,
                         .evaluations_done = r->handed_out * r->evaluations,
                         .steps_done = r->handed_out * r->steps,
                         .eta_seconds = -1};
    for (const seq *s = r->first; s; s = s->next) {
        p->evaluations_done += sampler_evaluations_done(&s->sampler);
        p->steps_done += s->sampler.step;
    }
    if (p->evaluations_done > 0)
        p->eta_seconds = (clock_seconds() - r->began) / p->evaluations_done *
                         (p->evaluations - p->evaluations_done);
}
