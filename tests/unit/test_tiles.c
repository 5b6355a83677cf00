/* Tiles: where they lie, what their seams give, and that the order of making them cannot be seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/picture.h"
#include "worker/image/tiles.h"

static tile_grid grid(int w, int h, int tile_w, int tile_h, int overlap)
{
    tile_grid g = {.w = w, .h = h, .tile_w = tile_w, .tile_h = tile_h, .overlap = overlap};
    assert_int_equal(tile_grid_init(&g, NULL), 0);
    return g;
}

/* Along one axis: n samples, a tile, an overlap -> where the tiles begin (the reference's numbers).
 */
static void test_positions(void **state)
{
    (void)state;
    static const struct {
        int size, tile, overlap, count, at[8];
    } rows[] = {
        {512, 512, 64, 1, {0}},
        {513, 512, 64, 2, {0, 1}},
        {960, 512, 64, 2, {0, 448}},
        {961, 512, 64, 3, {0, 224, 449}},
        {2048, 512, 64, 5, {0, 384, 768, 1152, 1536}},
        {1000, 300, 50, 4, {0, 233, 466, 700}},
        {160, 64, 16, 3, {0, 48, 96}},
        {128, 64, 32, 3, {0, 32, 64}},
        {100, 512, 64, 1, {0}}, /* shorter than a tile */
        {60, 512, 64, 1, {0}},  /* shorter than the overlap */
        {8, 2, 1, 7, {0, 1, 2, 3, 4, 5, 6}},
        {1, 1, 0, 1, {0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int upright = 0; upright < 2; upright++) {
            int n = rows[i].size, t = rows[i].tile;
            tile_grid g =
                upright ? grid(t, n, t, t, rows[i].overlap) : grid(n, t, t, t, rows[i].overlap);
            assert_int_equal(tile_count(&g), rows[i].count);
            for (int k = 0; k < rows[i].count; k++) {
                image_box b = tile_box(&g, k);
                assert_int_equal(upright ? b.y : b.x, rows[i].at[k]);
                assert_int_equal(upright ? b.x : b.y, 0);
                assert_true(b.w == t && b.h == t);
            }
        }
}

static void test_within(void **state)
{
    static const struct {
        int w, h, tile_w, tile_h, overlap;
        tile_grid want;
    } rows[] = {
        {1000, 600, 512, 512, 64, {.tile_w = 512, .tile_h = 512, .overlap = 64}},
        {576, 448, 512, 512, 64, {.tile_w = 512, .tile_h = 448, .overlap = 64}},
        {443, 293, 512, 512, 64, {.tile_w = 448, .tile_h = 296, .overlap = 64}},
        {900, 40, 512, 512, 64, {.tile_w = 512, .tile_h = 40, .overlap = 39}},
        {3, 9, 512, 64, 8, {.tile_w = 16, .tile_h = 16, .overlap = 8}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tile_grid g =
            tile_grid_within(rows[i].w, rows[i].h, rows[i].tile_w, rows[i].tile_h, rows[i].overlap);
        err e = {0};
        assert_int_equal(g.tile_w, rows[i].want.tile_w);
        assert_int_equal(g.tile_h, rows[i].want.tile_h);
        assert_int_equal(g.overlap, rows[i].want.overlap);
        assert_int_equal(tile_grid_init(&g, &e), 0);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        tile_grid g;
        err_code code;
    } rows[] = {
        {{.w = 100, .h = 100, .tile_w = 0, .tile_h = 64, .overlap = 0}, ERR_INVALID},
        {{.w = 100, .h = 100, .tile_w = 64, .tile_h = -5, .overlap = 0}, ERR_INVALID},
        {{.w = 0, .h = 100, .tile_w = 64, .tile_h = 64, .overlap = 0}, ERR_INVALID},
        {{.w = 100, .h = 100, .tile_w = 64, .tile_h = 64, .overlap = 64}, ERR_INVALID},
        {{.w = 100, .h = 100, .tile_w = 640, .tile_h = 64, .overlap = 100}, ERR_INVALID},
        {{.w = 100, .h = 100, .tile_w = 64, .tile_h = 64, .overlap = -1}, ERR_INVALID},
        {{.w = 4096, .h = 4096, .tile_w = 64, .tile_h = 64, .overlap = 63}, ERR_TOO_LARGE},
        {{.w = 129, .h = 128, .tile_w = 1, .tile_h = 1, .overlap = 0}, ERR_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tile_grid g = rows[i].g;
        err e = {0};
        assert_int_equal(tile_grid_init(&g, &e), rows[i].code);
        assert_int_equal(e.code, rows[i].code);
    }
    tile_grid most = grid(128, 128, 1, 1, 0);
    assert_int_equal(tile_count(&most), JOB_TILES_MAX);
}

static image *cut(const image *in, const tile_grid *g)
{
    image *tiles = calloc((size_t)tile_count(g), sizeof *tiles);
    assert_non_null(tiles);
    for (int i = 0; i < tile_count(g); i++)
        assert_int_equal(image_crop(&tiles[i], in, tile_box(g, i), NULL), 0);
    return tiles;
}

static void drop(image *tiles, int count)
{
    for (int i = 0; i < count; i++)
        image_done(&tiles[i]);
    free(tiles);
}

/* Cut and put together, a picture is what it was, whatever the grid: seams mix equal pixels. */
static void test_there_and_back(void **state)
{
    (void)state;
    static const int rows[][5] = {{160, 112, 64, 64, 16}, {200, 30, 64, 64, 8},
                                  {1, 90, 16, 16, 4},     {90, 1, 16, 16, 0},
                                  {97, 61, 20, 33, 19},   {64, 64, 64, 64, 63}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int *r = rows[i];
        tile_grid g = grid(r[0], r[1], r[2], r[3], r[4]);
        for (int channels = 1; channels <= 3; channels += 2) {
            image in = picture_pattern(g.w, g.h, channels), out, *tiles = cut(&in, &g);
            assert_int_equal(tiles_combine(&out, &g, tiles, 1, NULL), 0);
            assert_int_equal(picture_difference(&in, &out), 0);
            drop(tiles, tile_count(&g));
            image_done(&in);
            image_done(&out);
        }
    }
}

/* Two tiles of 0 and 255 show the weights of a seam: 255 i / overlap, cut. */
static void test_seam(void **state)
{
    (void)state;
    for (int upright = 0; upright < 2; upright++) {
        tile_grid g = upright ? grid(5, 13, 5, 9, 4) : grid(13, 5, 9, 5, 4);
        assert_int_equal(tile_count(&g), 2);
        image tiles[2], out;
        for (int i = 0; i < 2; i++) {
            assert_int_equal(image_new(&tiles[i], g.tile_w, g.tile_h, 1, NULL), 0);
            memset(tiles[i].px, 255 * i, (size_t)(g.tile_w * g.tile_h));
        }
        assert_int_equal(tiles_combine(&out, &g, tiles, 1, NULL), 0);
        static const uint8_t want[13] = {0, 0, 0, 0, 0, 63, 127, 191, 255, 255, 255, 255, 255};
        for (int y = 0; y < out.h; y++)
            for (int x = 0; x < out.w; x++)
                assert_int_equal(out.px[y * out.w + x], want[upright ? y : x]);
        image_done(&tiles[0]);
        image_done(&tiles[1]);
        image_done(&out);
    }
}

/* Tiles made in another order, each then put at its number: the same picture. Scaled, too. */
static void test_any_order(void **state)
{
    (void)state;
    tile_grid g = grid(100, 70, 32, 24, 7);
    int count = tile_count(&g);
    assert_true(count > 12);
    image first = {0};
    for (int turn = 0; turn < 3; turn++) {
        image *tiles = calloc((size_t)count, sizeof *tiles), out;
        assert_non_null(tiles);
        for (int i = 0; i < count; i++) {
            int index = (i * 7 + turn * 5) % count; /* 7 and the count have no common factor */
            assert_null(tiles[index].px);
            tiles[index] = picture_pattern(64, 48, 3);
            for (int p = 0; p < 64 * 48 * 3; p++)
                tiles[index].px[p] = (uint8_t)(tiles[index].px[p] * (index + 1));
        }
        assert_int_equal(tiles_combine(&out, &g, tiles, 2, NULL), 0);
        assert_true(out.w == 200 && out.h == 140);
        if (turn)
            assert_int_equal(picture_difference(&first, &out), 0);
        else
            first = out;
        if (turn)
            image_done(&out);
        drop(tiles, count);
    }
    image_done(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions), cmocka_unit_test(test_within),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_seam),      cmocka_unit_test(test_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
