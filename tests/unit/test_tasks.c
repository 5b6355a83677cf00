/* Tasks of many scenes inside one process: the same bytes however they are made, progress that only
 * grows, and cancelling in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/jobs.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Several times as slow there; some of the rows have to do where it is twenty times. */
#if defined(__SANITIZE_THREAD__)
enum { THREADS_MOST = 2, EVERY = 3 };
#elif defined(__SANITIZE_ADDRESS__)
enum { THREADS_MOST = 2, EVERY = 1 };
#else
enum { THREADS_MOST = 3, EVERY = 1 };
#endif

typedef struct {
    const char *task, *words[26];
} row;

/* One job of every task, and of every way through a task that differs. */
static const row rows[] = {
    {"inpaint",
     {"input", "inpaint/whole-fill-in.png", "mask", "inpaint/whole-fill-mask.png", "masked-content",
      "latent-noise", "width", "96", "batch-size", "2", "give-mask", "true", "give-composite",
      "true", "color-correction", "true"}},
    {"inpaint",
     {"input", "inpaint/only-masked-in.png", "mask", "inpaint/only-masked-mask.png", "inpaint-area",
      "only-masked", "masked-content", "fill", "sampler", "Heun"}},
    {"inpaint",
     {"input", "inpaint/whole-fill-in.png", "mask", "inpaint/whole-fill-mask.png",
      "soft-inpainting", "true", "width", "96", "sampler", "DDIM", "mask-blur", "12"}},
    {"inpaint",
     {"input", "inpaint/whole-fill-in.png", "mask", "inpaint/whole-fill-mask.png", "model", "tiny9",
      "mask-weight", "0.5", "width", "96", "n-iter", "2"}},
    {"outpaint",
     {"input", "outpaint/poor-mans-right-in.png", "direction", "right,up", "pixels", "24",
      "mask-blur", "2"}},
    {"outpaint",
     {"input", "outpaint/poor-mans-right-in.png", "direction", "left,down", "pixels", "32",
      "method", "mk2", "batch-size", "2", "width", "96", "height", "96"}},
    {"loopback", {"input", "loopback/linear-in.png", "loops", "3", "n-iter", "2"}},
    {"loopback",
     {"input", "loopback/linear-in.png", "loops", "2", "mask",
      "loopback/aggressive-masked-mask.png", "color-correction", "true"}},
    {"sd-upscale",
     {"input", "upscale/lanczos-x2-in.png", "upscaler", "srvgg-x2", "tile-overlap", "16", "n-iter",
      "2", "sampler", "Euler a", "denoising-strength", "0.5"}},
    {"sd-upscale",
     {"input", "upscale/none-in.png", "upscaler", "None", "tile-overlap", "24", "batch-size", "3"}},
    {"upscale",
     {"input", "upscalers/real-in.png", "upscaler", "rrdb-x2", "upscaler-2", "srvgg-x4",
      "upscaler-2-visibility", "0.4", "scale", "4"}},
    {"upscale",
     {"input", "pictures/tall.png", "upscaler", "srvgg-x2", "width", "301", "height", "203"}},
};
enum { ROWS = COUNT(rows) };

/* What runs beside them: the same sizes and others, another model. */
static const row company[] = {
    {"txt2img", {"sampler", "Euler a", "steps", "9", "prompt", "a [fox|crow] AND snow"}},
    {"txt2img", {"model", "tiny3", "steps", "5", "width", "96"}},
    {"img2img", {"input", "pictures/cat.png", "width", "96", "steps", "12", "batch-size", "2"}},
};

static work *make(const row *r)
{
    return jobs_make(r->task, r->words);
}

/* ---------------------------------------------------------------- same bytes */

static int make_alone(void **state)
{
    static work *alone[ROWS];
    service *s = jobs_service("cpu", 1, 0, 0);
    for (size_t i = 0; i < ROWS; i += EVERY) {
        alone[i] = make(&rows[i]);
        jobs_run(s, &alone[i], 1);
        jobs_assert_done(alone[i]);
    }
    service_free(&s);
    *state = alone;
    return 0;
}

static int free_alone(void **state)
{
    work **alone = *state;
    for (size_t i = 0; i < ROWS; i++)
        work_free(&alone[i]);
    return 0;
}

/* As many different pictures as results: or "the same bytes" would say little. */
static void results_differ(void **state)
{
    work **alone = *state;
    for (size_t i = 0; i < ROWS; i += EVERY) {
        const task *t = &alone[i]->task;
        for (int n = 1; n < t->results; n++)
            if (t->result[n].size == t->result[n - 1].size &&
                !memcmp(t->result[n].bytes, t->result[n - 1].bytes, t->result[n].size))
                fail_msg("%s (row %zu): results %d and %d are the same", rows[i].task, i, n - 1, n);
    }
}

static void run_together(work *const *alone, int threads)
{
    work *all[ROWS + COUNT(company)];
    service *s = jobs_service("cpu", threads, 0, 0);
    size_t n = 0;
    for (size_t i = 0; i < COUNT(company); i++)
        all[n++] = make(&company[i]);
    for (size_t i = 0; i < ROWS; i += EVERY)
        all[n++] = make(&rows[i]);
    jobs_run(s, all, (int)n);
    for (size_t i = 0; i < ROWS; i += EVERY) {
        print_message("%s (row %zu)\n", rows[i].task, i);
        jobs_assert_same(all[COUNT(company) + i / EVERY], alone[i]);
    }
    for (size_t i = 0; i < n; i++)
        work_free(&all[i]);
    service_free(&s);
}

static void same_bytes_together(void **state)
{
    if (EVERY == 1)
        run_together(*state, 1);
}

