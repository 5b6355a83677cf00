/* The inside of an engine, shared by engine.c and engine_*.c and by nobody else. */
#ifndef WORKER_ENGINE_STATE_H
#define WORKER_ENGINE_STATE_H

#include <pthread.h>

#include "worker/batch.h"
#include "worker/engine.h"

struct engine {
    pthread_t thread;
    bool running;
    engine_options options;
    atomic_bool hard_stop; /* stops the device between two operations, whoever it works for */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    work *inbox;
    bool woken, stopping;
    engine_status status;

    /* the thread's own */
    residents held;
    work *waiting;      /* in order of arrival */
    bool blocked;       /* the first of them waits until a run has ended */
    run *runs;          /* in order of admission */
    uint64_t turn;      /* counts batches */
    const batch *now;   /* the batch being evaluated */
    const run *now_run; /* or the run being admitted or decoded */
};

/* --- engine.c -----------------------------------------------------------------------------------
 */

void engine_append(work **list, work *w);

/* What the device works on until engine_idle: a run, or a batch. It is stopped when nobody wants
 * that any more, and called stuck when it takes `least_ms` and far longer than `flops` can take. */
void engine_busy(engine *en, const run *r, const batch *b, double flops, int64_t least_ms);
void engine_idle(engine *en);

enum {
    ENGINE_STEP_MS = 60000,
    ENGINE_LOAD_MS = 20 * 60000
}; /* least_ms; a load may have to read
       gigabytes from a slow disk */

/* --- engine_end.c: runs come to their end -------------------------------------------------------
 */

/* `e`: NULL, or why it failed. Frees the run. */
void engine_end(engine *en, run *r, const err *e);
void engine_drop_cancelled(engine *en);

/* Hands out what needs no device: every picture of an untouched input; none of a noop. */
void engine_finish_at_once(engine *en, run *r);

/* Decodes the picture that has waited for longest, if any: one, so that others step in between. */
void engine_decode(engine *en);

/* --- engine_admit.c -----------------------------------------------------------------------------
 */

/* Takes in waiting works while there is room, and lets runs begin their pictures. */
void engine_admit(engine *en);

/* --- engine_step.c ------------------------------------------------------------------------------
 */

/* Evaluates one batch, if a sequence is on its way, and says how far its runs are. */
void engine_step(engine *en);

#endif
