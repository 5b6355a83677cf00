/* Rows of different jobs are really in one batch: a short job overtakes a long one that is running,
 * and STATUS shows both in one device's batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/farm.h"

enum { LONG_STEPS = 40 };

static const char *const long_job[] = {"sampler", "Euler a", "steps", "40", "width",
                                       "128",     "height",  "128",   NULL};
static const char *const short_job[] = {"sampler", "DPM++ 2M", "steps", "4", "width",
                                        "128",     "height",   "128",   NULL};
static const char *const middle_job[] = {"sampler", "Heun",   "steps", "20", "width",
                                         "128",     "height", "128",   NULL};

/* The order in which jobs ended. */
typedef struct {
    overpaint_id id[4];
    int count;
} endings;

static void note_end(void *arg, const overpaint_progress *p)
{
    endings *e = arg;
    if (p->state > OVERPAINT_RUNNING && e->count < 4)
        e->id[e->count++] = p->id;
}

static int steps_done(farm *f, const overpaint_id *id)
{
    int done;
    farm_job_state(f, id, &done);
    return done;
}

static bool same_id(const overpaint_id *a, const overpaint_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void test_short_overtakes_long(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    endings ended = {0};
    overpaint_set_progress(f->o, note_end, &ended);
    const overpaint_id first = farm_submit(f, f->o, long_job);
    FARM_UNTIL(f, steps_done(f, &first) >= 3);
    const overpaint_id second = farm_submit(f, f->o, short_job);
    farm_file b = farm_result(f, f->o, &second);
    const int at = steps_done(f, &first);
    print_message("the short job ended at step %d of %d of the long one\n", at, LONG_STEPS);
    assert_in_range(at, 4, LONG_STEPS - 1);
    assert_int_equal(ended.count, 1);
    farm_file a = farm_result(f, f->o, &first);
    assert_int_equal(ended.count, 2);
    assert_true(same_id(&ended.id[0], &second) && same_id(&ended.id[1], &first));
    farm_file_done(&a);
    farm_file_done(&b);
    f->passed = true;
}

/* Rows of the job in the batch of the only device. */
static int rows_of(const json_t *rows, const overpaint_id *id)
{
    char text[37];
    int count = 0;
    const json_t *row;
    size_t i;
    overpaint_id_text(id, text);
    json_array_foreach(rows, i, row) count +=
        !strcmp(json_string_value(json_object_get(row, "id")), text);
    return count;
}

static bool both_in_one_batch(farm *f, const overpaint_id *a, const overpaint_id *b)
{
    json_t *s = farm_status(f);
    const json_t *worker = json_array_get(json_object_get(s, "workers"), 0);
    const json_t *device = json_array_get(json_object_get(worker, "devices"), 0);
    const json_t *rows = json_object_get(device, "rows");
    const bool both = rows_of(rows, a) == 2 && rows_of(rows, b) == 2; /* two: CFG */
    json_decref(s);
    return both;
}

static void test_status_shows_both(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    const overpaint_id a = farm_submit(f, f->o, long_job), b = farm_submit(f, f->o, middle_job);
    FARM_UNTIL(f, both_in_one_batch(f, &a, &b));
    farm_file x = farm_result(f, f->o, &a), y = farm_result(f, f->o, &b);
    farm_file_done(&x);
    farm_file_done(&y);
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(test_short_overtakes_long),
        farm_test(test_status_shows_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
