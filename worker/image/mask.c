/* Where masks come from and what is made of them, sample by sample. */
#include "worker/image/mask.h"

#include <string.h>

enum { THRESHOLD = 128 };

static size_t pixels(const image *i)
{
    return (size_t)i->w * (size_t)i->h;
}

/* Pillow's luma: ITU-R 601 in 16 fractional bits. */
static uint8_t luma(const uint8_t *p)
{
    return (uint8_t)((p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16);
}

static bool opaque(const image *in)
{
    if (in->channels != 4)
        return true;
    for (size_t i = 0; i < pixels(in); i++)
        if (in->px[i * 4 + 3] != 255)
            return false;
    return true;
}

int mask_from_picture(image *out, const image *in, bool rounded, err *e)
{
    int rc = image_new(out, in->w, in->h, 1, e);
    if (rc)
        return rc;
    bool by_luma = opaque(in);
    size_t channels = (size_t)in->channels;
    for (size_t i = 0; i < pixels(in); i++) {
        const uint8_t *p = in->px + i * channels;
        if (channels == 1)
            out->px[i] = *p;
        else if (by_luma)
            out->px[i] = luma(p);
        else
            out->px[i] = rounded ? (p[3] > THRESHOLD ? 255 : 0) : p[3];
    }
    return 0;
}

int mask_from_transparency(image *out, const image *in, err *e)
{
    int rc = image_new(out, in->w, in->h, 1, e);
    for (size_t i = 0; !rc && in->channels == 4 && i < pixels(in); i++)
        out->px[i] = in->px[i * 4 + 3] < 255 ? 255 : 0;
    return rc;
}

int mask_to_rgb(image *out, const image *mask, err *e)
{
    int rc = image_new(out, mask->w, mask->h, 3, e);
    const size_t pixels = (size_t)mask->w * (size_t)mask->h;
    for (size_t i = 0; i < pixels && !rc; i++)
        memset(out->px + 3 * i, mask->px[i], 3);
    return rc;
}

void mask_invert(image *mask)
{
    for (size_t i = 0; i < pixels(mask); i++)
        mask->px[i] = (uint8_t)(255 - mask->px[i]);
}

static void round_to_full(image *mask)
{
    for (size_t i = 0; i < pixels(mask); i++)
        mask->px[i] = mask->px[i] >= THRESHOLD ? 255 : 0;
}

int mask_fit(image *out, const image *mask, resize_mode mode, int w, int h, err *e)
{
    image fitted;
    *out = (image){0};
    int rc = image_fit(&fitted, mask, mode, w, h, e);
    if (rc)
        return rc;
    if (fitted.channels == 1) {
        *out = fitted;
        return 0;
    }
    rc = image_new(out, w, h, 1, e);
    for (size_t i = 0; !rc && i < pixels(out); i++)
        out->px[i] = fitted.px[i * 3];
    image_done(&fitted);
    return rc;
}

int mask_overlay(image *out, const image *mask, err *e)
{
    int rc = image_new(out, mask->w, mask->h, 1, e);
    for (size_t i = 0; !rc && i < pixels(mask); i++)
        out->px[i] = (uint8_t)(mask->px[i] < 128 ? 2 * mask->px[i] : 255);
    return rc;
}

int mask_latent(image *out, const image *mask, int w, int h, bool rounded, err *e)
{
    int rc = image_resample(out, mask, FILTER_BICUBIC, w, h, e);
    if (!rc && rounded)
        round_to_full(out);
    return rc;
}

/* White where the pictures differ, as strong as the paint is opaque; cut to bytes, in float. */
static void differing(image *mask, const image *sketch, const image *original, double transparency)
{
    float opacity = (float)(1 - transparency);
    uint8_t full = (uint8_t)(opacity * 255);
    for (size_t i = 0; i < pixels(mask); i++)
        mask->px[i] = memcmp(sketch->px + i * 3, original->px + i * 3, 3) ? full : 0;
}

/* below (255 - alpha) + above alpha, divided by 255 and rounded. */
static void lay_over(image *below, const image *above, const image *alpha)
{
    for (size_t i = 0; i < pixels(below) * 3; i++) {
        int a = alpha->px[i / 3];
        below->px[i] = (uint8_t)((below->px[i] * (255 - a) + above->px[i] * a + 127) / 255);
    }
}

int mask_from_sketch(image *mask, image *picture, const image *sketch, const image *original,
                     double transparency, double blur, err *e)
{
    image soft = {0};
    *mask = *picture = (image){0};
    if (sketch->w != original->w || sketch->h != original->h)
        return err_set(e, ERR_INVALID,
                       "the sketch is %d x %d pixels, expected %d x %d as the picture", sketch->w,
                       sketch->h, original->w, original->h);
    image_box all = {0, 0, original->w, original->h};
    int rc = image_new(mask, all.w, all.h, 1, e);
    if (!rc)
        rc = image_crop(picture, original, all, e);
    if (!rc)
        rc = image_crop(&soft, sketch, all, e);
    if (rc)
        goto out;
    differing(mask, sketch, original, transparency);
    rc = image_soften(mask, blur, e);
    if (!rc)
        rc = image_soften(&soft, blur, e);
    if (!rc)
        lay_over(picture, &soft, mask);
out:
    image_done(&soft);
    if (rc) {
        image_done(mask);
        image_done(picture);
    }
    return rc;
}
