/* 16-bit floats, ldmatrix and mma.m16n8k16, lane by lane as the PTX ISA draws the fragments. */
#include "tests/cuemu/device.h"

/* To the nearest, halves to even: the tie-breaking is in the added constant. */
uint16_t cuemu_round_bf16(float v)
{
    const uint32_t bits = float_bits(v);
    if (std::isnan(v))
        return 0x7fff;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t cuemu_round_f16(float v)
{
    const uint32_t bits = float_bits(v), sign = bits >> 16 & 0x8000;
    const float size = std::fabs(v);
    if (std::isnan(v))
        return 0x7fff;
    if (size >= 65520) /* half-way between the largest and what would be next */
        return (uint16_t)(sign | 0x7c00);
    if (size < 0x1p-14f) /* subnormal: a multiple of 2^-24 */
        return (uint16_t)(sign | (uint32_t)std::nearbyint(size * 0x1p24f));
    const uint32_t mantissa = (bits & 0x7fffffff) - (112u << 23);
    return (uint16_t)(sign | (mantissa + 0xfff + (mantissa >> 13 & 1)) >> 13);
}

namespace cuemu {
float widen_f16(uint16_t h)
{
    const uint32_t exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    float size = bits_float(h & 0x7fff ? (exponent + 112) << 23 | mantissa << 13 : 0);
    if (exponent == 0)
        size = (float)mantissa * 0x1p-24f;
    if (exponent == 31)
        size = mantissa ? NAN : INFINITY;
    return h & 0x8000 ? -size : size;
}

struct matrix_load {
    uint32_t r[4];
    const unsigned char *row;
    bool transposed;
};

/* Row i of matrix m lies where lane 8 m + i points. */
static uint32_t value_at(void *const *lane, int m, int row, int column)
{
    uint16_t v;
    memcpy(&v, static_cast<matrix_load *>(lane[8 * m + row])->row + 2 * column, sizeof v);
    return v;
}

static void load_all(void *const *lane)
{
    for (int l = 0; l < 32; l++) {
        matrix_load *mine = static_cast<matrix_load *>(lane[l]);
        for (int m = 0; m < 4; m++) {
            const int row = l / 4, column = l % 4 * 2;
            mine->r[m] =
                mine->transposed
                    ? value_at(lane, m, column, row) | value_at(lane, m, column + 1, row) << 16
                    : value_at(lane, m, row, column) | value_at(lane, m, row, column + 1) << 16;
        }
    }
}

static void load_one(uint32_t (&r)[4], const void *row, bool transposed)
{
    matrix_load mine = {};
    need_shared(row, 16, 16);
    mine.row = static_cast<const unsigned char *>(row);
    mine.transposed = transposed;
    warp(load_all, &mine);
    memcpy(r, mine.r, sizeof mine.r);
}

struct product {
    float c[4];
    uint32_t a[4], b[2];
};

static float half_of(uint32_t word, int which)
{
    return widen_f16((uint16_t)(word >> 16 * which));
}

/* Element (row, k) of a: lane 4 (row % 8) + k % 8 / 2, register row / 8 + 2 (k / 8). */
static float a_at(void *const *lane, int row, int k)
{
    const product *p = static_cast<product *>(lane[row % 8 * 4 + k % 8 / 2]);
    return half_of(p->a[row / 8 + k / 8 * 2], k % 2);
}

static float b_at(void *const *lane, int k, int column)
{
    const product *p = static_cast<product *>(lane[column * 4 + k % 8 / 2]);
    return half_of(p->b[k / 8], k % 2);
}

static void multiply_all(void *const *lane)
{
    float a[16][16], b[8][16];
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++) {
            a[i][k] = a_at(lane, i, k);
            if (i < 8)
                b[i][k] = b_at(lane, k, i);
        }
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++) {
            float *c = &static_cast<product *>(lane[l])->c[i];
            const float *row = a[l / 4 + i / 2 * 8], *column = b[l % 4 * 2 + i % 2];
            for (int k = 0; k < 16; k++)
                *c += row[k] * column[k];
        }
}
} // namespace cuemu

using namespace cuemu;

void load_matrix(uint32_t (&r)[4], const void *row)
{
    load_one(r, row, false);
}

void load_matrix_transposed(uint32_t (&r)[4], const void *row)
{
    load_one(r, row, true);
}

void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    product mine;
    memcpy(mine.c, c, sizeof c);
    memcpy(mine.a, a, sizeof a);
    mine.b[0] = b0;
    mine.b[1] = b1;
    warp(multiply_all, &mine);
    memcpy(c, mine.c, sizeof c);
}
