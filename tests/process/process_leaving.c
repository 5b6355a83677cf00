/* Clients that go away and workers that are asked to: results wait for their time, a draining
 * worker loses nothing. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/support/farm.h"

static const char *const quiet[] = {"sampler", "Euler a", "steps", "40", "seed", "31", NULL};

/* Submits `quiet` by a command in the background that is killed once the broker runs it. */
static void submit_and_die(farm *f, char id[37])
{
    process client = {0};
    char out[PROCESS_PATH];
    json_t *s = NULL, *first = NULL;
    farm_start_command(f, &client, "client",
                       WORDS("txt2img", "--model", "tiny", "--prompt", "a fox", "--width", "64",
                             "--height", "64", "--sampler", "Euler a", "--steps", "40", "--seed",
                             "31", "--output", farm_path(f, out, "never.png")));
    FARM_UNTIL(f, farm_runs(f, 0, NULL, 1));
    s = farm_status(f);
    first = json_array_get(json_object_get(s, "jobs"), 0);
    snprintf(id, 37, "%s", json_string_value(json_object_get(first, "id")));
    json_decref(s);
    process_kill(&client);
}

static void test_client_killed_result_kept(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    char id[37], out[PROCESS_PATH];
    struct stat info;
    farm_file expected = farm_make(f, quiet), got = {0};
    submit_and_die(f, id);
    FARM_UNTIL(f, farm_total(f, "kept") == 1);
    assert_int_equal(stat(farm_path(f, out, "never.png"), &info), -1);
    farm_outcome o =
        farm_command(f, WORDS("result", id, "--output", farm_path(f, out, "fetched.png")));
    farm_expect(&o, 0, "");
    got.bytes = (unsigned char *)process_read(out, &got.size);
    farm_same(&expected, &got, "fetched by its id");
    FARM_UNTIL(f, farm_total(f, "kept") == 0); /* acknowledged: the broker forgot it */
    o = farm_command(f, WORDS("result", id, "--output", out));
    farm_expect(&o, 6, id);
    farm_file_done(&expected);
    farm_file_done(&got);
    f->passed = true;
}

static void test_result_dropped_after_its_time(void **state)
{
    farm *f =
        farm_open(state, &(farm_options){.workers = 1, .broker = WORDS("--result-ttl", "0.5")});
    char id[37], out[PROCESS_PATH];
    submit_and_die(f, id);
    FARM_UNTIL(f, farm_count(f, "results_expired") == 1);
    assert_int_equal(farm_total(f, "kept"), 0);
    assert_int_equal(farm_total(f, "bytes"), 0);
    farm_outcome o =
        farm_command(f, WORDS("result", id, "--output", farm_path(f, out, "late.png")));
    farm_expect(&o, 6, id);
    farm_file again = farm_make(f, quiet); /* the service goes on */
    farm_file_done(&again);
    f->passed = true;
}

/* SIGTERM in mid-job: the job is finished, with the other worker or without. */
static void test_worker_drains(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    farm_file expected = farm_make(f, quiet);
    const overpaint_id id = farm_submit(f, f->o, quiet);
    FARM_UNTIL(f, farm_runs(f, 0, &id, 2));
    process_signal(&f->worker[0], SIGTERM);
    assert_int_equal(process_wait(&f->worker[0], f->deadline), 0);
    farm_file got = farm_result(f, f->o, &id);
    farm_same(&expected, &got, "drained");
    assert_int_equal(farm_count(f, "finished"), 2);
    assert_int_equal(farm_count(f, "requeued") + farm_count(f, "released"), 0);
    farm_wait_workers(f, 0);
    farm_file_done(&expected);
    farm_file_done(&got);
    f->passed = true;
}

/* No time to drain: the job goes back to the queue, at no cost, and to the other worker. */
static void test_worker_hands_back(void **state)
{
    static const char *const settings[] = {"sampler", "Euler a", "steps", "150",
                                           "seed",    "32",      NULL};
    farm *f = farm_open(
        state, &(farm_options){.workers = 1, .worker = WORDS("--threads", "1", "--drain", "0")});
    farm_file expected = farm_make(f, settings);
    const overpaint_id id = farm_submit(f, f->o, settings);
    FARM_UNTIL(f, farm_runs(f, 0, &id, 2));
    process_signal(&f->worker[0], SIGTERM);
    assert_int_equal(process_wait(&f->worker[0], f->deadline), 0);
    FARM_UNTIL(f, farm_count(f, "released") == 1);
    farm_start_worker(f, 1);
    farm_file got = farm_result(f, f->o, &id);
    farm_same(&expected, &got, "handed back");
    assert_int_equal(farm_count(f, "requeued"), 1);
    assert_int_equal(farm_count(f, "finished"), 2);
    assert_int_equal(farm_count(f, "workers_lost"), 0);
    farm_file_done(&expected);
    farm_file_done(&got);
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(test_client_killed_result_kept),
        farm_test(test_result_dropped_after_its_time),
        farm_test(test_worker_drains),
        farm_test(test_worker_hands_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
