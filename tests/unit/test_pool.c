/* The thread pool: every tile once, on a thread that exists, run after run; what the tiles wrote is
 * seen by the caller. Under ThreadSanitizer this is also the proof that nothing races. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/cpu/pool.h"

enum { TILES_MOST = 257, THREADS_MOST = 5, RUNS = 2000 };

typedef struct {
    int done[TILES_MOST]; /* plain ints: a tile is one thread's at a time */
    int threads;
    int by[THREADS_MOST]; /* tiles of each thread */
    useconds_t pause;
} tally;

static void count_tile(void *arg, int64_t tile, int thread)
{
    tally *t = arg;
    t->done[tile] += thread >= 0 && thread < t->threads;
    t->by[thread]++;
    if (t->pause)
        usleep(t->pause);
}

static void run_and_check(pool *p, tally *t, int64_t tiles)
{
    memset(t->done, 0, sizeof t->done);
    pool_run(p, tiles, count_tile, t);
    for (int64_t i = 0; i < TILES_MOST; i++)
        assert_int_equal(t->done[i], i < tiles);
}

static void every_tile_runs_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= THREADS_MOST; threads++) {
        pool *p = pool_new(threads);
        assert_non_null(p);
        assert_int_equal(pool_threads(p), threads);
        tally t = {.threads = threads};
        for (int i = 0; i < RUNS; i++)
            run_and_check(p, &t, i % TILES_MOST);
        pool_free(&p);
        assert_null(p);
    }
}

/* Workers asleep, workers late, and more threads than tiles. */
static void sleeping_workers_wake(void **state)
{
    (void)state;
    pool *p = pool_new(3);
    tally t = {.threads = 3, .pause = 200};
    for (int i = 0; i < 20; i++) {
        usleep(1000);
        run_and_check(p, &t, i % 5);
    }
    pool_free(&p);
}

/* 100 tiles of 2 ms on two threads: both get some. */
static void work_is_shared(void **state)
{
    (void)state;
    pool *p = pool_new(2);
    tally t = {.threads = 2, .pause = 2000};
    run_and_check(p, &t, 100);
    assert_int_equal(t.by[0] + t.by[1], 100);
    assert_true(t.by[0] > 0 && t.by[1] > 0);
    pool_free(&p);
}

static void freeing_nothing_is_fine(void **state)
{
    (void)state;
    pool *none = NULL;
    pool_free(&none);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tile_runs_once),
        cmocka_unit_test(sleeping_workers_wake),
        cmocka_unit_test(work_is_shared),
        cmocka_unit_test(freeing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
