/* Whole pictures without sockets: the golden jobs through preparation, engine and composition,
 * alone and in company. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/golden.h"
#include "tests/support/jobs.h"

enum { JOBS_MOST = 96, LISTS_MOST = 16 };

/* Under sanitizers, several times slower, a few jobs of each folder have to do: they look for races
 * and stray accesses, not at pictures. */
#if defined(__SANITIZE_THREAD__)
enum { TAKE_EVERY = 8, ALL_WAYS = false };
#elif defined(__SANITIZE_ADDRESS__)
enum { TAKE_EVERY = 4, ALL_WAYS = false };
#else
enum { TAKE_EVERY = 1, ALL_WAYS = true };
#endif

typedef struct {
    int count, lists;
    work *work[JOBS_MOST];
    asked asked[JOBS_MOST];
    json_t *list[LISTS_MOST]; /* what was asked points into them */
} jobs;

static void add_folder(jobs *all, const char *folder)
{
    char list[64];
    snprintf(list, sizeof list, "%s/%s.json", folder, folder);
    json_t *entries = golden_json(list), *entry;
    const char *name;
    int seen = 0;
    json_object_foreach(entries, name, entry)
    {
        if (seen++ % TAKE_EVERY)
            continue;
        assert_in_range(all->count, 0, JOBS_MOST - 1);
        asked_read(&all->asked[all->count], folder, name, entry);
        all->work[all->count] = jobs_golden(&all->asked[all->count]);
        all->count++;
    }
    all->list[all->lists++] = entries;
}

static void make_jobs(jobs *all)
{
    *all = (jobs){0};
    for (int i = 0; asked_folders[i]; i++)
        add_folder(all, asked_folders[i]);
}

static void free_jobs(jobs *all)
{
    for (int i = 0; i < all->count; i++)
        work_free(&all->work[i]);
    for (int i = 0; i < all->lists; i++)
        json_decref(all->list[i]);
}

static void check_done(const jobs *all)
{
    for (int i = 0; i < all->count; i++) {
        const work *w = all->work[i];
        if (w->error.code)
            fail_msg("%s: %s", all->asked[i].name, w->error.text);
        assert_int_equal(w->task.results, all->asked[i].pictures);
    }
}

static void assert_same_files(const jobs *a, const jobs *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++)
        jobs_assert_same(a->work[i], b->work[i]);
}

/* One after another on one thread: what everything else is compared with. */
static void run_alone(jobs *all)
{
    service *s = jobs_service("cpu", 1, 0, 0);
    make_jobs(all);
    for (int i = 0; i < all->count; i++)
        jobs_run(s, &all->work[i], 1);
    check_done(all);
    service_free(&s);
}

static void test_golden_pictures(void **state)
{
    const jobs *all = *state;
    for (int i = 0; i < all->count; i++)
        for (int n = 0; n < all->asked[i].pictures; n++) {
            image got = jobs_picture(all->work[i], n);
            asked_compare(&all->asked[i], n, &got);
            image_done(&got);
        }
}

/* All at once: rows of different jobs, samplers, prompts and step counts share batches. */
static void run_together(const jobs *alone, int threads, int band_rows, int64_t budget)
{
    static jobs all;
    service *s = jobs_service("cpu", threads, band_rows, budget);
    make_jobs(&all);
    jobs_run(s, all.work, all.count);
    check_done(&all);
    assert_same_files(alone, &all);
    free_jobs(&all);
    service_free(&s);
}

static void test_same_bytes_in_company(void **state)
{
    run_together(*state, 1, 0, 0);
}

static void test_same_bytes_with_threads(void **state)
{
    run_together(*state, 2, 0, 0);
    if (ALL_WAYS)
        run_together(*state, 3, 0, 0);
}

static void test_same_bytes_with_bands(void **state)
{
    if (ALL_WAYS)
        run_together(*state, 2, 8, 0);
    run_together(*state, 2, 20, 0);
}

static int make_alone(void **state)
{
    static jobs alone;
    run_alone(&alone);
    *state = &alone;
    return 0;
}

static int free_alone(void **state)
{
    free_jobs(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_pictures),
        cmocka_unit_test(test_same_bytes_in_company),
        cmocka_unit_test(test_same_bytes_with_threads),
        cmocka_unit_test(test_same_bytes_with_bands),
    };
    return cmocka_run_group_tests(tests, make_alone, free_alone);
}
