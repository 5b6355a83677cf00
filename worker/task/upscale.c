/* upscale: the web UI's Extras tab. A picture through one upscaler, or through two that are mixed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "worker/task/enlarge.h"

typedef struct {
    enlarge first, second;
    int scenes_of_first;
    bool two;
} own;

static enlarge_goal goal_of(const upscale_options *o, const image *in)
{
    return o->width && o->height ? enlarge_to(in->w, in->h, o->width, o->height)
                                 : enlarge_by(in->w, in->h, o->scale);
}

static bool is_given(const char *upscaler)
{
    return *upscaler && !enlarge_is_none(upscaler);
}

static int plan(task *t, const job *j, err *e)
{
    const upscale_options *o = &j->upscale;
    image in = {0}, again = {0};
    own *w = t->own = calloc(1, sizeof *w);
    int rc = w ? task_read_flat(&in, j, e) : err_set(e, ERR_NO_MEMORY, "no memory");
    if (rc)
        return rc;
    const enlarge_goal goal = goal_of(o, &in);
    w->two = o->visibility_2 > 0 && is_given(o->upscaler) && is_given(o->upscaler_2);
    w->scenes_of_first = enlarge_scenes(o->upscaler);
    if (w->two)
        rc = image_copy(&again, &in, e);
    if (!rc)
        rc = enlarge_begin(&w->first, o->upscaler, &in, goal, e);
    if (!rc && w->two)
        rc = enlarge_begin(&w->second, o->upscaler_2, &again, goal, e);
    if (!rc)
        rc = task_add_scenes(t, w->scenes_of_first + (w->two ? enlarge_scenes(o->upscaler_2) : 0),
                             e);
    if (!rc) {
        enlarge_plan(t, 0, o->upscaler, -1);
        if (w->two)
            enlarge_plan(t, w->scenes_of_first, o->upscaler_2, -1);
        t->results = 1;
    }
    image_done(&in);
    image_done(&again);
    return rc;
}

static enlarge *enlarge_of(own *w, int scene)
{
    return scene < w->scenes_of_first ? &w->first : &w->second;
}

static int make_scene(task *t, const job *j, int index, scene_input *out, err *e)
{
    (void)j;
    return enlarge_scene(enlarge_of(t->own, index), out, e);
}

static int take(task *t, const job *j, int scene, int number, scene_result *sampled,
                task_outputs *out, err *e)
{
    (void)j, (void)number, (void)out;
    return enlarge_take(enlarge_of(t->own, scene), sampled, e);
}

/* a * (1 - v) + b * v, cut to bytes; of one size. */
static void mix(image *a, const image *b, double v)
{
    const size_t bytes = (size_t)a->w * (size_t)a->h * 3;
    for (size_t i = 0; i < bytes; i++)
        a->px[i] = (uint8_t)(a->px[i] * (1 - v) + b->px[i] * v);
}

/* The middle of the picture, of exactly the size that was asked for. */
static int crop(image *picture, const upscale_options *o, err *e)
{
    image cropped = {0};
    const image_box box = {picture->w / 2 - o->width / 2, picture->h / 2 - o->height / 2, o->width,
                           o->height};
    int rc = image_crop(&cropped, picture, box, e);
    if (rc)
        return rc;
    image_done(picture);
    *picture = cropped;
    return 0;
}

static int finish(task *t, const job *j, task_outputs *out, err *e)
{
    const upscale_options *o = &j->upscale;
    own *w = t->own;
    image picture = {0}, other = {0};
    int rc = enlarge_finish(&w->first, &picture, e);
    if (!rc && w->two)
        rc = enlarge_finish(&w->second, &other, e);
    if (!rc && w->two)
        mix(&picture, &other, o->visibility_2);
    if (!rc && is_given(o->upscaler) && o->width && o->height && o->crop)
        rc = crop(&picture, o, e);
    if (!rc)
        rc = task_emit(out, 0, &picture, 0, 0, e);
    image_done(&picture);
    image_done(&other);
    return rc;
}

/* The keys of the web UI's Extras. */
static int settings(infotext *text, const task *t, const job *j, int scene, err *e)
{
    const upscale_options *o = &j->upscale;
    const own *w = t->own;
    char size[32], name[256], second[256];
    int rc = 0;
    (void)scene;
    snprintf(size, sizeof size, "%dx%d", o->width, o->height);
    enlarge_name(o->upscaler, name);
    enlarge_name(o->upscaler_2, second);
    if (!is_given(o->upscaler))
        return 0;
    if (o->width && o->height)
        rc = infotext_add(text, "Postprocess upscale to", size, e);
    else
        rc = infotext_add_number(text, "Postprocess upscale by", o->scale, e);
    if (!rc && o->width && o->height && o->crop)
        rc = infotext_add(text, "Postprocess crop to", size, e);
    rc = rc ? rc : infotext_add(text, "Postprocess upscaler", name, e);
    if (!rc && w->two)
        rc = infotext_add(text, "Postprocess upscaler 2", second, e);
    return rc || !w->two
               ? rc
               : infotext_add_number(text, "Postprocess upscaler 2 visibility", o->visibility_2, e);
}

static void done(void *at)
{
    own *w = at;
    if (!w)
        return;
    enlarge_done(&w->first);
    enlarge_done(&w->second);
    free(w);
}

const task_row task_upscale = {.plan = plan,
                               .scene = make_scene,
                               .take = take,
                               .finish = finish,
                               .settings = settings,
                               .done = done};
