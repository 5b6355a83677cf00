/* numbers: 16-bit floats of device memory as floats and back, rounded to the nearest, ties to even.
 */
#ifndef TESTS_VENDOR_NUMBERS_H
#define TESTS_VENDOR_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

typedef enum { NUMBER_F16, NUMBER_BF16, NUMBER_F32, NUMBER_I32, NUMBER_TYPES } number_type;

size_t number_bytes(number_type type);

/* n values from element `at` on, `step` elements apart, as floats; not of NUMBER_I32. */
void numbers_read(float *to, number_type type, const void *from, int64_t at, int64_t step,
                  int64_t n);
/* The same way back. */
void numbers_write(void *to, number_type type, int64_t at, int64_t step, int64_t n,
                   const float *from);
/* Each value as it would come back. */
void numbers_round(float *values, number_type type, int64_t n);

#endif
