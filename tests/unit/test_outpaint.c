/* Outpainting: where everything lies, by tables of the reference's numbers, and mk2's noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/picture.h"
#include "worker/image/outpaint.h"

static void test_plans(void **state)
{
    (void)state;
    static const struct {
        int w, h, asked[SIDE_COUNT], canvas_w, canvas_h, pixels[SIDE_COUNT], result_w, result_h;
    } rows[] = {
        {64, 64, {32, 32, 0, 0}, 128, 64, {32, 32, 0, 0}, 128, 64},
        {64, 64, {0, 32, 0, 0}, 128, 64, {0, 64, 0, 0}, 128, 64},
        {100, 70, {128, 0, 0, 0}, 256, 128, {156, 0, 0, 0}, 256, 70}, /* 70 stays 70 */
        {100, 70, {128, 128, 64, 8}, 384, 192, {142, 142, 108, 14}, 384, 192},
        {512, 512, {128, 128, 128, 128}, 768, 768, {128, 128, 128, 128}, 768, 768},
        {500, 333, {0, 0, 0, 40}, 512, 384, {0, 0, 0, 51}, 500, 384},
        {63, 65, {8, 16, 24, 0}, 128, 128, {21, 44, 63, 0}, 128, 128},
        {63, 65, {0, 0, 0, 0}, 64, 128, {0, 0, 0, 0}, 63, 65},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        outpaint_plan p = outpaint_plan_of(rows[i].w, rows[i].h, rows[i].asked);
        assert_true(p.canvas_w == rows[i].canvas_w && p.canvas_h == rows[i].canvas_h);
        assert_memory_equal(p.pixels, rows[i].pixels, sizeof p.pixels);
        assert_true(p.result_w == rows[i].result_w && p.result_h == rows[i].result_h);
    }
}

static void expect_box(image_box got, image_box want)
{
    assert_true(got.x == want.x && got.y == want.y && got.w == want.w && got.h == want.h);
}

/* The last row and column of the rectangle belong to it, as the reference draws it. */
static void test_poor_mans(void **state)
{
    (void)state;
    outpaint_plan p = outpaint_plan_of(100, 70, (int[]){128, 0, 64, 8}); /* 156; 108 and 14 */
    assert_true(p.canvas_w == 256 && p.canvas_h == 192);
    expect_box(outpaint_kept(&p, 0), (image_box){156, 108, 100, 71});
    expect_box(outpaint_kept(&p, 8), (image_box){164, 116, 92, 55});
    image_box none = outpaint_kept(&p, 60);
    assert_true(none.w == 40 && none.h == 0);

    assert_true(outpaint_is_old(&p, (image_box){156, 108, 64, 64}));
    assert_true(outpaint_is_old(&p, (image_box){192, 114, 64, 64}));
    assert_false(outpaint_is_old(&p, (image_box){155, 108, 64, 64}));
    assert_false(outpaint_is_old(&p, (image_box){156, 115, 64, 64}));
    assert_false(outpaint_is_old(&p, (image_box){193, 108, 64, 64}));
}

static void test_mask(void **state)
{
    (void)state;
    static const image_box boxes[] = {{2, 1, 3, 2}, {-4, -4, 6, 6}, {6, 3, 9, 9},
                                      {0, 0, 0, 5}, {9, 9, 3, 3},   {3, 2, -1, -1}};
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        image mask;
        image_box b = boxes[i];
        assert_int_equal(outpaint_mask(&mask, 8, 5, b, NULL), 0);
        for (int y = 0; y < 5; y++)
            for (int x = 0; x < 8; x++) {
                bool kept = x >= b.x && x < b.x + b.w && y >= b.y && y < b.y + b.h;
                assert_int_equal(mask.px[y * 8 + x], kept ? 0 : 255);
            }
        image_done(&mask);
    }
}

