/* Masks: the golden pictures of an independent implementation, tables, and what must hold always.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/golden.h"
#include "tests/support/picture.h"
#include "worker/image/mask.h"

static image constant(int w, int h, uint8_t value)
{
    image i;
    assert_int_equal(image_new(&i, w, h, 1, NULL), 0);
    memset(i.px, value, (size_t)w * (size_t)h);
    return i;
}

static image copy(const image *in)
{
    image out;
    assert_int_equal(image_crop(&out, in, (image_box){0, 0, in->w, in->h}, NULL), 0);
    return out;
}

static void expect_equal(image *got, image *want)
{
    assert_int_equal(picture_difference(got, want), 0);
    image_done(got);
    image_done(want);
}

static void test_blur_goldens(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        double x, y;
    } rows[] = {
        {"masks/blur-0.png", 0, 0}, {"masks/blur-1.png", 1, 1},    {"masks/blur-4.png", 4, 4},
        {"masks/blur-8.png", 8, 8}, {"masks/blur-16.png", 16, 16}, {"masks/blur-12x0.png", 12, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        image mask = picture_golden_grey("masks/circle.png");
        image want = picture_golden_grey(rows[i].file);
        assert_int_equal(mask_blur(&mask, rows[i].x, rows[i].y, NULL), 0);
        expect_equal(&mask, &want);
    }
}

/* A constant stays what it is, and black does not change: also where the taps reach far beyond. */
static void test_blur_of_constants(void **state)
{
    (void)state;
    static const int sides[][2] = {{1, 1}, {1, 40}, {40, 1}, {2, 3}, {63, 65}, {200, 17}};
    static const uint8_t values[] = {0, 1, 77, 254, 255};
    for (size_t s = 0; s < 6; s++)
        for (size_t v = 0; v < 5; v++)
            for (int sigma = 0; sigma <= 256; sigma = sigma * 4 + 1) {
                image mask = constant(sides[s][0], sides[s][1], values[v]), want = copy(&mask);
                assert_int_equal(mask_blur(&mask, sigma, sigma, NULL), 0);
                expect_equal(&mask, &want);
            }
}

/* A single white pixel shows the taps themselves, the same in both directions. */
static void test_blur_of_a_point(void **state)
{
    (void)state;
    image mask = constant(41, 41, 0);
    mask.px[20 * 41 + 20] = 255;
    assert_int_equal(mask_blur(&mask, 4, 4, NULL), 0);
    image_box lit;
    assert_true(mask_bounds(&lit, &mask));
    assert_true(lit.w <= 21 && lit.w == lit.h && lit.x == lit.y && lit.x + lit.w / 2 == 20);
    for (int y = 0; y < 41; y++)
        for (int x = 0; x < 41; x++) {
            assert_int_equal(mask.px[y * 41 + x], mask.px[y * 41 + 40 - x]);
            assert_true(abs(mask.px[y * 41 + x] - mask.px[x * 41 + y]) <= 1);
        }
    image_done(&mask);
}

static void test_sources(void **state)
{
    (void)state;
    image alpha = picture_golden("masks/alpha-mask.png"), colour;
    colour = picture_golden("masks/colour-mask.png");
    image want, got;
    assert_int_equal(mask_from_picture(&got, &alpha, true, NULL), 0);
    want = picture_golden_grey("masks/alpha-mask-binary.png");
    expect_equal(&got, &want);
    assert_int_equal(mask_from_picture(&got, &alpha, false, NULL), 0);
    for (int i = 0; i < alpha.w * alpha.h; i++)
        assert_int_equal(got.px[i], alpha.px[i * 4 + 3]);
    image_done(&got);
    assert_int_equal(mask_from_picture(&got, &colour, true, NULL), 0);
    want = picture_golden_grey("masks/colour-mask-grey.png");
    expect_equal(&got, &want);
    for (int i = 0; i < alpha.w * alpha.h; i++)
        alpha.px[i * 4 + 3] = 255; /* opaque everywhere: the colour counts */
    assert_int_equal(mask_from_picture(&got, &alpha, true, NULL), 0);
    assert_int_equal(got.px[0], (200 * 299 + 10 * 587 + 10 * 114 + 500) / 1000);
    image_done(&got);
    image_done(&alpha);
    image_done(&colour);
}

static void test_transparency(void **state)
{
    (void)state;
    image in, out;
    assert_int_equal(image_new(&in, 4, 1, 4, NULL), 0);
    static const uint8_t alphas[] = {0, 1, 254, 255}, want[] = {255, 255, 255, 0};
    for (int i = 0; i < 4; i++)
        in.px[i * 4 + 3] = alphas[i];
    assert_int_equal(mask_from_transparency(&out, &in, NULL), 0);
    assert_memory_equal(out.px, want, 4);
    image_done(&out);
    image_done(&in);
    in = picture_pattern(5, 4, 3);
    assert_int_equal(mask_from_transparency(&out, &in, NULL), 0);
    image_box none;
    assert_false(mask_bounds(&none, &out));
    image_done(&out);
    image_done(&in);
}

