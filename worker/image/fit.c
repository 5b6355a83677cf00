/* The web UI's three ways to bring a picture to the size of the job.
 *
 * Crop covers the frame and cuts the excess, fill fits inside it and continues the edges outwards;
 * both keep the shape of the picture, so everything follows from one scaled size and its offset. */
#include "worker/image/image.h"

#include <string.h>

typedef struct {
    int w, h;
} extent;

/* The picture's size when one side is scaled to the frame's and the other follows (rounded down).
 * covers: no side shorter than the frame's; otherwise none longer, and at least one pixel. */
static extent scaled(extent in, int w, int h, bool covers)
{
    int64_t frame = (int64_t)w * in.h, picture = (int64_t)in.w * h; /* w/h against in.w/in.h */
    bool by_width = covers ? frame > picture : frame < picture;
    extent s = by_width ? (extent){w, (int)(frame / in.w)} : (extent){(int)(picture / in.h), h};
    return (extent){s.w > 0 ? s.w : 1, s.h > 0 ? s.h : 1};
}

static uint8_t *pixel(const image *i, int x, int y)
{
    return i->px + ((size_t)y * (size_t)i->w + (size_t)x) * (size_t)i->channels;
}

/* Copies grey or RGB `in` into the RGB picture `out`, its corner at x, y. */
static void paste(image *out, const image *in, int x, int y)
{
    for (int row = 0; row < in->h; row++) {
        uint8_t *to = pixel(out, x, y + row);
        const uint8_t *from = pixel(in, 0, row);
        if (in->channels == 3)
            memcpy(to, from, (size_t)in->w * 3);
        else
            for (int i = 0; i < in->w; i++, to += 3)
                memset(to, from[i], 3);
    }
}

static int crop(image *out, const image *in, extent s, int w, int h, err *e)
{
    image cut = {0};
    image_box middle = {s.w / 2 - w / 2, s.h / 2 - h / 2, w, h};
    int rc = image_resize_part(&cut, in, s.w, s.h, middle, e);
    if (!rc)
        rc = image_new(out, w, h, 3, e);
    if (!rc)
        paste(out, &cut, 0, 0);
    image_done(&cut);
    return rc;
}

/* What a bicubic kernel makes of the outermost sample when it reaches past the edge:
 * 9/8 edge - 1/8 of its inner neighbour, rounded half up. */
static uint8_t beyond(int edge, int inner)
{
    int value = (9 * edge - inner + 4) >> 3;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* One side of the frame in terms of a line of pixels parallel to that side: `edge` is the outermost
 * line of the picture, `inner` the one behind it, `first` .. `first + count - 1` are to be filled.
 */
typedef struct {
    int edge, inner, first, count;
} bar;

static void fill_rows(image *out, bar b)
{
    for (int y = b.first; y < b.first + b.count && y < out->h; y++)
        for (int i = 0; i < out->w * 3; i++)
            pixel(out, 0, y)[i] = beyond(pixel(out, 0, b.edge)[i], pixel(out, 0, b.inner)[i]);
}

static void fill_columns(image *out, bar b)
{
    for (int y = 0; y < out->h; y++)
        for (int x = b.first; x < b.first + b.count && x < out->w; x++)
            for (int c = 0; c < 3; c++)
                pixel(out, x, y)[c] = beyond(pixel(out, b.edge, y)[c], pixel(out, b.inner, y)[c]);
}

static int fill(image *out, const image *in, extent s, int w, int h, err *e)
{
    image fitted = {0};
    int rc = image_resize(&fitted, in, s.w, s.h, e);
    if (!rc)
        rc = image_new(out, w, h, 3, e);
    if (rc)
        goto out;
    int x = w / 2 - s.w / 2, y = h / 2 - s.h / 2;
    paste(out, &fitted, x, y);
    /* Both bars are as thick as the first: an odd rest leaves a black line, as in the web UI. */
    bool rows = s.h < h;
    int start = rows ? y : x, size = rows ? s.h : s.w, end = start + size - 1;
    int step = size > 1; /* a picture one pixel thin is its own neighbour */
    bar before = {start, start + step, 0, start};
    bar after = {end, end - step, end + 1, start};
    void (*fill_bar)(image *, bar) = rows ? fill_rows : fill_columns;
    fill_bar(out, before);
    fill_bar(out, after);
out:
    image_done(&fitted);
    return rc;
}

/* The size that the picture is resized to, before anything is cut or filled. */
static extent inner(extent in, resize_mode mode, int w, int h)
{
    return mode == RESIZE_JUST ? (extent){w, h} : scaled(in, w, h, mode == RESIZE_CROP);
}

double image_fit_factor(int in_w, int in_h, resize_mode mode, int w, int h)
{
    const extent s = inner((extent){in_w, in_h}, mode, w, h);
    const double across = (double)s.w / in_w, down = (double)s.h / in_h;
    return across > down ? across : down;
}

int image_fit(image *out, const image *in, resize_mode mode, int w, int h, err *e)
{
    return image_fit_enlarged(out, in, in->w, in->h, mode, w, h, e);
}

int image_fit_enlarged(image *out, const image *in, int in_w, int in_h, resize_mode mode, int w,
                       int h, err *e)
{
    const extent s = inner((extent){in_w, in_h}, mode, w, h);
    *out = (image){0};
    switch (mode) {
    case RESIZE_JUST: return image_resize(out, in, w, h, e);
    case RESIZE_CROP: return crop(out, in, s, w, h, e);
    case RESIZE_FILL: return fill(out, in, s, w, h, e);
    case RESIZE_COUNT: break;
    }
    return err_set(e, ERR_INVALID, "resize mode is %d, expected 0 to %d", (int)mode,
                   RESIZE_COUNT - 1);
}
