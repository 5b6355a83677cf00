/* Softening, filling and pasting back: Pillow's pictures, and what must hold for every mask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/picture.h"
#include "worker/image/blend.h"
#include "worker/image/compose.h"
#include "worker/image/mask.h"

static image_box whole(const image *i)
{
    return (image_box){0, 0, i->w, i->h};
}

static image copy(const image *in)
{
    image out;
    assert_int_equal(image_crop(&out, in, whole(in), NULL), 0);
    return out;
}

static void expect_golden(image *got, const char *format, double value)
{
    char file[64];
    snprintf(file, sizeof file, format, value);
    image want = got->channels == 1 ? picture_golden_grey(file) : picture_golden(file);
    assert_int_equal(picture_difference(got, &want), 0);
    image_done(&want);
    image_done(got);
}

static void test_soften_goldens(void **state)
{
    (void)state;
    static const double radii[] = {0.7, 3, 40, 300};
    for (size_t i = 0; i < 4; i++) {
        image rgb = picture_golden("resize/in.png"), alpha = picture_golden("pillow/alpha.png");
        assert_int_equal(image_soften(&rgb, radii[i], NULL), 0);
        expect_golden(&rgb, "pillow/soften-%g.png", radii[i]);
        assert_int_equal(alpha.channels, 4);
        assert_int_equal(image_soften(&alpha, radii[i], NULL), 0);
        expect_golden(&alpha, "pillow/soften-alpha-%g.png", radii[i]);
    }
    image rgb = picture_golden("resize/in.png"), grey;
    assert_int_equal(mask_from_picture(&grey, &rgb, true, NULL), 0);
    assert_int_equal(image_soften(&grey, 3, NULL), 0);
    expect_golden(&grey, "pillow/soften-grey-%g.png", 3);
    image_done(&rgb);
}

static void test_soften_of_constants(void **state)
{
    (void)state;
    static const int sides[][2] = {{1, 1}, {1, 50}, {50, 1}, {17, 15}, {16, 33}};
    for (size_t s = 0; s < 5; s++)
        for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1)
            for (double radius = 0; radius < 300; radius = radius * 5 + 0.25) {
                image got;
                int w = sides[s][0], h = sides[s][1];
                assert_int_equal(image_new(&got, w, h, channels, NULL), 0);
                memset(got.px, 255, (size_t)w * (size_t)h * (size_t)channels);
                assert_int_equal(image_soften(&got, radius, NULL), 0);
                for (int i = 0; i < w * h * channels; i++)
                    assert_int_equal(got.px[i], 255);
                image_done(&got);
            }
}

/* A white point spreads no farther than it is said to. */
static void test_soften_reach(void **state)
{
    (void)state;
    for (double radius = 0; radius < 30; radius += 0.75) {
        image i;
        assert_int_equal(image_new(&i, 301, 1, 1, NULL), 0);
        i.px[150] = 255;
        assert_int_equal(image_soften(&i, radius, NULL), 0);
        image_box lit = {150, 0, 1, 1};
        mask_bounds(&lit, &i);
        assert_true(150 - lit.x <= image_soften_reach(radius));
        image_done(&i);
    }
}

/* Every colour under every alpha, against the plain formulas. */
static void test_blend_formulas(void **state)
{
    (void)state;
    for (int a = 0; a < 256; a++)
        for (int c = 0; c < 256; c++) {
            uint8_t rgb[3] = {(uint8_t)c, (uint8_t)(255 - c), (uint8_t)(c * 7)};
            rgba p = rgba_premultiplied(rgb, (uint8_t)a), s = rgba_straight(p);
            for (int i = 0; i < 3; i++) {
                int faded = (int)(p >> 8 * i & 255), back = (int)(s >> 8 * i & 255);
                assert_int_equal(faded, (rgb[i] * a + 127) / 255);
                assert_int_equal(back, a ? 255 * faded / a : 0);
            }
            assert_int_equal(p >> 24, a);
            assert_int_equal(s >> 24, a);
        }
}

static void test_fill_goldens(void **state)
{
    (void)state;
    for (int blur = 0; blur <= 4; blur += 4) {
        image picture = picture_golden("masks/fill-in.png");
        image mask = picture_golden_grey("masks/circle.png");
        assert_int_equal(mask_blur(&mask, blur, blur, NULL), 0);
        assert_int_equal(image_fill_masked(&picture, &mask, NULL), 0);
        expect_golden(&picture, "masks/fill-blur-%g.png", blur);
        image_done(&mask);
    }
}

static image spot(int w, int h, image_box box, double blur)
{
    image mask;
    assert_int_equal(image_new(&mask, w, h, 1, NULL), 0);
    for (int y = box.y; y < box.y + box.h; y++)
        memset(mask.px + y * w + box.x, 255, (size_t)box.w);
    assert_int_equal(mask_blur(&mask, blur, blur, NULL), 0);
    return mask;
}

