/* Tasks of many scenes in trouble: a worker that dies in the middle of one, a deadline that passes
 * there, cancelling, and a small job that comes meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/err.h"
#include "tests/support/farm.h"

#define IN(file) "input", GOLDEN_DIR "/" file

/* Long enough to be met in the middle, which is after so many evaluations: behind the network's
 * tiles among those that are sampled, on a later side, in a later pass of the network. */
typedef struct {
    const char *words[28];
    unsigned middle;
} row;

static const row rows[] = {
    {{"task", "sd-upscale", IN("upscale/none-in.png"), "upscaler", "srvgg-x2", "tile-overlap", "16",
      "steps", "12", "denoising-strength", "0.9", "sampler", "Euler a"},
     60},
    {{"task", "outpaint", IN("outpaint/poor-mans-right-in.png"), "method", "mk2", "direction",
      "left,right,up,down", "pixels", "32", "width", "128", "height", "128", "steps", "30"},
     40},
    {{"task", "upscale", IN("inpaint/only-masked-in.png"), "upscaler", "rrdb-x2", "scale", "8",
      "upscaler-2", "srvgg-x2", "upscaler-2-visibility", "0.5"},
     4},
};
enum { ROWS = sizeof rows / sizeof *rows };

static const char *const small_job[] = {"steps", "4", "prompt", "a crow", NULL};

/* ---------------------------------------------------------------- what is told of a job */

typedef struct {
    overpaint_id id;
    overpaint_state state;
    unsigned done, total;
} told;

static void note(void *arg, const overpaint_progress *p)
{
    told *t = arg;
    if (memcmp(&p->id, &t->id, sizeof t->id) != 0)
        return;
    t->state = p->state;
    if (!p->evaluations)
        return; /* not known: when it is queued, and when it has ended */
    t->done = p->evaluations_done;
    t->total = p->evaluations;
}

/* Submits the job and waits until it is in its middle. */
static void reach_middle(farm *f, told *t, const row *r)
{
    *t = (told){0};
    overpaint_set_progress(f->o, note, t);
    t->id = farm_submit(f, f->o, r->words);
    FARM_UNTIL(f, t->done >= r->middle);
    print_message("%s: in its middle, %u of %u\n", r->words[1], t->done, t->total);
    assert_int_equal(t->state, OVERPAINT_RUNNING);
}

/* ---------------------------------------------------------------- tests */

static void killed_in_the_middle(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 2});
    for (int i = 0; i < ROWS; i++) {
        told t;
        farm_file undisturbed = farm_make(f, rows[i].words);
        reach_middle(f, &t, &rows[i]);
        const int on = farm_runs(f, 1, &t.id, 0);
        assert_true(farm_runs(f, on, &t.id, 0));
        process_kill(&f->worker[on]);
        farm_file again = farm_result(f, f->o, &t.id);
        farm_same(&undisturbed, &again, rows[i].words[1]);
        assert_int_equal(farm_count(f, "requeued"), i + 1);
        farm_file_done(&undisturbed);
        farm_file_done(&again);
        farm_start_worker(f, on);
        farm_wait_workers(f, 2);
    }
    assert_int_equal(farm_count(f, "workers_lost"), ROWS);
    overpaint_set_progress(f->o, NULL, NULL);
    f->passed = true;
}

static void serves_a_small_job(farm *f, const farm_file *want)
{
    farm_file small = farm_make(f, small_job);
    farm_same(want, &small, "a small job");
    farm_file_done(&small);
}

static void cancelled_in_the_middle(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    farm_file want = farm_make(f, small_job);
    for (int i = 0; i < ROWS; i++) {
        told t;
        reach_middle(f, &t, &rows[i]);
        assert_int_equal(overpaint_cancel(f->o, &t.id), 0);
        assert_int_equal(overpaint_wait(f->o, &t.id, 20000), OVERPAINT_ERROR_CANCELLED);
        serves_a_small_job(f, &want);
    }
    assert_int_equal(farm_count(f, "cancelled"), ROWS);
    overpaint_set_progress(f->o, NULL, NULL);
    farm_file_done(&want);
    f->passed = true;
}

/* The same jobs, so long that they cannot end in time. */
static void past_their_deadline(void **state)
{
    static const char *const late[][28] = {
        {"task", "sd-upscale", IN("upscale/none-in.png"), "upscaler", "srvgg-x2", "scale", "4",
         "tile-overlap", "32", "steps", "150", "denoising-strength", "1", "deadline-ms", "1500"},
        {"task", "loopback", IN("loopback/linear-in.png"), "loops", "32", "steps", "150", "n-iter",
         "16", "deadline-ms", "1500"},
        {"task", "upscale", IN("inpaint/only-masked-in.png"), "upscaler", "animevideov3-x4",
         "scale", "8", "upscaler-2", "rrdb-x2", "upscaler-2-visibility", "0.5", "deadline-ms",
         "1500"},
    };
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    farm_file want = farm_make(f, small_job);
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        const overpaint_id id = farm_submit(f, f->o, late[i]);
        FARM_UNTIL(f, farm_runs(f, 0, &id, 0));
        assert_int_equal(overpaint_wait(f->o, &id, 20000), OVERPAINT_ERROR_TIMEOUT);
        assert_string_equal(farm_job_state(f, &id, NULL), "failed"); /* it is not the wait's */
        serves_a_small_job(f, &want);
    }
    farm_file_done(&want);
    f->passed = true;
}

static void many_tiles_and_a_small_job(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    farm_file want = farm_make(f, small_job);
    for (int i = 0; i < ROWS; i++) {
        told t;
        reach_middle(f, &t, &rows[i]);
        const unsigned before = t.done;
        serves_a_small_job(f, &want);
        print_message("%s: %u of %u when the small job is done\n", rows[i].words[1], t.done,
                      t.total);
        assert_int_equal(t.state, OVERPAINT_RUNNING);
        farm_file large = farm_result(f, f->o, &t.id);
        assert_int_equal(t.state, OVERPAINT_FINISHED);
        assert_true(t.done > before);
        assert_int_equal(t.done, t.total);
        farm_file_done(&large);
    }
    overpaint_set_progress(f->o, NULL, NULL);
    farm_file_done(&want);
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(killed_in_the_middle),
        farm_test(cancelled_in_the_middle),
        farm_test(past_their_deadline),
        farm_test(many_tiles_and_a_small_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
