/* products: every matrix product of a model on one device, its algorithm chosen once: by the tuning
 * table, by what was chosen before (picked.h), or by the rule of product.h. For one thread. */
#ifndef KERNELS_CUDA_PRODUCTS_H
#define KERNELS_CUDA_PRODUCTS_H

#include "kernels/cuda/picked.h"
#include "kernels/cuda/product.h"

typedef struct products products;

/* All of them outlive the products. */
typedef struct {
    struct cublasLtContext *handle;
    const tuning *table;     /* for this device, or NULL */
    const plan_store *store; /* NULL: nothing on disk */
    bool by_rows;            /* every number of rows has its own choice, which may split sums */
} products_sources;

products *products_new(const products_sources *from, char why[PRODUCT_WHY_BYTES]);
void products_free(products **p);

/* Runs the product of a shape for `rows` rows; false with why. */
bool products_run(products *p, const product_shape *s, int64_t rows, const product_places *at,
                  struct CUstream_st *stream, char why[PRODUCT_WHY_BYTES]);
/* Puts the choices made so far on disk; false when that does not work. */
bool products_keep(products *p);

/* For how many shapes the heuristic was asked. */
int products_picked(const products *p);

#endif
