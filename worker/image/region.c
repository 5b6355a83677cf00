/* Which part of a picture an only-masked job works on: the mask's bounding box, padded, then grown
 * to the shape of the job. Each axis is an interval, so growing is written once. */
#include "worker/image/mask.h"

#include <string.h>

/* The first and the one past the last sample of a line of n that is not 0; false: all are. */
static bool lit(const uint8_t *line, int n, int *first, int *end)
{
    int a = 0, b = n;
    while (a < n && !line[a])
        a++;
    if (a == n)
        return false;
    while (!line[b - 1])
        b--;
    *first = a < *first ? a : *first;
    *end = b > *end ? b : *end;
    return true;
}

bool mask_bounds(image_box *out, const image *mask)
{
    int left = mask->w, right = 0, top = mask->h, bottom = 0;
    for (int y = 0; y < mask->h; y++)
        if (lit(mask->px + (size_t)y * (size_t)mask->w, mask->w, &left, &right)) {
            top = y < top ? y : top;
            bottom = y + 1;
        }
    if (bottom)
        *out = (image_box){left, top, right - left, bottom - top};
    return bottom > 0;
}

typedef struct {
    int from, to; /* `to` is the first sample behind it */
} interval;

static interval pad(int from, int size, int padding, int limit)
{
    int to = from + size;
    return (interval){from > padding ? from - padding : 0,
                      to < limit - padding ? to + padding : limit};
}

/* Grows by `more` on both sides together, then moves inside 0..limit, and is cut where it cannot.
 */
static interval grow(interval i, int more, int limit)
{
    i.from -= more / 2;
    i.to += more - more / 2;
    int over = i.to >= limit ? i.to - limit : 0;
    i = (interval){i.from - over, i.to - over};
    if (i.from < 0)
        i = (interval){0, i.to - i.from};
    return (interval){i.from, i.to < limit ? i.to : limit};
}

image_box mask_region(image_box bounds, const region_options *o)
{
    interval x = pad(bounds.x, bounds.w, o->padding, o->image_w);
    interval y = pad(bounds.y, bounds.h, o->padding, o->image_h);
    int w = x.to - x.from, h = y.to - y.from;
    double shape = (double)o->w / o->h;
    if ((double)w / h > shape)
        y = grow(y, (int)(w / shape - h), o->image_h);
    else
        x = grow(x, (int)(h * shape - w), o->image_w);
    return (image_box){x.from, y.from, x.to - x.from, y.to - y.from};
}
