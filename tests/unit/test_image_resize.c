/* Resampling and the resize modes against Pillow's pictures, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/picture.h"

static image golden(const char *file, bool grey)
{
    char path[128];
    snprintf(path, sizeof path, "resize/%s", file);
    return grey ? picture_golden_grey(path) : picture_golden(path);
}

static void check_golden(const char *file, const json_t *row)
{
    const char *input = json_string_value(json_object_get(row, "input"));
    const json_t *mode = json_object_get(row, "resize_mode");
    int w = (int)json_integer_value(json_object_get(row, "width"));
    int h = (int)json_integer_value(json_object_get(row, "height"));
    bool grey = strstr(input, "grey") != NULL;
    image in = golden(input, grey), want = golden(file, grey), got = {0};
    err e = {0};
    int rc = mode ? image_fit(&got, &in, (resize_mode)json_integer_value(mode), w, h, &e)
                  : image_resize(&got, &in, w, h, &e);
    assert_int_equal(rc, 0);
    int difference = picture_difference(&got, &want);
    if (difference)
        print_error("%s differs by %d\n", file, difference);
    assert_int_equal(difference, 0);
    image_done(&in);
    image_done(&want);
    image_done(&got);
}

static void test_goldens(void **state)
{
    (void)state;
    json_t *rows = json_load_file(GOLDEN_DIR "/resize/resize.json", 0, NULL);
    assert_non_null(rows);
    assert_int_equal(json_object_size(rows), 19);
    const char *file;
    json_t *row;
    json_object_foreach(rows, file, row) check_golden(file, row);
    json_decref(rows);
}

static void test_kernels(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        image_filter filter;
        int w, h;
    } rows[] = {
        {"pillow/bicubic-20x13.png", FILTER_BICUBIC, 20, 13},
        {"pillow/bicubic-150x90.png", FILTER_BICUBIC, 150, 90},
        {"pillow/bicubic-7x200.png", FILTER_BICUBIC, 7, 200},
        {"pillow/nearest-20x13.png", FILTER_NEAREST, 20, 13},
        {"pillow/nearest-150x90.png", FILTER_NEAREST, 150, 90},
        {"pillow/nearest-7x200.png", FILTER_NEAREST, 7, 200},
    };
    image in = golden("in.png", false);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        image want = picture_golden(rows[i].file), got;
        assert_int_equal(image_resample(&got, &in, rows[i].filter, rows[i].w, rows[i].h, NULL), 0);
        assert_int_equal(picture_difference(&got, &want), 0);
        image_done(&want);
        image_done(&got);
    }
    image_done(&in);
}

/* A part is the same pixels as the whole, whichever sides change. */
static void test_part(void **state)
{
    (void)state;
    static const int sizes[][2] = {{90, 70}, {61, 70}, {90, 47}, {61, 47}, {20, 200}, {300, 9}};
    image in = picture_pattern(61, 47, 3);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int w = sizes[i][0], h = sizes[i][1];
        image_box box = {w / 3, h / 4, w / 2, h / 2};
        image whole, part;
        assert_int_equal(image_resize(&whole, &in, w, h, NULL), 0);
        assert_int_equal(image_resize_part(&part, &in, w, h, box, NULL), 0);
        for (int y = 0; y < box.h; y++)
            assert_memory_equal(part.px + y * box.w * 3, whole.px + ((box.y + y) * w + box.x) * 3,
                                (size_t)box.w * 3);
        image_done(&whole);
        image_done(&part);
    }
    image_done(&in);
}

static void test_same_size_is_a_copy(void **state)
{
    (void)state;
    image in = picture_pattern(33, 21, 1), out;
    assert_int_equal(image_resize(&out, &in, 33, 21, NULL), 0);
    assert_ptr_not_equal(in.px, out.px);
    assert_int_equal(picture_difference(&in, &out), 0);
    image_done(&in);
    image_done(&out);
}

/* A constant stays constant at every size: the weights add up to one. */
static void test_constant(void **state)
{
    (void)state;
    static const int sides[] = {1, 2, 3, 7, 16, 17, 100, 257, 1024};
    image in = picture_pattern(37, 29, 3);
    memset(in.px, 201, 37 * 29 * 3);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        image out;
        assert_int_equal(image_resize(&out, &in, sides[i], sides[8 - i], NULL), 0);
        for (int p = 0; p < out.w * out.h * 3; p++)
            assert_int_equal(out.px[p], 201);
        image_done(&out);
    }
    image_done(&in);
}

/* Every mode gives the size asked for; grey becomes RGB where the contract says so. */
static void test_fit_shapes(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 64}, {64, 1}, {63, 64}, {8, 9}, {200, 3}};
    for (int channels = 1; channels <= 3; channels += 2)
        for (size_t i = 0; i < 36; i++)
            for (int mode = 0; mode < RESIZE_COUNT; mode++) {
                const int *from = sizes[i / 6], *to = sizes[i % 6];
                image in = picture_pattern(from[0], from[1], channels), out;
                assert_int_equal(image_fit(&out, &in, (resize_mode)mode, to[0], to[1], NULL), 0);
                assert_int_equal(out.w, to[0]);
                assert_int_equal(out.h, to[1]);
                assert_int_equal(out.channels, mode == RESIZE_JUST ? channels : 3);
                image_done(&in);
                image_done(&out);
            }
}

/* A thin picture that covers a square needs a giant that nobody may compute (64 x 4096 squared). */
static void test_crop_of_a_thin_picture_is_cheap(void **state)
{
    (void)state;
    image in = picture_pattern(16, 1024, 3), out;
    assert_int_equal(image_fit(&out, &in, RESIZE_CROP, 4096, 64, NULL), 0);
    assert_int_equal(out.w, 4096);
    assert_int_equal(out.h, 64);
    image_done(&in);
    image_done(&out);
}

static void test_bars_continue_the_edge(void **state)
{
    (void)state;
    image in, out;
    assert_int_equal(image_new(&in, 2, 2, 3, NULL), 0);
    memcpy(in.px, (uint8_t[]){0, 100, 250, 80, 100, 2, 0, 100, 250, 80, 100, 2}, 12);
    assert_int_equal(image_fit(&out, &in, RESIZE_FILL, 6, 2, NULL), 0);
    /* left: 9/8 edge - 1/8 inner, cut to 0..255; right: the same from the other side */
    static const uint8_t row[] = {0,  100, 255, 0,  100, 255, 0,  100, 250,
                                  80, 100, 2,   90, 100, 0,   90, 100, 0};
    assert_memory_equal(out.px, row, sizeof row);
    assert_memory_equal(out.px + sizeof row, row, sizeof row);
    image_done(&in);
    image_done(&out);
}

static void test_unknown_mode(void **state)
{
    (void)state;
    image in = picture_pattern(4, 4, 3), out;
    err e = {0};
    assert_int_equal(image_fit(&out, &in, RESIZE_COUNT, 8, 8, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "resize mode is 3"));
    image_done(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_part),
        cmocka_unit_test(test_same_size_is_a_copy),
        cmocka_unit_test(test_constant),
        cmocka_unit_test(test_fit_shapes),
        cmocka_unit_test(test_crop_of_a_thin_picture_is_cheap),
        cmocka_unit_test(test_bars_continue_the_edge),
        cmocka_unit_test(test_unknown_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
