/* arrays: operands in device memory for the tests of the stand-ins, and what is expected of a
 * result. There is one stream. */
#ifndef TESTS_VENDOR_ARRAYS_H
#define TESTS_VENDOR_ARRAYS_H

#include <cuda_runtime_api.h>

#include "kernels/tensor.h"

cudaStream_t the_stream(void);

/* The same values on the host and in device memory. */
typedef struct {
    uint16_t *host;
    void *device;
    int64_t n;
} array;

/* n values of a 16-bit type between -1 and 1, the same for the same seed. */
array array_random(dtype type, int64_t n, uint32_t seed);
/* n values of NaN. */
array array_empty(int64_t n);
void array_done(array *a);

/* From the host to the device, and back after all that the stream has to do. */
void array_put(const array *a);
void array_get(const array *a);
/* NaN in both places. */
void array_clear(const array *a);

double array_at(const array *a, dtype type, int64_t i);

/* Fails the test unless the first n values on the host are near what is wanted, by the largest of
 * them. */
void array_assert_near(const array *got, dtype type, const double *want, int64_t n);
/* Fails the test when a stand-in has reported something; with `words`, unless it has said them. */
void assert_reported(const char *words);

#endif
