/* The stand-in for cuDNN under the module's own plans: right numbers, the same bytes for any number
 * of rows with what the module takes, other bytes with what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/vendor/bench.h"
#include "tests/vendor/convolutions.h"
#include "tests/vendor/cudnn_program.h"
#include "tests/vendor/vendor.h"

enum { ROWS_MOST = 16 };

static const plan_shape shapes[] = {
    {SHAPE_CONV, F16, .conv = {8, 8, 64, 64, 3, 1, false, true, true}},
    {SHAPE_CONV, F16, .conv = {9, 7, 32, 64, 3, 2, false, false, true}},
    {SHAPE_CONV, F16, .conv = {8, 6, 64, 32, 3, 2, true, false, true}},
    {SHAPE_CONV, F16, .conv = {5, 8, 8, 320, 3, 1, false, false, false}},
    {SHAPE_CONV, BF16, .conv = {8, 8, 64, 8, 3, 1, false, false, true}},
    {SHAPE_CONV, F16, .conv = {1, 24, 64, 48, 1, 1, false, true, true}},
    {SHAPE_UPSAMPLE, F16, .conv = {4, 6, 64, 32, 4, 2, false, false, false}},
    {SHAPE_UPSAMPLE, BF16, .conv = {8, 8, 32, 32, 4, 2, false, false, false}},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Few pixels, many channels: engines split its sums. */
static const plan_shape deep = {SHAPE_CONV, F16, .conv = {8, 8, 640, 64, 3, 1, false, false, true}};

static bool launch_conv(const bench *b, const plan *p, const plan_shape *s, const conv_operands *o,
                        void *workspace)
{
    plan_operand operand[] = {PLAN_X, PLAN_W, PLAN_Y, PLAN_BIAS, PLAN_RESIDUAL};
    void *at[] = {o->x.device, o->w.device, o->y.device, o->bias.device, o->residual.device};
    return bench_launch(b, p, operand, at, 3 + s->conv.bias + s->conv.residual, workspace);
}

/* Runs a plan with a workspace of its own that is `less` bytes too small, and waits. */
static bool run_conv(const bench *b, const plan *p, const plan_shape *s, const conv_operands *o,
                     int64_t less)
{
    void *workspace;
    assert_int_equal(cudaMalloc(&workspace, (size_t)(plan_workspace(p) - less)), cudaSuccess);
    bool good = launch_conv(b, p, s, o, workspace);
    if (good)
        array_get(&o->y);
    assert_int_equal(cudaFree(workspace), cudaSuccess);
    return good;
}

static void convolutions_are_right(void **state)
{
    const bench *b = *state;
    for (int i = 0; i < SHAPES; i++) {
        const plan_shape *s = &shapes[i];
        conv_operands o = conv_operands_of(s, 2);
        const choice c = bench_choice(b, s);
        double *want = conv_expected(s, &o, 2);
        plan *p = bench_plan(b, s, &c, 2);
        assert_true(run_conv(b, p, s, &o, 0));
        array_assert_near(&o.y, s->type, want, o.y.n);
        plan_free(&p);
        free(want);
        conv_operands_done(&o);
        assert_reported(NULL);
    }
}

static void an_upsample_is_what_its_taps_say(void **state)
{
    const bench *b = *state;
    plan_shape whole = {SHAPE_CONV, F16, .conv = {8, 12, 16, 24, 3, 1, false, false, false}};
    const plan_shape up = upsample_of(&whole);
    conv_operands o = conv_operands_of(&up, 2);
    const choice c = bench_choice(b, &up);
    double *want = conv_nearest_then(&whole, &o);
    plan *p = bench_plan(b, &up, &c, 2);
    assert_true(run_conv(b, p, &up, &o, 0));
    array_assert_near(&o.y, up.type, want, o.y.n);
    plan_free(&p);
    free(want);
    conv_operands_done(&o);
    assert_reported(NULL);
}