static void test_mk2_steps(void **state)
{
    (void)state;
    static const struct {
        mk2_options o;
        mk2_step want;
    } rows[] = {
        {{SIDE_LEFT, 64, 4, 64, 64, 128, 64},
         {128, 64, 128, 64, 64, 0, {0, 0, 128, 64}, {68, 0, 60, 64}, {72, 0, 56, 64}}},
        {{SIDE_RIGHT, 64, 2, 64, 64, 128, 128},
         {128, 64, 128, 64, 0, 0, {0, 0, 128, 64}, {0, 0, 63, 64}, {0, 0, 61, 64}}},
        {{SIDE_DOWN, 64, 2, 128, 64, 128, 128},
         {128, 128, 128, 128, 0, 0, {0, 0, 128, 128}, {0, 0, 128, 63}, {0, 0, 128, 61}}},
        /* a job that is smaller than the canvas works on the side that grows */
        {{SIDE_RIGHT, 128, 8, 1024, 512, 512, 512},
         {1152, 512, 1152, 512, 0, 0, {640, 0, 512, 512}, {0, 0, 1017, 512}, {0, 0, 369, 512}}},
        {{SIDE_UP, 128, 8, 512, 1024, 512, 512},
         {512, 1152, 512, 1152, 0, 128, {0, 0, 512, 512}, {0, 136, 512, 1016}, {0, 144, 512, 368}}},
        /* sides that are not multiples of 64: the canvas has a rest, the result has not */
        {{SIDE_LEFT, 142, 4, 100, 70, 512, 512},
         {242, 70, 256, 128, 142, 0, {0, 0, 248, 128}, {146, 0, 97, 71}, {150, 0, 93, 71}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mk2_step got = outpaint_mk2_step(&rows[i].o);
        const mk2_step *want = &rows[i].want;
        assert_true(got.result_w == want->result_w && got.result_h == want->result_h);
        assert_true(got.canvas_w == want->canvas_w && got.canvas_h == want->canvas_h);
        assert_true(got.x == want->x && got.y == want->y);
        expect_box(got.part, want->part);
        expect_box(got.kept, want->kept);
        expect_box(got.kept_latent, want->kept_latent);
    }
}

/* Grown one side after the other, the picture ends as large as the plan says. */
static void test_mk2_reaches_the_plan(void **state)
{
    (void)state;
    for (int w = 8; w < 300; w += 37)
        for (int h = 8; h < 300; h += 41)
            for (int sides = 0; sides < 16; sides++) {
                int asked[SIDE_COUNT];
                for (int s = 0; s < SIDE_COUNT; s++)
                    asked[s] = sides >> s & 1 ? 8 + 24 * s : 0;
                outpaint_plan p = outpaint_plan_of(w, h, asked);
                mk2_step last = {.result_w = w, .result_h = h};
                for (int s = 0; s < SIDE_COUNT; s++) {
                    if (!p.pixels[s])
                        continue;
                    last = outpaint_mk2_step(&(mk2_options){(side)s, p.pixels[s], 4, last.result_w,
                                                            last.result_h, 512, 512});
                    assert_true(last.canvas_w % 64 == 0 && last.canvas_h % 64 == 0);
                    assert_true(last.part.w % 8 == 0 && last.part.h % 8 == 0);
                    assert_true(last.part.x + last.part.w <= last.canvas_w);
                    assert_true(last.part.y + last.part.h <= last.canvas_h);
                }
                assert_true(last.result_w == p.result_w && last.result_h == p.result_h);
            }
}

static void test_noise_golden(void **state)
{
    (void)state;
    image got = picture_golden("outpaint/noise-fill-canvas.png");
    image canvas = picture_golden("outpaint/noise-fill-canvas.png");
    image want = picture_golden("outpaint/noise-fill-filled.png");
    image mask = picture_golden_grey("outpaint/noise-fill-mask.png");
    assert_int_equal(outpaint_fill(&got, &mask, 1.0, 0.05, NULL), 0);
    int differing = 0, samples = got.w * got.h * 3;
    for (int i = 0; i < samples; i++) {
        if (!mask.px[i / 3])
            assert_int_equal(got.px[i], canvas.px[i]);
        assert_true(abs(got.px[i] - want.px[i]) <= 2);
        differing += got.px[i] != want.px[i];
    }
    assert_true(differing * 100 <= samples);
    image_done(&got);
    image_done(&canvas);
    image_done(&want);
    image_done(&mask);
}

static image right_half_white(int w, int h)
{
    image mask;
    assert_int_equal(outpaint_mask(&mask, w, h, (image_box){0, 0, w - w / 2, h - h / 4}, NULL), 0);
    return mask;
}

/* Any size and setting: nothing outside the mask changes, and inside stand only values that lie
 * between those outside. Also for spectra with zeros, and black pictures. */
static void test_noise_always(void **state)
{
    (void)state;
    static const int sizes[][2] = {{64, 64}, {1, 9}, {9, 1}, {30, 77}, {61, 16}, {2, 2}};
    static const double falloffs[] = {0, 1, 1.5, 4};
    for (size_t s = 0; s < 6; s++)
        for (size_t f = 0; f < 4; f++)
            for (int kind = 0; kind < 3; kind++) {
                image in = picture_pattern(sizes[s][0], sizes[s][1], 3);
                int n = in.w * in.h;
                for (int i = 0; kind && i < n * 3; i++)
                    in.px[i] = kind == 1 ? 0 : 77;
                image out, mask = right_half_white(in.w, in.h);
                assert_int_equal(image_crop(&out, &in, (image_box){0, 0, in.w, in.h}, NULL), 0);
                assert_int_equal(outpaint_fill(&out, &mask, falloffs[f], 0.3, NULL), 0);
                uint8_t least[3] = {255, 255, 255}, most[3] = {0, 0, 0};
                for (int i = 0; i < n * 3; i++)
                    if (!mask.px[i / 3]) {
                        assert_int_equal(out.px[i], in.px[i]);
                        least[i % 3] = in.px[i] < least[i % 3] ? in.px[i] : least[i % 3];
                        most[i % 3] = in.px[i] > most[i % 3] ? in.px[i] : most[i % 3];
                    }
                for (int i = 0; i < n * 3; i++)
                    assert_true(out.px[i] >= least[i % 3] && out.px[i] <= most[i % 3]);
                image_done(&in);
                image_done(&out);
                image_done(&mask);
            }
}

static void test_noise_of_nothing(void **state)
{
    (void)state;
    image picture = picture_pattern(16, 8, 3), same = picture_pattern(16, 8, 3), mask;
    assert_int_equal(outpaint_mask(&mask, 16, 8, (image_box){0, 0, 16, 8}, NULL), 0);
    assert_int_equal(outpaint_fill(&picture, &mask, 1, 0.05, NULL), 0);
    assert_int_equal(picture_difference(&picture, &same), 0);
    memset(mask.px, 255, 16 * 8);
    err e = {0};
    assert_int_equal(outpaint_fill(&picture, &mask, 1, 0.05, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "covers all 16 x 8 pixels"));
    assert_int_equal(picture_difference(&picture, &same), 0);
    image_done(&picture);
    image_done(&same);
    image_done(&mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_poor_mans),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_mk2_steps),
        cmocka_unit_test(test_mk2_reaches_the_plan),
        cmocka_unit_test(test_noise_golden),
        cmocka_unit_test(test_noise_always),
        cmocka_unit_test(test_noise_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
