/* Tasks outside the device: see task.h. The one idea: a task is a row of a table (task_row.h), and
 * preparing, taking and composing are the same walk for all of them. */
#include "worker/task/task_row.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "worker/sample/sampler.h"

static const task_row noop = {0};

static const task_row *const rows[TASK_COUNT] = {
    [TASK_NOOP] = &noop,
    [TASK_TXT2IMG] = &task_txt2img,
    [TASK_IMG2IMG] = &task_img2img,
    [TASK_INPAINT] = &task_inpaint,
    [TASK_LOOPBACK] = &task_loopback,
    [TASK_UPSCALE] = &task_upscale,
    [TASK_SD_UPSCALE] = &task_sd_upscale,
};

static const task_row *row_of(const job *j)
{
    if (j->task == TASK_OUTPAINT)
        return j->outpaint.method == OUTPAINT_MK2 ? &task_mk2 : &task_poor_mans;
    return rows[j->task];
}

/* ---------------------------------------------------------------- preparing */

int task_add_scenes(task *t, int count, err *e)
{
    assert(!t->scene && count > 0);
    if (count > TASK_SCENES_MAX)
        return err_set(e, ERR_TOO_LARGE, "the job falls into %d parts, at most %d are allowed",
                       count, TASK_SCENES_MAX);
    t->scene = calloc((size_t)count, sizeof *t->scene);
    if (!t->scene)
        return err_set(e, ERR_NO_MEMORY, "no memory for %d parts of the job", count);
    t->scenes = count;
    for (int i = 0; i < count; i++)
        t->scene[i].after = -1;
    return 0;
}

scene_plan task_job_scene(const job *j, double strength, int width, int height)
{
    job at = *j;
    scene_plan s = {.width = width,
                    .height = height,
                    .strength = strength,
                    .pictures = j->batch_size * j->n_iter,
                    .seed = j->seed,
                    .after = -1};
    at.denoising_strength = strength;
    job_steps(&at, &s.steps, &s.t_enc);
    return s;
}

/* Counts the steps of every scene and plans the prompts for them: DDIM may run none, and still
 * needs a plan. */
static int plan_sampling(task *t, const job *j, const tokenizer *words, err *e)
{
    for (int i = 0; i < t->scenes; i++) {
        scene_plan *s = &t->scene[i];
        sampler counting;
        if (!s->steps)
            continue;
        int rc = sampler_init(&counting, j->sampler, j->scheduler, s->steps, s->t_enc,
                              t->from_picture, e);
        if (rc)
            return rc;
        s->steps_run = counting.steps;
        s->evaluations = sampler_evaluations(&counting);
        s->guidance =
            guidances_plan(&t->guidances, j, counting.steps ? counting.steps : 1, words, e);
        if (s->guidance < 0)
            return s->guidance;
    }
    return 0;
}

static int make_results(task *t, err *e)
{
    int pictures = 0;
    for (int i = 0; i < t->scenes; i++) {
        assert(t->scene[i].after < i);
        pictures += t->scene[i].pictures;
    }
    atomic_store(&t->untaken, pictures);
    if (t->results && !(t->result = calloc((size_t)t->results, sizeof *t->result)))
        return err_set(e, ERR_NO_MEMORY, "no memory for %d pictures", t->results);
    return 0;
}

int task_prepare(task *t, const job *j, const tokenizer *words, err *e)
{
    const task_row *row = row_of(j);
    *t = (task){0};
    if (!row)
        return err_set(e, ERR_INVALID, "task %s is not supported yet", task_name(j->task));
    t->from_picture = row->from_picture;
    t->samples = row->prompts;
    t->done_own = row->done;
    int rc = row->plan ? row->plan(t, j, e) : 0;
    if (!rc && row->prompts)
        rc = plan_sampling(t, j, words, e);
    if (!rc)
        rc = make_results(t, e);
    if (rc)
        task_done(t);
    return rc;
}

void task_done(task *t)
{
    if (t->done_own)
        t->done_own(t->own);
    for (int i = 0; t->result && i < t->results; i++)
        task_picture_done(&t->result[i]);
    free(t->result);
    free(t->scene);
    guidances_done(&t->guidances);
    *t = (task){0};
}

void task_picture_done(task_picture *p)
{
    free(p->bytes);
    free(p->info);
    *p = (task_picture){0};
}

