/* The benchmarks of a running service run, and say something sane. Their targets are in
 * bench/SPEED.md; the bounds here are for a machine that is busy with other things. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/farm.h"

#define NOOP_MEDIAN_MS 20.0
#define RATIO_MAX      2.0

static json_t *run(farm *f, const char *program, const char *const *words)
{
    process p = {0};
    process_start(&p, f->folder, program, program, words);
    assert_int_equal(process_wait(&p, f->deadline), 0);
    char *text = process_read(p.out, NULL);
    print_message("%s", text);
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    free(text);
    return o;
}

static double figure(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    assert_true(json_is_number(v) && json_number_value(v) > 0);
    return json_number_value(v);
}

static void test_noop(void **state)
{
    static const char *const ways[] = {"net", "engine"};
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    json_t *o = run(f, "bench_noop", WORDS("--endpoint", f->endpoint, "--rounds", "500"));
    for (int i = 0; i < 2; i++) {
        const json_t *way = json_object_get(o, ways[i]);
        assert_true(figure(way, "median_ms") < NOOP_MEDIAN_MS);
        assert_true(figure(way, "p99_ms") >= figure(way, "median_ms"));
    }
    json_decref(o);
    assert_int_equal(farm_count(f, "finished"), 2 * (500 + 20));
    f->passed = true;
}

static void test_jobs(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    json_t *o = run(f, "bench_jobs",
                    WORDS("--endpoint", f->endpoint, "--model", "tiny", "--side", "64", "--steps",
                          "4", "--repeat", "2"));
    assert_true(figure(o, "ratio") < RATIO_MAX);
    json_decref(o);
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {farm_test(test_noop), farm_test(test_jobs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
