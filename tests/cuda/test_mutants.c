/* Whether the tests of graphs would see a mistake: each number, flag and type that plan.c and
 * graph.c tell cuDNN is changed in turn, and every change has to make the plan fail or its text
 * differ from what the graph has to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cuda/graph_cases.h"
#include "tests/cuda/survey.h"

/* cudnnBackendAttributeType_t */
enum { TYPE_DATA_TYPE = 1, TYPE_BOOLEAN = 2, TYPE_INT64 = 3, TYPE_FLOAT = 4, TYPE_MODE = 7 };
enum { TYPE_POINTWISE = 14, VALUES_MOST = 16 };

static struct {
    int now, at; /* values told so far, and the one to change: -1 none */
    int changed; /* its attribute */
} mutation = {.at = -1};

int __real_cudnnBackendSetAttribute(void *part, int name, int type, int64_t count,
                                    const void *value);
int __wrap_cudnnBackendSetAttribute(void *part, int name, int type, int64_t count,
                                    const void *value);

static size_t bytes_of(int type)
{
    switch (type) {
    case TYPE_INT64: return sizeof(int64_t);
    case TYPE_FLOAT: return sizeof(float);
    case TYPE_BOOLEAN: return sizeof(bool);
    case TYPE_DATA_TYPE:
    case TYPE_MODE:
    case TYPE_POINTWISE: return sizeof(int);
    default: return 0; /* other descriptors */
    }
}

static void change(int type, void *value, int64_t i)
{
    switch (type) {
    case TYPE_INT64: ((int64_t *)value)[i] += ((int64_t *)value)[i] > 16 ? 16 : 1; break;
    case TYPE_FLOAT: ((float *)value)[i] += 0.5f; break;
    case TYPE_BOOLEAN: ((bool *)value)[i] ^= 1; break;
    default: ((int *)value)[i] ^= 1;
    }
}

int __wrap_cudnnBackendSetAttribute(void *part, int name, int type, int64_t count,
                                    const void *value)
{
    char copy[VALUES_MOST * sizeof(int64_t)];
    size_t bytes = bytes_of(type) * (size_t)count;
    if (bytes == 0 || bytes > sizeof copy)
        return __real_cudnnBackendSetAttribute(part, name, type, count, value);
    memcpy(copy, value, bytes);
    for (int64_t i = 0; i < count; i++)
        if (mutation.now++ == mutation.at) {
            mutation.changed = name;
            change(type, copy, i);
        }
    return __real_cudnnBackendSetAttribute(part, name, type, count, copy);
}

/* Builds the plan with value `at` changed; whether anything would tell. */
static bool is_noticed(const planner *p, const graph_case *c, const choice *chosen, int at)
{
    char why[PLAN_WHY_BYTES], missing[GRAPH_MISSING_BYTES];
    size_t bytes;
    mutation.now = 0;
    mutation.at = at;
    plan *built = plan_build(p, &c->shape, GRAPH_ROWS, chosen, why);
    mutation.at = -1;
    if (!built)
        return true;
    char *text = plan_text(built, &bytes, why), engine[64];
    assert_non_null(text);
    snprintf(engine, sizeof engine, "\"engineId\":%d,", (int)chosen->engine);
    bool same = graph_case_holds(c, text, missing) && strstr(text, engine);
    free(text);
    plan_free(&built);
    return !same;
}

static void every_change_is_noticed(void **state)
{
    (void)state;
    int mutants = 0, survivors = 0;
    planner *p = survey_planner("h200");
    for (int i = 0; i < GRAPHS_READY; i++) {
        const graph_case *c = &graphs_ready[i];
        plan_pick pick;
        char why[PLAN_WHY_BYTES];
        assert_true(plan_choose(p, &c->shape, EVERY_ROWS, &pick, why));
        pick.choice.knobs = 0; /* knobs are the choice's, not the graph's */
        assert_false(is_noticed(p, c, &pick.choice, -1));
        int values = mutation.now;
        assert_in_range(values, 40, 400);
        for (int at = 0; at < values; at++, mutants++)
            if (!is_noticed(p, c, &pick.choice, at)) {
                print_message("graph %d: attribute %d changed, and nothing tells\n", i,
                              mutation.changed);
                survivors++;
            }
    }
    planner_free(&p);
    print_message("%d mutants, %d survive\n", mutants, survivors);
    assert_int_equal(survivors, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_change_is_noticed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
