/* The residual block of UNet and autoencoder: two normalised convolutions beside a shortcut. */
#ifndef WORKER_MODEL_RESBLOCK_H
#define WORKER_MODEL_RESBLOCK_H

#include "worker/model/layers.h"

typedef struct {
    norm norm1, norm2;
    conv conv1, conv2;
    conv skip;  /* 1x1 where the width changes; w.out 0: none */
    bool timed; /* UNet: what comes of the timestep is added, from channel time_at on */
    int64_t time_at;
    double eps;
} resblock;

/* How the two networks name its parts; `time` NULL where there is no time embedding. */
typedef struct {
    const char *norm1, *conv1, *time, *norm2, *conv2, *skip;
    double eps;
} resblock_form;

extern const resblock_form resblock_of_unet, resblock_of_vae;

/* The block reads and leaves a stream of 2^stream times what the model means. Only norms read what
 * its convolutions leave, and they do not see a scale when eps has its square. Its layer of the
 * time embedding joins `times` (NULL: it has none). */
void resblock_load(resblock *b, params *p, const resblock_form *form, int stream,
                   const char *prefix, joint *times);

/* x [n,h,w,i], x2 [n,h,w,i2] (optional; the two count as one tensor), time [n,1,1,*] of
 * unet_times (UNet) -> [n,h,w,o]. */
tensor resblock_forward(dev *d, tensor *out, const resblock *b, tensor x, tensor x2, tensor time);

#endif
