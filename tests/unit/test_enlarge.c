/* How large pictures become: by a factor, to a size, and in which passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "worker/task/enlarge.h"

static void by_a_factor(void **state)
{
    (void)state;
    static const struct {
        int w, h;
        double factor;
        int width, height;
    } rows[] = {
        {60, 40, 4, 240, 160}, {100, 75, 2, 200, 144}, {16, 16, 1.3, 16, 16},
        {80, 56, 2, 160, 112}, {1, 1, 1, 8, 8},        {3000, 2, 1.5, 4496, 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const enlarge_goal g = enlarge_by(rows[i].w, rows[i].h, rows[i].factor);
        assert_int_equal(g.width, rows[i].width);
        assert_int_equal(g.height, rows[i].height);
    }
}

/* One side is met exactly, the other is at least as long; the shape stays. */
static void to_a_size(void **state)
{
    (void)state;
    for (int w = 1; w < 90; w += 11)
        for (int h = 1; h < 90; h += 7)
            for (int width = 1; width < 300; width += 37)
                for (int height = 1; height < 300; height += 41) {
                    const enlarge_goal g = enlarge_to(w, h, width, height);
                    assert_true(g.width >= width && g.height >= height);
                    assert_true(g.width == width || g.height == height);
                    assert_in_range(g.width, 1, (int)(w * g.factor) + 1);
                    assert_in_range(g.height, 1, (int)(h * g.factor) + 1);
                }
}

static image grey(int w, int h)
{
    image i;
    assert_int_equal(image_new(&i, w, h, 3, NULL), 0);
    memset(i.px, 90, (size_t)w * (size_t)h * 3);
    return i;
}

/* A network that doubles, in one tile. */
static void doubled(scene_result *r, const image *in)
{
    *r = (scene_result){.scale = 2,
                        .grid = {.w = in->w, .h = in->h, .tile_w = in->w, .tile_h = in->h}};
    assert_int_equal(tile_grid_init(&r->grid, NULL), 0);
    r->tile = calloc(1, sizeof *r->tile);
    assert_non_null(r->tile);
    *r->tile = grey(2 * in->w, 2 * in->h);
}

static void passes_until_it_is_large_enough(void **state)
{
    (void)state;
    enlarge g;
    image in = grey(10, 8), out;
    assert_int_equal(enlarge_begin(&g, "some network", &in, enlarge_by(10, 8, 4), NULL), 0);
    for (int pass = 0; pass < enlarge_scenes("some network"); pass++) {
        scene_input input = {0};
        scene_result result = {0};
        assert_int_equal(enlarge_scene(&g, &input, NULL), 0);
        assert_int_equal(input.init.px != NULL, pass < 2);
        if (input.init.px)
            doubled(&result, &input.init);
        assert_int_equal(enlarge_take(&g, &result, NULL), 0);
        scene_result_done(&result);
        scene_input_done(&input);
    }
    assert_int_equal(enlarge_finish(&g, &out, NULL), 0);
    assert_int_equal(out.w, 40);
    assert_int_equal(out.h, 32);
    image_done(&out);
}

static void too_large(void **state)
{
    (void)state;
    enlarge g;
    err e = {0};
    image in = grey(100, 100);
    assert_int_equal(enlarge_begin(&g, "Lanczos", &in, enlarge_by(100, 100, 1e6), &e),
                     ERR_TOO_LARGE);
    assert_non_null(strstr(e.text, "16384"));
    enlarge_done(&g);
}

static void names_of_paths(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"4x.Ultra", "4x.Ultra"}, {"/a/b/4x.Ultra.pth", "4x.Ultra"}, {"/a/.hidden", ".hidden"}};
    char name[256];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enlarge_name(rows[i][0], name);
        assert_string_equal(name, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_a_factor),
        cmocka_unit_test(to_a_size),
        cmocka_unit_test(passes_until_it_is_large_enough),
        cmocka_unit_test(too_large),
        cmocka_unit_test(names_of_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
