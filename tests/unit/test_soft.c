/* Soft inpainting's overlay: against an independent implementation, and where the answer is known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "worker/image/soft.h"

enum { W = 9, H = 6, CELL = 8 };

static soft_inpainting options(double strength, double influence, double threshold, double contrast)
{
    return (soft_inpainting){.on = true,
                             .preservation_strength = strength,
                             .mask_influence = influence,
                             .difference_threshold = threshold,
                             .difference_contrast = contrast};
}

static image constant_mask(uint8_t value)
{
    image mask;
    assert_int_equal(image_new(&mask, W, H, 1, NULL), 0);
    memset(mask.px, value, W * H);
    return mask;
}

static image overlay_of(const float *change, const image *mask, soft_inpainting o)
{
    image out;
    err e = {0};
    assert_int_equal(soft_overlay(&out, change, mask, W * CELL, H * CELL, &o, &e), 0);
    assert_true(out.w == W * CELL && out.h == H * CELL && out.channels == 1);
    return out;
}

/* At most a level of rounding. */
static void golden_overlays(void **state)
{
    (void)state;
    const soft_inpainting table[] = {options(0.5, 0, 0.5, 2), options(0.5, 1, 0.5, 2),
                                     options(4, 0.4, 2, 8)};
    int64_t dim[CHECKPOINT_DIMS];
    checkpoint *golden = golden_open("soft.safetensors");
    image mask = constant_mask(0);
    float *change = golden_floats(golden, dim, "change");
    assert_true(dim[0] == H && dim[1] == W);
    memcpy(mask.px, checkpoint_find(golden, "mask")->data, W * H);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char name[32];
        snprintf(name, sizeof name, "overlay/%zu", i);
        const uint8_t *expected = checkpoint_find(golden, name)->data;
        image got = overlay_of(change, &mask, table[i]);
        int differing = 0;
        for (int k = 0; k < got.w * got.h; k++) {
            assert_in_range(got.px[k] - expected[k] + 1, 0, 2);
            differing += got.px[k] != expected[k];
        }
        print_message("%s: %d of %d differ\n", name, differing, got.w * got.h);
        assert_true(differing <= got.w * got.h / 100);
        image_done(&got);
    }
    image_done(&mask);
    free(change);
    checkpoint_free(&golden);
}

/* No change brings the source back, much change everywhere takes it away, for all the extremes that
 * a job may ask for. */
static void extremes(void **state)
{
    (void)state;
    static const double strengths[] = {0, 0.5, 8}, influences[] = {0, 1}, thresholds[] = {0, 8};
    float none[W * H] = {0}, much[W * H];
    for (int i = 0; i < W * H; i++)
        much[i] = 1e9f;
    for (int m = 0; m < 256; m += 51)
        for (int i = 0; i < 12; i++) {
            const soft_inpainting o =
                options(strengths[i % 3], influences[i / 3 % 2], thresholds[i / 6], 2);
            image mask = constant_mask((uint8_t)m);
            image nothing = overlay_of(none, &mask, o), all = overlay_of(much, &mask, o);
            for (int k = 0; k < W * CELL * H * CELL; k++) {
                assert_int_equal(nothing.px[k], 0);
                assert_in_range(all.px[k], 250, 255);
            }
            image_done(&nothing);
            image_done(&all);
            image_done(&mask);
        }
}

/* A field of changed cells is cut out where it lies. */
static void fields_stay(void **state)
{
    (void)state;
    float change[W * H] = {0};
    image mask = constant_mask(255);
    for (int y = 2; y < H; y++)
        for (int x = 4; x < W; x++)
            change[y * W + x] = 3;
    image field = overlay_of(change, &mask, options(0.5, 0, 0.5, 2));
    assert_in_range(field.px[(H * CELL - 1) * W * CELL + W * CELL - 1], 230, 255);
    assert_in_range(field.px[0], 0, 25);
    image_done(&field);
    image_done(&mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_overlays),
        cmocka_unit_test(extremes),
        cmocka_unit_test(fields_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
