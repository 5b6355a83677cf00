/* frame: one picture on its way into the sampler and back, as the web UI's img2img processes it:
 * fitted or cropped to the job's size, filled under its mask; afterwards colour corrected and
 * pasted back. Every task that starts from a picture makes its scenes of frames. */
#ifndef WORKER_TASK_FRAME_H
#define WORKER_TASK_FRAME_H

#include "worker/task/task.h"

/* What a frame is made of; the pictures stay the caller's. */
typedef struct {
    int width, height;   /* of what is sampled */
    const image *source; /* RGB */
    const image *mask; /* grey, 255 = repaint; of the source's size, but for a whole picture, whose
                          mask is fitted by itself. NULL: everything */
    const image *latent_mask; /* what the sampler repaints where that is not `mask` (outpainting);
                                 whole picture only. NULL: the mask */
    const image *enlarged;    /* the part of the source that is sampled (frame_part), enlarged by an
                                 upscaler; NULL: it is resized as it is */
    const image *colours;     /* RGB: what colour correction aims at; NULL: the frame's own input */
    resize_mode resize;       /* of source and mask, whole picture */
    inpaint_options options;
} frame_source;

typedef struct {
    image original;   /* what is pasted back: RGB; none without a mask */
    image overlay;    /* how much of it is gone, see mask_overlay; none without a mask */
    image_box region; /* where the sampled picture lies in `original` */
    image colours;    /* RGB; none: colours stay */
    soft_inpainting soft;
    image mask;        /* soft inpainting: as it was sampled; else none */
    int width, height; /* of what is sampled */
} frame;

/* The part of the source that will be resized to what is sampled, and how many times larger it then
 * is. ERR_INVALID and ERR_NO_MEMORY as for frame_make. */
int frame_part(image *part, double *factor, const frame_source *from, err *e);

/* Makes the frame and the scene's input. ERR_INVALID for a mask in which nothing is to be
 * repainted, ERR_NO_MEMORY. */
int frame_make(frame *f, scene_input *input, const frame_source *from, err *e);
void frame_done(frame *f);

/* The finished picture of a sampled one, which is given up: of `original`'s size where there is a
 * mask. `mask` and `composite` (or NULL): how much of each pixel was repainted, RGB, and the
 * sampled picture with that as its alpha, RGBA. */
int frame_finish(const frame *f, scene_result *sampled, image *out, image *mask, image *composite,
                 err *e);

#endif
