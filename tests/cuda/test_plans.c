/* Plans of convolutions for described devices. Sizes at which each model is used most; check_plans
 * does all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cuda/graph_cases.h"
#include "tests/cuda/survey.h"
#include "tests/cuda/walk.h"

static const plan_shape middle = {SHAPE_CONV, F16, .conv = {8, 8, 1280, 1280, 3, 1, 0, 1, 1}};
static const plan_shape large = {SHAPE_CONV, F16, .conv = {64, 64, 320, 320, 3, 1, 0, 1, 1}};

static void every_convolution_has_a_plan(void **state)
{
    (void)state;
    walk *w = calloc(1, sizeof *w);
    assert_non_null(w);
    walk_add(w, (walk_picture){"sd15", 512, 512});
    walk_add(w, (walk_picture){"sdxl", 1024, 1024});
    walk_add(w, (walk_picture){"tiny", 64, 64});
    for (int i = 0; survey_devices[i]; i++) {
        survey s = {0};
        planner *p = survey_planner(survey_devices[i]);
        for (int j = 0; j < w->plans; j++)
            if (w->plan[j].kind != SHAPE_ATTENTION)
                survey_add(&s, p, &w->plan[j]);
        planner_free(&p);
        print_message("%s: %d shapes, %d first choices, worst rank %d, %.1f s\n", survey_devices[i],
                      s.shapes, s.first, s.rank_most, s.seconds);
        if (s.failed)
            fail_msg("%s: %d without a plan, the first: %s", survey_devices[i], s.failed,
                     s.reason[0]);
        assert_in_range(s.shapes, 60, 1000);
    }
    free(w);
}

/* What the rule accepts never takes more than it explains, at any number of rows; and there are
 * configurations that would, so the rule does something. */
static void the_rule_is_about_something(void **state)
{
    (void)state;
    plan_candidate list[PLAN_CANDIDATES];
    char why[PLAN_WHY_BYTES];
    int safe = 0, unsafe = 0, growing = 0;
    planner *p = survey_planner("h200");
    int n = planner_candidates(p, &middle, REFERENCE_ROWS, list, why);
    assert_in_range(n, 20, PLAN_CANDIDATES);
    for (int i = 0; i < n; i++) {
        const choice *c = &list[i].choice;
        int64_t least = INT64_MAX, most = 0;
        for (int j = 0; j < BUCKETS; j++) {
            plan *built = plan_build(p, &middle, bucket_rows[j], c, why);
            if (!built)
                fail_msg("%s", why);
            int64_t bytes = plan_workspace(built);
            plan_free(&built);
            if (choice_is_safe(c, &middle))
                assert_true(bytes <= choice_workspace_most(c, &middle, bucket_rows[j]));
            least = bytes < least ? bytes : least;
            most = bytes > most ? bytes : most;
        }
        choice_is_safe(c, &middle) ? safe++ : unsafe++;
        growing += !choice_is_safe(c, &middle) && most > 1000 * (least + 1);
    }
    print_message("%d safe, %d not, %d of them change their workspace\n", safe, unsafe, growing);
    assert_true(safe > 5 && growing > 5);
    planner_free(&p);
}

static void bad_choices_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"engine 9999", "engine 41 2:999 25:1",
                                        "engine 41 2:3 13:1 18:0 25:0 27:1 28:2", "engine 0"};
    char why[PLAN_WHY_BYTES];
    planner *p = survey_planner("h200");
    choice c;
    for (size_t i = 0; i < sizeof texts / sizeof *texts - 1; i++) {
        assert_true(choice_read(&c, texts[i], strlen(texts[i])));
        if (plan_is_good(p, &large, EVERY_ROWS, &c, why))
            fail_msg("%s is called good", texts[i]);
        assert_true(why[0]);
    }
    assert_true(choice_read(&c, "engine 41 2:999", 15));
    assert_null(plan_build(p, &large, 2, &c, why));
    assert_true(why[0]);
    planner_free(&p);
    assert_null(planner_described("{\"deviceName\": \"none\"}", why));
    assert_non_null(strstr(why, "device description"));
}

static void the_choice_is_stable(void **state)
{
    (void)state;
    plan_pick one, other;
    char why[PLAN_WHY_BYTES];
    planner *p = survey_planner("h200"), *again = survey_planner("h200");
    assert_true(plan_choose(p, &large, EVERY_ROWS, &one, why));
    assert_true(plan_choose(again, &large, EVERY_ROWS, &other, why));
    assert_true(choice_equal(&one.choice, &other.choice));
    assert_true(plan_is_good(p, &large, EVERY_ROWS, &one.choice, why));
    planner_free(&p);
    planner_free(&again);
}

static void plans_say_what_they_do(void **state)
{
    (void)state;
    for (int i = 0; i < GRAPHS_READY; i++)
        graph_case_assert(&graphs_ready[i]);
}

static void a_launch_takes_addresses(void **state)
{
    (void)state;
    static _Alignas(16) char place[64];
    const plan_operand operand[] = {PLAN_X, PLAN_W, PLAN_BIAS, PLAN_Y};
    void *at[] = {place, place + 16, place + 32, place + 48};
    char why[PLAN_WHY_BYTES];
    plan_launch *l = plan_launch_new(operand, at, 4, NULL, why);
    if (!l)
        fail_msg("%s", why);
    plan_launch_free(&l);
    assert_null(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_convolution_has_a_plan),
        cmocka_unit_test(the_rule_is_about_something),
        cmocka_unit_test(bad_choices_are_refused),
        cmocka_unit_test(the_choice_is_stable),
        cmocka_unit_test(plans_say_what_they_do),
        cmocka_unit_test(a_launch_takes_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
