/* values: what benchmarks compute with. Not zeros: products of those take less power, so a GPU that
 * is short of it does them faster. */
#ifndef BENCH_VALUES_H
#define BENCH_VALUES_H

#include "kernels/dev.h"

/* n numbers between -1 and 1 that are neither constant nor alike, always the same; NULL: no memory.
 */
float *values_random(int64_t n);

/* A scratch tensor of them. */
tensor values_tensor(dev *d, dtype type, int64_t n, int64_t h, int64_t w, int64_t c);

#endif
