/* How far a picture may depend on its company (dev_exact): what a device is called, what shares a
 * UNet call, and what the metadata say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/support/jobs.h"

enum { JOBS = 4 };

static void classes_have_the_mode(void **state)
{
    (void)state;
    static const struct {
        dev_exact exact;
        const char *name;
    } rows[] = {
        {EXACT_ON, "ref"}, {EXACT_PAIRS, "ref, exact pairs"}, {EXACT_OFF, "ref, exact off"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dev *d = dev_new(&(dev_options){.backend = "ref", .exact = rows[i].exact}, NULL);
        assert_string_equal(d->class_name, rows[i].name);
        assert_int_equal(dev_rows(d, 3), 3);
        dev_free(&d);
    }
}

/* ---- what shares a call ---- */

static service *open_service(dev_exact exact)
{
    err e = {0};
    service_options o = {.devices = 1};
    o.device[0] = (dev_options){.backend = "cpu", .threads = 1, .exact = exact};
    service *s = service_new(&o, &e);
    if (!s)
        fail_msg("%s", e.text);
    return s;
}

/* Jobs of one, two and three rows a picture; one has two pictures. */
static void make_jobs(work *works[JOBS])
{
    static const char *const prompts[JOBS] = {"a fox", "a fox AND snow", "a bird", "a tree"};
    for (int i = 0; i < JOBS; i++) {
        works[i] = jobs_simple("tiny3", prompts[i]);
        works[i]->job.steps = 12;
        works[i]->job.seed = 40 + i;
    }
    works[2]->job.cfg_scale = 1;
    works[3]->job.batch_size = 2;
}

static int rows_of(work *const works[JOBS], const job_id *id)
{
    static const int rows[JOBS] = {2, 3, 1, 2};
    for (int i = 0; i < JOBS; i++)
        if (job_id_equal(&works[i]->job.id, id))
            return rows[i];
    return 0;
}

typedef struct {
    int shared, whole; /* batches that were seen with several pictures, and with one and no more */
} seen;

static void look(service *s, work *const works[JOBS], seen *to)
{
    engine_status now;
    service_status(s, 0, &now);
    bool shared = false;
    for (int i = 1; i < now.rows; i++)
        shared |= !job_id_equal(&now.row[0].id, &now.row[i].id) ||
                  now.row[0].picture != now.row[i].picture;
    to->shared += shared;
    to->whole += !shared && now.rows > 0 && now.rows == rows_of(works, &now.row[0].id);
    assert_true(shared || now.rows == 0 || now.rows <= rows_of(works, &now.row[0].id));
}

/* Runs all jobs side by side; UNet calls that it took. */
static uint64_t run_together(dev_exact exact, work *works[JOBS], seen *to)
{
    engine_status after;
    service *s = open_service(exact);
    make_jobs(works);
    for (int i = 0; i < JOBS; i++)
        jobs_take(s, works[i]);
    for (int left = JOBS; left > 0;) {
        service_event *ev = jobs_event(s);
        look(s, works, to);
        if (ev->kind == EVENT_COMPLETE) {
            jobs_assert_done(ev->work);
            ev->work = NULL;
            left--;
        }
        service_event_free(&ev);
    }
    service_status(s, 0, &after);
    service_free(&s);
    return after.evaluations;
}

static void pairs_have_no_company(void **state)
{
    (void)state;
    work *on[JOBS], *pairs[JOBS], *off[JOBS];
    seen with = {0}, without = {0}, loose = {0};
    const uint64_t fewer = run_together(EXACT_ON, on, &with);
    const uint64_t all = run_together(EXACT_PAIRS, pairs, &without);
    run_together(EXACT_OFF, off, &loose);
    assert_int_equal(all, (JOBS + 1) * 12); /* each picture's own */
    assert_true(fewer < all);
    assert_int_equal(without.shared, 0);
    assert_true(without.whole > 0);
    assert_true(with.shared > 0 && loose.shared > 0);
    for (int i = 0; i < JOBS; i++) {
        jobs_assert_same(pairs[i], on[i]);
        image a = jobs_picture(off[i], 0), b = jobs_picture(on[i], 0);
        assert_memory_equal(a.px, b.px, (size_t)a.w * a.h * a.channels);
        image_done(&a);
        image_done(&b);
        work_free(&on[i]);
        work_free(&pairs[i]);
        work_free(&off[i]);
    }
}

/* A picture's rows do not come apart either, when memory would only do for some of them: the job is
 * refused. */
static void pairs_need_their_memory(void **state)
{
    (void)state;
    static const dev_exact modes[] = {EXACT_ON, EXACT_PAIRS};
    int64_t least[2];
    for (int i = 0; i < 2; i++) {
        int64_t low = 32 << 20, high = 128 << 20; /* too little, and enough */
        while (high - low > 1 << 19) {
            err e = {0};
            const int64_t budget = (low + high) / 2;
            service_options o = {.devices = 1, .memory_budget = budget};
            o.device[0] = (dev_options){.backend = "cpu", .threads = 1, .exact = modes[i]};
            service *s = service_new(&o, &e);
            work *w = jobs_simple("tiny3", "a AND b AND c AND d AND e");
            assert_non_null(s);
            w->job.width = w->job.height = 128;
            w->job.steps = 1;
            jobs_run(s, &w, 1);
            *(w->error.code ? &low : &high) = budget;
            if (w->error.code)
                assert_int_equal(w->error.code, ERR_NO_MEMORY);
            work_free(&w);
            service_free(&s);
        }
        least[i] = high;
    }
    print_message("least budget: %lld and %lld KiB\n", (long long)least[0] >> 10,
                  (long long)least[1] >> 10);
    assert_true(least[1] > least[0]);
}

/* ---- metadata ---- */

static void metadata_say_off(void **state)
{
    (void)state;
    static const char key[] = ", Exact: off, Version: ";
    for (dev_exact exact = EXACT_ON; exact <= EXACT_OFF; exact++) {
        service *s = open_service(exact);
        work *w = jobs_simple("tiny3", "a fox");
        w->job.steps = 1;
        jobs_run(s, &w, 1);
        jobs_assert_done(w);
        const char *info = w->task.result[0].info;
        assert_int_equal(strstr(info, key) != NULL, exact == EXACT_OFF);
        assert_int_equal(strstr(info, "Exact") != NULL, exact == EXACT_OFF);
        work_free(&w);
        service_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_have_the_mode),
        cmocka_unit_test(pairs_have_no_company),
        cmocka_unit_test(pairs_need_their_memory),
        cmocka_unit_test(metadata_say_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