static void test_sketch(void **state)
{
    (void)state;
    image original = picture_pattern(60, 40, 3), sketch = copy(&original), mask, picture;
    for (int y = 10; y < 20; y++)
        for (int x = 15; x < 30; x++)
            sketch.px[(y * 60 + x) * 3 + 1] ^= 1; /* one level of one channel is a difference */
    assert_int_equal(mask_from_sketch(&mask, &picture, &sketch, &original, 0, 0, NULL), 0);
    image_box box;
    assert_true(mask_bounds(&box, &mask));
    assert_memory_equal(&box, (&(image_box){15, 10, 15, 10}), sizeof box);
    assert_int_equal(mask.px[10 * 60 + 15], 255);
    assert_int_equal(picture_difference(&picture, &sketch), 0); /* nothing softened, all opaque */
    image_done(&mask);
    image_done(&picture);

    /* the reference: int(255 * 0.7f) = 178; softening spreads it, and far away nothing changes */
    assert_int_equal(mask_from_sketch(&mask, &picture, &sketch, &original, 0.3, 0, NULL), 0);
    assert_int_equal(mask.px[10 * 60 + 15], 178);
    image_done(&mask);
    image_done(&picture);
    assert_int_equal(mask_from_sketch(&mask, &picture, &sketch, &original, 0, 2, NULL), 0);
    assert_true(mask.px[9 * 60 + 15] > 0 && mask.px[9 * 60 + 15] < 255);
    for (int i = 0; i < 60 * 40; i++)
        if (!mask.px[i])
            assert_memory_equal(picture.px + i * 3, original.px + i * 3, 3);
    image_done(&mask);
    image_done(&picture);

    assert_int_equal(mask_from_sketch(&mask, &picture, &original, &original, 0, 4, NULL), 0);
    assert_false(mask_bounds(&box, &mask));
    expect_equal(&picture, &original);
    image_done(&mask);
    image_done(&sketch);
}

static void test_sketch_of_another_size(void **state)
{
    (void)state;
    image a = picture_pattern(6, 4, 3), b = picture_pattern(4, 6, 3), mask, picture;
    err e = {0};
    assert_int_equal(mask_from_sketch(&mask, &picture, &a, &b, 0, 4, &e), ERR_INVALID);
    assert_string_equal(e.text, "the sketch is 6 x 4 pixels, expected 4 x 6 as the picture");
    assert_null(mask.px);
    assert_null(picture.px);
    image_done(&a);
    image_done(&b);
}

static void test_invert_and_overlay(void **state)
{
    (void)state;
    image mask = constant(256, 1, 0), all, twice;
    for (int i = 0; i < 256; i++)
        mask.px[i] = (uint8_t)i;
    twice = copy(&mask);
    mask_invert(&twice);
    assert_int_equal(twice.px[0], 255);
    assert_int_equal(twice.px[200], 55);
    mask_invert(&twice);
    assert_int_equal(mask_overlay(&all, &mask, NULL), 0);
    for (int i = 0; i < 256; i++)
        assert_int_equal(all.px[i], i < 128 ? 2 * i : 255);
    image_done(&all);
    expect_equal(&twice, &mask);
}

static void test_fit(void **state)
{
    (void)state;
    image mask = picture_golden_grey("masks/circle.png"), got, rgb;
    for (int mode = 0; mode < RESIZE_COUNT; mode++) {
        assert_int_equal(mask_fit(&got, &mask, (resize_mode)mode, 50, 50, NULL), 0);
        assert_int_equal(image_fit(&rgb, &mask, (resize_mode)mode, 50, 50, NULL), 0);
        assert_int_equal(got.channels, 1);
        for (int i = 0; i < 50 * 50; i++)
            assert_int_equal(got.px[i], rgb.px[i * rgb.channels]);
        image_done(&got);
        image_done(&rgb);
    }
    err e = {0};
    assert_int_equal(mask_fit(&got, &mask, RESIZE_COUNT, 8, 8, &e), ERR_INVALID);
    assert_null(got.px);
    image_done(&mask);
}

static json_t *masks_json(void)
{
    return golden_json("masks/masks.json");
}

static int number(const json_t *array, size_t i)
{
    return (int)json_integer_value(json_array_get(array, i));
}

