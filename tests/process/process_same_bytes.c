/* Same job, same bytes: whatever runs beside it, on however many threads, in whatever bands, and
 * after the worker it ran on was killed. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/farm.h"

#define LONG_PROMPT                                                                                \
    "a red fox in the (snow:1.3), oil painting, golden light, tall trees, deep shadows, fine "     \
    "brush work, a river, mountains far away, clouds, birds in the sky, old stone bridge, moss, "  \
    "ferns, mushrooms, fallen leaves, warm colours, soft focus, highly detailed, masterpiece, "    \
    "wide angle, evening, fog over the water, reflections, two people walking, a small dog"

/* The job that is looked at, and its company: the same size, everything else differs. */
static const char *const subject[] = {"sampler",   "Euler a",   "steps", "30",
                                      "cfg_scale", "6.5",       "seed",  "77",
                                      "prompt",    "a red fox", NULL};
static const char *const company[][16] = {
    {"sampler", "Euler", "steps", "40", "cfg_scale", "1", "seed", "1"},
    {"sampler", "Heun", "steps", "18", "cfg_scale", "9", "prompt", LONG_PROMPT},
    {"sampler", "DPM++ 2M", "steps", "35", "cfg_scale", "3.5", "prompt", ""},
    {"sampler", "DPM2 a", "steps", "16", "seed", "5", "negative_prompt", LONG_PROMPT},
    {"sampler", "DDIM", "steps", "38", "cfg_scale", "12", "clip_skip", "2"},
    {"sampler", "DPM2", "steps", "17", "scheduler", "Exponential", "rng", "cpu"},
    {"sampler", "Euler a", "steps", "33", "seed", "78", "prompt", "a (blue:0.8) fox BREAK snow"},
};
enum { COMPANY = sizeof company / sizeof *company };

/* True when one device's batch held rows of the job and of another one. */
static bool is_mixed(farm *f, const overpaint_id *id)
{
    char text[37];
    bool ours = false, other = false;
    json_t *s = farm_status(f), *row;
    json_t *worker = json_array_get(json_object_get(s, "workers"), 0);
    json_t *device = json_array_get(json_object_get(worker, "devices"), 0);
    size_t i;
    overpaint_id_text(id, text);
    json_array_foreach(json_object_get(device, "rows"), i, row)
    {
        const bool same = !strcmp(json_string_value(json_object_get(row, "id")), text);
        ours |= same;
        other |= !same;
    }
    json_decref(s);
    return ours && other;
}

static void test_alone_and_in_company(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    overpaint_id id, other[COMPANY];
    farm_file alone = farm_make(f, subject);
    for (int i = 0; i < COMPANY / 2; i++)
        other[i] = farm_submit(f, f->o, company[i]);
    id = farm_submit(f, f->o, subject);
    for (int i = COMPANY / 2; i < COMPANY; i++)
        other[i] = farm_submit(f, f->o, company[i]);
    FARM_UNTIL(f, is_mixed(f, &id));
    farm_file together = farm_result(f, f->o, &id);
    farm_same(&alone, &together, "alone and among seven");
    for (int i = 0; i < COMPANY; i++) {
        farm_file a = farm_result(f, f->o, &other[i]), b = farm_make(f, company[i]);
        farm_same(&a, &b, "one of the seven");
        farm_file_done(&a);
        farm_file_done(&b);
    }
    assert_int_equal(farm_count(f, "stale"), 0); /* only trouble makes an answer stale */
    farm_file_done(&alone);
    farm_file_done(&together);
    f->passed = true;
}

/* A job with an input picture, wide enough for several bands; on a worker with these options. */
static farm_file make_with(farm *f, const char *const *options)
{
    char input[1024];
    f->options.worker = options;
    farm_start_worker(f, 0);
    farm_wait_workers(f, 1);
    farm_file a = farm_make(f, WORDS("task", "img2img", "input",
                                     farm_golden(input, "pictures/cat.png"), "width", "136",
                                     "height", "120", "denoising_strength", "0.6", "seed", "3"));
    process_signal(&f->worker[0], SIGTERM);
    assert_int_equal(process_wait(&f->worker[0], f->deadline), 0);
    farm_wait_workers(f, 0);
    return a;
}

static void test_threads_bands_and_devices(void **state)
{
    static const char *const options[][4] = {
        {"--threads", "1"},
        {"--threads", "2"},
        {"--threads", "3"},
        {"--band-rows", "5"},
        {"--band-rows", "16"},
        {"--band-rows", "48"},
        {"--device", "cpu:0,cpu:1", "--cfg-parallel"},
    };
    farm *f = farm_open(state, &(farm_options){.workers = 0});
    farm_file first = make_with(f, options[0]);
    for (size_t i = 1; i < sizeof options / sizeof *options; i++) {
        farm_file other = make_with(f, options[i]);
        print_message("%s %s\n", options[i][0], options[i][1]);
        farm_same(&first, &other, options[i][0]);
        farm_file_done(&other);
    }
    farm_file_done(&first);
    f->passed = true;
}

static void test_after_a_kill(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 2});
    farm_file undisturbed = farm_make(f, subject);
    const overpaint_id id = farm_submit(f, f->o, subject);
    FARM_UNTIL(f, farm_runs(f, 0, &id, 3) || farm_runs(f, 1, &id, 3));
    process_kill(&f->worker[farm_runs(f, 1, &id, 3)]);
    farm_file again = farm_result(f, f->o, &id);
    farm_same(&undisturbed, &again, "after a kill");
    assert_int_equal(farm_count(f, "workers_lost"), 1);
    assert_int_equal(farm_count(f, "requeued"), 1);
    farm_file_done(&undisturbed);
    farm_file_done(&again);
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(test_alone_and_in_company),
        farm_test(test_threads_bands_and_devices),
        farm_test(test_after_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
