/* The thread pool of the CPU backend.
 *
 * A job is open from pool_run's start until its tiles are handed out. A worker that wakes up in
 * that time joins it; one that comes too late finds it closed and goes back to waiting, so a run
 * never waits for a thread that the system did not schedule. Waiting is a short spin (layers follow
 * each other within microseconds), then sleep (an idle service burns nothing). */
#include "kernels/cpu/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPINS = 400 }; /* about 20 us where a pause takes 140 cycles */

struct pool {
    int threads; /* the caller included */
    int spins;   /* 0 when there are more threads than processors */
    pthread_t *worker;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;

    pool_fn fn; /* the job; written under the lock while nobody is active */
    void *arg;
    int64_t tiles;
    atomic_llong next;
    bool open;          /* under the lock */
    atomic_int active;  /* workers inside the job; changed under the lock */
    atomic_uint opened; /* jobs so far; changed under the lock */
    int started;        /* workers that took their number, under the lock */
    bool stop;          /* under the lock */
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void work(pool *p, int thread)
{
    for (;;) {
        int64_t tile = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (tile >= p->tiles)
            return;
        p->fn(p->arg, tile, thread);
    }
}

/* Sleeps until a job is opened that this worker has not seen; false: the pool ends. Holds the lock
 * on return. */
static bool wait_for_job(pool *p, unsigned seen)
{
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load_explicit(&p->opened, memory_order_relaxed) != seen)
            break;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    while (!p->stop && atomic_load_explicit(&p->opened, memory_order_relaxed) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    return !p->stop;
}

static void *worker_main(void *arg)
{
    pool *p = arg;
    pthread_mutex_lock(&p->lock);
    int thread = ++p->started;
    pthread_mutex_unlock(&p->lock);
    unsigned seen = 0;
    while (wait_for_job(p, seen)) {
        seen = atomic_load_explicit(&p->opened, memory_order_relaxed);
        if (!p->open) {
            pthread_mutex_unlock(&p->lock);
            continue;
        }
        atomic_fetch_add_explicit(&p->active, 1, memory_order_relaxed);
        pthread_mutex_unlock(&p->lock);
        work(p, thread);
        pthread_mutex_lock(&p->lock);
        if (atomic_fetch_sub_explicit(&p->active, 1, memory_order_release) == 1)
            pthread_cond_signal(&p->idle);
        pthread_mutex_unlock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

void pool_run(pool *p, int64_t tiles, pool_fn fn, void *arg)
{
    if (p->threads == 1 || tiles <= 1) {
        for (int64_t tile = 0; tile < tiles; tile++)
            fn(arg, tile, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    assert(!p->open && atomic_load(&p->active) == 0);
    p->fn = fn;
    p->arg = arg;
    p->tiles = tiles;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    p->open = true;
    atomic_fetch_add_explicit(&p->opened, 1, memory_order_relaxed);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);

    work(p, 0);

    pthread_mutex_lock(&p->lock);
    p->open = false;
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load_explicit(&p->active, memory_order_acquire) == 0)
            break;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->active, memory_order_relaxed) != 0)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static int processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

pool *pool_new(int threads)
{
    assert(threads >= 1);
    pool *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->threads = 1; /* counts up as workers start, so that pool_free joins those that did */
    p->spins = threads <= processors() ? SPINS : 0;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->worker = calloc((size_t)threads, sizeof *p->worker);
    if (!p->worker) {
        pool_free(&p);
        return NULL;
    }
    while (p->threads < threads) {
        if (pthread_create(&p->worker[p->threads - 1], NULL, worker_main, p)) {
            pool_free(&p);
            return NULL;
        }
        p->threads++;
    }
    return p;
}

void pool_free(pool **pp)
{
    pool *p = *pp;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i + 1 < p->threads; i++)
        pthread_join(p->worker[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    free(p->worker);
    free(p);
    *pp = NULL;
}

int pool_threads(const pool *p)
{
    return p->threads;
}
