/* Contents of a buffer: half of the time normal, else tiny, large, constant, one-hot or of very
 * different sizes. F32, F16, BF16 or U8; always finite. */
#ifndef TESTS_KERNCHECK_FILL_H
#define TESTS_KERNCHECK_FILL_H

#include "tests/kerncheck/check.h"

void fill_values(randoms *r, void *data, dtype type, int64_t count);

#endif
