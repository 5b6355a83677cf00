/* Between image_decode and the readers of the three formats; nothing outside worker/image needs it.
 */
#ifndef WORKER_IMAGE_DECODE_H
#define WORKER_IMAGE_DECODE_H

#include "worker/image/image.h"

/* What the samples meant in the file, which is how a colour profile wants to see them. */
typedef enum { SAMPLES_GREY, SAMPLES_RGB, SAMPLES_CMYK } samples;

/* A picture as it lies in its file: not yet upright, not yet sRGB. */
typedef struct {
    image picture; /* RGB or RGBA (grey: R = G = B); CMYK: four channels, 255 = full ink */
    samples samples;
    uint8_t *profile; /* ICC, owned; NULL: none */
    size_t profile_size;
    int orientation; /* EXIF: 1..8 */
} decoded;

/* A longer profile is ignored; the largest in use (CMYK presses) have 2 to 3 MiB. */
enum { PROFILE_MAX = 4 << 20 };

/* The readers. `out` comes zeroed with orientation 1; on failure the caller still calls
 * decoded_done. */
typedef int image_reader(decoded *out, const uint8_t *bytes, size_t size,
                         const image_limits *limits, err *e);

image_reader decode_png, decode_jpeg, decode_webp;

void decoded_done(decoded *d);
int decoded_keep_profile(decoded *d, const uint8_t *profile, size_t size, err *e);

/* Whether a picture that claims w x h may be decoded; ERR_TOO_LARGE or ERR_INVALID. */
int limits_check(const image_limits *limits, int64_t w, int64_t h, err *e);

/* colour.c: turns the samples into sRGB and drops the profile. A broken profile is ignored. */
int colour_to_srgb(decoded *d, err *e);

#endif
