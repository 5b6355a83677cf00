/* What a walk asks for, as a list: each shape once, its work summed, the most work first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cuda/wanted.h"

static const plan_shape conv = {SHAPE_CONV, F16, .conv = {8, 4, 16, 24, 3, 2, false, false, true}};
static const plan_shape heads = {SHAPE_ATTENTION, F16,
                                 .attention = {4, 40, 64, 77, 160, 160, true}};
static const product_shape linear = {F16, 64, 32, 128, 32, false, true};

static void work_is_counted(void **state)
{
    (void)state;
    wanted w = {0};
    wanted_plan(&w, &conv, 1);
    wanted_product(&w, &linear, 2);
    wanted_plan(&w, &heads, 1);
    wanted_plan(&w, &conv, 2);
    wanted_sort(&w);
    assert_int_equal(w.count, 3);
    assert_false(w.lost);
    assert_string_equal(w.shape[0].name, "attention f16 4x40 64 over 77 q160 kv160 counted");
    assert_true(w.shape[0].flops == 2.0 * 2 * 4 * 40 * 64 * 77); /* q k, and then times v */
    assert_string_equal(w.shape[1].name, "product f16 64 32>128 +bias");
    assert_true(w.shape[1].is_product);
    assert_true(w.shape[1].flops == 2.0 * 2 * 64 * 32 * 128);
    assert_string_equal(w.shape[2].name, "conv f16 8x4 16>24 k3 s2 +bias");
    assert_true(w.shape[2].flops == 3.0 * 2 * (4 * 2 * 24) * (16 * 9)); /* three rows */
    wanted_done(&w);
    assert_int_equal(w.count, 0);
}

static void equal_work_goes_by_name(void **state)
{
    (void)state;
    wanted w = {0};
    for (int i = 99; i >= 0; i--) { /* more than there is room for at first */
        product_shape s = linear;
        s.w_row = 100 + i;
        wanted_product(&w, &s, 1);
    }
    wanted_sort(&w);
    assert_int_equal(w.count, 100);
    for (int i = 1; i < w.count; i++)
        assert_true(strcmp(w.shape[i - 1].name, w.shape[i].name) < 0);
    wanted_done(&w);
}

static void nothing_is_a_list_too(void **state)
{
    (void)state;
    wanted w = {0};
    wanted_sort(&w);
    assert_int_equal(w.count, 0);
    wanted_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_is_counted),
        cmocka_unit_test(equal_work_goes_by_name),
        cmocka_unit_test(nothing_is_a_list_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
