/* Where things lie when a picture grows. Both axes follow the same rules, so each rule is written
 * for an interval and used twice. */
#include "worker/image/outpaint.h"

#include <string.h>

enum { MULTIPLE = 64, LATENT = 8 };

static int rounded_up(int n, int multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* One axis: `before` and `after` get their share of what is missing; returns the canvas. */
static int grow_axis(int size, int *before, int *after)
{
    int canvas = rounded_up(size + *before + *after, MULTIPLE);
    if (*before > 0)
        *before = *before * (canvas - size) / (*before + *after);
    if (*after > 0)
        *after = canvas - size - *before;
    return canvas;
}

outpaint_plan outpaint_plan_of(int w, int h, const int asked[SIDE_COUNT])
{
    outpaint_plan p = {.w = w, .h = h};
    memcpy(p.pixels, asked, sizeof p.pixels);
    p.canvas_w = grow_axis(w, &p.pixels[SIDE_LEFT], &p.pixels[SIDE_RIGHT]);
    p.canvas_h = grow_axis(h, &p.pixels[SIDE_UP], &p.pixels[SIDE_DOWN]);
    p.result_w = w + p.pixels[SIDE_LEFT] + p.pixels[SIDE_RIGHT];
    p.result_h = h + p.pixels[SIDE_UP] + p.pixels[SIDE_DOWN];
    return p;
}

int outpaint_mask(image *out, int w, int h, image_box kept, err *e)
{
    int rc = image_new(out, w, h, 1, e);
    if (rc)
        return rc;
    memset(out->px, 255, (size_t)w * (size_t)h);
    int left = kept.x > 0 ? kept.x : 0, top = kept.y > 0 ? kept.y : 0;
    int right = kept.x + kept.w < w ? kept.x + kept.w : w;
    int bottom = kept.y + kept.h < h ? kept.y + kept.h : h;
    for (int y = top; y < bottom && left < right; y++)
        memset(out->px + (size_t)y * (size_t)w + left, 0, (size_t)(right - left));
    return 0;
}

typedef struct {
    int from, to; /* `to` is the first that is no longer in it */
} interval;

static image_box box_of(interval x, interval y)
{
    return (image_box){x.from, y.from, x.to > x.from ? x.to - x.from : 0,
                       y.to > y.from ? y.to - y.from : 0};
}

/* Of an axis of `size`: what lies `before` and `after` its ends, and a margin more where those are
 * not 0. The far end is one more than the numbers say, as rectangles are drawn by their last pixel.
 */
static interval kept_along(int size, int before, int after, int margin)
{
    int from = before + (before > 0 ? margin : 0), to = size - after - (after > 0 ? margin : 0) + 1;
    return (interval){from, to < size ? to : size};
}

image_box outpaint_kept(const outpaint_plan *p, int margin)
{
    const int *more = p->pixels;
    return box_of(kept_along(p->canvas_w, more[SIDE_LEFT], more[SIDE_RIGHT], margin),
                  kept_along(p->canvas_h, more[SIDE_UP], more[SIDE_DOWN], margin));
}

bool outpaint_is_old(const outpaint_plan *p, image_box tile)
{
    return tile.x >= p->pixels[SIDE_LEFT] && tile.y >= p->pixels[SIDE_UP] &&
           tile.x + tile.w <= p->canvas_w - p->pixels[SIDE_RIGHT] &&
           tile.y + tile.h <= p->canvas_h - p->pixels[SIDE_DOWN];
}

/* One axis of a step. */
typedef struct {
    int result, canvas, old; /* sizes; where the old picture begins */
    interval part, kept, kept_latent;
} mk2_axis;

/* What stays of `size` when it grows by `pixels` before or after; where nothing grows, `result`. */
static interval kept_of(int size, int result, int pixels, bool before, int margin)
{
    if (!pixels)
        return (interval){0, result + 1 < size ? result + 1 : size};
    if (before)
        return (interval){pixels + margin, result + 1 < size ? result + 1 : size};
    return (interval){0, size - pixels - margin + 1};
}

/* pixels 0: this axis does not grow. */
static mk2_axis axis_of(int size, int pixels, bool before, int blur, int limit)
{
    mk2_axis a = {.result = size + pixels, .old = before ? pixels : 0};
    a.canvas = rounded_up(a.result, MULTIPLE);
    int part = pixels ? rounded_up(limit < a.result ? limit : a.result, LATENT) : a.canvas;
    part = part < a.canvas ? part : a.canvas;
    a.part = before || !pixels ? (interval){0, part} : (interval){a.canvas - part, a.canvas};
    a.kept = kept_of(a.canvas, a.result, pixels, before, blur);
    a.kept_latent = kept_of(part, a.result, pixels, before, 2 * blur);
    return a;
}

mk2_step outpaint_mk2_step(const mk2_options *o)
{
    bool level = o->grow == SIDE_LEFT || o->grow == SIDE_RIGHT;
    bool before = o->grow == SIDE_LEFT || o->grow == SIDE_UP;
    mk2_axis x = axis_of(o->w, level ? o->pixels : 0, level && before, o->blur, o->job_w);
    mk2_axis y = axis_of(o->h, level ? 0 : o->pixels, !level && before, o->blur, o->job_h);
    return (mk2_step){.result_w = x.result,
                      .result_h = y.result,
                      .canvas_w = x.canvas,
                      .canvas_h = y.canvas,
                      .x = x.old,
                      .y = y.old,
                      .part = box_of(x.part, y.part),
                      .kept = box_of(x.kept, y.kept),
                      .kept_latent = box_of(x.kept_latent, y.kept_latent)};
}
