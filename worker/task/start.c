/* The beginning of a task: see start.h. The one idea: what needs no network is enlarged at once, so
 * most jobs have no such scenes. */
#include "worker/task/start.h"

frame_source start_source(const start *s, const job *j)
{
    return (frame_source){.width = s->width,
                          .height = s->height,
                          .source = &s->picture,
                          .mask = s->mask.px ? &s->mask : NULL,
                          .enlarged = s->enlarged.px ? &s->enlarged : NULL,
                          .resize = j->resize,
                          .options = j->inpaint};
}

static int begin(start *s, const job *j, const frame_source *from, err *e)
{
    const char *upscaler = j->img2img_upscaler;
    image part = {0};
    double factor;
    int rc = frame_part(&part, &factor, from, e);
    if (!rc && factor > 1) {
        rc = enlarge_begin(&s->up, upscaler, &part, enlarge_by(part.w, part.h, factor), e);
        if (!rc && enlarge_is_network(upscaler))
            s->scenes = enlarge_scenes(upscaler);
        else if (!rc)
            rc = enlarge_finish(&s->up, &s->enlarged, e);
    }
    image_done(&part);
    return rc;
}

int start_plan(start *s, const job *j, err *e)
{
    const char *upscaler = j->img2img_upscaler;
    job_size(j, s->picture.w, s->picture.h, &s->width, &s->height);
    const frame_source from = start_source(s, j);
    return *upscaler && !enlarge_is_none(upscaler) ? begin(s, j, &from, e) : 0;
}

void start_done(start *s)
{
    image_done(&s->picture);
    image_done(&s->mask);
    image_done(&s->enlarged);
    enlarge_done(&s->up);
}

void start_list(const start *s, task *t, const job *j)
{
    if (s->scenes)
        enlarge_plan(t, 0, j->img2img_upscaler, -1);
}

int start_scene(start *s, scene_input *out, err *e)
{
    return enlarge_scene(&s->up, out, e);
}

int start_take(start *s, int scene, scene_result *enlarged, err *e)
{
    int rc = enlarge_take(&s->up, enlarged, e);
    return rc || scene + 1 < s->scenes ? rc : enlarge_finish(&s->up, &s->enlarged, e);
}
