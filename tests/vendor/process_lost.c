/* A GPU that is lost in the middle of a picture: the worker hands its jobs back and ends, another
 * finishes them, and every job has exactly one result, with the bytes of an undisturbed run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/farm.h"

enum { SECONDS = 540, EXIT_DEVICE = 4, KINDS = 2 };

static const char *const kinds[KINDS][10] = {
    {"prompt", "a red fox", "seed", "5", "steps", "2"},
    {"prompt", "a blue bird", "seed", "6", "steps", "2", "sampler", "euler_a"},
};

static int ends[KINDS];
static overpaint_id ids[KINDS];

static void note_end(void *arg, const overpaint_progress *p)
{
    (void)arg;
    for (int i = 0; i < KINDS; i++)
        ends[i] += p->state > OVERPAINT_RUNNING && !memcmp(&ids[i], &p->id, sizeof p->id);
}

/* The device of whoever runs is lost at its next call, once. */
static void lose(void)
{
    FILE *f = fopen(getenv("OVERPAINT_VENDOR_LOSE"), "w");
    assert_non_null(f);
    fclose(f);
}

static void jobs_of_a_lost_gpu_are_finished(void **state)
{
    char folder[] = "/tmp/overpaint_lose_XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/now", folder);
    setenv("OVERPAINT_VENDOR_LOSE", path, 1);
    farm *f = farm_open(state, &(farm_options){.workers = 1, .seconds = SECONDS});
    farm_file want[KINDS];
    for (int i = 0; i < KINDS; i++)
        want[i] = farm_make(f, kinds[i]);
    overpaint_set_progress(f->o, note_end, NULL);
    for (int i = 0; i < KINDS; i++)
        ids[i] = farm_submit(f, f->o, kinds[i]);
    FARM_UNTIL(f, farm_runs(f, 0, &ids[0], 1));
    lose();
    assert_int_equal(process_wait(&f->worker[0], f->deadline), EXIT_DEVICE);
    assert_int_equal(access(path, F_OK), -1);
    farm_wait_workers(f, 0);
    assert_int_equal(farm_total(f, "queued"), KINDS); /* handed back */
    farm_start_worker(f, 0);
    for (int i = 0; i < KINDS; i++) {
        farm_file got = farm_result(f, f->o, &ids[i]);
        farm_same(&want[i], &got, "after a device was lost");
        farm_file_done(&got);
        farm_file_done(&want[i]);
    }
    overpaint_set_progress(f->o, NULL, NULL);
    for (int i = 0; i < KINDS; i++)
        assert_int_equal(ends[i], 1);
    assert_int_equal(farm_count(f, "finished"), 2 * KINDS);
    assert_int_equal(farm_count(f, "failed"), 0);
    assert_int_equal(farm_count(f, "requeued"), KINDS);
    rmdir(folder);
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {farm_test(jobs_of_a_lost_gpu_are_finished)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
