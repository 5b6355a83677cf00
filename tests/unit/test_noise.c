/* Noise: equal to the independent implementation, value by value, for every source and seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "worker/sample/noise.h"

enum { CHANNELS = 4 };

static void assert_near(float a, float b, double tolerance)
{
    if (!(a - b <= tolerance && b - a <= tolerance))
        fail_msg("%.9g, expected %.9g", a, b);
}

/* Draws of channels x h x w, in channel order as PyTorch has them. */
static void draw_chw(noise *n, float *out, int c, int h, int w)
{
    float *nhwc = malloc((size_t)(c * h * w) * sizeof *nhwc);
    assert_non_null(nhwc);
    noise_draw(n, nhwc, c, h, w);
    for (int i = 0; i < c * h * w; i++)
        out[i] = nhwc[i % (h * w) * c + i / (h * w)];
    free(nhwc);
}

static void check_golden(const checkpoint *golden, const char *name)
{
    char source[4];
    unsigned long long seed;
    int h, w, draw;
    assert_int_equal(sscanf(name, "%3[A-Z]/%llu/%dx%d/%d", source, &seed, &h, &w, &draw), 5);
    bool nv = !strcmp(source, "NV");

    int64_t dim[CHECKPOINT_DIMS];
    float *expected = golden_floats(golden, dim, "%s", name);
    assert_true(dim[0] == CHANNELS && dim[1] == h && dim[2] == w);
    float *found = malloc((size_t)(CHANNELS * h * w) * sizeof *found);
    assert_non_null(found);
    noise n;
    noise_init(&n, nv ? RNG_NV : RNG_CPU, seed);
    for (int k = 0; k <= draw; k++)
        draw_chw(&n, found, CHANNELS, h, w);
    for (int i = 0; i < CHANNELS * h * w; i++)
        assert_near(found[i], expected[i], nv ? 1e-6 : 2e-6);
    free(found);
    free(expected);
}

static void golden_draws(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("noise.safetensors");
    assert_int_equal(checkpoint_count(golden), 72);
    for (size_t i = 0; i < checkpoint_count(golden); i++)
        check_golden(golden, checkpoint_at(golden, i)->name);
    checkpoint_free(&golden);
}

static void first_values(void **state)
{
    (void)state;
    const struct {
        rng_source source;
        uint64_t seed;
        int side;
        uint32_t draw;
        float value[12]; /* 0 ends the list */
    } row[] = {
        {RNG_NV,
         0,
         8,
         0,
         {-0.92466241f, -0.42534396f, -2.6438458f, 0.14518388f, -0.12086651f, -0.57972568f,
          -0.62285131f, -0.32838714f, -1.0745420f, -0.36314410f, -1.6710504f, 2.2655051f}},
        {RNG_NV,
         0,
         64,
         1,
         {0.18082589f, -0.55226272f, 0.92381340f, -0.73497033f, 1.3799946f, 0.86763072f}},
        {RNG_NV,
         42,
         8,
         0,
         {0.19401887f, 2.1613739f, -0.17205095f, 0.84906000f, -1.9243993f, 0.65298527f}},
        {RNG_NV,
         1234567890123,
         8,
         0,
         {0.47459313f, 0.83967662f, -0.76428300f, -1.0388207f, -0.72524834f, -2.1107821f}},
        {RNG_CPU,
         0,
         8,
         0,
         {-1.12583983f, -1.15236020f, -0.25057858f, -0.43387881f, 0.84871036f, 0.69200915f}},
        {RNG_CPU,
         42,
         64,
         0,
         {1.92691529f, 1.48728406f, 0.90071720f, -2.10552096f, 0.67841846f, -1.23454487f}},
        {RNG_CPU, 4294967338, 64, 0, {1.92691529f, 1.48728406f, 0.90071720f, -2.10552096f}},
    };
    static float out[CHANNELS * 64 * 64];
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        noise n;
        noise_init(&n, row[i].source, row[i].seed);
        for (uint32_t k = 0; k <= row[i].draw; k++)
            draw_chw(&n, out, CHANNELS, row[i].side, row[i].side);
        for (int j = 0; j < 12 && row[i].value[j] != 0; j++)
            assert_near(out[j], row[i].value[j], row[i].source == RNG_NV ? 1e-6 : 2e-6);
    }
}

static void philox_words(void **state)
{
    (void)state;
    const uint32_t zero[4] = {0}, expected[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    uint32_t word[4];
    noise_philox(zero, zero, word);
    assert_memory_equal(word, expected, sizeof word);
    /* Known answer of the authors' own test (Random123, kat_vectors). */
    const uint32_t ones[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    const uint32_t all[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    noise_philox(ones, ones, word);
    assert_memory_equal(word, all, sizeof word);
}

/* Two streams that take turns give what each gives alone. */
static void streams_do_not_meet(void **state)
{
    (void)state;
    enum { DRAWS = 50, VALUES = 3 * 5 * 7 };
    for (int source = 0; source < RNG_COUNT; source++) {
        noise alone, a, b;
        float x[VALUES], y[VALUES], other[VALUES];
        noise_init(&alone, (rng_source)source, 7);
        noise_init(&a, (rng_source)source, 7);
        noise_init(&b, (rng_source)source, 8);
        for (int k = 0; k < DRAWS; k++) {
            noise_draw(&alone, x, 3, 5, 7);
            noise_draw(&b, other, 3, 5, 7);
            noise_draw(&a, y, 3, 5, 7);
            assert_memory_equal(x, y, sizeof x);
            assert_memory_not_equal(x, other, sizeof x);
        }
        assert_int_equal(a.draws, DRAWS);
    }
}

/* NV: the size of earlier draws does not matter. */
static void nv_draws_are_independent(void **state)
{
    (void)state;
    static float large[CHANNELS * 64 * 64];
    float x[CHANNELS * 64], y[CHANNELS * 64];
    noise a, b;
    noise_init(&a, RNG_NV, 3);
    noise_init(&b, RNG_NV, 3);
    noise_draw(&a, large, CHANNELS, 64, 64);
    noise_draw(&b, y, CHANNELS, 8, 8);
    noise_draw(&a, x, CHANNELS, 8, 8);
    noise_draw(&b, y, CHANNELS, 8, 8);
    assert_memory_equal(x, y, sizeof x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_draws),
        cmocka_unit_test(first_values),
        cmocka_unit_test(philox_words),
        cmocka_unit_test(streams_do_not_meet),
        cmocka_unit_test(nv_draws_are_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
