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
#include "tests/support/picture.h"
#include "tests/support/rig.h"
#include "worker/inpaint.h"
#include "worker/seq.h"

/* Jobs that together ask for memory in every way; small, as each is made hundreds of times. */
static const struct {
    const char *task, *words[30];
} rows[] = {
    {"img2img",
     {"prompt", "a [fox|(red:1.3)] AND [snow:0.5] :0.7", "model", "tiny3", "input",
      "pictures/cat.png", "batch-size", "2", "want-preview", "true"}},
    {"inpaint",
     {"input",
      "48x32",
      "mask",
      "inpaint/whole-fill-mask.png",
      "model",
      "tiny3",
      "steps",
      "1",
      "masked-content",
      "fill",
      "color-correction",
      "true",
      "give-mask",
      "true",
      "give-composite",
      "true",
      "width",
      "32",
      "height",
      "32"}},
    {"inpaint",
     {"input", "96x64", "mask", "inpaint/whole-fill-mask.png", "model", "tiny3", "steps", "1",
      "inpaint-area", "only-masked", "soft-inpainting", "true", "width", "32", "height", "32"}},
    {"outpaint",
     {"input", "32x32", "method", "mk2", "direction", "left,down", "pixels", "16", "model", "tiny3",
      "steps", "1", "width", "64", "height", "64", "mask-blur", "1"}},
    {"outpaint",
     {"input", "32x32", "direction", "right", "pixels", "16", "model", "tiny3", "steps", "1",
      "width", "32", "height", "32", "mask-blur", "1"}},
    {"loopback",
     {"input", "32x32", "loops", "2", "n-iter", "2", "model", "tiny3", "steps", "1", "width", "32",
      "height", "32"}},
    {"sd-upscale",
     {"input", "20x20", "upscaler", "srvgg-x2", "tile-overlap", "8", "model", "tiny3", "steps", "1",
      "denoising-strength", "1", "width", "32", "height", "32"}},
    {"upscale",
     {"input", "20x16", "upscaler", "srvgg-x2", "upscaler-2", "rrdb-x2", "upscaler-2-visibility",
      "0.5", "scale", "2"}},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* The further on, the fewer are tried; fewer still where everything is several times as slow. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SKIPPING = 30 };
#else
enum { SKIPPING = 200 };
#endif

static work *a_job(int row)
{
    return jobs_make(rows[row].task, rows[row].words);
}

/* Pixels: for want of memory a line of the metadata may be missing. */
static void assert_right(const work *w, const work *want)
{
    jobs_assert_done(w);
    assert_int_equal(w->task.results, want->task.results);
    for (int i = 0; i < w->task.results; i++) {
        image a = jobs_picture(w, i), b = jobs_picture(want, i);
        assert_int_equal(picture_difference(&a, &b), 0);
        image_done(&a);
        image_done(&b);
    }
}

/* One job under failure; true: it met none. */
static bool survives(service *s, int row, const work *want, int64_t n)
{
    work *w = a_job(row);
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
            fail_msg("%s, allocation %lld: %s", rows[row].task, (long long)n, w->error.text);
        assert_true(met);
    } else {
        assert_right(w, want); /* what failed was an event or a preview, or nothing */
    }
    work_free(&w);
    return !met;
}

static service_options service_of(bool paired)
{
    return (service_options){.devices = paired ? 2 : 1,
                             .cfg_parallel = paired,
                             .models = GOLDEN_DIR,
                             .device = {{.backend = "cpu", .threads = 1},
                                        {.backend = "cpu", .threads = 1, .ordinal = 1}}};
}

/* paired: with a partner, see partner.h */
static void check_row(int row, bool paired)
{
    err e = {0};
    const service_options o = service_of(paired);
    service *s = service_new(&o, &e);
    assert_non_null(s);
    int64_t n = 0;
    work *want = a_job(row), *again = a_job(row);
    service *undisturbed = jobs_service("cpu", 1, 0, 0);
    jobs_run(undisturbed, &want, 1);
    jobs_assert_done(want);
    service_free(&undisturbed);
    for (bool whole = false; !whole; n += 1 + n / SKIPPING)
        whole = survives(s, row, want, n);
    print_message("%s (row %d) asks for memory fewer than %lld times\n", rows[row].task, row,
                  (long long)n);
    assert_true(n > 20);
    jobs_run(s, &again, 1);
    jobs_assert_same(again, want);
    work_free(&again);
    work_free(&want);
    service_free(&s);
}

static void every_failed_allocation(void **state)
{
    (void)state;
    for (int row = 0; row < ROWS; row++)
        check_row(row, false);
}

static void every_failed_allocation_of_a_pair(void **state)
{
    (void)state;
    check_row(0, true);
}

/* The service itself: made, or an error and nothing left. */
static void every_failed_start(void **state)
{
    (void)state;
    for (int64_t n = 0;; n += 1 + n / 50) {
        err e = {0};
        const service_options o = service_of(true);
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
        cmocka_unit_test(every_failed_allocation_of_a_pair),
        cmocka_unit_test(every_failed_start),
        cmocka_unit_test(every_failed_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
