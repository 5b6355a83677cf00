/* txt2img, img2img and inpaint: all pictures of the job are one scene, made of one frame. */
#include <stdlib.h>

#include "worker/task/frame.h"
#include "worker/task/masked.h"

typedef struct {
    frame frame;
    scene_input input; /* until the scene is made */
} own;

static int plan_scene(task *t, const job *j, int width, int height, err *e)
{
    int rc = task_add_scenes(t, 1, e);
    if (rc)
        return rc;
    t->scene[0] = task_job_scene(j, j->denoising_strength, width, height);
    t->results = t->scene[0].pictures;
    return 0;
}

static int plan_txt2img(task *t, const job *j, err *e)
{
    int width, height;
    job_size(j, 0, 0, &width, &height);
    return plan_scene(t, j, width, height, e);
}

/* The frame of a picture, with a mask or without. */
static int plan_frame(task *t, const job *j, const image *picture, const image *mask, err *e)
{
    own *o = t->own = calloc(1, sizeof *o);
    if (!o)
        return err_set(e, ERR_NO_MEMORY, "no memory for the picture");
    frame_source from = {.source = picture,
                         .mask = mask->px ? mask : NULL,
                         .resize = j->resize,
                         .options = j->inpaint};
    job_size(j, picture->w, picture->h, &from.width, &from.height);
    int rc = frame_make(&o->frame, &o->input, &from, e);
    return rc ? rc : plan_scene(t, j, from.width, from.height, e);
}

static int plan_img2img(task *t, const job *j, err *e)
{
    image picture = {0};
    int rc = task_read_flat(&picture, j, e);
    if (!rc)
        rc = plan_frame(t, j, &picture, &(image){0}, e);
    image_done(&picture);
    return rc;
}

static int plan_inpaint(task *t, const job *j, err *e)
{
    image picture = {0}, mask = {0};
    int rc = masked_read(&picture, &mask, t, j, e);
    if (!rc && !mask.px)
        rc = err_set(e, ERR_INVALID,
                     "there is no mask: none came with the picture, and no pixel of it is "
                     "transparent");
    if (!rc)
        rc = plan_frame(t, j, &picture, &mask, e);
    image_done(&picture);
    image_done(&mask);
    if (!rc)
        t->results *= masked_results(j);
    return rc;
}

static int scene_of_frame(task *t, const job *j, int index, scene_input *out, err *e)
{
    own *o = t->own;
    (void)j, (void)index, (void)e;
    *out = o->input; /* there is one scene, and it is made once */
    o->input = (scene_input){0};
    return 0;
}

static int take_img2img(task *t, const job *j, int scene, int number, scene_result *sampled,
                        task_outputs *out, err *e)
{
    const own *o = t->own;
    image picture = {0};
    (void)j;
    int rc = frame_finish(&o->frame, sampled, &picture, NULL, NULL, e);
    return rc ? rc : task_emit(out, number, &picture, scene, number, e);
}

static int take_inpaint(task *t, const job *j, int scene, int number, scene_result *sampled,
                        task_outputs *out, err *e)
{
    const own *o = t->own;
    return masked_emit(out, &o->frame, j, number * masked_results(j), sampled, scene, number, e);
}

static int settings_inpaint(infotext *text, const task *t, const job *j, int scene, err *e)
{
    (void)t, (void)scene;
    return masked_settings(text, &j->inpaint, e);
}

static void done(void *at)
{
    own *o = at;
    if (!o)
        return;
    frame_done(&o->frame);
    scene_input_done(&o->input);
    free(o);
}

const task_row task_txt2img = {.prompts = true, .plan = plan_txt2img};

const task_row task_img2img = {.prompts = true,
                               .from_picture = true,
                               .plan = plan_img2img,
                               .scene = scene_of_frame,
                               .take = take_img2img,
                               .done = done};

const task_row task_inpaint = {.prompts = true,
                               .from_picture = true,
                               .plan = plan_inpaint,
                               .scene = scene_of_frame,
                               .take = take_inpaint,
                               .settings = settings_inpaint,
                               .done = done};