static void test_latent_goldens(void **state)
{
    (void)state;
    json_t *all = masks_json(), *latents = json_object_get(all, "latent");
    static const char *const names[] = {"blur-0", "blur-4", "blur-8"};
    for (size_t n = 0; n < 3; n++) {
        char file[64];
        snprintf(file, sizeof file, "masks/%s.png", names[n]);
        image mask = picture_golden_grey(file), got;
        const json_t *rows = json_object_get(latents, names[n]);
        assert_int_equal(json_array_size(rows), 8);
        assert_int_equal(mask_latent(&got, &mask, 12, 8, true, NULL), 0);
        for (int i = 0; i < 12 * 8; i++)
            assert_int_equal(got.px[i],
                             255 * number(json_array_get(rows, (size_t)i / 12), (size_t)i % 12));
        image_done(&got);
        assert_int_equal(mask_latent(&got, &mask, 12, 8, false, NULL), 0);
        int between = 0;
        for (int i = 0; i < 12 * 8; i++)
            between += got.px[i] > 0 && got.px[i] < 255;
        assert_true(between > 10);
        image_done(&got);
        image_done(&mask);
    }
    image square = constant(512, 512, 0), got;
    for (int y = 100; y <= 300; y++)
        memset(square.px + y * 512 + 100, 255, 201);
    const json_t *sums = json_object_get(latents, "square512-rows-and-columns");
    assert_int_equal(mask_latent(&got, &square, 64, 64, true, NULL), 0);
    for (int x = 0; x < 64; x++) {
        int sum = 0;
        for (int y = 0; y < 64; y++)
            sum += got.px[y * 64 + x] == 255;
        assert_int_equal(sum, number(sums, (size_t)x));
    }
    image_done(&got);
    image_done(&square);
    json_decref(all);
}

static image_box corners(const json_t *array)
{
    int x = number(array, 0), y = number(array, 1);
    return (image_box){x, y, number(array, 2) - x, number(array, 3) - y};
}

static void test_region_goldens(void **state)
{
    (void)state;
    json_t *all = masks_json();
    const json_t *row, *rows = json_object_get(all, "regions");
    size_t i;
    assert_true(json_array_size(rows) >= 6);
    json_array_foreach(rows, i, row)
    {
        const json_t *size = json_object_get(row, "image"), *to = json_object_get(row, "job");
        region_options o = {(int)json_integer_value(json_object_get(row, "padding")),
                            number(size, 0), number(size, 1), number(to, 0), number(to, 1)};
        image_box got = mask_region(corners(json_object_get(row, "box")), &o);
        image_box want = corners(json_object_get(row, "region"));
        assert_memory_equal(&got, &want, sizeof got);
    }
    json_decref(all);
}

/* Whatever the numbers, the region holds the bounds and lies inside the picture. */
static void test_region_always_fits(void **state)
{
    (void)state;
    uint32_t seed = 1;
    int drawn[8];
    for (int n = 0; n < 20000; n++) {
        for (int i = 0; i < 8; i++) {
            seed = seed * 1664525u + 1013904223u;
            drawn[i] = (int)(seed >> 8);
        }
        region_options o = {drawn[0] % 300, 1 + drawn[1] % 700, 1 + drawn[2] % 700,
                            16 + drawn[3] % 700, 16 + drawn[4] % 700};
        image_box b = {drawn[5] % o.image_w, drawn[6] % o.image_h, 0, 0};
        b.w = 1 + drawn[7] % (o.image_w - b.x);
        b.h = 1 + drawn[7] / 1000 % (o.image_h - b.y);
        image_box r = mask_region(b, &o);
        assert_true(r.x >= 0 && r.y >= 0 && r.x <= b.x && r.y <= b.y);
        assert_true(r.x + r.w >= b.x + b.w && r.y + r.h >= b.y + b.h);
        assert_true(r.x + r.w <= o.image_w && r.y + r.h <= o.image_h);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    image mask = constant(9, 7, 0);
    image_box box = {-1, -1, -1, -1};
    assert_false(mask_bounds(&box, &mask));
    assert_int_equal(box.x, -1);
    mask.px[2 * 9 + 8] = 1;
    assert_true(mask_bounds(&box, &mask));
    assert_memory_equal(&box, (&(image_box){8, 2, 1, 1}), sizeof box);
    mask.px[6 * 9 + 3] = 255;
    assert_true(mask_bounds(&box, &mask));
    assert_memory_equal(&box, (&(image_box){3, 2, 6, 5}), sizeof box);
    image_done(&mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blur_goldens),
        cmocka_unit_test(test_blur_of_constants),
        cmocka_unit_test(test_blur_of_a_point),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_transparency),
        cmocka_unit_test(test_sketch),
        cmocka_unit_test(test_sketch_of_another_size),
        cmocka_unit_test(test_invert_and_overlay),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_latent_goldens),
        cmocka_unit_test(test_region_goldens),
        cmocka_unit_test(test_region_always_fits),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
