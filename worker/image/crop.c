/* Cutting a rectangle out of a picture and putting one into it, cut at the picture's edges: both
 * are the same copy of rows, seen from the two ends. Beyond the edges: black, or the edge again. */
#include "worker/image/image.h"

#include <assert.h>
#include <string.h>

static uint8_t *pixel(const image *i, int x, int y)
{
    return i->px + ((size_t)y * (size_t)i->w + (size_t)x) * (size_t)i->channels;
}

void image_put(image *picture, const image *part, int x, int y)
{
    assert(picture->channels == part->channels);
    int left = x < 0 ? -x : 0, top = y < 0 ? -y : 0;
    int right = part->w < picture->w - x ? part->w : picture->w - x;
    int bottom = part->h < picture->h - y ? part->h : picture->h - y;
    for (int row = top; row < bottom && left < right; row++)
        memcpy(pixel(picture, x + left, y + row), pixel(part, left, row),
               (size_t)(right - left) * (size_t)part->channels);
}

int image_crop(image *out, const image *in, image_box box, err *e)
{
    int rc = image_new(out, box.w, box.h, in->channels, e);
    if (!rc)
        image_put(out, in, -box.x, -box.y);
    return rc;
}

void image_repeat_edge(image *picture, int w, int h)
{
    assert(0 < w && w <= picture->w && 0 < h && h <= picture->h);
    const size_t channels = (size_t)picture->channels;
    for (int y = 0; y < h; y++)
        for (int x = w; x < picture->w; x++)
            memcpy(pixel(picture, x, y), pixel(picture, w - 1, y), channels);
    for (int y = h; y < picture->h; y++)
        memcpy(pixel(picture, 0, y), pixel(picture, 0, h - 1), (size_t)picture->w * channels);
}
