/* half: 16-bit floats to float, exactly (subnormals, infinities and NaN included: every value of
 * either type is a float), and back, to the nearest, halves to even. */
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

static inline uint32_t float_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline uint16_t float_to_bf16(float f)
{
    uint32_t bits = float_to_bits(f);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40); /* NaN stays one */
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* What is too large becomes infinite. */
static inline uint16_t float_to_f16(float f)
{
    const uint32_t bits = float_to_bits(f), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size >= 0x47800000) /* 2^16 and more, infinity, NaN */
        return (uint16_t)(sign | 0x7c00 | (size > 0x7f800000 ? 0x200 : 0));
    if (size < 0x38800000) { /* below 2^-14: subnormal, steps of 2^-24; adding rounds */
        float steps = bits_to_float(size) + 0.5f;
        return (uint16_t)(sign | (float_to_bits(steps) - 0x3f000000));
    }
    /* A carry out of the mantissa goes where it should: the next exponent, or infinity. */
    return (uint16_t)(sign | (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13);
}

static inline void store_float(void *to, dtype type, int64_t i, float v)
{
    if (type == F32) {
        memcpy((char *)to + 4 * i, &v, sizeof v);
        return;
    }
    const uint16_t h = type == F16 ? float_to_f16(v) : float_to_bf16(v);
    memcpy((char *)to + 2 * i, &h, sizeof h);
}

#endif
