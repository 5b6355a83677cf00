/* A work inside the engine: see run.h. The one idea: everything that can be refused is refused
 * here, once, before the first step; after run_new a job fails only when the device does. */
#include "worker/run.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/clock.h"

static int device_error(dev *d, const char *what, err *e)
{
    int rc = d->status == DEV_STOPPED     ? err_set(e, ERR_CANCELLED, "cancelled")
             : d->status == DEV_NO_MEMORY ? err_set(e, ERR_NO_MEMORY, "%s: %s", what, d->error)
                                          : err_set(e, ERR_DEVICE, "%s: %s", what, d->error);
    dev_clear(d);
    return rc;
}

/* ---------------------------------------------------------------- admission */

/* One row at a time has to fit; the batch grows when more does. */
static int check_memory(residents *all, run *r, err *e)
{
    const task *t = &r->work->task;
    const int chunks =
        t->positive.count > t->negative.count ? t->positive.count : t->negative.count;
    const int rows = r->work->job.cfg_scale == 1.0 ? 1 : 2;
    model_costs c = residents_cost(all, r->resident, 1, r->h, r->w, chunks * CHUNK_TOKENS);
    r->work->flops = t->pictures * (r->evaluations * rows * c.step.flops + c.decode.flops);
    return residents_fit(all, r->resident, 1, r->h, r->w, chunks * CHUNK_TOKENS, e);
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
        return device_error(d, "encoding the picture", e);
    if (!finite)
        return err_set(e, ERR_DEVICE,
                       "the encoder of model %s gave NaN or infinity: its weights are damaged",
                       r->resident->model->name);
    return 0;
}

/* How many evaluations a picture takes: from a sampler made for the purpose. */
static int count_evaluations(run *r, err *e)
{
    const task *t = &r->work->task;
    sampler s;
    int rc = sampler_init(&s, r->work->job.sampler, r->work->job.scheduler, t->steps, t->t_enc,
                          t->from_picture, e);
    r->evaluations = rc ? 0 : sampler_evaluations(&s);
    return rc;
}

static int prepare_device(residents *all, run *r, err *e)
{
    const job *j = &r->work->job;
    const task *t = &r->work->task;
    const model_config *c = &r->resident->model->config;
    int rc = task_fit(t, j, c, e);
    r->h = t->height / c->factor;
    r->w = t->width / c->factor;
    if (!rc)
        rc = count_evaluations(r, e);
    if (!rc)
        rc = check_memory(all, r, e);
    if (rc)
        return rc;
    r->positive = residents_text(all, r->resident, &t->positive, j->clip_skip, e);
    if (r->positive && j->cfg_scale != 1.0)
        r->negative = residents_text(all, r->resident, &t->negative, j->clip_skip, e);
    if (!r->positive || (j->cfg_scale != 1.0 && !r->negative))
        return e->code;
    return t->from_picture ? encode_input(all, r, e) : 0;
}

run *run_new(residents *all, models *names, work *w, err *e)
{
    run *r = calloc(1, sizeof *r);
    if (!r) {
        err_set(e, ERR_NO_MEMORY, "no memory for the job");
        return NULL;
    }
    r->work = w;
    int rc = 0;
    if (w->job.task != TASK_NOOP) {
        rc = models_find(names, w->job.model, w->path, sizeof w->path, e);
        if (!rc)
            models_hash_start(names, w->path);
        if (!rc && !(r->resident = residents_get(all, w->path, e)))
            rc = e->code;
        if (!rc)
            snprintf(w->model, sizeof w->model, "%s", r->resident->model->name);
        if (!rc && !w->task.untouched)
            rc = prepare_device(all, r, e);
    }
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

/* ---------------------------------------------------------------- pictures */

int run_begin(residents *all, run *r, int most, bool preview, err *e)
{
    const job *j = &r->work->job;
    const task *t = &r->work->task;
    int begun = 0;
    for (; begun < most && r->begun < t->pictures; begun++) {
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
                         .preview = preview};
        seq *s = seq_new(all->d, &o, e);
        if (!s) {
            dev_clear(all->d);
            return e->code;
        }
        s->picture = r->begun++;
        seq **end = &r->first;
        while (*end)
            end = &(*end)->next;
        *end = s;
        r->sequences++;
    }
    return begun;
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
        rc = device_error(d, "decoding the picture", e);
    else if (!finite)
        rc =
            err_set(e, ERR_DEVICE, "decoding gave NaN or infinity: model %s does not suit this job",
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
    return r->work->job.task == TASK_NOOP || r->handed_out == r->work->task.pictures;
}

void run_progress(const run *r, work_progress *p)
{
    const int all = r->evaluations * r->work->task.pictures, done = r->evaluations_done;
    const int order = catalog_sampler(r->work->job.sampler)->second_order ? 2 : 1;
    *p = (work_progress){.evaluations_done = done,
                         .evaluations = all,
                         .steps_done = (done + order - 1) / order,
                         .steps = (all + order - 1) / order,
                         .eta_seconds = -1};
    if (done > 0)
        p->eta_seconds = (clock_seconds() - r->began) / done * (all - done);
}
