/* outpaint, mk2: one side after the other. New ground is first filled with noise that looks like
 * the picture, then repainted; the next side goes on from there.
 *
 * The first side is one scene of all pictures; of each further side every picture has its own. */
#include <stdlib.h>

#include "worker/image/outpaint.h"
#include "worker/task/masked.h"
#include "worker/task/outpaint_sides.h"

typedef struct {
    image from;   /* what the side is added to, until the scene is made */
    image canvas; /* that on the larger canvas, filled */
    frame frame;
} scene_state;

typedef struct {
    mk2_step step[SIDE_COUNT]; /* of the sides that grow, in order */
    int steps;
    int pictures;
    scene_state *scene;
    int scenes;
} own;

static void scene_state_done(scene_state *s)
{
    image_done(&s->from);
    image_done(&s->canvas);
    frame_done(&s->frame);
}

/* Which side a scene adds. */
static int step_of(const own *w, int scene)
{
    return scene == 0 ? 0 : 1 + (scene - 1) / w->pictures;
}

/* The scene that goes on from picture `number` of this one. */
static int next_of(const own *w, int scene, int number)
{
    return scene == 0 ? 1 + number : scene + w->pictures;
}

static void plan_steps(own *w, const job *j, const image *picture)
{
    int asked[SIDE_COUNT];
    outpaint_sides(asked, &j->outpaint);
    const outpaint_plan whole = outpaint_plan_of(picture->w, picture->h, asked);
    mk2_options o = {.blur = j->outpaint.mask_blur, .w = picture->w, .h = picture->h};
    job_size(j, picture->w, picture->h, &o.job_w, &o.job_h);
    for (int s = 0; s < SIDE_COUNT; s++) {
        if (!whole.pixels[s])
            continue;
        o.grow = (side)s;
        o.pixels = whole.pixels[s];
        w->step[w->steps] = outpaint_mk2_step(&o);
        o.w = w->step[w->steps].result_w;
        o.h = w->step[w->steps].result_h;
        w->steps++;
    }
}

static int list_scenes(task *t, const job *j, err *e)
{
    own *w = t->own;
    w->scenes = 1 + (w->steps - 1) * w->pictures;
    w->scene = calloc((size_t)w->scenes, sizeof *w->scene);
    int rc = w->scene ? task_add_scenes(t, w->scenes, e)
                      : err_set(e, ERR_NO_MEMORY, "no memory for %d parts", w->scenes);
    for (int i = 0; i < w->scenes && !rc; i++) {
        const image_box *part = &w->step[step_of(w, i)].part;
        scene_plan *s = &t->scene[i];
        *s = task_job_scene(j, j->denoising_strength, part->w, part->h);
        if (i == 0)
            continue;
        s->pictures = 1;
        s->seed = j->seed + (i - 1) % w->pictures;
        s->after = i <= w->pictures ? 0 : i - w->pictures;
    }
    t->results = w->pictures;
    return rc;
}

static int plan(task *t, const job *j, err *e)
{
    image picture = {0};
    own *w = t->own = calloc(1, sizeof *w);
    int rc = w ? task_read_flat(&picture, j, e) : err_set(e, ERR_NO_MEMORY, "no memory");
    if (rc)
        return rc;
    w->pictures = j->batch_size * j->n_iter;
    plan_steps(w, j, &picture);
    rc = list_scenes(t, j, e);
    if (!rc) {
        w->scene[0].from = picture;
        picture = (image){0};
    }
    image_done(&picture);
    return rc;
}

/* The canvas with the picture so far, new ground filled; its mask. */
static int make_canvas(scene_state *s, image *mask, const mk2_step *step, const job *j, err *e)
{
    int rc = image_new(&s->canvas, step->canvas_w, step->canvas_h, 3, e);
    if (rc)
        return rc;
    image_put(&s->canvas, &s->from, step->x, step->y);
    image_done(&s->from);
    rc = outpaint_mask(mask, step->canvas_w, step->canvas_h, step->kept, e);
    return rc ? rc
              : outpaint_fill(&s->canvas, mask, j->outpaint.falloff, j->outpaint.colour_variation,
                              e);
}