static void same_bytes_with_threads(void **state)
{
    for (int threads = 2; threads <= THREADS_MOST; threads++)
        run_together(*state, threads);
}

/* ---------------------------------------------------------------- progress */

typedef struct {
    job_id id;
    work_progress last;
    int reports;
} watched;

/* Takes one event; checks that no number goes back or past its end. The work, when it is complete.
 */
static work *watch(service *s, watched *job_watched)
{
    service_event *ev = jobs_event(s);
    work *w = ev->work;
    ev->work = NULL;
    if (ev->kind == EVENT_PROGRESS && job_id_equal(&ev->id, &job_watched->id)) {
        const work_progress *now = &ev->progress, *last = &job_watched->last;
        assert_true(now->evaluations_done > last->evaluations_done);
        assert_true(now->steps_done >= last->steps_done);
        assert_true(now->evaluations >= last->evaluations);
        assert_true(now->evaluations_done <= now->evaluations && now->steps_done <= now->steps);
        job_watched->last = *now;
        job_watched->reports++;
    }
    service_event_free(&ev);
    return w;
}

static void progress_ends_at_its_total(void **state)
{
    service *s = jobs_service("cpu", 2, 0, 0);
    (void)state;
    for (size_t i = 0; i < ROWS; i += EVERY) {
        work *w = make(&rows[i]);
        watched seen = {.id = w->job.id};
        jobs_take(s, w);
        while (!watch(s, &seen))
            ;
        jobs_assert_done(w);
        print_message("%s (row %zu): %d of %d evaluations, %d of %d steps, %d reports\n",
                      rows[i].task, i, seen.last.evaluations_done, seen.last.evaluations,
                      seen.last.steps_done, seen.last.steps, seen.reports);
        assert_int_equal(seen.last.evaluations_done, seen.last.evaluations);
        assert_int_equal(seen.last.steps_done, seen.last.steps);
        assert_true(seen.reports > 1);
        work_free(&w);
    }
    service_free(&s);
}

/* ---------------------------------------------------------------- cancelling */

/* Long jobs, and how many evaluations are over when they are cancelled: in the middle of tiles, of
 * a later round, of a later side, of a network's tiles. */
static const struct {
    row job;
    int after;
} cancelled[] = {
    {{"sd-upscale",
      {"input", "100x80", "upscaler", "srvgg-x2", "tile-overlap", "16", "steps", "20",
       "denoising-strength", "0.9"}},
     60},
    {{"loopback", {"input", "loopback/linear-in.png", "loops", "16", "steps", "20"}}, 40},
    {{"outpaint",
      {"input", "outpaint/poor-mans-right-in.png", "direction", "left,right,up,down", "pixels",
       "32", "method", "mk2", "steps", "30", "width", "128", "height", "128"}},
     40},
    {{"upscale", {"input", "640x400", "upscaler", "srvgg-x2", "scale", "4"}}, 5},
};

static void cancelled_in_the_middle(void **state)
{
    work **alone = *state;
    service *s = jobs_service("cpu", 2, 0, 0);
    for (size_t i = 0; i < COUNT(cancelled); i += EVERY) {
        work *w = make(&cancelled[i].job), *beside = make(&rows[0]);
        watched seen = {.id = w->job.id};
        int ended = 0;
        jobs_take(s, w);
        jobs_take(s, beside);
        while (seen.last.evaluations_done < cancelled[i].after)
            ended += watch(s, &seen) != NULL;
        print_message("%s: cancelled at %d of %d\n", cancelled[i].job.task,
                      seen.last.evaluations_done, seen.last.evaluations);
        assert_true(seen.last.evaluations_done < seen.last.evaluations);
        service_cancel(s, w);
        while (ended < 2)
            ended += watch(s, &seen) != NULL;
        assert_int_equal(w->error.code, ERR_CANCELLED);
        jobs_assert_same(beside, alone[0]);
        work_free(&w);
        work_free(&beside);
    }
    service_free(&s);
}

/* ---------------------------------------------------------------- turns */

/* A job of many tiles; a small one comes when it has begun, and ends long before it. */
static void check_overtakes(service *s, const row *large, int begun)
{
    work *w = make(large), *small = make(&company[1]);
    watched seen = {.id = w->job.id};
    jobs_take(s, w);
    while (seen.last.evaluations_done < begun)
        assert_null(watch(s, &seen));
    jobs_take(s, small);
    assert_ptr_equal(jobs_next_complete(s), small); /* `seen` no longer counts */
    jobs_assert_done(small);
    while (!watch(s, &seen))
        ;
    jobs_assert_done(w);
    work_free(&w);
    work_free(&small);
}

static void tiles_leave_turns_to_others(void **state)
{
    static const row sampled = {"sd-upscale",
                                {"input", "120x90", "upscaler", "Lanczos", "tile-overlap", "16",
                                 "steps", "6", "denoising-strength", "0.9"}};
    static const row enlarged = {"upscale",
                                 {"input", "640x400", "upscaler", "srvgg-x2", "scale", "2"}};
    service *s = jobs_service("cpu", 2, 0, 0);
    (void)state;
    check_overtakes(s, &sampled, 3);
    if (EVERY == 1)
        check_overtakes(s, &enlarged, 2);
    service_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_differ),          cmocka_unit_test(same_bytes_together),
        cmocka_unit_test(same_bytes_with_threads), cmocka_unit_test(progress_ends_at_its_total),
        cmocka_unit_test(cancelled_in_the_middle), cmocka_unit_test(tiles_leave_turns_to_others),
    };
    return cmocka_run_group_tests(tests, make_alone, free_alone);
}
