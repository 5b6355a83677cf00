/* Scenes of a run: see run.h. The one idea: scenes are asked for in their order and at most a few
 * ahead of the device, so a job of a thousand tiles holds the inputs of a few. */
#include "worker/run.h"

#include <assert.h>
#include <stdlib.h>

enum { SCENES_AHEAD = 3 }; /* asked for, with pictures that did not begin */

static const scene_plan *plan_of(const run *r, int scene)
{
    return &r->work->task.scene[scene];
}

/* ---------------------------------------------------------------- inputs */

/* Scenes before r->opened have begun all their pictures. */
static void skip_opened(run *r)
{
    while (r->opened < r->asked && r->scene[r->opened].begun == plan_of(r, r->opened)->pictures)
        r->opened++;
}

int run_ask(run *r)
{
    const task *t = &r->work->task;
    skip_opened(r);
    if (r->asked == t->scenes || r->asked - r->opened >= SCENES_AHEAD)
        return -1;
    const int after = plan_of(r, r->asked)->after;
    if (after >= 0 && r->scene[after].taken < plan_of(r, after)->pictures)
        return -1;
    r->scene[r->asked].state = RUN_SCENE_ASKED;
    return r->asked++;
}

void run_scene_made(run *r, int scene, scene_input *input)
{
    run_scene *s = &r->scene[scene];
    assert(s->state == RUN_SCENE_ASKED);
    s->state = RUN_SCENE_READY;
    s->input = *input;
    *input = (scene_input){0};
}

void run_scene_taken(run *r, int scene)
{
    r->scene[scene].taken++;
}

void run_scene_done(residents *all, run_scene *s)
{
    scene_input_done(&s->input);
    dev_drop(all->d, &s->latent);
    dev_drop(all->d, &s->mask);
    dev_drop(all->d, &s->extra);
}

int run_beginnable(const run *r)
{
    for (int i = r->opened; run_has_texts(r) && i < r->asked; i++)
        if (r->scene[i].state == RUN_SCENE_READY && r->scene[i].begun < plan_of(r, i)->pictures &&
            !(run_enlarges(r, i) && r->enlarging.active))
            return i;
    return -1;
}

bool run_untouched(const run *r, int scene)
{
    return plan_of(r, scene)->steps == 0;
}

/* ---------------------------------------------------------------- sequences */

static void append_seq(run *r, seq *s)
{
    seq **end = &r->first;
    while (*end)
        end = &(*end)->next;
    *end = s;
    r->sequences++;
}

int run_begin(residents *all, run *r, int scene, uint64_t turn, err *e)
{
    const job *j = &r->work->job;
    const scene_plan *plan = plan_of(r, scene);
    run_scene *from = &r->scene[scene];
    const int factor = r->resident->model->config.factor;
    seq_options o = {.sampler = j->sampler,
                     .scheduler = j->scheduler,
                     .steps = plan->steps,
                     .t_enc = plan->t_enc,
                     .rng = j->rng,
                     .seed = (uint64_t)plan->seed + (uint64_t)from->begun,
                     .h = plan->height / factor,
                     .w = plan->width / factor,
                     .latent = tensor_given(from->latent) ? &from->latent : NULL,
                     .mask = tensor_given(from->mask) ? &from->mask : NULL,
                     .content = from->input.content,
                     .soft = j->inpaint.soft,
                     .extra = tensor_given(from->extra) ? &from->extra : NULL,
                     .guidance = &r->work->task.guidances.plan[plan->guidance],
                     .texts = r->text,
                     .time_width = unet_time_width(r->resident->model->unet),
                     .preview = j->want_preview};
    seq *s = seq_new(all->d, &o, e);
    if (!s)
        return all->d->status != DEV_OK ? residents_error(all, "starting a picture", e) : e->code;
    s->scene = scene;
    s->picture = from->begun++;
    s->turn = turn;
    append_seq(r, s);
    return 0;
}

int run_picture(const run *r, const seq *s)
{
    return r->scene[s->scene].before + s->picture;
}

static void unlink_seq(run *r, seq *s)
{
    seq **at = &r->first;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    r->sequences--;
}

/* How far each cell went, for soft inpainting. */
static int measure_change(dev *d, const seq *s, scene_result *out, err *e)
{
    out->latent_h = (int)s->x.dim[1];
    out->latent_w = (int)s->x.dim[2];
    out->change = malloc((size_t)out->latent_h * (size_t)out->latent_w * sizeof *out->change);
    return out->change ? seq_distance(d, s, out->change, e)
                       : err_set(e, ERR_NO_MEMORY, "no memory for a mask");
}

int run_decode(residents *all, run *r, seq *s, scene_result *out, err *e)
{
    dev *d = all->d;
    model *m = r->resident->model;
    const scene_plan *plan = plan_of(r, s->scene);
    *out = (scene_result){0};
    int rc = image_new(&out->picture, plan->width, plan->height, 3, e);
    if (rc)
        return rc;
    const bool finite = model_decode(d, m, s->x, out->picture.px);
    if (tensor_given(s->mask) && r->work->job.inpaint.soft.on)
        rc = measure_change(d, s, out, e);
    if (d->status != DEV_OK)
        rc = residents_error(all, "decoding the picture", e);
    else if (!rc && !finite)
        rc = err_set(e, ERR_DEVICE,
                     "decoding gave NaN or infinity: model %s is damaged or does not suit the job",
                     m->name);
    if (rc) {
        scene_result_done(out);
        return rc;
    }
    unlink_seq(r, s);
    seq_free(d, &s);
    return 0;
}

/* ---------------------------------------------------------------- pictures out */

int run_copy(run *r, int scene, image *out, err *e)
{
    run_scene *from = &r->scene[scene];
    const image *init = &from->input.init;
    int rc = init->px ? image_copy(out, init, e) : 0;
    if (!rc)
        from->begun++;
    return rc;
}

void run_handed_out(residents *all, run *r, int scene)
{
    run_scene *s = &r->scene[scene];
    const scene_plan *plan = plan_of(r, scene);
    r->to_hand_out--;
    r->evaluations_over += plan->evaluations;
    r->steps_over += plan->steps_run;
    if (++s->out == plan->pictures)
        run_scene_done(all, s);
}
