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

enum { JOBS_MOST = 32 };

/* Under TSan, some ten times slower, a few of the jobs have to do: it looks for races, not at
 * pictures. */
#ifdef __SANITIZE_THREAD__
enum { TAKE_EVERY = 4 };
#else
enum { TAKE_EVERY = 1 };
#endif

typedef struct {
    int count;
    work *work[JOBS_MOST];
    char name[JOBS_MOST][64];
} jobs;

static void add_jobs(jobs *all, const char *folder, const char *list)
{
    json_t *pictures = golden_json(list), *entry;
    const char *name;
    int seen = 0;
    json_object_foreach(pictures, name, entry)
    {
        if (seen++ % TAKE_EVERY)
            continue;
        snprintf(all->name[all->count], sizeof *all->name, "%s/%s", folder, name);
        all->work[all->count++] = jobs_golden(name, entry);
    }
    json_decref(pictures);
}

static void make_jobs(jobs *all)
{
    all->count = 0;
    add_jobs(all, "pictures", "pictures/pictures.json");
    add_jobs(all, "grammar", "grammar/grammar.json");
}

static void free_jobs(jobs *all)
{
    for (int i = 0; i < all->count; i++)
        work_free(&all->work[i]);
}

static void check_done(const jobs *all)
{
    for (int i = 0; i < all->count; i++) {
        const work *w = all->work[i];
        if (w->error.code)
            print_error("%s: %s\n", all->name[i], w->error.text);
        assert_int_equal(w->error.code, ERR_OK);
        assert_non_null(w->task.result[0].bytes);
    }
}

static void assert_same_files(const jobs *a, const jobs *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const task_picture *x = &a->work[i]->task.result[0], *y = &b->work[i]->task.result[0];
        if (x->size != y->size || memcmp(x->bytes, y->bytes, x->size))
            print_error("%s: the files differ\n", a->name[i]);
        assert_int_equal(x->size, y->size);
        assert_memory_equal(x->bytes, y->bytes, x->size);
    }
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
    for (int i = 0; i < all->count; i++) {
        char file[96];
        int largest;
        snprintf(file, sizeof file, "%s.png", all->name[i]);
        double share = jobs_difference(all->work[i], file, &largest);
        print_message("%s: %.4f%% differ, by %d at most\n", all->name[i], 100 * share, largest);
        assert_true(largest <= 1);
        assert_true(share <= 0.005);
    }
}

/* All at once: rows of different jobs, samplers, prompts and step counts share batches. */
static void run_together(const jobs *alone, int threads, int band_rows, int64_t budget)
{
    jobs all;
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
    run_together(*state, 3, 0, 0);
}

static void test_same_bytes_with_bands(void **state)
{
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
