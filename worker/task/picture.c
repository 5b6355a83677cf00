/* txt2img and img2img: all pictures of the job are one scene. */
#include <stdlib.h>

#include "worker/task/task_row.h"

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

/* Keeps the input, fitted: the scene's init picture. */
static int plan_img2img(task *t, const job *j, err *e)
{
    image flat = {0}, *fitted = calloc(1, sizeof *fitted);
    int width, height;
    t->own = fitted;
    int rc = fitted ? task_read_flat(&flat, j, e) : err_set(e, ERR_NO_MEMORY, "no memory");
    if (!rc) {
        job_size(j, flat.w, flat.h, &width, &height);
        rc = image_fit(fitted, &flat, j->resize, width, height, e);
    }
    image_done(&flat);
    return rc ? rc : plan_scene(t, j, width, height, e);
}

static int scene_img2img(task *t, const job *j, int index, scene_input *out, err *e)
{
    image *fitted = t->own;
    (void)j, (void)index, (void)e;
    out->init = *fitted; /* there is one scene, and it is made once */
    *fitted = (image){0};
    return 0;
}

static void done_img2img(void *own)
{
    if (own)
        image_done(own);
    free(own);
}

const task_row task_txt2img = {.prompts = true, .plan = plan_txt2img};

const task_row task_img2img = {.prompts = true,
                               .from_picture = true,
                               .plan = plan_img2img,
                               .scene = scene_img2img,
                               .done = done_img2img};
