/* Masks: grey pictures (one channel) that say how much of each pixel is to be repainted, 0 nothing,
 * 255 all of it. The arithmetic is the web UI's, which is that of Pillow and OpenCV; rules not
 * named here are those of its img2img tab. Every function that returns int gives 0, or
 * ERR_NO_MEMORY and what is said there; `out` is then empty. */
#ifndef WORKER_IMAGE_MASK_H
#define WORKER_IMAGE_MASK_H

#include "worker/image/image.h"

/* A picture as a mask. Where it has alpha that is not opaque everywhere, the alpha is the mask,
 * rounded (> 128: 255, else 0) when `rounded`; otherwise its luma, which is never rounded. A grey
 * picture is taken as it is. */
int mask_from_picture(image *out, const image *in, bool rounded, err *e);

/* White where the picture is transparent, however little (alpha below 255); all black for a picture
 * without alpha. */
int mask_from_transparency(image *out, const image *in, err *e);

/* From a painted copy of a picture (both RGB). mask: the pixels that differ in any channel, times
 * (1 - transparency), softened by Pillow's Gaussian of radius `blur`. picture: the softened sketch
 * laid over the original through that mask. ERR_INVALID when the sizes differ. */
int mask_from_sketch(image *mask, image *picture, const image *sketch, const image *original,
                     double transparency, double blur, err *e);

void mask_invert(image *mask);

/* The mask as a picture that can be looked at: RGB. */
int mask_to_rgb(image *out, const image *mask, err *e);

/* Gaussian blur in place, along x with sigma blur_x, then along y with blur_y (0: not at all): 2
 * trunc(2.5 sigma + 0.5) + 1 taps, mirrored at the edges without repeating the outermost sample;
 * bit-equal to OpenCV 4 and 5 (taps of 8 fractional bits that add up to one, bytes after each
 * direction). */
int mask_blur(image *mask, double blur_x, double blur_y, err *e);

/* The mask at the job's size: JUST is plain Lanczos, CROP and FILL as for pictures, but grey. */
int mask_fit(image *out, const image *mask, resize_mode mode, int w, int h, err *e);

/* Whole picture: how much of the source shows through in the end, min(255, 2 mask): the source
 * comes back where the blurred mask is 0 and is gone from 128 on. (Only masked: the blurred mask
 * itself, at the size of the source.) */
int mask_overlay(image *out, const image *mask, err *e);

/* The mask at latent size, w x h: Pillow's bicubic; rounded (>= 128: 255, else 0) or continuous. */
int mask_latent(image *out, const image *mask, int w, int h, bool rounded, err *e);

/* The smallest box round all pixels that are not black; false: all are. */
bool mask_bounds(image_box *out, const image *mask);

/* Only masked: which part of a picture of image_w x image_h is repainted at w x h. `bounds` grows
 * by `padding` to each side within the picture, then to the shape of w x h, moved back inside where
 * it reaches out, and cut where the picture is too small. */
typedef struct {
    int padding;          /* pixels, >= 0 */
    int image_w, image_h; /* of the picture that `bounds` lies in */
    int w, h;             /* of the job */
} region_options;

image_box mask_region(image_box bounds, const region_options *o);

#endif
