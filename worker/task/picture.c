/* txt2img, img2img and inpaint: all pictures of the job are one scene, made of one frame. */
#include <stdlib.h>

#include "worker/task/masked.h"
#include "worker/task/start.h"

typedef struct {
    start start;
    frame frame;
} own;

/* The scene that is sampled is the last one. */
static int plan_scenes(task *t, const job *j, int before, int width, int height, err *e)
{
    int rc = task_add_scenes(t, before + 1, e);
    if (rc)
        return rc;
    t->scene[before] = task_job_scene(j, j->denoising_strength, width, height);
    t->scene[before].after = before - 1;
    t->results = t->scene[before].pictures;
    return 0;
}

static int plan_txt2img(task *t, const job *j, err *e)
{
    int width, height;
    job_size(j, 0, 0, &width, &height);
    return plan_scenes(t, j, 0, width, height, e);
}

static int plan_frame(task *t, const job *j, err *e)
{
    own *o = t->own;
    int rc = start_plan(&o->start, j, e);
    if (!rc)
        rc = plan_scenes(t, j, o->start.scenes, o->start.width, o->start.height, e);
    if (!rc)
        start_list(&o->start, t, j);
    return rc;
}

static int plan_img2img(task *t, const job *j, err *e)
{
    own *o = t->own = calloc(1, sizeof *o);
    int rc = o ? task_read_flat(&o->start.picture, j, e) : err_set(e, ERR_NO_MEMORY, "no memory");
    return rc ? rc : plan_frame(t, j, e);
}

static int plan_inpaint(task *t, const job *j, err *e)
{
    own *o = t->own = calloc(1, sizeof *o);
    int rc = o ? masked_read(&o->start.picture, &o->start.mask, t, j, e)
               : err_set(e, ERR_NO_MEMORY, "no memory");
    if (!rc && !o->start.mask.px)
        rc = err_set(e, ERR_INVALID,
                     "there is no mask: none came with the picture, and no pixel of it is "
                     "transparent");
    if (!rc)
        rc = plan_frame(t, j, e);
    t->results *= masked_results(j);
    return rc;
}

static int make_scene(task *t, const job *j, int index, scene_input *out, err *e)
{
    own *o = t->own;
    if (index < o->start.scenes)
        return start_scene(&o->start, out, e);
    const frame_source from = start_source(&o->start, j);
    int rc = frame_make(&o->frame, out, &from, e);
    start_done(&o->start);
    return rc;
}

static int take(task *t, const job *j, int scene, int number, scene_result *sampled,
                task_outputs *out, err *e)
{
    own *o = t->own;
    if (scene < o->start.scenes)
        return start_take(&o->start, scene, sampled, e);
    const int results = j->task == TASK_INPAINT ? masked_results(j) : 1;
    return masked_emit(out, &o->frame, j, number * results, sampled, scene, number, e);
}

static int settings(infotext *text, const task *t, const job *j, int scene, err *e)
{
    (void)t, (void)scene;
    return j->task == TASK_INPAINT ? masked_settings(text, &j->inpaint, e) : 0;
}

static void done(void *at)
{
    own *o = at;
    if (!o)
        return;
    start_done(&o->start);
    frame_done(&o->frame);
    free(o);
}

const task_row task_txt2img = {.prompts = true, .plan = plan_txt2img};

const task_row task_img2img = {.prompts = true,
                               .from_picture = true,
                               .plan = plan_img2img,
                               .scene = make_scene,
                               .take = take,
                               .settings = settings,
                               .done = done};

const task_row task_inpaint = {.prompts = true,
                               .from_picture = true,
                               .plan = plan_inpaint,
                               .scene = make_scene,
                               .take = take,
                               .settings = settings,
                               .done = done};
