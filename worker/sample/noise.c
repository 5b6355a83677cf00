/* Noise: see noise.h. The one idea: a value is a pure function of (source, seed, draw, element), so
 * a picture's noise does not depend on what else runs. NV computes any element by itself (counter
 * based); CPU walks its generator in blocks of 16, which is why it has a state. */
#include "worker/sample/noise.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

enum { MT_WORDS = 624, MT_SHIFT = 397, BLOCK = 16 };

static const double pi = 3.14159265358979323846;

/* Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". */
void noise_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = UINT64_C(0xD2511F53) * c0, p1 = UINT64_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Box-Muller with a sine on the first two words. The uniforms are rounded to float at every step,
 * as the GPU does: the last bits of u decide about the tails. */
static float nv_value(uint64_t seed, uint32_t draw, uint32_t element)
{
    const float a = (float)2.3283064e-10, b = (float)(2.3283064e-10 * 6.2831855);
    const uint32_t counter[4] = {draw, 0, element, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t word[4];
    noise_philox(counter, key, word);
    float u = (float)word[0] * a + a / 2, v = (float)word[1] * b + b / 2;
    return (float)(sqrt(-2 * log(u)) * sin(v));
}

static void nv_draw(const noise *n, float *out, int c, int64_t pixels)
{
    for (int64_t p = 0; p < pixels; p++)
        for (int k = 0; k < c; k++)
            out[p * c + k] = nv_value(n->seed, n->draws, (uint32_t)(k * pixels + p));
}

/* Matsumoto & Nishimura 1998, "Mersenne Twister". */
static void mt_seed(noise *n, uint32_t seed)
{
    n->word[0] = seed;
    for (uint32_t i = 1; i < MT_WORDS; i++)
        n->word[i] = 1812433253u * (n->word[i - 1] ^ n->word[i - 1] >> 30) + i;
    n->used = MT_WORDS;
}

static void mt_twist(noise *n)
{
    uint32_t *w = n->word;
    for (int i = 0; i < MT_WORDS; i++) {
        uint32_t y = (w[i] & 0x80000000u) | (w[(i + 1) % MT_WORDS] & 0x7FFFFFFFu);
        w[i] = w[(i + MT_SHIFT) % MT_WORDS] ^ y >> 1 ^ (y & 1 ? 0x9908B0DFu : 0);
    }
    n->used = 0;
}

static float mt_uniform(noise *n)
{
    if (n->used == MT_WORDS)
        mt_twist(n);
    uint32_t y = n->word[n->used++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    y ^= y >> 18;
    return (float)(y & 0xFFFFFF) * 0x1p-24f;
}

/* 16 values from 16 uniforms; the first eight are radii, the others angles. */
static void cpu_block(noise *n, float value[BLOCK])
{
    for (int i = 0; i < BLOCK; i++)
        value[i] = mt_uniform(n);
    for (int i = 0; i < BLOCK / 2; i++) {
        float angle = (float)(2 * pi) * value[i + BLOCK / 2];
        double radius = sqrt(-2 * log(1 - value[i]));
        value[i] = (float)(radius * cos(angle));
        value[i + BLOCK / 2] = (float)(radius * sin(angle));
    }
}

static void cpu_put(const float value[BLOCK], int64_t first, float *out, int c, int64_t pixels)
{
    for (int64_t i = first; i < first + BLOCK; i++)
        out[i % pixels * c + i / pixels] = value[i - first];
}

/* A rest below 16 is drawn and thrown away; then the last 16 values are drawn anew. */
static void cpu_draw(noise *n, float *out, int c, int64_t pixels)
{
    const int64_t count = c * pixels, rest = count % BLOCK;
    float value[BLOCK];
    for (int64_t first = 0; first + BLOCK <= count; first += BLOCK) {
        cpu_block(n, value);
        cpu_put(value, first, out, c, pixels);
    }
    if (!rest)
        return;
    for (int64_t i = 0; i < rest; i++)
        mt_uniform(n);
    cpu_block(n, value);
    cpu_put(value, count - BLOCK, out, c, pixels);
}

void noise_init(noise *n, rng_source source, uint64_t seed)
{
    memset(n, 0, sizeof *n);
    n->source = source;
    n->seed = seed;
    if (source == RNG_CPU)
        mt_seed(n, (uint32_t)seed);
}

void noise_draw(noise *n, float *out, int c, int h, int w)
{
    const int64_t pixels = (int64_t)h * w;
    assert(c > 0 && h > 0 && w > 0 && c * pixels >= BLOCK && c * pixels <= UINT32_MAX);
    switch (n->source) {
    case RNG_NV: nv_draw(n, out, c, pixels); break;
    case RNG_CPU: cpu_draw(n, out, c, pixels); break;
    case RNG_COUNT: assert(!"a source");
    }
    n->draws++;
}
