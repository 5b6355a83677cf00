/* Golden data: safetensors files of tests/golden, made by an independent implementation. */
#ifndef TESTS_SUPPORT_GOLDEN_H
#define TESTS_SUPPORT_GOLDEN_H

#include <jansson.h>

#include "worker/model/checkpoint.h"

/* Opens tests/golden/<file>; fails the test when it cannot. */
checkpoint *golden_open(const char *file);

/* The tensor `format` names, as floats in the file's order (malloc'ed); its shape in dim (padded
 * with ones at the end). Fails the test when it is missing. */
float *golden_floats(const checkpoint *c, int64_t dim[CHECKPOINT_DIMS], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for tensors of doubles (F64) and of whole numbers (I64). */
double *golden_doubles(const checkpoint *c, int64_t dim[CHECKPOINT_DIMS], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int64_t *golden_wholes(const checkpoint *c, int64_t dim[CHECKPOINT_DIMS], const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* tests/golden/<file>, parsed; the caller decrefs. Fails the test when it cannot. */
json_t *golden_json(const char *file);

/* NCHW -> NHWC in place of a new array (malloc'ed). */
float *golden_nhwc(const float *x, int64_t n, int64_t c, int64_t h, int64_t w);

/* sqrt(sum (a-b)^2 / sum b^2) */
double golden_distance(const float *a, const float *b, int64_t count);

#endif
