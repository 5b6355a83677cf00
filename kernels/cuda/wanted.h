/* wanted: the shapes that a walk asks the libraries for, and how much work each is. */
#ifndef KERNELS_CUDA_WANTED_H
#define KERNELS_CUDA_WANTED_H

#include "kernels/cuda/shape.h"

typedef struct {
    bool is_product;
    union {
        product_shape product;
        plan_shape plan;
    };
    char name[SHAPE_NAME_BYTES];
    double flops; /* of all that asked for it */
} wanted_shape;

typedef struct {
    wanted_shape *shape;
    int count, room;
    bool lost; /* one, for want of memory */
} wanted;

/* Zeroed: nothing. Each once, however often it is asked for. */
void wanted_done(wanted *w);
void wanted_plan(wanted *w, const plan_shape *s, int64_t rows);
void wanted_product(wanted *w, const product_shape *s, int64_t rows);
/* The most work first. */
void wanted_sort(wanted *w);

#endif
