/* Pictures in memory: 8-bit samples, rows from top to bottom, no padding. Everything here runs on
 * the CPU, uint8 in and uint8 out, and is bit-exact on every machine. */
#ifndef WORKER_IMAGE_IMAGE_H
#define WORKER_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"
#include "proto/job.h"

typedef struct {
    uint8_t *px; /* [h][w][channels], owned */
    int w, h;
    int channels; /* 1 grey, 3 RGB, 4 RGBA (straight alpha) */
} image;

int image_new(image *out, int w, int h, int channels, err *e); /* zeroed */
int image_copy(image *out, const image *in, err *e);
void image_done(image *i);

/* Limits are checked on the header, before anything of the stated size is allocated. */
typedef struct {
    size_t bytes;   /* of the file */
    int side;       /* pixels a side */
    int64_t pixels; /* width x height */
    double ratio;   /* of the longer side to the shorter */
} image_limits;

extern const image_limits image_default_limits; /* 64 MiB, 16384, 64 megapixels, 64:1 */

/* decode.c: PNG, JPEG or WebP by its first bytes -> RGB or RGBA, sRGB, upright.
 * EXIF orientation is applied, an embedded ICC profile is converted to sRGB, palettes (with
 * transparency), grey, 16-bit (value/257 rounded as Pillow's conversion gives) and bilevel expand.
 * An animated file gives its first frame. Grey with no alpha becomes RGB. */
int image_decode(image *out, const uint8_t *bytes, size_t size, const image_limits *limits, err *e);

/* RGB over a background colour; an RGB picture is returned as it is (copied). Pillow's rounding. */
int image_flatten(image *out, const image *in, const uint8_t background[3], err *e);

/* encode.c: `parameters` (UTF-8, may be NULL) goes into tEXt/iTXt of a PNG, into EXIF UserComment
 * of JPEG and WebP. quality as in job.h. *bytes is malloc'ed. Same input, same bytes.
 * ERR_TOO_LARGE when the format cannot hold it: sides (JPEG 65500, WebP 16383 pixels), or a text of
 * more than about 32,000 characters in a JPEG; nothing is cut, the caller takes PNG instead.
 * ERR_INVALID for alpha in a JPEG, and for text that is not UTF-8. */
int image_encode(uint8_t **bytes, size_t *size, const image *in, picture_format format, int quality,
                 const char *parameters, err *e);

/* resize.c: Pillow's LANCZOS, bit-equal to version 13 (two 8-bit passes, 22-bit coefficients). Grey
 * or RGB; a picture with alpha is flattened first. */
int image_resize(image *out, const image *in, int w, int h, err *e);

/* The same with another kernel, also bit-equal to Pillow 13: BICUBIC (a = -1/2, widened when it
 * shrinks; grey or RGB) and NEAREST (the sample under the centre; any channels). */
typedef enum { FILTER_NEAREST, FILTER_BICUBIC, FILTER_LANCZOS } image_filter;

int image_resample(image *out, const image *in, image_filter filter, int w, int h, err *e);

/* The part of the picture resized to w x h that lies in `part`; the rest is never computed, so the
 * cost is bounded by `in` and `part` however large w and h are. */
typedef struct {
    int x, y, w, h;
} image_box;

int image_resize_part(image *out, const image *in, int w, int h, image_box part, err *e);

/* crop.c: the pixels inside `box`, which may reach beyond the picture: what lies outside is black
 * (and transparent). */
int image_crop(image *out, const image *in, image_box box, err *e);

/* Fills what lies right of column w - 1 with that column, then what lies below row h - 1 with that
 * row. */
void image_repeat_edge(image *picture, int w, int h);

/* Writes `part` into the picture, its upper left corner at x, y; what lies outside is cut. Both
 * have as many channels. */
void image_put(image *picture, const image *part, int x, int y);

/* soften.c: Pillow's GaussianBlur in place, bit-equal to version 13: three box blurs along each
 * axis, bytes after each, the outermost sample repeated beyond the edge. Any channels; the cost
 * does not depend on `radius` (>= 0; 0 changes nothing). */
int image_soften(image *picture, double radius, err *e);

/* How far image_soften reaches: farther samples do not count. */
int image_soften_reach(double radius);

/* fit.c: the web UI's resize modes; modes crop and fill give RGB. Grey or RGB as for image_resize.
 */
int image_fit(image *out, const image *in, resize_mode mode, int w, int h, err *e);

/* How much larger a picture of in_w x in_h becomes by that, along the axis where it does most. */
double image_fit_factor(int in_w, int in_h, resize_mode mode, int w, int h);

/* The same for a picture of in_w x in_h of which an upscaler made `in`. */
int image_fit_enlarged(image *out, const image *in, int in_w, int in_h, resize_mode mode, int w,
                       int h, err *e);

#endif
