/* Masked content "fill": colours flow from around the mask into it.
 *
 * The picture with a hole where the mask is, softened at several radii. The result is known without
 * any arithmetic where the mask is 0 (the picture itself, since the last stage does not soften), so
 * only the mask's bounding box is computed, and of the picture only what reaches into that box. */
#include "worker/image/blend.h"
#include "worker/image/compose.h"
#include "worker/image/mask.h"

#include <assert.h>
#include <string.h>

typedef struct {
    int radius, times; /* the largest radius first; laid over `times` times */
} stage;

static const stage stages[] = {{256, 1}, {64, 1}, {16, 2}, {4, 4}, {2, 2}, {0, 1}};

static uint8_t *pixel(const image *i, int x, int y)
{
    return i->px + ((size_t)y * (size_t)i->w + (size_t)x) * (size_t)i->channels;
}

static image_box grown(image_box b, int by, const image *limit)
{
    int x = b.x > by ? b.x - by : 0, y = b.y > by ? b.y - by : 0;
    int right = b.x + b.w < limit->w - by ? b.x + b.w + by : limit->w;
    int bottom = b.y + b.h < limit->h - by ? b.y + b.h + by : limit->h;
    return (image_box){x, y, right - x, bottom - y};
}

/* The picture inside `box`, premultiplied, and as transparent as the mask is white. */
static int cut_hole(image *out, const image *picture, const image *mask, image_box box, err *e)
{
    int rc = image_new(out, box.w, box.h, 4, e);
    for (int y = 0; !rc && y < box.h; y++) {
        const uint8_t *from = pixel(picture, box.x, box.y + y);
        const uint8_t *white = pixel(mask, box.x, box.y + y);
        uint8_t *to = pixel(out, 0, y);
        for (int x = 0; x < box.w; x++, from += 3, to += 4)
            rgba_store(to, rgba_premultiplied(from, (uint8_t)(255 - white[x])));
    }
    return rc;
}

/* n pixels of the softened hole over the canvas, where the mask is not black. */
static void lay_row(uint8_t *canvas, const uint8_t *hole, const uint8_t *mask, int n, int times)
{
    for (int x = 0; x < n; x++, canvas += 4, hole += 4) {
        rgba above = rgba_load(hole);
        if (!mask[x] || !rgba_alpha(above))
            continue;
        above = rgba_straight(above);
        rgba below = rgba_load(canvas);
        for (int i = 0; i < times; i++)
            below = rgba_over(above, below);
        rgba_store(canvas, below);
    }
}

/* What the stages have in common. Boxes are parts of the picture. */
typedef struct {
    const image *mask;
    image hole, canvas;       /* RGBA, owned */
    image_box hole_at, inner; /* where the hole lies; where the canvas lies, inside the former */
} filling;

static int lay_stage(filling *f, stage s, err *e)
{
    image_box wide = grown(f->inner, image_soften_reach(s.radius), f->mask), part = wide;
    part.x -= f->hole_at.x;
    part.y -= f->hole_at.y;
    image soft;
    int rc = image_crop(&soft, &f->hole, part, e);
    if (!rc)
        rc = image_soften(&soft, s.radius, e);
    for (int y = 0; !rc && y < f->inner.h; y++)
        lay_row(pixel(&f->canvas, 0, y), pixel(&soft, f->inner.x - wide.x, f->inner.y - wide.y + y),
                pixel(f->mask, f->inner.x, f->inner.y + y), f->inner.w, s.times);
    image_done(&soft);
    return rc;
}

static void take_masked(image *picture, const filling *f)
{
    for (int y = 0; y < f->inner.h; y++) {
        uint8_t *to = pixel(picture, f->inner.x, f->inner.y + y);
        const uint8_t *white = pixel(f->mask, f->inner.x, f->inner.y + y);
        const uint8_t *from = pixel(&f->canvas, 0, y);
        for (int x = 0; x < f->inner.w; x++, to += 3, from += 4)
            if (white[x])
                memcpy(to, from, 3);
    }
}

int image_fill_masked(image *picture, const image *mask, err *e)
{
    assert(picture->channels == 3 && mask->channels == 1);
    assert(picture->w == mask->w && picture->h == mask->h);
    filling f = {.mask = mask};
    if (!mask_bounds(&f.inner, mask))
        return 0;
    f.hole_at = grown(f.inner, image_soften_reach(stages[0].radius), mask);
    int rc = cut_hole(&f.hole, picture, mask, f.hole_at, e);
    if (!rc)
        rc = image_new(&f.canvas, f.inner.w, f.inner.h, 4, e);
    for (size_t i = 0; i < sizeof stages / sizeof *stages && !rc; i++)
        rc = lay_stage(&f, stages[i], e);
    if (!rc)
        take_masked(picture, &f);
    image_done(&f.hole);
    image_done(&f.canvas);
    return rc;
}
