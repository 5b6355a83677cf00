/* An upscaler: a network that makes a picture larger by a fixed factor. */
#ifndef WORKER_MODEL_UPSCALER_H
#define WORKER_MODEL_UPSCALER_H

#include "worker/model/plan.h"
#include "worker/model/upscaler_config.h"

typedef struct {
    char path[1024];
    upscaler_config config;
    conv *layer;   /* upscaler_layers(&config) */
    tensor *slope; /* SRVGG: of each layer */
    arena weights;
} upscaler;

/* Opens (checkpoint_open), checks and packs. On a dry device: everything but the weights
 * themselves; weights.peak is then what they would take. ERR_* of checkpoint_open and
 * upscaler_config_read, ERR_NO_MEMORY. */
upscaler *upscaler_load(dev *d, const char *path, err *e);
void upscaler_free(upscaler **u);

/* x [n,h,w,3] in red, green, blue, 0..1 -> [n,H,W,3], H = h * scale (rounded up to whole blocks
 * where the network takes its input in blocks of pixels: what is beyond h * scale is of mirrored
 * edges). */
tensor upscaler_forward(dev *d, tensor *out, const upscaler *u, tensor x);

/* Bytes [n,h,w,3] -> bytes [n,h*scale,w*scale,3], clamped and rounded. finite[n] (NULL: not asked):
 * whether the network gave neither NaN nor infinity. */
tensor upscaler_enlarge(dev *d, tensor *out, const upscaler *u, tensor pixels, bool *finite);

/* What upscaler_enlarge takes for one picture or tile of this size, by a dry walk: `u` may be
 * loaded on another device of the same options. */
model_cost upscaler_measure(dev *dry, const upscaler *u, int width, int height);

#endif
