/* 16-bit floats: every value comes back, and what lies between two goes to the nearest one, in the
 * middle to the even one. That is the whole definition, so nothing else is compared. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/half.h"

static const struct {
    const char *name;
    float (*to_float)(uint16_t);
    uint16_t (*from_float)(float);
    uint16_t infinity;
} types[] = {{"f16", f16_to_float, float_to_f16, 0x7c00},
             {"bf16", bf16_to_float, float_to_bf16, 0x7f80}};

enum { TYPES = sizeof types / sizeof *types, SIGN = 0x8000 };

static void every_value_comes_back(void **state)
{
    (void)state;
    for (int k = 0; k < TYPES; k++)
        for (uint32_t h = 0; h < types[k].infinity; h++) {
            assert_int_equal(types[k].from_float(types[k].to_float((uint16_t)h)), h);
            assert_int_equal(types[k].from_float(types[k].to_float((uint16_t)(h | SIGN))),
                             h | SIGN);
        }
}

static void the_nearest_is_taken(void **state)
{
    (void)state;
    for (int k = 0; k < TYPES; k++)
        for (uint32_t h = 0; h + 1 < types[k].infinity; h++) {
            const float low = types[k].to_float((uint16_t)h);
            const float high = types[k].to_float((uint16_t)(h + 1));
            const float middle = (float)(((double)low + high) / 2);
            const uint16_t even = (uint16_t)(h & 1 ? h + 1 : h);
            assert_int_equal(types[k].from_float(middle), even);
            assert_int_equal(types[k].from_float(-middle), even | SIGN);
            assert_int_equal(types[k].from_float(nextafterf(middle, low)), h);
            assert_int_equal(types[k].from_float(nextafterf(middle, high)), h + 1);
        }
}

static void beyond_is_infinite(void **state)
{
    (void)state;
    assert_int_equal(float_to_f16(65519.996f), 0x7bff); /* 65504 is the largest */
    assert_int_equal(float_to_f16(65520), 0x7c00);
    assert_int_equal(float_to_f16(-1e30f), 0xfc00);
    for (int k = 0; k < TYPES; k++) {
        assert_int_equal(types[k].from_float(INFINITY), types[k].infinity);
        assert_int_equal(types[k].from_float(-INFINITY), types[k].infinity | SIGN);
        assert_true(isnan(types[k].to_float(types[k].from_float(NAN))));
        assert_true(isnan(types[k].to_float(types[k].from_float(bits_to_float(0x7f800001)))));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_value_comes_back),
                                       cmocka_unit_test(the_nearest_is_taken),
                                       cmocka_unit_test(beyond_is_infinite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