int task_fit(const task *t, const job *j, const model_config *c, err *e)
{
    for (int i = 0; i < t->scenes; i++) {
        const scene_plan *s = &t->scene[i];
        if (s->steps && (s->width % c->factor || s->height % c->factor))
            return err_set(e, ERR_INVALID, "size is %dx%d, expected multiples of %d for this model",
                           s->width, s->height, c->factor);
    }
    if (j->clip_skip > c->text_layers)
        return err_set(e, ERR_INVALID, "clip skip is %d, the model's text encoder has %d layers",
                       j->clip_skip, c->text_layers);
    if (c->in_channels != c->latent_channels && c->in_channels != 2 * c->latent_channels + 1)
        return err_set(e, ERR_INVALID, "the model takes %d channels, expected %d or %d",
                       c->in_channels, c->latent_channels, 2 * c->latent_channels + 1);
    return 0;
}

/* ---------------------------------------------------------------- scenes */

int task_scene(task *t, const job *j, int index, scene_input *out, err *e)
{
    *out = (scene_input){0};
    int rc = row_of(j)->scene ? row_of(j)->scene(t, j, index, out, e) : 0;
    if (rc)
        scene_input_done(out);
    return rc;
}

void scene_input_done(scene_input *s)
{
    image_done(&s->init);
    image_done(&s->mask);
    image_done(&s->latent_mask);
    *s = (scene_input){0};
}

void scene_result_done(scene_result *r)
{
    image_done(&r->picture);
    free(r->change);
    for (int i = 0; r->tile && i < tile_count(&r->grid); i++)
        image_done(&r->tile[i]);
    free(r->tile);
    *r = (scene_result){0};
}

/* ---------------------------------------------------------------- results */

int task_emit(task_outputs *out, int index, image *picture, int scene, int number, err *e)
{
    task_output *grown = realloc(out->at, ((size_t)out->count + 1) * sizeof *grown);
    if (!grown) {
        image_done(picture);
        return err_set(e, ERR_NO_MEMORY, "no memory for a result");
    }
    out->at = grown;
    out->at[out->count++] = (task_output){index, *picture, scene, number};
    *picture = (image){0};
    return 0;
}

int task_take(task *t, const job *j, int scene, int number, scene_result *sampled,
              task_outputs *out, err *e)
{
    const task_row *row = row_of(j);
    *out = (task_outputs){0};
    int rc = row->take ? row->take(t, j, scene, number, sampled, out, e)
                       : task_emit(out, number, &sampled->picture, scene, number, e);
    /* a picture that failed is never taken, so that nothing is finished without it */
    if (!rc && atomic_fetch_sub(&t->untaken, 1) == 1 && row->finish)
        rc = row->finish(t, j, out, e);
    scene_result_done(sampled);
    if (rc)
        task_outputs_done(out);
    return rc;
}

void task_outputs_done(task_outputs *o)
{
    for (int i = 0; i < o->count; i++)
        image_done(&o->at[i].picture);
    free(o->at);
    *o = (task_outputs){0};
}

/* ---------------------------------------------------------------- composing */

int task_infotext(char **out, const task *t, const job *j, int scene, int number, const char *model,
                  const char *hash, err *e)
{
    infotext text = {.prompt = j->prompt, .negative_prompt = j->negative_prompt};
    int rc =
        t->samples ? task_add_settings(&text, t, j, &t->scene[scene], number, model, hash, e) : 0;
    if (!rc && row_of(j)->settings)
        rc = row_of(j)->settings(&text, t, j, scene, e);
    rc = rc ? rc : infotext_add(&text, "Exact", t->by_rows ? "off" : NULL, e);
    rc = rc ? rc : infotext_add(&text, "Version", "overpaint " OVERPAINT_VERSION, e);
    if (!rc)
        rc = infotext_write(&text, out, e);
    text.prompt = text.negative_prompt = NULL; /* the job's */
    infotext_done(&text);
    return rc;
}

int task_compose(task *t, const job *j, const task_output *from, const char *model,
                 const char *hash, err *e)
{
    const image *picture = &from->picture;
    task_picture *to = &t->result[from->index];
    assert(from->index < t->results && !to->bytes);
    to->seed = t->samples ? t->scene[from->scene].seed + from->number : -1;
    to->width = picture->w;
    to->height = picture->h;
    int rc = task_infotext(&to->info, t, j, from->scene, from->number, model, hash, e);
    return rc ? rc
              : image_encode(&to->bytes, &to->size, picture, j->format, j->quality, to->info, e);
}