/* How many numbers of rows give other bytes than ROWS_MOST rows. */
static int count_different(const bench *b, const plan_shape *s, const choice *c)
{
    conv_operands o = conv_operands_of(s, ROWS_MOST);
    size_t bytes = (size_t)o.y.n * sizeof *o.y.host;
    uint16_t *all = malloc(bytes);
    int different = 0;
    assert_non_null(all);
    for (int i = BUCKETS - 1; i >= 0; i--) {
        int64_t rows = bucket_rows[i];
        plan *p = bench_plan(b, s, c, rows);
        array_clear(&o.y);
        if (!run_conv(b, p, s, &o, 0))
            fail_msg("%lld rows do not run", (long long)rows);
        plan_free(&p);
        if (rows == ROWS_MOST)
            memcpy(all, o.y.host, bytes);
        different += memcmp(o.y.host, all, bytes / ROWS_MOST * (size_t)rows) != 0;
    }
    free(all);
    conv_operands_done(&o);
    return different;
}

static void choices_give_the_same_bytes(void **state)
{
    const bench *b = *state;
    for (int i = 0; i < SHAPES; i++) {
        const choice c = bench_choice(b, &shapes[i]);
        assert_int_equal(count_different(b, &shapes[i], &c), 0);
    }
    assert_reported(NULL);
}

/* Of all that the heuristic has for a deep convolution: safe ones, and several that are not. */
static void other_choices_give_others(void **state)
{
    const bench *b = *state;
    plan_candidate list[PLAN_CANDIDATES];
    char why[PLAN_WHY_BYTES];
    int n = planner_candidates(b->planner, &deep, REFERENCE_ROWS, list, why), same = 0, others = 0;
    for (int i = 0; i < n && (same < 3 || others < 3); i++) {
        bool safe = choice_is_safe(&list[i].choice, &deep);
        if (list[i].compiled || (safe ? same >= 3 : others >= 3))
            continue;
        bool differs = count_different(b, &deep, &list[i].choice) > 0;
        if (differs == plan_is_good(b->planner, &deep, EVERY_ROWS, &list[i].choice, why)) {
            char text[CHOICE_TEXT_BYTES];
            choice_write(&list[i].choice, text);
            fail_msg("%s: %s bytes, called %s", text, differs ? "other" : "the same",
                     differs ? "good" : why);
        }
        same += safe;
        others += !safe;
    }
    assert_true(same == 3 && others == 3);
    assert_reported(NULL);
}

static void plans_come_back_from_text(void **state)
{
    const bench *b = *state;
    const plan_shape *s = &shapes[0];
    conv_operands o = conv_operands_of(s, 2);
    const choice c = bench_choice(b, s);
    char why[PLAN_WHY_BYTES];
    size_t n, bytes = (size_t)o.y.n * sizeof *o.y.host;
    uint16_t *first = malloc(bytes);
    plan *p = bench_plan(b, s, &c, 2);
    assert_non_null(first);
    assert_true(run_conv(b, p, s, &o, 0));
    memcpy(first, o.y.host, bytes);
    array_clear(&o.y);
    char *text = plan_text(p, &n, why);
    plan *again = text ? plan_of_text(b->planner, text, n, why) : NULL;
    if (!again)
        fail_msg("%s", why);
    assert_int_equal(plan_workspace(again), plan_workspace(p));
    assert_true(run_conv(b, again, s, &o, 0));
    assert_memory_equal(o.y.host, first, bytes);
    free(text);
    free(first);
    plan_free(&p);
    plan_free(&again);
    conv_operands_done(&o);
    assert_reported(NULL);
}

/* The text of a plan with one word replaced by another of the same length. */
static void assert_refused(const char *text, const char *word, const char *by, const char *said)
{
    char why[PROGRAM_WHY_BYTES] = "";
    program p;
    char *changed = strdup(text), *at = changed ? strstr(changed, word) : NULL;
    assert_true(at && strlen(word) == strlen(by));
    memcpy(at, by, strlen(by));
    assert_false(program_read(&p, changed, 0, why));
    if (!strstr(why, said))
        fail_msg("%s, expected %s", why, said);
    free(changed);
}

