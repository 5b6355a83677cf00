/* half: 16-bit floats of model files to float, exactly: subnormals, infinities and NaN included.
 * Every value of either type is a float, so nothing is rounded. */
#ifndef KERNELS_HALF_H
#define KERNELS_HALF_H

#include <stdint.h>
#include <string.h>

#include "kernels/tensor.h"
#ifdef __F16C__
#include <immintrin.h>
#endif

static inline float bits_to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline float bf16_to_float(uint16_t h)
{
    return bits_to_float((uint32_t)h << 16);
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 mantissa bits. */
static inline float f16_to_float(uint16_t h)
{
#ifdef __F16C__
    return _cvtsh_ss(h);
#else
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    if (exponent == 31)
        return bits_to_float(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0) { /* mantissa * 2^-24 */
        float f = (float)mantissa * 0x1p-24f;
        return sign ? -f : f;
    }
    return bits_to_float(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
#endif
}

/* Element i of an array of F32, F16 or BF16, which need not be aligned. */
static inline float load_float(const void *source, dtype type, int64_t i)
{
    if (type == F32) {
        float f;
        memcpy(&f, (const char *)source + 4 * i, sizeof f);
        return f;
    }
    uint16_t h;
    memcpy(&h, (const char *)source + 2 * i, sizeof h);
    return type == F16 ? f16_to_float(h) : bf16_to_float(h);
}

#endif
