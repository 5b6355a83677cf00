/* Soft inpainting's last word: what of the source is pasted back is decided by how much the sampled
 * picture differs from it, so the border lies where nothing changed. The web UI's rule. */
#ifndef WORKER_IMAGE_SOFT_H
#define WORKER_IMAGE_SOFT_H

#include "worker/image/image.h"

/* The overlay at the size of the sampled picture, w x h, grey: 255 where the source is gone (as
 * mask_overlay has it). change[y * mask->w + x] is how far the latent cell went (finite, see
 * seq_distance); mask: the continuous mask at latent size, 255 = repaint. ERR_NO_MEMORY, `out` is
 * then empty. */
int soft_overlay(image *out, const float *change, const image *mask, int w, int h,
                 const soft_inpainting *o, err *e);

#endif
