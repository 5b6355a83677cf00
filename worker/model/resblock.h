/* The residual block of UNet and autoencoder: two normalised convolutions beside a shortcut. */
#ifndef WORKER_MODEL_RESBLOCK_H
#define WORKER_MODEL_RESBLOCK_H

#include "worker/model/layers.h"

typedef struct {
    norm norm1, norm2;
    conv conv1, conv2;
    conv time; /* UNet: time embedding -> channels; w.out 0: none */
    conv skip; /* 1x1 where the width changes; w.out 0: none */
    double eps;
} resblock;

/* How the two networks name its parts; `time` NULL where there is no time embedding. */
typedef struct {
    const char *norm1, *conv1, *time, *norm2, *conv2, *skip;
    double eps;
} resblock_form;

extern const resblock_form resblock_of_unet, resblock_of_vae;

/* The block reads and leaves a stream of 2^stream times what the model means. Only norms read what
 * its convolutions leave, and they do not see a scale when eps has its square. */
void resblock_load(resblock *b, params *p, const resblock_form *form, int stream,
                   const char *prefix);

/* x [n,h,w,i], x2 [n,h,w,i2] (optional; the two count as one tensor), time [n,1,1,e] after its
 * SiLU (UNet) -> [n,h,w,o]. */
tensor resblock_forward(dev *d, tensor *out, const resblock *b, tensor x, tensor x2, tensor time);

#endif