static void what_is_not_understood_is_refused(void **state)
{
    const bench *b = *state;
    const choice c = bench_choice(b, &shapes[0]);
    char why[PLAN_WHY_BYTES], said[PROGRAM_WHY_BYTES];
    size_t bytes;
    program read;
    plan *p = bench_plan(b, &shapes[0], &c, 2);
    char *text = plan_text(p, &bytes, why);
    assert_true(text && program_read(&read, text, 0, said));
    assert_refused(text, "POINTWISE_ADD", "POINTWISE_MUL", "POINTWISE_MUL");
    assert_refused(text, "CROSS_CORRELATION", "xxxxx_CONVOLUTION", "not a plain");
    assert_refused(text, "\"beta\":0.0", "\"beta\":1.0", "not a plain");
    assert_refused(text, "CONVOLUTION_FORWARD", "CONVOLUTION_FORWARX", "first the operation");
    assert_refused(text, "\"vectCount\":1", "\"vectCount\":4", "dimensions");
    assert_refused(text, "CUDNN_DATA_HALF", "CUDNN_DATA_INT8", "numbers of type");
    assert_refused(text, "\"Y\":\"5\"", "\"Y\":\"6\"", "POINTWISE_ADD");
    assert_refused(text, "\"engine\"", "\"enginX\"", "the engine");
    assert_refused(text, "operationGraph", "operationXraph", "stored");
    while (bytes > 0) { /* from the end, so that what is left is its beginning */
        text[--bytes] = 0;
        assert_false(program_read(&read, text, 0, said));
    }
    free(text);
    plan_free(&p);
}

static void broken_rules_are_reported(void **state)
{
    const bench *b = *state;
    const plan_shape *s = &shapes[0];
    conv_operands o = conv_operands_of(s, 2), broken = o;
    const choice c = bench_choice(b, s);
    plan *p = bench_plan(b, s, &c, 2), *more = bench_plan(b, s, &c, 4);
    broken.x.device = o.x.host;
    assert_false(run_conv(b, p, s, &broken, 0));
    assert_reported("an operand");
    broken.x.device = (uint16_t *)o.x.device + 1;
    assert_false(run_conv(b, p, s, &broken, 0));
    assert_reported("no multiple of 16");
    broken = o;
    broken.y.device = o.x.device;
    assert_false(run_conv(b, p, s, &broken, 0));
    assert_reported("overlaps");
    array gone = array_empty(o.y.n);
    broken.y.device = gone.device;
    array_done(&gone);
    assert_false(run_conv(b, p, s, &broken, 0));
    assert_reported("the result");
    assert_false(run_conv(b, more, s, &o, 0));
    assert_reported("an operand");
    plan_operand operand[] = {PLAN_X, PLAN_W, PLAN_Y};
    void *at[] = {o.x.device, o.w.device, o.y.device};
    assert_false(bench_launch(b, p, operand, at, 3, NULL));
    assert_reported("are not those of the plan");
    plan_free(&p);
    plan_free(&more);
    conv_operands_done(&o);
}

static void a_residual_may_be_the_result(void **state)
{
    const bench *b = *state;
    const plan_shape *s = &shapes[0];
    conv_operands o = conv_operands_of(s, 2), in_place = o;
    const choice c = bench_choice(b, s);
    double *want = conv_expected(s, &o, 2);
    plan *p = bench_plan(b, s, &c, 2);
    in_place.y.device = o.residual.device;
    assert_true(run_conv(b, p, s, &in_place, 0));
    array_assert_near(&o.y, s->type, want, o.y.n);
    assert_reported(NULL);
    plan_free(&p);
    free(want);
    conv_operands_done(&o);
}

static void a_small_workspace_is_reported(void **state)
{
    const bench *b = *state;
    const plan_shape *s = &deep;
    conv_operands o = conv_operands_of(s, 1);
    plan_candidate list[PLAN_CANDIDATES];
    char why[PLAN_WHY_BYTES];
    plan *p = NULL;
    int n = planner_candidates(b->planner, s, 1, list, why);
    for (int i = 0; i < n && (!p || plan_workspace(p) == 0); i++) {
        plan_free(&p);
        p = bench_plan(b, s, &list[i].choice, 1);
    }
    assert_true(p && plan_workspace(p) > 0);
    assert_true(run_conv(b, p, s, &o, 0));
    assert_reported(NULL);
    assert_false(run_conv(b, p, s, &o, 1));
    assert_reported("the workspace");
    plan_free(&p);
    conv_operands_done(&o);
}

