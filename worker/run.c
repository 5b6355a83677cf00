/* A work inside the engine: see run.h. The one idea: everything that can be refused is refused
 * here, once, before the first step; after that a job fails only when the device does. */
#include "worker/run.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/clock.h"

/* ---------------------------------------------------------------- admission */

/* The smallest call for a picture of this scene: one row, or all of its rows where these stay
 * together. */
static call_shape least_call(const residents *all, const run *r, const scene_plan *scene)
{
    const int factor = r->resident->model->config.factor;
    const bool together = all->d->options.exact == EXACT_PAIRS;
    const int rows = together ? r->work->task.guidances.plan[0].rows : 1;
    return (call_shape){rows, scene->height / factor, scene->width / factor,
                        r->work->task.guidances.longest * CHUNK_TOKENS};
}

size_t run_picture_bytes(const run *r, call_shape call)
{
    const guidances *g = &r->work->task.guidances;
    return r->time_bytes + seq_bytes(call.h, call.w, g->plan[0].rows); /* every plan has as many */
}

/* Counts what its pictures take. */
static void count_steps(run *r, const scene_plan *plan)
{
    r->evaluations += plan->pictures * plan->evaluations;
    r->steps += plan->pictures * plan->steps_run;
}

/* Remembers the scene that takes the most scratch; scenes of one size are measured once. */
static int check_memory(residents *all, run *r, const scene_plan *scene, err *e)
{
    const call_shape call = least_call(all, r, scene);
    if (call.h == r->call.h && call.w == r->call.w)
        return 0;
    const model_costs costs = residents_cost(all, r->resident, call);
    if (costs.peak > r->costs.peak) {
        r->call = call;
        r->costs = costs;
    }
    if (costs.peak > r->scratch)
        r->scratch = costs.peak;
    /* what stays while the first picture is made: encoded input, sequence, texts */
    const size_t keep = 2 * run_picture_bytes(r, call) + r->owed_bytes;
    return residents_fit_beside(all, r->resident, call, keep, r->scratch, e);
}

/* What needs the model: sizes, and memory for each of them. */
static int check_fit(residents *all, run *r, err *e)
{
    const task *t = &r->work->task;
    const model_config *c = &r->resident->model->config;
    int rc = task_fit(t, &r->work->job, c, e);
    r->work->task.hides = c->in_channels != c->latent_channels;
    r->time_bytes = (size_t)(UNET_TIMES * unet_time_width(r->resident->model->unet)) *
                    dtype_bytes(all->d->storage);
    for (int i = 0; i < t->guidances.texts; i++)
        r->owed_bytes += residents_text_bytes(all, r->resident, t->guidances.text[i].count);
    for (int i = 0; i < t->scenes && !rc; i++)
        if (t->scene[i].steps)
            rc = check_memory(all, r, &t->scene[i], e);
    return rc;
}

static void count_scenes(run *r)
{
    const task *t = &r->work->task;
    for (int i = 0; i < t->scenes; i++) {
        r->scene[i].before = r->to_hand_out;
        r->to_hand_out += t->scene[i].pictures;
        count_steps(r, &t->scene[i]);
    }
}

static int make_scenes(run *r, err *e)
{
    const int scenes = r->work->task.scenes, texts = r->work->task.guidances.texts;
    r->scene = calloc((size_t)scenes + 1, sizeof *r->scene);
    r->text = calloc((size_t)texts + 1, sizeof *r->text);
    return r->scene && r->text
               ? 0
               : err_set(e, ERR_NO_MEMORY, "no memory for %d parts of the job", scenes);
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
    w->task.by_rows = all->d->options.exact == EXACT_OFF;
    int rc = make_scenes(r, e);
    if (!rc)
        count_scenes(r);
    if (!rc) /* before the model, which takes longer and is checked beside them */
        rc = run_find_networks(all, r, models_folder(names), e);
    if (!rc && w->task.samples)
        rc = find_model(all, r, names, e);
    if (!rc && w->task.samples)
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
    for (int i = 0; i < r->texts; i++)
        residents_text_put(r->text[i]);
    for (int i = 0; r->scene && i < r->work->task.scenes; i++)
        run_scene_done(all, &r->scene[i]);
    if (r->resident)
        residents_put(all, r->resident);
    for (int i = 0; i < r->networks; i++)
        residents_put(all, r->network[i].resident);
    scene_result_done(&r->enlarging.made);
    free(r->scene);
    free(r->text);
    free(r);
    *at = NULL;
}

/* ---------------------------------------------------------------- texts */

bool run_has_texts(const run *r)
{
    return r->texts == r->work->task.guidances.texts;
}

double run_text_flops(const run *r)
{
    return r->work->task.guidances.text[r->texts].count * r->costs.text.flops;
}

int run_text(residents *all, run *r, err *e)
{
    const token_chunks *text = &r->work->task.guidances.text[r->texts];
    conditioning *c = residents_text(all, r->resident, text, r->work->job.clip_skip, e);
    if (!c)
        return e->code;
    r->text[r->texts++] = c;
    r->owed_bytes -= residents_text_bytes(all, r->resident, text->count);
    return 0;
}

/* ---------------------------------------------------------------- progress */

size_t run_owed_picture(const run *r)
{
    return r->sequences || run_complete(r) || !r->call.rows ? 0 : 2 * run_picture_bytes(r, r->call);
}

bool run_complete(const run *r)
{
    return r->to_hand_out == 0;
}

void run_progress(const run *r, work_progress *p)
{
    *p = (work_progress){.evaluations = r->evaluations + r->tiles,
                         .steps = r->steps,
                         .evaluations_done = r->evaluations_over + r->tiles_done,
                         .steps_done = r->steps_over,
                         .eta_seconds = -1};
    for (const seq *s = r->first; s; s = s->next) {
        p->evaluations_done += sampler_evaluations_done(&s->sampler);
        p->steps_done += s->sampler.step;
    }
    if (p->evaluations_done > 0)
        p->eta_seconds = (clock_seconds() - r->began) / p->evaluations_done *
                         (p->evaluations - p->evaluations_done);
}
