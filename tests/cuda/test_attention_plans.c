/* Plans of attention for described devices: one a head width on the H200, the widest and the
 * narrowest elsewhere, because each is compiled; check_plans does all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cuda/survey.h"

static void assert_planned(const char *device, const plan_shape *s, int n)
{
    survey counted = {0};
    planner *p = survey_planner(device);
    for (int i = 0; i < n; i++)
        survey_add(&counted, p, &s[i]);
    planner_free(&p);
    print_message("%s: %d compiled in %.1f s\n", device, counted.shapes, counted.seconds);
    if (counted.failed)
        fail_msg("%s: %s", device, counted.reason[0]);
}

#define OWN(heads, d, t)                                                                           \
    {                                                                                              \
        SHAPE_ATTENTION, F16, .attention = { heads, d, t, t, 3 * heads * d, 3 * heads * d, false } \
    }
#define TEXT(heads, d, t, keys)                                                                    \
    {                                                                                              \
        SHAPE_ATTENTION, F16, .attention = { heads, d, t, keys, heads * d, 2 * heads * d, true }   \
    }

static void every_head_width_has_a_plan(void **state)
{
    (void)state;
    static const plan_shape s[] = {OWN(8, 40, 4096),      OWN(8, 80, 1024),    OWN(8, 160, 256),
                                   OWN(10, 64, 4096),     OWN(1, 512, 4096),   OWN(8, 8, 64),
                                   TEXT(8, 40, 4096, 77), TEXT(8, 16, 64, 231)};
    assert_planned("h200", s, sizeof s / sizeof *s);
}

static void every_device_has_plans(void **state)
{
    (void)state;
    static const plan_shape s[] = {TEXT(8, 40, 4096, 77), OWN(1, 512, 4096)};
    for (int i = 1; survey_devices[i]; i++)
        assert_planned(survey_devices[i], s, sizeof s / sizeof *s);
}

/* What cuDNN has understood: heads and tokens by strides, one count of keys a row. */
static void plans_say_what_they_do(void **state)
{
    (void)state;
    static const plan_shape text = TEXT(8, 40, 64, 77), own = OWN(8, 40, 64);
    static const char *const of_text[] = {
        "\"finalizeMode\":\"UNIFIED_SDPA_FWD\"",
        "\"Q\":\"6\",\"K\":\"7\",\"V\":\"8\",\"O\":\"5\",\"scale\":\"9\",\"seqLenQ\":\"10\","
        "\"seqLenKV\":\"11\"}",
        "{\"name\":\"5\",\"dataType\":\"CUDNN_DATA_HALF\",\"dim\":[4,8,64,40],"
        "\"stride\":[20480,40,320,1]",
        "{\"name\":\"8\",\"dataType\":\"CUDNN_DATA_HALF\",\"dim\":[4,8,77,40],"
        "\"stride\":[49280,40,640,1]",
        "{\"name\":\"9\",\"dataType\":\"CUDNN_DATA_FLOAT\",\"dim\":[1,1,1,1],\"stride\":[1,1,1,1],"
        "\"isVirtual\":false,\"isByValue\":true",
        "{\"name\":\"11\",\"dataType\":\"CUDNN_DATA_INT32\",\"dim\":[4,1,1,1]",
        NULL,
    };
    static const char *const of_own[] = {
        "\"Q\":\"6\",\"K\":\"7\",\"V\":\"8\",\"O\":\"5\",\"scale\":\"9\"}",
        "{\"name\":\"6\",\"dataType\":\"CUDNN_DATA_HALF\",\"dim\":[4,8,64,40],"
        "\"stride\":[61440,40,960,1]",
        "{\"name\":\"7\",\"dataType\":\"CUDNN_DATA_HALF\",\"dim\":[4,8,64,40],"
        "\"stride\":[61440,40,960,1]",
        NULL,
    };
    planner *p = survey_planner("h200");
    survey_assert_text(p, &text, of_text);
    survey_assert_text(p, &own, of_own);
    planner_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_head_width_has_a_plan),
        cmocka_unit_test(every_device_has_plans),
        cmocka_unit_test(plans_say_what_they_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