/* Outside the mask nothing changes; a constant picture stays one; all masked is all black. */
static void test_fill_identities(void **state)
{
    (void)state;
    static const int sides[][2] = {{1, 1}, {1, 90}, {90, 1}, {40, 33}};
    for (size_t s = 0; s < 4; s++) {
        int w = sides[s][0], h = sides[s][1];
        image picture = picture_pattern(w, h, 3), filled = copy(&picture), flat = copy(&picture);
        image mask = spot(w, h, (image_box){w / 3, h / 3, w / 3, h / 3}, 1);
        assert_int_equal(image_fill_masked(&filled, &mask, NULL), 0);
        for (int i = 0; i < w * h; i++)
            if (!mask.px[i])
                assert_memory_equal(filled.px + i * 3, picture.px + i * 3, 3);
        size_t pixels = (size_t)w * (size_t)h;
        memset(flat.px, 100, pixels * 3);
        assert_int_equal(image_fill_masked(&flat, &mask, NULL), 0);
        for (int i = 0; i < w * h * 3; i++)
            assert_true(flat.px[i] >= 98 && flat.px[i] <= 102);
        memset(mask.px, 255, pixels);
        assert_int_equal(image_fill_masked(&flat, &mask, NULL), 0);
        for (int i = 0; i < w * h * 3; i++)
            assert_int_equal(flat.px[i], 0);
        image_done(&picture);
        image_done(&filled);
        image_done(&flat);
        image_done(&mask);
    }
}

static void test_paste_golden(void **state)
{
    (void)state;
    image source = picture_golden("resize/in.png"), result = copy(&source), got;
    image overlay = picture_golden_grey("pillow/mask.png");
    size_t row = (size_t)source.w * 3;
    for (int y = 0; y < source.h; y++)
        memcpy(result.px + (size_t)y * row, source.px + (size_t)(source.h - 1 - y) * row, row);
    assert_int_equal(image_paste_back(&got, &source, &overlay, &result, whole(&source), NULL), 0);
    expect_golden(&got, "pillow/pasted.png", 0);
    assert_int_equal(image_cut_out(&got, &overlay, &source, whole(&source), NULL), 0);
    expect_golden(&got, "pillow/alpha.png", 0);
    image_done(&source);
    image_done(&result);
    image_done(&overlay);
}

/* Only masked: the source where the overlay is 0, the result where it is 255, all else untouched.
 */
static void test_paste_region(void **state)
{
    (void)state;
    image source = picture_pattern(120, 80, 3), result = picture_pattern(64, 64, 3), got, cut, fit;
    mask_invert(&(image){result.px, 64 * 3, 64, 1});
    image_box region = {30, 20, 50, 40};
    image overlay = spot(120, 80, (image_box){45, 30, 20, 15}, 2);
    assert_int_equal(image_paste_back(&got, &source, &overlay, &result, region, NULL), 0);
    assert_int_equal(image_cut_out(&cut, &overlay, &result, region, NULL), 0);
    assert_int_equal(image_fit(&fit, &result, RESIZE_CROP, region.w, region.h, NULL), 0);
    int zeros = 0, whites = 0;
    for (int y = 0; y < 80; y++)
        for (int x = 0; x < 120; x++) {
            int at = y * 120 + x, in_region = ((y - 20) * 50 + x - 30) * 3;
            assert_int_equal(cut.px[at * 4 + 3], overlay.px[at]);
            if (overlay.px[at] == 0) {
                assert_memory_equal(got.px + at * 3, source.px + at * 3, 3);
                zeros++;
            } else if (overlay.px[at] == 255) {
                assert_memory_equal(got.px + at * 3, fit.px + in_region, 3);
                assert_memory_equal(cut.px + at * 4, fit.px + in_region, 3);
                whites++;
            }
        }
    assert_true(zeros > 1000 && whites >= 50);
    image_done(&source);
    image_done(&result);
    image_done(&overlay);
    image_done(&got);
    image_done(&cut);
    image_done(&fit);
}

static void test_crop_and_put(void **state)
{
    (void)state;
    image in = picture_pattern(7, 5, 3), out, back = copy(&in);
    assert_int_equal(image_crop(&out, &in, (image_box){-2, -1, 11, 9}, NULL), 0);
    for (int y = 0; y < 9; y++)
        for (int x = 0; x < 11; x++)
            for (int c = 0; c < 3; c++) {
                bool inside = x >= 2 && x < 9 && y >= 1 && y < 6;
                assert_int_equal(out.px[(y * 11 + x) * 3 + c],
                                 inside ? in.px[((y - 1) * 7 + x - 2) * 3 + c] : 0);
            }
    memset(back.px, 9, 7 * 5 * 3);
    image_put(&back, &out, -2, -1);
    assert_int_equal(picture_difference(&back, &in), 0);
    image_put(&back, &out, 7, 0); /* beyond the edges: nothing */
    image_put(&back, &out, -11, 0);
    image_put(&back, &out, 0, 5);
    assert_int_equal(picture_difference(&back, &in), 0);
    image_done(&in);
    image_done(&out);
    image_done(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_soften_goldens), cmocka_unit_test(test_soften_of_constants),
        cmocka_unit_test(test_soften_reach),   cmocka_unit_test(test_blend_formulas),
        cmocka_unit_test(test_fill_goldens),   cmocka_unit_test(test_fill_identities),
        cmocka_unit_test(test_paste_golden),   cmocka_unit_test(test_paste_region),
        cmocka_unit_test(test_crop_and_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
