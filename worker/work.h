/* A job on its way through the worker: net thread -> crew (prepare) -> engine -> crew (compose) ->
 * net thread. Exactly one of them owns it at a time and hands it on by pointer; `cancelled` alone
 * may be set by another thread. */
#ifndef WORKER_WORK_H
#define WORKER_WORK_H

#include <stdatomic.h>

#include "proto/job.h"
#include "proto/wire.h"
#include "worker/models.h"
#include "worker/task/task.h"

typedef struct {
    int evaluations_done, evaluations, steps_done, steps;
    double eta_seconds; /* negative: not known */
} work_progress;

typedef struct work {
    struct work *next_held; /* the net thread's list of everything inside */
    bool released;          /* cancelled because this worker stops: it goes back to the broker */
    struct work *next;      /* for whoever owns it */
    wire_message message;   /* the ASSIGN it came with; the job's pictures point into it */
    job job;
    uint64_t lease;
    int device; /* index of the engine it was given to */
    atomic_bool cancelled;
    task task;
    atomic_size_t result_bytes; /* of the files made so far */
    atomic_int open_parts;      /* the engine and everything the crew does: at 0 it is complete */
    model_file file; /* of the model that makes them, and its name; set by the engine before */
    char model[256]; /* the first picture */
    struct service_event
        *complete; /* sent when the last part is done; made at the start, so it cannot fail */
    err error;     /* set: the job failed or was cancelled */
    bool again;    /* it failed for a reason of this worker's: another try may succeed */
    int64_t started_ms;
} work;

work *work_new(void);
void work_free(work **w);

#endif
