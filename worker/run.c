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

/* One row of a picture of this scene. */
static call_shape one_row(const run *r, const scene_plan *scene)
{
    const task *t = &r->work->task;
    const int factor = r->resident->model->config.factor;
    int chunks = t->positive.count;
    if (is_guided(r) && t->negative.count > chunks)
        chunks = t->negative.count;
    return (call_shape){1, scene->height / factor, scene->width / factor, chunks * CHUNK_TOKENS};
}

/* Tensors that stay while the first picture is made: encoded input, sequence, contexts. */
static size_t kept_bytes(const run *r, call_shape call)
{
    const int64_t width = r->resident->model->config.text_width;
    return 2 * seq_bytes(call.h, call.w) + 2 * (size_t)(call.tokens * width) * sizeof(float);
}

/* How many evaluations and steps its pictures take: from a sampler made for the purpose. */
static int count_steps(run *r, const scene_plan *plan, run_scene *s, err *e)
{
    const job *j = &r->work->job;
    sampler counting;
    if (!plan->steps)
        return 0;
    int rc = sampler_init(&counting, j->sampler, j->scheduler, plan->steps, plan->t_enc,
                          r->work->task.from_picture, e);
    if (rc)
        return rc;
    s->evaluations = sampler_evaluations(&counting);
    s->steps = counting.steps;
    r->evaluations += plan->pictures * s->evaluations;
    r->steps += plan->pictures * s->steps;
    return 0;
}

/* Remembers the scene that takes the most scratch; scenes of one size are measured once. */
static int check_memory(residents *all, run *r, const scene_plan *scene, err *e)
{
    const call_shape call = one_row(r, scene);
    if (call.h == r->call.h && call.w == r->call.w)
        return 0;
    const model_costs costs = residents_cost(all, r->resident, call);
    if (costs.peak > r->costs.peak) {
        r->call = call;
        r->costs = costs;
    }
    return residents_fit(all, r->resident, call, kept_bytes(r, call), e);
}

static int check_scenes(residents *all, run *r, err *e)
{
    const task *t = &r->work->task;
    int rc = task_fit(t, &r->work->job, &r->resident->model->config, e);
    for (int i = 0; i < t->scenes && !rc; i++) {
        const scene_plan *plan = &t->scene[i];
        r->scene[i].before = r->to_hand_out;
        r->to_hand_out += plan->pictures;
        rc = count_steps(r, plan, &r->scene[i], e);
        if (!rc && plan->steps)
            rc = check_memory(all, r, plan, e);
    }
    return rc;
}

static int make_scenes(run *r, err *e)
{
    const int scenes = r->work->task.scenes;
    r->scene = calloc((size_t)scenes + 1, sizeof *r->scene);
    return r->scene ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for %d parts of the job", scenes);
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
    int rc = make_scenes(r, e);
    if (!rc && w->task.scenes)
        rc = find_model(all, r, names, e);
    if (!rc && w->task.scenes)
        rc = check_scenes(all, r, e);
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
    for (int i = 0; r->scene && i < r->work->task.scenes; i++)
        run_scene_done(all, &r->scene[i]);
    if (r->resident)
        residents_put(all, r->resident);
    free(r->scene);
    free(r);
    *at = NULL;
}

/* ---------------------------------------------------------------- texts */

double run_texts_flops(const run *r)
{
    const task *t = &r->work->task;
    return (t->positive.count + t->negative.count) * r->costs.text.flops;
}

int run_texts(residents *all, run *r, err *e)
{
    const job *j = &r->work->job;
    const task *t = &r->work->task;
    if (!r->call.rows)
        return 0; /* nothing is sampled */
    r->positive = residents_text(all, r->resident, &t->positive, j->clip_skip, e);
    if (!r->positive)
        return e->code;
    if (is_guided(r) &&
        !(r->negative = residents_text(all, r->resident, &t->negative, j->clip_skip, e)))
        return e->code;
    return 0;
}

/* ---------------------------------------------------------------- progress */

bool run_complete(const run *r)
{
    return r->to_hand_out == 0;
}

void run_progress(const run *r, work_progress *p)
{
    *p = (work_progress){.evaluations = r->evaluations,
                         .steps = r->steps,
                         .evaluations_done = r->evaluations_over,
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
