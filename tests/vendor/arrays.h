/* arrays: operands in device memory for the tests of the stand-ins, and what is expected of a
 * result. */
#ifndef TESTS_VENDOR_ARRAYS_H
#define TESTS_VENDOR_ARRAYS_H

#include "kernels/tensor.h"

/* n values of a 16-bit type between -1 and 1, the same for the same seed; single_give frees. */
uint16_t *array_random(dtype type, int64_t n, uint32_t seed);
/* n values of NaN. */
uint16_t *array_empty(int64_t n);
double array_at(const uint16_t *a, dtype type, int64_t i);

/* Fails the test unless every value is near what is wanted, by the largest of them. */
void array_assert_near(const uint16_t *got, dtype type, const double *want, int64_t n);
/* Fails the test when a stand-in has reported something; with `words`, unless it has said them. */
void assert_reported(const char *words);

#endif
