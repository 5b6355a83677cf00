/* trial: one choice for one shape and number of rows, ready to be launched on values that mean
 * nothing: what tuning times. */
#ifndef KERNELS_CUDA_TRIAL_H
#define KERNELS_CUDA_TRIAL_H

#include "kernels/cuda/device.h"
#include "kernels/cuda/wanted.h"

enum { TRIAL_WHY_BYTES = 256 };

typedef struct {
    gpu *g;
    choice choice;
    plan *plan; /* of a convolution or an attention */
    plan_launch *launch;
    product *product;
    product_places at;
} trial;

/* What the operands take on the device. */
size_t trial_bytes(const wanted_shape *s, int64_t rows);

/* `memory` holds so much and stays. False with why: the choice does not serve. trial_close in
 * either case. */
bool trial_open(trial *t, dev *d, const wanted_shape *s, int64_t rows, const choice *c,
                char *memory, char why[TRIAL_WHY_BYTES]);
void trial_close(trial *t);

/* Into the device's stream. */
bool trial_launch(trial *t, char why[TRIAL_WHY_BYTES]);

#endif
