/* cublaslt: what the stand-in for cuBLASLt has behind the vendor's opaque types. */
#ifndef TESTS_VENDOR_CUBLASLT_H
#define TESTS_VENDOR_CUBLASLT_H

#include <cublasLt.h>

#include <stdbool.h>
#include <stdint.h>

#include "tests/vendor/sums.h"

/* Columns first, as everywhere in cuBLASLt. */
typedef struct {
    uint32_t type;
    int32_t order;
    uint64_t rows, columns;
    int64_t ld;
    int32_t batch;
    int64_t stride; /* from one matrix of the batch to the next */
} lt_layout;

typedef struct {
    int32_t compute, scale, pointer_mode, turned[3]; /* A, B, C */
    uint32_t epilogue;
    const void *bias;
    int64_t bias_stride;
    int32_t bias_type; /* -1: that of D */
} lt_how;

typedef struct {
    uint64_t workspace;
    uint32_t mode, schemes, alignment[4]; /* A, B, C, D */
} lt_like;

struct cublasLtContext {
    int device;
    uint64_t seed; /* of what heuristics say */
};

/* CUBLAS_STATUS_SUCCESS, or the failure that somebody ordered for this call. */
cublasStatus_t lt_fails(const char *function);

/* D [m x n] = alpha op(A) [m x k] op(B) [k x n] + beta C + bias, for each of a batch. */
typedef struct {
    lt_how how;
    lt_layout a, b, c, d;
    int64_t m, n, k, batch;
    number_type type;
} lt_product;

/* Checks that descriptors fit together. */
cublasStatus_t lt_product_of(lt_product *p, const lt_how *how, const lt_layout *a,
                             const lt_layout *b, const lt_layout *c, const lt_layout *d);

/* An algorithm, and what the product would not know of it. */
typedef struct {
    int32_t id, tile, slices;
    uint32_t scheme;
    bool shares;            /* slices follow the batch, whatever SPLITK_NUM says */
    int64_t workspace_from; /* the batch from which it wants workspace; 0: never */
    int64_t refuses;        /* the batch it does not do; 0: none */
    uint32_t alignment;     /* of every operand */
} lt_algorithm;

enum { LT_WORKSPACE = 1 << 16 };

/* One of them, or NULL: the bytes are not an algorithm for the product's types. */
const lt_algorithm *lt_algorithm_of(const cublasLtMatmulAlgo_t *algo, const lt_product *p);
const lt_algorithm *lt_algorithm_known(const cublasLtMatmulAlgo_t *algo);
/* How it adds, before sums are shared out. */
sum_order lt_algorithm_order(const cublasLtMatmulAlgo_t *algo);
/* An algorithm is a place where another could have been taken: one that adds otherwise. */
void lt_algorithm_told(cublasLtMatmulAlgo_t *algo, const lt_product *p);
uint64_t lt_workspace(const lt_algorithm *a, const lt_product *p);

#endif
