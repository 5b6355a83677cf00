/* Plans of attention for described devices: one a head width on the H200, the widest and the
 * narrowest elsewhere, because each is compiled; check_plans does all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cuda/graph_cases.h"
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
/* Keys and values of all of SD 1.5's blocks lie in one row. */
#define TEXT(heads, d, t, keys)                                                                    \
    {                                                                                              \
        SHAPE_ATTENTION, F16, .attention = { heads, d, t, keys, heads * d, 24960, true }           \
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

static void plans_say_what_they_do(void **state)
{
    (void)state;
    for (int i = 0; i < GRAPHS_COMPILED; i++)
        graph_case_assert(&graphs_compiled[i]);
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