static void begin_capture(void)
{
    assert_int_equal(cudaStreamBeginCapture(the_stream(), cudaStreamCaptureModeThreadLocal), 0);
}

static void plans_are_not_made_in_a_capture(void **state)
{
    const bench *b = *state;
    const choice c = bench_choice(b, &shapes[0]);
    char why[PLAN_WHY_BYTES];
    cudaGraph_t graph;
    begin_capture();
    assert_null(plan_build(b->planner, &shapes[0], 2, &c, why));
    assert_reported("capture");
    assert_int_not_equal(cudaStreamEndCapture(the_stream(), &graph), cudaSuccess);
    cudaGetLastError();
}

static void a_plan_runs_before_it_is_captured(void **state)
{
    const bench *b = *state;
    const plan_shape *s = &shapes[0];
    conv_operands o = conv_operands_of(s, 2);
    const choice c = bench_choice(b, s);
    size_t bytes = (size_t)o.y.n * sizeof *o.y.host;
    uint16_t *first = malloc(bytes);
    cudaGraph_t graph;
    cudaGraphExec_t again;
    plan *p = bench_plan(b, s, &c, 2);
    assert_true(first && plan_workspace(p) == 0);
    begin_capture();
    assert_false(launch_conv(b, p, s, &o, NULL));
    assert_reported("first time in a capture");
    assert_int_equal(cudaStreamEndCapture(the_stream(), &graph), cudaSuccess);
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
    assert_true(run_conv(b, p, s, &o, 0));
    memcpy(first, o.y.host, bytes);
    array_clear(&o.y);
    begin_capture();
    assert_true(launch_conv(b, p, s, &o, NULL));
    assert_int_equal(cudaStreamEndCapture(the_stream(), &graph), cudaSuccess);
    assert_int_equal(cudaGraphInstantiate(&again, graph, 0), cudaSuccess);
    assert_int_equal(cudaGraphLaunch(again, the_stream()), cudaSuccess);
    array_get(&o.y);
    assert_memory_equal(o.y.host, first, bytes);
    assert_reported(NULL);
    plan_free(&p);
    assert_int_equal(cudaGraphLaunch(again, the_stream()), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(the_stream()), cudaSuccess);
    assert_reported("has been destroyed");
    assert_int_equal(cudaGraphExecDestroy(again), cudaSuccess);
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
    free(first);
    conv_operands_done(&o);
}

static void fail_at(int n)
{
    char text[32];
    snprintf(text, sizeof text, "%d", n);
    vendor_fail_at(text);
}

/* Any call may fail. */
static void failures_are_told(void **state)
{
    const bench *b = *state;
    const choice c = bench_choice(b, &shapes[0]);
    char why[PLAN_WHY_BYTES];
    plan *p = NULL;
    int n = 1;
    for (fail_at(n); !(p = plan_build(b->planner, &shapes[0], 2, &c, why)); fail_at(++n))
        assert_true(why[0]);
    vendor_fail_at(NULL);
    assert_true(n > 30);
    plan_free(&p);
    assert_reported(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_are_right),
        cmocka_unit_test(an_upsample_is_what_its_taps_say),
        cmocka_unit_test(choices_give_the_same_bytes),
        cmocka_unit_test(other_choices_give_others),
        cmocka_unit_test(plans_come_back_from_text),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(broken_rules_are_reported),
        cmocka_unit_test(a_small_workspace_is_reported),
        cmocka_unit_test(a_residual_may_be_the_result),
        cmocka_unit_test(plans_are_not_made_in_a_capture),
        cmocka_unit_test(a_plan_runs_before_it_is_captured),
        cmocka_unit_test(failures_are_told),
    };
    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
