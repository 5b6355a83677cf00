/* pool: threads that share the tiles of one layer.
 *
 *     pool_run(p, tiles, convolve_tile, &plan);     convolve_tile(&plan, tile, thread) for every
 * tile
 *
 * The calling thread works too, as thread 0. Which thread gets which tile is not determined, so a
 * tile must write what no other tile writes; `thread` only names its private scratch. */
#ifndef KERNELS_CPU_POOL_H
#define KERNELS_CPU_POOL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pool pool;
typedef void (*pool_fn)(void *arg, int64_t tile, int thread);

/* `threads` in all, the caller among them (at least 1). NULL: a thread could not be started. */
pool *pool_new(int threads);
void pool_free(pool **p);
int pool_threads(const pool *p);

/* Returns when every tile is done. One caller at a time. */
void pool_run(pool *p, int64_t tiles, pool_fn fn, void *arg);

#endif
