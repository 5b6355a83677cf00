/* Outpainting: where the old picture lies, what is repainted, and the noise that mk2 puts there
 * first. Pure functions of sizes; a direction is grown when its pixels are not 0. */
#ifndef WORKER_IMAGE_OUTPAINT_H
#define WORKER_IMAGE_OUTPAINT_H

#include "worker/image/image.h"

typedef enum { SIDE_LEFT, SIDE_RIGHT, SIDE_UP, SIDE_DOWN, SIDE_COUNT } side;

/* What both methods start from. A picture of w x h grows by `pixels` per side (0: not at all); what
 * is missing to a multiple of 64 is added to the sides that grow. The finished picture is result_w
 * x result_h: exactly w or h along an axis that does not grow. */
typedef struct {
    int w, h;               /* of the old picture */
    int pixels[SIDE_COUNT]; /* added, of the finished picture */
    int canvas_w, canvas_h; /* multiples of 64; beyond result_w, result_h is black and not kept */
    int result_w, result_h;
} outpaint_plan;

outpaint_plan outpaint_plan_of(int w, int h, const int asked[SIDE_COUNT]);

/* A mask that is white but for `kept`, which may be empty or reach out of it. ERR_NO_MEMORY. */
int outpaint_mask(image *out, int w, int h, image_box kept, err *e);

/* Poor man's: the part of the canvas that is not repainted, `margin` pixels short of each side that
 * grows: 2 x mask blur for the mask, mask blur / 2 for the latent mask. */
image_box outpaint_kept(const outpaint_plan *p, int margin);

/* Whether a tile of the canvas holds nothing but old pixels (and is not repainted). */
bool outpaint_is_old(const outpaint_plan *p, image_box tile);

/* mk2 grows one side after the other (left, right, up, down), each time from the picture that the
 * last one gave. */
typedef struct {
    int result_w, result_h; /* of this picture */
    int canvas_w, canvas_h; /* that rounded up to multiples of 64 */
    int x, y;               /* where the old picture lies on the canvas */
    image_box part;         /* of the canvas: what the job repaints, at this size */
    image_box kept;         /* of the canvas: what its mask leaves black */
    image_box kept_latent;  /* of the part: what the latent mask leaves black */
} mk2_step;

/* grow: the side; pixels of it; blur: the method's mask blur; job_w, job_h: of the job, an upper
 * limit along the axis that grows (rounded up to a multiple of 8 within the canvas). */
typedef struct {
    side grow;
    int pixels, blur;
    int w, h; /* of the picture so far */
    int job_w, job_h;
} mk2_options;

mk2_step outpaint_mk2_step(const mk2_options *o);

/* mk2's shaped noise, in place: where the mask is not 0, noise with the spectrum of the rest of the
 * picture (magnitudes to the power of `falloff`) and, per channel, its histogram; elsewhere nothing
 * changes. variation: of the noise's colours, 0 grey .. 1. The noise is numpy's default_rng(0), the
 * same for every job. RGB; sizes whose largest prime factor is small are fast. ERR_INVALID when the
 * mask leaves nothing of the picture; ERR_NO_MEMORY. */
int outpaint_fill(image *picture, const image *mask, double falloff, double variation, err *e);

#endif
