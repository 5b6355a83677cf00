/* convolutions: operands of the tests of cuDNN's stand-in, and the same convolutions by the
 * definition, in double. */
#ifndef TESTS_VENDOR_CONVOLUTIONS_H
#define TESTS_VENDOR_CONVOLUTIONS_H

#include "kernels/cuda/shape.h"
#include "tests/vendor/arrays.h"

typedef struct {
    array x, w, y, bias, residual;
} conv_operands;

conv_operands conv_operands_of(const plan_shape *s, int64_t rows);
void conv_operands_done(conv_operands *o);

/* A convolution or an upsample; malloc'ed. */
double *conv_expected(const plan_shape *s, const conv_operands *o, int64_t rows);
/* Fills an upsample's weights with the taps of a 3x3 convolution (`whole`, at twice the size), and
 * computes what that gives after nearest x2. */
double *conv_nearest_then(const plan_shape *whole, conv_operands *o);

#endif
