/* Pasting back: the source's pixels over the result, except where the mask is white.
 *
 * Most pixels of a large picture are the source's or the result's alone; only the soft edge of the
 * mask mixes, and only inside the region anything is looked at. */
#include "worker/image/blend.h"
#include "worker/image/compose.h"

#include <assert.h>
#include <string.h>

/* The result at the size of the region, which it covers. */
static int to_region(image *out, const image *result, image_box region, err *e)
{
    return image_fit(out, result, RESIZE_CROP, region.w, region.h, e);
}

static bool inside(image_box region, const image *picture)
{
    return region.x >= 0 && region.y >= 0 && region.w > 0 && region.h > 0 &&
           region.w <= picture->w - region.x && region.h <= picture->h - region.y;
}

/* to: the source, which the overlay keeps or gives up; all three hold n pixels. */
static void paste_row(uint8_t *to, const uint8_t *result, const uint8_t *overlay, int n)
{
    for (int i = 0; i < n; i++, to += 3, result += 3) {
        if (!overlay[i])
            continue;
        rgba below = rgba_of(result[0], result[1], result[2], 255);
        rgba kept = rgba_straight(rgba_premultiplied(to, (uint8_t)(255 - overlay[i])));
        uint8_t mixed[4];
        rgba_store(mixed, rgba_over(kept, below));
        memcpy(to, mixed, 3);
    }
}

int image_paste_back(image *out, const image *source, const image *overlay, const image *result,
                     image_box region, err *e)
{
    assert(source->channels == 3 && overlay->channels == 1 && result->channels == 3);
    assert(source->w == overlay->w && source->h == overlay->h && inside(region, source));
    image fitted;
    *out = (image){0};
    int rc = to_region(&fitted, result, region, e);
    if (!rc)
        rc = image_crop(out, source, (image_box){0, 0, source->w, source->h}, e);
    for (int y = 0; !rc && y < region.h; y++) {
        size_t at = (size_t)(region.y + y) * (size_t)source->w + (size_t)region.x;
        paste_row(out->px + at * 3, fitted.px + (size_t)y * (size_t)region.w * 3, overlay->px + at,
                  region.w);
    }
    image_done(&fitted);
    return rc;
}

int image_cut_out(image *out, const image *overlay, const image *result, image_box region, err *e)
{
    assert(overlay->channels == 1 && result->channels == 3 && inside(region, overlay));
    image fitted;
    *out = (image){0};
    int rc = to_region(&fitted, result, region, e);
    if (!rc)
        rc = image_new(out, overlay->w, overlay->h, 4, e);
    for (int y = 0; !rc && y < region.h; y++) {
        size_t at = (size_t)(region.y + y) * (size_t)overlay->w + (size_t)region.x;
        const uint8_t *from = fitted.px + (size_t)y * (size_t)region.w * 3;
        for (int x = 0; x < region.w; x++, from += 3) {
            rgba faded = rgba_premultiplied(from, overlay->px[at + (size_t)x]);
            rgba_store(out->px + (at + (size_t)x) * 4, rgba_straight(faded));
        }
    }
    image_done(&fitted);
    return rc;
}
