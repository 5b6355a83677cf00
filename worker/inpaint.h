/* inpaint: what an inpainting model, one of 9 input channels, sees behind the latent: the mask,
 * then the picture without what the mask covers, encoded. */
#ifndef WORKER_INPAINT_H
#define WORKER_INPAINT_H

#include "worker/image/image.h"
#include "worker/residents.h"

typedef struct {
    int64_t h, w;         /* latent size */
    const image *picture; /* RGB, h*factor x w*factor: the one that is encoded as the init picture.
                             NULL: mid-grey, which is also what hidden parts become (txt2img) */
    const image *mask;    /* grey, as large, 255 = repaint; NULL: everything */
    bool levels;          /* the mask counts as it is (soft inpainting), not rounded to 0 or 255 */
    double weight;        /* 0: nothing is hidden, 1: all that is masked */
} inpaint_view;

/* Makes `extra` for seq_options: [1,h,w,1+4], kept, the caller's; {0} when it fails. Work of one
 * picture's encoding (model_costs.encode). ERR_NO_MEMORY, ERR_DEVICE, ERR_CANCELLED. */
int inpaint_extra(residents *all, const resident *r, const inpaint_view *v, tensor *extra, err *e);

#endif
