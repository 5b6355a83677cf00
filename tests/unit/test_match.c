/* Colour correction, LAB, histograms, the Fourier transform and numpy's random numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/picture.h"
#include "worker/image/fft.h"
#include "worker/image/lab.h"
#include "worker/image/match.h"
#include "worker/image/random.h"

static void test_goldens(void **state)
{
    (void)state;
    for (int n = 1; n <= 2; n++) {
        char file[64];
        image in[3];
        static const char *const names[] = {"picture", "target", "matched"};
        for (int i = 0; i < 3; i++) {
            snprintf(file, sizeof file, "colour/%d-%s.png", n, names[i]);
            in[i] = picture_golden(file);
        }
        assert_int_equal(image_match_colours(&in[0], &in[1], NULL), 0);
        assert_int_equal(picture_difference(&in[0], &in[2]), 0);
        for (int i = 0; i < 3; i++)
            image_done(&in[i]);
    }
}

/* Known colours: white, black, grey and the primaries, in CIE LAB scaled to bytes; then two that
 * show in which precision the tables are made. */
static void test_lab(void **state)
{
    (void)state;
    static const struct {
        uint8_t rgb[3], lab[3];
    } rows[] = {
        {{255, 255, 255}, {255, 128, 128}}, {{0, 0, 0}, {0, 128, 128}},
        {{119, 119, 119}, {128, 128, 128}}, {{255, 0, 0}, {136, 208, 195}},
        {{0, 255, 0}, {224, 42, 211}},      {{0, 0, 255}, {82, 207, 20}},
        {{0, 6, 98}, {24, 163, 77}},        {{255, 98, 94}, {159, 187, 162}},
    };
    lab space;
    lab_init(&space);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t got[3];
        lab_from_rgb(&space, got, rows[i].rgb);
        assert_memory_equal(got, rows[i].lab, 3);
    }
    int total = 0, count = 0; /* bytes of LAB are coarse, most of all in dark saturated colours */
    for (int r = 0; r < 256; r += 5)
        for (int g = 0; g < 256; g += 5)
            for (int b = 0; b < 256; b += 5) {
                uint8_t v[3], back[3], rgb[3] = {(uint8_t)r, (uint8_t)g, (uint8_t)b};
                lab_from_rgb(&space, v, rgb);
                lab_to_rgb(&space, back, v);
                for (int c = 0; c < 3; c++, count++) {
                    assert_true(abs(back[c] - rgb[c]) <= 24);
                    total += abs(back[c] - rgb[c]);
                }
            }
    assert_true(total < count);
    for (int l = 0; l < 256;
         l += 3) /* every LAB, also where no colour is: no index leaves a table */
        for (int a = 0; a < 256; a += 3)
            for (int b = 0; b < 256; b += 3) {
                uint8_t rgb[3];
                lab_to_rgb(&space, rgb, (uint8_t[]){(uint8_t)l, (uint8_t)a, (uint8_t)b});
            }
}

static void test_histogram(void **state)
{
    (void)state;
    uint32_t target[256] = {0}, source[8] = {0, 1, 1, 0, 2, 0, 0, 4};
    uint8_t map[8];
    target[10] = 2;
    target[20] = 2;
    target[100] = 4;
    /* shares 1/8, 2/8, 4/8, 8/8 against 10 at 1/4, 20 at 1/2, 100 at 1 */
    histogram_match(map, source, 8, target);
    static const uint8_t want[8] = {0, 10, 10, 10, 20, 20, 20, 100};
    assert_memory_equal(map, want, 8);
    uint32_t halves[2] = {3, 1};
    target[20] = 0;
    target[100] = 2; /* 10 at 1/2, 100 at 1: 3/4 is in the middle */
    histogram_match(map, halves, 2, target);
    assert_memory_equal(map, ((uint8_t[]){55, 100}), 2);
    uint32_t self[256];
    uint8_t same[256];
    for (int i = 0; i < 256; i++)
        self[i] = 1 + (uint32_t)i % 7;
    histogram_match(same, self, 256, self);
    for (int i = 0; i < 256; i++)
        assert_int_equal(same[i], i);
}

/* A target of one colour: everything gets its hue; a single pixel is a picture, too. */
static void test_match_thin(void **state)
{
    (void)state;
    static const int sides[][2] = {{1, 1}, {1, 40}, {40, 1}};
    for (size_t s = 0; s < 3; s++) {
        image in = picture_pattern(sides[s][0], sides[s][1], 3), grey;
        assert_int_equal(image_new(&grey, 1, 1, 3, NULL), 0);
        memset(grey.px, 90, 3);
        assert_int_equal(image_match_colours(&in, &grey, NULL), 0);
        for (int i = 0; i < in.w * in.h; i++)
            assert_true(abs(in.px[i * 3] - in.px[i * 3 + 1]) <= 1 &&
                        abs(in.px[i * 3] - in.px[i * 3 + 2]) <= 1);
        image_done(&in);
        image_done(&grey);
    }
}

/* The first numbers of numpy.random.default_rng(seed).random() */
static void test_random(void **state)
{
    (void)state;
    static const struct {
        uint32_t seed;
        double values[4];
    } rows[] = {
        {0, {0.6369616873214543, 0.2697867137638703, 0.04097352393619469, 0.016527635528529094}},
        {12345, {0.22733602246716966, 0.31675833970975287, 0.7973654573327341, 0.6762546707509746}},
    };
    for (size_t i = 0; i < 2; i++) {
        random64 r;
        random64_init(&r, rows[i].seed);
        for (int k = 0; k < 4; k++)
            assert_true(random64_unit(&r) == rows[i].values[k]);
    }
}

/* Against the definition, for lengths of every kind of factor. */
static void test_fft(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 12}, {12, 1}, {8, 6}, {15, 14}, {11, 9}, {13, 32}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int w = sizes[s][0], h = sizes[s][1], n = w * h;
        fft_value *in = malloc((size_t)n * sizeof *in), *out = malloc((size_t)n * sizeof *out);
        random64 r;
        random64_init(&r, 7);
        for (int i = 0; i < n; i++)
            in[i] = out[i] = (fft_value){random64_unit(&r), random64_unit(&r) - 0.5};
        assert_int_equal(fft_plane(out, w, h, NULL), 0);
        for (int k = 0; k < n; k++) {
            double re = 0, im = 0;
            for (int i = 0; i < n; i++) {
                double angle =
                    -2 * M_PI * ((double)(k % w) * (i % w) / w + (double)(k / w) * (i / w) / h);
                re += in[i].re * cos(angle) - in[i].im * sin(angle);
                im += in[i].re * sin(angle) + in[i].im * cos(angle);
            }
            assert_true(fabs(re - out[k].re) < 1e-10 && fabs(im - out[k].im) < 1e-10);
        }
        free(in);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),   cmocka_unit_test(test_lab),
        cmocka_unit_test(test_histogram), cmocka_unit_test(test_match_thin),
        cmocka_unit_test(test_random),    cmocka_unit_test(test_fft),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