/* How a side is repainted: in the web UI the script says so, not the user. */
static inpaint_options options_of(const job *j)
{
    const outpaint_options *from = &j->outpaint;
    inpaint_options o = j->inpaint;
    o.invert = o.only_masked = false;
    o.blur_x = from->left || from->right ? 4 * from->mask_blur : 0;
    o.blur_y = from->up || from->down ? 4 * from->mask_blur : 0;
    o.content = CONTENT_ORIGINAL;
    return o;
}

static int make_scene(task *t, const job *j, int index, scene_input *out, err *e)
{
    own *w = t->own;
    scene_state *s = &w->scene[index];
    const mk2_step *step = &w->step[step_of(w, index)];
    image part = {0}, mask = {0}, part_mask = {0}, latent_mask = {0};
    int rc = make_canvas(s, &mask, step, j, e);
    if (!rc)
        rc = image_crop(&part, &s->canvas, step->part, e);
    if (!rc)
        rc = image_crop(&part_mask, &mask, step->part, e);
    if (!rc)
        rc = outpaint_mask(&latent_mask, step->part.w, step->part.h, step->kept_latent, e);
    if (!rc)
        rc = frame_make(&s->frame, out,
                        &(frame_source){.width = step->part.w,
                                        .height = step->part.h,
                                        .source = &part,
                                        .mask = &part_mask,
                                        .latent_mask = &latent_mask,
                                        .options = options_of(j)},
                        e);
    image_done(&part);
    image_done(&mask);
    image_done(&part_mask);
    image_done(&latent_mask);
    return rc;
}

/* The repainted part back on its canvas, and that cut to its size. */
static int put_back(const scene_state *s, const mk2_step *step, scene_result *sampled, image *out,
                    err *e)
{
    image part = {0}, canvas = {0};
    int rc = frame_finish(&s->frame, sampled, &part, NULL, NULL, e);
    if (!rc)
        rc = image_copy(&canvas, &s->canvas, e);
    if (!rc) {
        image_put(&canvas, &part, step->part.x, step->part.y);
        rc = image_crop(out, &canvas, (image_box){0, 0, step->result_w, step->result_h}, e);
    }
    image_done(&part);
    image_done(&canvas);
    return rc;
}

static int take(task *t, const job *j, int scene, int number, scene_result *sampled,
                task_outputs *out, err *e)
{
    own *w = t->own;
    const int step = step_of(w, scene);
    image picture = {0};
    (void)j;
    int rc = put_back(&w->scene[scene], &w->step[step], sampled, &picture, e);
    if (scene > 0) /* a scene of its own: nobody comes back to it */
        scene_state_done(&w->scene[scene]);
    if (rc)
        return rc;
    if (step + 1 < w->steps) {
        w->scene[next_of(w, scene, number)].from = picture;
        return 0;
    }
    const int index = scene == 0 ? number : (scene - 1) % w->pictures;
    return task_emit(out, index, &picture, scene, number, e);
}

static int settings(infotext *text, const task *t, const job *j, int scene, err *e)
{
    const inpaint_options o = options_of(j);
    (void)t, (void)scene;
    int rc = masked_settings(text, &o, e);
    return rc ? rc : outpaint_settings(text, &j->outpaint, e);
}

static void done(void *at)
{
    own *w = at;
    if (!w)
        return;
    for (int i = 0; w->scene && i < w->scenes; i++)
        scene_state_done(&w->scene[i]);
    free(w->scene);
    free(w);
}

const task_row task_mk2 = {.prompts = true,
                           .from_picture = true,
                           .plan = plan,
                           .scene = make_scene,
                           .take = take,
                           .settings = settings,
                           .done = done};
