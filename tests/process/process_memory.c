/* --memory of the real programs: the same jobs on workers of every mode, what they say of it, and
 * what a budget too small for one mode is told. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/command/command.h"
#include "tests/support/farm.h"

enum { JOBS = 3 };

static const char *const modes[] = {"high", "medium", "low"};
enum { MODES = sizeof modes / sizeof *modes };

static void start(farm *f, const char *mode, const char *budget)
{
    f->options.worker = WORDS("--threads", "1", "--memory", mode, "--memory-budget", budget);
    farm_start_worker(f, 0);
    farm_wait_workers(f, 1);
}

static void stop(farm *f)
{
    process_signal(&f->worker[0], SIGTERM);
    assert_int_equal(process_wait(&f->worker[0], f->deadline), 0);
    farm_wait_workers(f, 0);
}

static void assert_says(farm *f, const char *mode)
{
    json_t *s = farm_status(f);
    const json_t *worker = json_array_get(json_object_get(s, "workers"), 0);
    const json_t *device = json_array_get(json_object_get(worker, "devices"), 0);
    assert_string_equal(json_string_value(json_object_get(device, "memory_mode")), mode);
    json_decref(s);
}

/* Three jobs at once, so that networks take turns in the middle of pictures too. */
static void make(farm *f, farm_file to[JOBS])
{
    char cat[1024];
    const overpaint_id id[JOBS] = {
        farm_submit(f, f->o,
                    WORDS("sampler", "Euler a", "steps", "9", "seed", "7", "prompt", "a red fox",
                          "negative_prompt", "snow")),
        farm_submit(f, f->o,
                    WORDS("task", "img2img", "input", farm_golden(cat, "pictures/cat.png"), "width",
                          "136", "height", "120", "denoising_strength", "0.6", "seed", "3")),
        farm_submit(f, f->o, WORDS("sampler", "Heun", "steps", "5", "prompt", "a bird AND snow"))};
    for (int i = 0; i < JOBS; i++)
        to[i] = farm_result(f, f->o, &id[i]);
}

static void same_bytes_in_every_mode(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 0});
    farm_file made[MODES][JOBS];
    for (int m = 0; m < MODES; m++) {
        start(f, modes[m], "0");
        make(f, made[m]);
        assert_says(f, modes[m]);
        stop(f);
    }
    for (int i = 0; i < JOBS; i++)
        for (int m = 0; m < MODES; m++) {
            farm_same(&made[0][i], &made[m][i], modes[m]);
            if (m > 0)
                farm_file_done(&made[m][i]);
        }
    for (int i = 0; i < JOBS; i++)
        farm_file_done(&made[0][i]);
    f->passed = true;
}

/* 18 MiB hold the weights of the model in mode low with what a picture takes, in no other. */
static void too_small_says_which_fits(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 0});
    char path[PROCESS_PATH];
    const char *const *job =
        WORDS("txt2img", "--model", "tiny", "--prompt", "a fox", "--width", "64", "--height", "64",
              "--steps", "2", "--output", farm_path(f, path, "a.png"));
    start(f, "high", "18M");
    farm_outcome said = farm_command(f, job);
    farm_expect(&said, EXIT_JOB, "it fits with --memory low");
    stop(f);
    start(f, "low", "18M");
    said = farm_command(f, job);
    farm_expect(&said, EXIT_OK, "");
    stop(f);
    f->passed = true;
}

static void bad_modes(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = -1});
    static const struct {
        const char *words[8], *text;
    } bad[] = {
        {{"--memory", "huge"}, "--memory is \"huge\", expected one of high, medium, low"},
        {{"--memory", "low", "--cfg-parallel", "--device", "cpu:0,cpu:1"},
         "--cfg-parallel has whole models, --memory is low"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const *w = bad[i].words;
        process_start(
            &f->worker[0], f->folder, "bad", "overpaint-worker",
            WORDS("--endpoint", f->endpoint, "--models", f->folder, w[0], w[1], w[2], w[3], w[4]));
        assert_int_equal(process_wait(&f->worker[0], f->deadline), 2);
        char *text = process_read(f->worker[0].err, NULL);
        assert_non_null(strstr(text, bad[i].text));
        free(text);
    }
    const farm_outcome said =
        farm_command(f, WORDS("up", "--models", f->folder, "--memory", "huge"));
    farm_expect(&said, EXIT_BAD, "--memory is \"huge\", expected one of high, medium, low");
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(same_bytes_in_every_mode),
        farm_test(too_small_says_which_fits),
        farm_test(bad_modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
