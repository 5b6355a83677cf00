/* Random cases: numbers (Steele et al. 2014, SplitMix64), sizes, contents of buffers. */
#include <math.h>
#include <string.h>

#include "tests/kerncheck/check.h"

uint64_t draw(randoms *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double draw_unit(randoms *r)
{
    return (double)(draw(r) >> 11) * 0x1p-53;
}

int64_t draw_below(randoms *r, int64_t below)
{
    return (int64_t)(draw(r) % (uint64_t)below);
}

bool draw_bool(randoms *r)
{
    return draw(r) >> 63;
}

int64_t draw_size(randoms *r, int64_t most)
{
    static const int edges[] = {1,  2,  3,  7,  8,   9,   15,  16,  17,  31,  32, 33,
                                63, 64, 65, 96, 127, 128, 129, 160, 255, 256, 257};
    int count = 0;
    while (count < (int)(sizeof edges / sizeof *edges) && edges[count] <= most)
        count++;
    return draw_bool(r) ? edges[draw_below(r, count)] : 1 + draw_below(r, most);
}

void draw_sizes(randoms *r, int count, int64_t *size, const int64_t *most, int64_t product)
{
    const int64_t limit = r->divisor ? product / r->divisor : product;
    for (int64_t all = limit + 1; all > limit;) {
        all = 1;
        for (int i = 0; i < count; i++) {
            size[i] = draw_size(r, most[i]);
            all *= size[i];
        }
    }
}

/* Nearly normal, variance 1: four uniform numbers of 16 bits. */
static float draw_normal(randoms *r)
{
    uint64_t z = draw(r);
    int64_t sum = (int64_t)(z & 0xffff) + (int64_t)(z >> 16 & 0xffff) +
                  (int64_t)(z >> 32 & 0xffff) + (int64_t)(z >> 48) - 131070;
    return (float)((double)sum / 37837.0);
}

typedef enum { NORMAL, TINY, LARGE, CONSTANT, ONE_HOT, WIDE, KINDS } kind;

static float draw_value(randoms *r, kind k, float constant)
{
    switch (k) {
    case TINY: return draw_normal(r) * 1e-12f;
    case LARGE: return draw_normal(r) * 2e4f; /* what half precision still holds */
    case CONSTANT: return constant;
    case ONE_HOT: return 0;
    case WIDE: return draw_normal(r) * (float)pow(10, 6 * draw_unit(r) - 4);
    case NORMAL:
    case KINDS: break;
    }
    return draw_normal(r);
}

static uint16_t to_bits16(float v, dtype type)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (type == BF16)
        return (uint16_t)(bits >> 16);
    int exponent = (int)(bits >> 23 & 255) - 112;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (exponent <= 0) /* keep some subnormals */
        return (uint16_t)(sign | (exponent > -8 ? bits >> 13 & 0x3ff : 0));
    return (uint16_t)(exponent > 30 ? sign | 0x7bff
                                    : sign | (unsigned)exponent << 10 | (bits >> 13 & 0x3ff));
}

void fill_values(randoms *r, void *data, dtype type, int64_t count, bool hostile)
{
    kind k = hostile && draw_bool(r) ? (kind)draw_below(r, KINDS) : NORMAL;
    float constant = draw_normal(r) * 3;
    int64_t hot = draw_below(r, count);
    for (int64_t i = 0; i < count; i++) {
        float v = i == hot && k == ONE_HOT ? 1 : draw_value(r, k, constant);
        uint16_t half = to_bits16(v, type);
        uint8_t byte = (uint8_t)draw(r);
        size_t size = dtype_bytes(type);
        const void *from = type == F32  ? (const void *)&v
                           : type == U8 ? (const void *)&byte
                                        : &half;
        memcpy((char *)data + (size_t)i * size, from, size);
    }
}
