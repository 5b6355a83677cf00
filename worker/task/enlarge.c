/* Enlarging: see enlarge.h. The one idea: a pass that turns out not to be needed is a scene without
 * input, so the list of scenes is known before any network is. */
#include "worker/task/enlarge.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PASSES = 3 };

bool enlarge_is_none(const char *upscaler)
{
    return !strcasecmp(upscaler, "None");
}

bool enlarge_is_network(const char *upscaler)
{
    return !enlarge_is_none(upscaler) && strcasecmp(upscaler, "Lanczos") &&
           strcasecmp(upscaler, "Nearest");
}

void enlarge_name(const char *upscaler, char name[256])
{
    const char *slash = strrchr(upscaler, '/'), *base = slash ? slash + 1 : upscaler;
    const char *dot = slash ? strrchr(base, '.') : NULL;
    snprintf(name, 256, "%.*s", (int)(dot && dot > base ? dot - base : (long)strlen(base)), base);
}

int enlarge_scenes(const char *upscaler)
{
    return enlarge_is_network(upscaler) ? PASSES : 1;
}

void enlarge_plan(task *t, int first, const char *upscaler, int after)
{
    const int scenes = enlarge_scenes(upscaler);
    for (int i = first; i < first + scenes; i++)
        t->scene[i] = (scene_plan){.upscaler = enlarge_is_network(upscaler) ? upscaler : NULL,
                                   .pictures = 1,
                                   .after = i == first ? after : i - 1};
}

static int side(int from, double factor)
{
    const double to = from * factor;
    return to < 8 ? 8 : to > 1e9 ? 1000000000 : (int)to / 8 * 8;
}

enlarge_goal enlarge_by(int w, int h, double factor)
{
    return (enlarge_goal){factor, side(w, factor), side(h, factor)};
}

enlarge_goal enlarge_to(int w, int h, int width, int height)
{
    const int64_t across = (int64_t)width * h, down = (int64_t)height * w;
    if (across >= down) /* the width decides */
        return (enlarge_goal){(double)width / w, width, (int)((across + w - 1) / w)};
    return (enlarge_goal){(double)height / h, (int)((down + h - 1) / h), height};
}

int enlarge_begin(enlarge *g, const char *upscaler, image *picture, enlarge_goal goal, err *e)
{
    *g = (enlarge){.upscaler = upscaler, .picture = *picture, .goal = goal};
    *picture = (image){0};
    if (goal.width > UPSCALE_SIDE_MAX || goal.height > UPSCALE_SIDE_MAX)
        return err_set(
            e, ERR_TOO_LARGE, "%dx%d enlarged by %g is %dx%d, at most %d pixels a side are allowed",
            g->picture.w, g->picture.h, goal.factor, goal.width, goal.height, UPSCALE_SIDE_MAX);
    return 0;
}

void enlarge_done(enlarge *g)
{
    image_done(&g->picture);
    *g = (enlarge){0};
}

/* A factor of 1 still runs the network once: some only clean the picture. */
static bool large_enough(const enlarge *g)
{
    return g->settled || (g->picture.w >= g->goal.width && g->picture.h >= g->goal.height &&
                          (g->pass > 0 || g->goal.factor != 1.0));
}

int enlarge_scene(enlarge *g, scene_input *out, err *e)
{
    const bool needed = enlarge_is_network(g->upscaler) && !large_enough(g);
    int rc = needed ? image_copy(&out->init, &g->picture, e) : 0;
    g->pass++;
    return rc;
}

int enlarge_take(enlarge *g, scene_result *enlarged, err *e)
{
    image whole = {0};
    if (!enlarged->tile)
        return 0;
    int rc = tiles_combine(&whole, &enlarged->grid, enlarged->tile, enlarged->scale, e);
    if (rc)
        return rc;
    g->settled = whole.w == g->picture.w && whole.h == g->picture.h;
    image_done(&g->picture);
    g->picture = whole;
    return 0;
}

int enlarge_finish(enlarge *g, image *out, err *e)
{
    const bool nearest = !strcasecmp(g->upscaler, "Nearest");
    int rc = 0;
    if (enlarge_is_none(g->upscaler) ||
        (g->picture.w == g->goal.width && g->picture.h == g->goal.height)) {
        *out = g->picture;
        g->picture = (image){0};
    } else {
        rc = image_resample(out, &g->picture, nearest ? FILTER_NEAREST : FILTER_LANCZOS,
                            g->goal.width, g->goal.height, e);
    }
    enlarge_done(g);
    return rc;
}
