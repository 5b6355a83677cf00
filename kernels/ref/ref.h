/* What the reference kernels share. */
#ifndef KERNELS_REF_REF_H
#define KERNELS_REF_REF_H

#include "kernels/table.h"

double ref_act(double v, activation act);
double ref_gelu(double v);

/* sum a[i] * b[i]: eight interleaved sums, then these in order, so that compilers can vectorise it
 * and the order is still fixed. */
double ref_dot(const float *a, const float *b, int64_t n);

#endif
