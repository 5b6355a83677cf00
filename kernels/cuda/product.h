/* product: linear layers and 1x1 convolutions by cuBLASLt. One product a row of the batch
 * (strided batch, the weights with stride 0), so that the algorithm and the order of its sums
 * follow from the row's own size and not from the number of rows. */
#ifndef KERNELS_CUDA_PRODUCT_H
#define KERNELS_CUDA_PRODUCT_H

#include "kernels/cuda/choice.h"

enum { PRODUCT_WHY_BYTES = 256 };

struct cublasLtContext;
struct CUstream_st;
typedef struct product product;

/* Descriptors for `rows` rows of a shape; needs no device. NULL with why. */
product *product_new(const product_shape *s, int64_t rows, char why[PRODUCT_WHY_BYTES]);
void product_free(product **p);

/* An algorithm is good for a shape when the library accepts it for every number of rows without
 * workspace and without splitting its sums. For one number of rows alone it may split them, as long
 * as the slices are added in order, and take CHOICE_WORKSPACE. */
bool product_is_good(struct cublasLtContext *handle, const product_shape *s, int64_t alone,
                     const choice *c, char why[PRODUCT_WHY_BYTES]);
/* The good ones in the order of the heuristic for REFERENCE_ROWS, or for the number of rows that
 * they are for alone; `most` of them at most; how many, 0 with why. */
int product_choices(struct cublasLtContext *handle, const product_shape *s, int64_t alone,
                    choice *to, int most, char why[PRODUCT_WHY_BYTES]);
/* The first of them. */
bool product_choose(struct cublasLtContext *handle, const product_shape *s, int64_t alone,
                    choice *c, char why[PRODUCT_WHY_BYTES]);

/* Device memory, 16-byte aligned: x [rows][tokens][in], w [out] rows of `in` values
 * (w_row apart), bias [out], residual and y
 * [rows][tokens][out]; residual may be y. Bias and residual as the shape says, else NULL.
 * Workspace: CHOICE_WORKSPACE bytes for an algorithm that may take them, else NULL. */
typedef struct {
    const void *x, *w, *bias, *residual;
    void *y, *workspace;
} product_places;
bool product_run(struct cublasLtContext *handle, product *p, const choice *c,
                 const product_places *at, struct CUstream_st *stream, char why[PRODUCT_WHY_BYTES]);

#endif
