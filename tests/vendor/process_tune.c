/* --tune as a user runs it: lines about shapes, a table, and a worker that says at its next start
 * that it uses it; and every way in which it is told what it cannot do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/farm.h"

enum { OK = 0, USAGE = 2, START = 3 };

/* Runs `overpaint-worker --models DIR WORDS` to its end; what it printed, malloc'ed. */
static char *run(farm *f, const char *const *words, bool out, int expected)
{
    char models[PROCESS_PATH], name[32];
    const char *all[16] = {"--models", farm_path(f, models, "models")};
    int n = 2;
    while (*words)
        all[n++] = *words++;
    snprintf(name, sizeof name, "tune%d", f->starts++);
    process_start(&f->worker[0], f->folder, name, "overpaint-worker", all);
    const int exit = process_wait(&f->worker[0], f->deadline);
    char *text = process_read(out ? f->worker[0].out : f->worker[0].err, NULL);
    assert_non_null(text);
    if (exit != expected)
        fail_msg("exit %d, expected %d: %s", exit, expected, text);
    return text;
}

static char *device_class(farm *f)
{
    json_t *s = farm_status(f);
    const json_t *worker = json_array_get(json_object_get(s, "workers"), 0);
    const json_t *device = json_array_get(json_object_get(worker, "devices"), 0);
    char *class = strdup(json_string_value(json_object_get(device, "class")));
    json_decref(s);
    return class;
}

static void test_table(void **state)
{
    const farm_options options = {.workers = -1,
                                  .worker = WORDS("--device", "cuemu:0", "--threads", "1")};
    farm *f = farm_open(state, &options);
    char hash[17] = "", tuned[64], path[PROCESS_PATH] = "";
    int entries = 0, shapes = 0;
    char *text = run(f,
                     WORDS("--tune", "--tune-seconds", "1", "--tune-sizes", "64x64", "--model",
                           "tiny", "--device", "cuemu:0"),
                     true, OK);
    const char *line = strstr(text, " us a row, ");
    assert_non_null(line);
    while (strchr(line, '\n')[1])
        line = strchr(line, '\n') + 1;
    assert_int_equal(sscanf(line, "%d of %d shapes have an entry now; table %16s in %255s",
                            &entries, &shapes, hash, path),
                     4);
    assert_in_range(entries, 1, shapes);
    assert_memory_equal(path, f->folder, strlen(f->folder));
    free(text);
    farm_start_broker(f);
    farm_start_worker(f, 0);
    farm_wait_workers(f, 1);
    char *class = device_class(f);
    snprintf(tuned, sizeof tuned, ", tuning %s", hash);
    assert_non_null(strstr(class, tuned));
    free(class);
    f->passed = true;
}

static bool worker_says(const farm *f, const char *part)
{
    char *text = process_read(f->worker[0].err, NULL);
    const bool found = text && strstr(text, part);
    free(text);
    return found;
}

/* A folder that others may write to could bring foreign code. The worker serves without it. */
static void test_open_folder(void **state)
{
    const farm_options options = {.workers = -1, .worker = WORDS("--device", "cuemu:0")};
    farm *f = farm_open(state, &options);
    char path[PROCESS_PATH];
    assert_int_equal(mkdir(farm_path(f, path, "overpaint"), 0700), 0);
    assert_int_equal(mkdir(farm_path(f, path, "overpaint/plans"), 0700), 0);
    assert_int_equal(chmod(path, 0777), 0);
    char *text = run(f, WORDS("--tune", "--device", "cuemu:0"), false, START);
    assert_non_null(strstr(text, "there is no folder for the tuning table: cuemu:0: plans are not "
                                 "kept: "));
    free(text);
    farm_start_broker(f);
    farm_start_worker(f, 0);
    farm_wait_workers(f, 1);
    assert_true(worker_says(f, " warn engine device text=\"cuemu:0: plans are not kept: "));
    assert_true(worker_says(f, "expected a folder that only we can write to"));
    f->passed = true;
}

static void test_refusals(void **state)
{
    static const struct {
        const char *words[8];
        int exit;
        const char *says;
    } cases[] = {
        {{"--model", "tiny", "--endpoint", "ipc:///tmp/x"}, USAGE, "--model is for --tune"},
        {{"--tune", "--device", "cpu"}, START, "cpu:0: has nothing to tune"},
        {{"--tune", "--device", "cpu:0,cpu:1"}, USAGE, "--tune takes one device"},
        {{"--tune", "--tune-sizes", "512"}, USAGE, "--tune-sizes has ?512?, expected sizes"},
        {{"--tune", "--tune-sizes", "64x64,64x0"}, USAGE, "--tune-sizes has ?64x0?"},
        {{"--tune", "--tune-sizes", ""}, USAGE, "expected sizes like 512x512"},
        {{"--tune", "--tune-seconds", "0"}, USAGE, "--tune-seconds is"},
        {{"--tune", "--model", "tiny,huge"}, START, "huge"},
        {{"--tune", "more"}, USAGE, "unexpected word"},
    };
    farm *f = farm_open(state, &(farm_options){.workers = -1});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = run(f, cases[i].words, false, cases[i].exit);
        if (!strstr(text, cases[i].says))
            fail_msg("case %zu says %s", i, text);
        free(text);
    }
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {farm_test(test_table), farm_test(test_open_folder),
                                       farm_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
