/* numbers: see numbers.h. Without branches where it counts, so that compilers make vectors of it.
 */
#include "tests/vendor/numbers.h"

#include <assert.h>
#include <string.h>

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Exponents are 112 apart; a multiplication also makes subnormals normal. */
static float from_f16(uint16_t h)
{
    float f = float_of((h & 0x7fffu) << 13) * 0x1p112f;
    uint32_t special = (h & 0x7c00) == 0x7c00 ? 0x7f800000 : 0;
    return float_of(bits_of(f) | special | (h & 0x8000u) << 16);
}

static uint16_t to_f16(float f)
{
    uint32_t bits = bits_of(f) & 0x7fffffff, sign = bits_of(f) >> 16 & 0x8000;
    if (bits > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (bits >= 0x477ff000) /* half-way from the largest number to the next power of two */
        return (uint16_t)(sign | 0x7c00);
    if (bits < 0x38800000) /* subnormal: 0.5 has the unit that all of them have */
        return (uint16_t)(sign | (bits_of(float_of(bits) + 0.5f) - bits_of(0.5f)));
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | ((bits >> 13) - (112 << 10)));
}

static float from_bf16(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

static uint16_t to_bf16(float f)
{
    uint32_t bits = bits_of(f);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

size_t number_bytes(number_type type)
{
    return type == NUMBER_F16 || type == NUMBER_BF16 ? 2 : 4;
}

void numbers_read(float *to, number_type type, const void *from, int64_t at, int64_t step,
                  int64_t n)
{
    const uint16_t *half = (const uint16_t *)from + at;
    const float *single = (const float *)from + at;
    switch (type) {
    case NUMBER_F16:
        for (int64_t i = 0; i < n; i++)
            to[i] = from_f16(half[i * step]);
        return;
    case NUMBER_BF16:
        for (int64_t i = 0; i < n; i++)
            to[i] = from_bf16(half[i * step]);
        return;
    case NUMBER_F32:
        for (int64_t i = 0; i < n; i++)
            to[i] = single[i * step];
        return;
    default: assert(!"a number that is read as a float");
    }
}

void numbers_write(void *to, number_type type, int64_t at, int64_t step, int64_t n,
                   const float *from)
{
    uint16_t *half = (uint16_t *)to + at;
    float *single = (float *)to + at;
    assert(type != NUMBER_I32);
    for (int64_t i = 0; i < n; i++)
        if (type == NUMBER_F32)
            single[i * step] = from[i];
        else
            half[i * step] = type == NUMBER_F16 ? to_f16(from[i]) : to_bf16(from[i]);
}

void numbers_round(float *values, number_type type, int64_t n)
{
    if (type == NUMBER_F32)
        return;
    for (int64_t i = 0; i < n; i++)
        values[i] =
            type == NUMBER_F16 ? from_f16(to_f16(values[i])) : from_bf16(to_bf16(values[i]));
}
