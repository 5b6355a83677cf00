/* A worker whose n-th allocation fails, for every n: each job comes back, done or for want of
 * memory, and the next one works. Leaks show in the builds with AddressSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/support/failing.h"
#include "tests/support/jobs.h"
#include "tests/support/rig.h"
#include "worker/inpaint.h"
#include "worker/seq.h"

static work *a_job(void)
{
    work *w = jobs_simple("tiny3", "a [fox|(red:1.3)] AND [snow:0.5] :0.7");
    jobs_set_input(w, "cat.png");
    w->job.steps = 4; /* at strength 0.75: all four run */
    w->job.batch_size = 2;
    w->job.want_preview = true;
    return w;
}

/* One job under failure; true: it met none. */
static bool survives(service *s, int64_t n)
{
    work *w = a_job();
    err e = {0};
    assert_int_equal(job_check(&w->job, &e), 0);
    failing_after(n);
    int rc = service_take(s, w, &e);
    if (!rc)
        assert_ptr_equal(jobs_next_complete(s), w);
    const bool met = failing_stop();
    if (rc) {
        assert_int_equal(rc, ERR_NO_MEMORY);
        assert_true(strlen(e.text) > 0);
    } else if (w->error.code) {
        /* dry devices and mapped files say why in words only */
        if (w->error.code != ERR_NO_MEMORY && !strstr(w->error.text, "memory"))
            fail_msg("allocation %lld: %s", (long long)n, w->error.text);
        assert_true(met);
    } else {
        jobs_assert_done(w); /* what failed was an event or a preview, or nothing */
    }
    work_free(&w);
    return !met;
}

static void every_failed_allocation(void **state)
{
    (void)state;
    service *s = jobs_service("cpu", 1, 0, 0);
    int64_t n = 0;
    for (bool whole = false; !whole; n += 1 + n / 200)
        whole = survives(s, n);
    print_message("a job asks for memory fewer than %lld times\n", (long long)n);
    assert_true(n > 20);
    work *w = a_job();
    jobs_run(s, &w, 1);
    jobs_assert_done(w);
    work_free(&w);
    service_free(&s);
}

/* The service itself: made, or an error and nothing left. */
static void every_failed_start(void **state)
{
    (void)state;
    for (int64_t n = 0;; n += 1 + n / 50) {
        err e = {0};
        service_options o = {.devices = 1, .device = {{.backend = "cpu", .threads = 1}}};
        failing_after(n);
        service *s = service_new(&o, &e);
        const bool met = failing_stop();
        if (s) {
            service_free(&s);
        } else {
            assert_true(met);
            assert_true(strlen(e.text) > 0);
        }
        if (!met)
            break;
    }
}

/* The parts of inpainting on their own: an error that says so, and nothing kept. */
static void every_failed_mask(void **state)
{
    (void)state;
    enum { SIDE = 4 };
    rig r = rig_open("tiny9", (dev_options){.backend = "cpu", .threads = 1});
    residents all = {.d = r.d};
    resident held = {.model = r.m};
    const inpaint_view view = {.h = SIDE, .w = SIDE, .weight = 1};
    tensor mask = dev_keep(r.d, F32, 1, SIDE, SIDE, 1);
    tensor latent = dev_keep(r.d, F32, 1, SIDE, SIDE, 4), extra = {0};
    int text[1] = {0};
    const guidance g = {.steps = 1, .rows = 1, .row = {{1, text}}};
    const size_t kept = r.d->kept;
    float distance[SIDE * SIDE];
    int64_t n = 0;
    for (int rc = -1; rc; n++) {
        err e = {0};
        seq_options o = {.steps = 1,
                         .h = SIDE,
                         .w = SIDE,
                         .latent = &latent,
                         .mask = &mask,
                         .extra = &extra,
                         .guidance = &g};
        failing_after(n);
        seq *s = NULL;
        rc = inpaint_extra(&all, &held, &view, &extra, &e);
        if (!rc && !(s = seq_new(r.d, &o, &e)))
            rc = e.code ? e.code : residents_error(&all, "making", &e);
        if (!rc)
            rc = seq_distance(r.d, s, distance, &e);
        assert_int_equal(failing_stop(), rc != 0);
        assert_true(rc == 0 || rc == ERR_NO_MEMORY);
        seq_free(r.d, &s);
        dev_drop(r.d, &extra);
        assert_int_equal(r.d->kept, kept);
        assert_int_equal(r.d->status, DEV_OK);
    }
    assert_true(n > 10);
    dev_drop(r.d, &mask);
    dev_drop(r.d, &latent);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failed_allocation),
        cmocka_unit_test(every_failed_start),
        cmocka_unit_test(every_failed_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
