/* Colours as the file means them -> sRGB.
 *
 * A profile is applied only where it changes something: most profiles in the wild are sRGB itself
 * under some name, and converting those would only move samples by a rounding step. So the
 * transform is tried on a grid of colours first, and the pixels stay untouched when it is (nearly)
 * the identity there. Whatever is wrong with a profile, the picture is worth more than it. */
#include "worker/image/decode.h"

#include <lcms2.h>
#include <stdlib.h>
#include <string.h>

enum {
    GRID = 17,          /* colours an axis of the trial */
    IDENTITY_LEVELS = 1 /* a transform that moves no sample further is the identity */
};

static cmsUInt32Number format_of(int space, int channels, int extra)
{
    return (cmsUInt32Number)(COLORSPACE_SH(space) | CHANNELS_SH(channels) | EXTRA_SH(extra) |
                             BYTES_SH(1));
}

/* How lcms is to read the samples when the profile is for `space`; 0: it does not fit them. */
static cmsUInt32Number input_format(const decoded *d, cmsColorSpaceSignature space)
{
    int channels = d->picture.channels;
    if (space == cmsSigCmykData && d->samples == SAMPLES_CMYK)
        return TYPE_CMYK_8;
    if (space == cmsSigRgbData && d->samples != SAMPLES_CMYK)
        return format_of(PT_RGB, 3, channels - 3);
    if (space == cmsSigGrayData && d->samples == SAMPLES_GREY)
        return format_of(PT_GRAY, 1, channels - 1);
    return 0;
}

static cmsHTRANSFORM transform_new(cmsContext lcms, const decoded *d)
{
    cmsHPROFILE from = cmsOpenProfileFromMemTHR(lcms, d->profile, (cmsUInt32Number)d->profile_size);
    cmsHPROFILE to = cmsCreate_sRGBProfileTHR(lcms);
    cmsHTRANSFORM transform = NULL;
    cmsUInt32Number input = from ? input_format(d, cmsGetColorSpace(from)) : 0;
    int alpha = d->samples != SAMPLES_CMYK && d->picture.channels == 4;
    if (input && to)
        transform = cmsCreateTransformTHR(lcms, from, input, to, format_of(PT_RGB, 3, alpha),
                                          INTENT_PERCEPTUAL, 0);
    if (from)
        cmsCloseProfile(from);
    if (to)
        cmsCloseProfile(to);
    return transform;
}

/* The trial: GRID^3 colours (for grey pictures the greys among them). */
static bool is_identity(cmsHTRANSFORM transform, const decoded *d)
{
    int channels = d->picture.channels;
    if (d->samples == SAMPLES_CMYK)
        return false;
    for (int r = 0; r < GRID; r++) {
        uint8_t before[GRID * GRID * 4], after[GRID * GRID * 4];
        int count = 0;
        for (int g = 0; g < GRID; g++)
            for (int b = 0; b < GRID; b++) {
                if (d->samples == SAMPLES_GREY && (g != r || b != r))
                    continue;
                uint8_t *p = before + count++ * channels;
                p[0] = (uint8_t)(r * 255 / (GRID - 1));
                p[1] = (uint8_t)(g * 255 / (GRID - 1));
                p[2] = (uint8_t)(b * 255 / (GRID - 1));
                p[channels - 1] = channels == 4 ? 255 : p[2];
            }
        memcpy(after, before, sizeof after);
        cmsDoTransform(transform, before, after, (cmsUInt32Number)count);
        for (int i = 0; i < count * channels; i++)
            if (abs(after[i] - before[i]) > IDENTITY_LEVELS)
                return false;
    }
    return true;
}

/* Inks without a profile: each one takes its share of what the black leaves (as Pillow does). */
static void inks_to_rgb(uint8_t *rgb, const uint8_t *cmyk, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++, rgb += 3, cmyk += 4) {
        int left = 255 - cmyk[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(left - (cmyk[c] * left + 127) / 255);
    }
}

/* Row by row; `to` may be the picture itself, whose alpha lcms then leaves where it is. */
static void apply(cmsHTRANSFORM transform, image *to, const image *from)
{
    for (int y = 0; y < from->h; y++)
        cmsDoTransform(transform, from->px + (size_t)y * (size_t)from->w * (size_t)from->channels,
                       to->px + (size_t)y * (size_t)to->w * (size_t)to->channels,
                       (cmsUInt32Number)from->w);
}

int colour_to_srgb(decoded *d, err *e)
{
    int rc = 0;
    cmsContext lcms = NULL;
    cmsHTRANSFORM transform = NULL;
    image rgb = {0};
    if (d->profile) {
        lcms = cmsCreateContext(NULL, NULL);
        if (!lcms) {
            rc = err_set(e, ERR_NO_MEMORY, "no memory to apply a colour profile");
            goto out;
        }
        transform = transform_new(lcms, d);
    }
    if (d->samples == SAMPLES_CMYK) {
        rc = image_new(&rgb, d->picture.w, d->picture.h, 3, e);
        if (rc)
            goto out;
        if (transform)
            apply(transform, &rgb, &d->picture);
        else
            inks_to_rgb(rgb.px, d->picture.px, (size_t)rgb.w * (size_t)rgb.h);
        image_done(&d->picture);
        d->picture = rgb;
        d->samples = SAMPLES_RGB;
    } else if (transform && !is_identity(transform, d)) {
        apply(transform, &d->picture, &d->picture);
    }
out:
    if (transform)
        cmsDeleteTransform(transform);
    if (lcms)
        cmsDeleteContext(lcms);
    free(d->profile);
    d->profile = NULL;
    return rc;
}
