/* What stands under a mask before the sampling, and what is put back around it afterwards: the web
 * UI's "masked content: fill" and its overlay, in Pillow's arithmetic. Pictures are RGB, masks grey
 * (255: repaint) and of the same size. Every function that returns int gives 0 or ERR_NO_MEMORY. */
#ifndef WORKER_IMAGE_COMPOSE_H
#define WORKER_IMAGE_COMPOSE_H

#include "worker/image/image.h"

/* Masked content "fill", in place: the picture without its masked part is softened at radii 256 to
 * 2, each laid over the coarser ones, so colours from far away fill the middle and close ones the
 * border. What no colour reaches is black. Where the mask is 0 nothing changes. */
int image_fill_masked(image *picture, const image *mask, err *e);

/* The picture in the end: `source` with `result` in `region`, scaled to cover it where the sizes
 * differ, and the source laid over that again as far as `overlay` (see mask_overlay) is not white.
 * Where the overlay is 0, and outside the region, every byte is the source's. The cost beyond a
 * copy of the source depends on the region only. Whole picture: the region is all of it. */
int image_paste_back(image *out, const image *source, const image *overlay, const image *result,
                     image_box region, err *e);

/* The web UI's mask composite: what was generated alone, RGBA with the overlay as its alpha, of the
 * overlay's size; transparent outside the region. */
int image_cut_out(image *out, const image *overlay, const image *result, image_box region, err *e);

#endif
