/* The shapes that models ask libraries for: the real networks walked on a dry device, with the
 * kernels replaced by ones that take notes. */
#ifndef TESTS_CUDA_WALK_H
#define TESTS_CUDA_WALK_H

#include "kernels/cuda/shape.h"

enum { WALK_SHAPES = 4096 };

/* Different ones, in the order in which they first come. */
typedef struct {
    plan_shape plan[WALK_SHAPES];
    product_shape product[WALK_SHAPES];
    int plans, products;
} walk;

typedef struct {
    const char *name; /* "sd15", "sd21", "sdxl", "tiny", "tiny3" */
    int width, height;
} walk_picture;

/* Adds what one UNet row, one VAE encoding, one decoding in F16 and one in BF16, and, where the
 * model's text encoder is ours, a prompt of it need. SD 2.1 and SDXL are the networks of SD 1.5
 * with other numbers; what is left out of them (depth of transformers, the second text encoder)
 * brings no other shapes. Ends the program when that does not work. */
void walk_add(walk *w, walk_picture p);

#endif
