/* The broker's mind as a pure data structure: which job waits, which runs where under which lease,
 * which has ended and waits for its client. No socket, no clock, no payload: every call takes the
 * time, and what has to be done about it comes out as actions, which the main loop carries out.
 *
 *     queue_submit(q, &s, now, &e);
 *     while (queue_next(q, &a)) ...          // ASSIGN to a worker
 *
 * Calls cost O(log jobs); a match looks at every model that has queued jobs and every worker.
 * PROTOCOL.md has the rules: life of a job, leases, which worker gets it. */
#ifndef BROKER_QUEUE_H
#define BROKER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"
#include "proto/job.h"

enum {
    QUEUE_ATTEMPTS = 5,
    QUEUE_RELEASES = 16,         /* so many cost no attempt */
    QUEUE_WAIT_MS = 2000,        /* longest wait for a better worker */
    QUEUE_LAST_WAIT_MS = 600000, /* before its last attempt, for one that outlived the others */
    QUEUE_PRIORITIES = 101,
    QUEUE_WATCHERS = 4,
    QUEUE_MODELS = 1024,       /* different ones queued at the same time */
    QUEUE_WORKERS = 1024,      /* alive at the same time */
    QUEUE_DEVICES = 16,        /* of one worker */
    QUEUE_RESIDENT = 64,       /* models in the memory of one worker */
    QUEUE_REMEMBERED = 65536,  /* ids of jobs that are over and acknowledged */
    QUEUE_RECORD_BYTES = 1024, /* what a job takes besides its payload */
};

typedef struct queue queue;
typedef uint64_t queue_peer; /* a connection of the main loop's; 0: nobody */

typedef struct {
    uint32_t jobs;         /* queued and running; also: results kept */
    uint64_t bytes;        /* payloads and results */
    int64_t result_ttl_ms; /* of results that nobody acknowledges */
    int64_t lease_ms;      /* silence after which a lease, and a worker, is lost */
    uint64_t epoch;        /* goes into the lease tokens */
} queue_limits;

typedef enum { /* as State in overpaint.proto */
               QUEUE_QUEUED,
               QUEUE_RUNNING,
               QUEUE_FINISHED,
               QUEUE_FAILED,
               QUEUE_CANCELLED
} queue_state;

typedef struct {
    uint32_t evaluations_done, evaluations, steps_done, steps;
    double eta_seconds; /* negative: not known */
} queue_progress;

/* A job as the queue knows it: for reading only, until the next call. */
typedef struct {
    job_id id;
    queue_state state;
    int priority;
    task_kind task;
    uint64_t contents;        /* hash of what was submitted, without the seed */
    int64_t seed_asked, seed; /* -1, and what became of it */
    uint64_t model;           /* hash of the name; 0: any worker serves */
    uint64_t device_class;    /* hash; of the last attempt that was lost, 0: none yet */
    bool class_changed;       /* the result is of another class than that */
    size_t bytes;             /* payload; then the result */
    uint32_t attempts, releases;
    int64_t accepted_ms, queued_ms, assigned_ms, started_ms, ended_ms; /* started: 0, not yet */
    int64_t deadline_at;                                               /* 0: none */
    err_code stop; /* why it should stop: ERR_OK, ERR_CANCELLED, ERR_TIMEOUT */
    err *why;      /* reasons of failed attempts, then of the failure; NULL: none */
    uint64_t lease;
    int64_t lease_until;
    queue_peer worker, avoid; /* avoid: the one that failed or released it last */
    queue_peer watcher[QUEUE_WATCHERS];
    queue_progress progress;

    /* The queue's own: links of the one list it is in (a lane's, a worker's, the kept ones), its
     * place in the order of its priority, and in the heap of due times. */
    uint32_t next, prev;
    int64_t at, order, rank;
    int64_t due;
    uint32_t heap_at;
} queue_job;

typedef enum {
    QUEUE_ASSIGN,   /* send the job to `peer` under `lease` */
    QUEUE_REVOKE,   /* tell `peer` to stop `lease` */
    QUEUE_REQUEUED, /* tell the watchers */
    QUEUE_ENDED,    /* tell the watchers; exactly once a job */
    QUEUE_FORGET,   /* the store may drop it */
} queue_action_kind;

typedef struct {
    queue_action_kind kind;
    job_id id;
    queue_peer peer;
    uint64_t lease;
    uint32_t attempt;
} queue_action;

/* Everything that is counted, once for the struct and for STATUS. */
#define QUEUE_COUNTS(F)                                                                            \
    F(accepted)                                                                                    \
    F(duplicates)                                                                                  \
    F(conflicts)                                                                                   \
    F(refused_full)                                                                                \
    F(assigned)                                                                                    \
    F(finished)                                                                                    \
    F(failed)                                                                                      \
    F(cancelled)                                                                                   \
    F(quarantined)                                                                                 \
    F(requeued)                                                                                    \
    F(released)                                                                                    \
    F(leases_expired)                                                                              \
    F(workers_lost)                                                                                \
    F(stale)                                                                                       \
    F(results_acknowledged)                                                                        \
    F(results_expired)                                                                             \
    F(results_crowded_out)

typedef struct {
#define COUNT(name) uint64_t name;
    QUEUE_COUNTS(COUNT)
#undef COUNT
} queue_counts;

typedef struct {
    uint32_t queued, running, kept;
    uint64_t bytes;
    uint32_t workers, credit; /* credit: leases that could be given now */
    queue_counts counts;
} queue_totals;

queue *queue_new(const queue_limits *limits); /* NULL without memory */
void queue_free(queue **q);

bool queue_next(queue *q, queue_action *a); /* the oldest action not yet taken */
void queue_tick(queue *q, int64_t now);     /* leases, deadlines, results past their time */
int64_t queue_next_tick(const queue *q);    /* when it is needed next; INT64_MAX: never */
void queue_pause(queue *q);                 /* from now on nothing is assigned */
queue_totals queue_get_totals(const queue *q);
uint32_t queue_retry_after_ms(const queue *q); /* estimate of when a full queue has room */

/* --- jobs ------------------------------------------------------------------------------------- */

typedef struct {
    job_id id;
    int priority; /* 0..100 */
    task_kind task;
    uint64_t contents, model;
    int64_t seed_asked, seed;
    size_t bytes;
    int64_t deadline_ms; /* from now; 0: none */
    queue_peer watcher;
} queue_submission;

typedef struct {
    bool duplicate, kept; /* kept: of a duplicate, the queue still has it (its result may follow) */
    queue_state state;
    int64_t seed;
} queue_receipt;

/* 0; ERR_CONFLICT: the id is taken by another job; ERR_BUSY: full; ERR_NO_MEMORY. */
int queue_submit(queue *q, const queue_submission *s, int64_t now, queue_receipt *r, err *e);
/* Takes back a job just submitted that could not be stored: as if it had never been there. */
void queue_withdraw(queue *q, const job_id *id);

const queue_job *queue_find(const queue *q, const job_id *id); /* NULL: unknown, or forgotten */
const queue_job *queue_watch(queue *q, const job_id *id, queue_peer watcher, int64_t now);
/* NULL: unknown. Its state says what happened: CANCELLED, or RUNNING until the worker answers. */
const queue_job *queue_cancel(queue *q, const job_id *id, int64_t now);
bool queue_acknowledge(queue *q, const job_id *id); /* false: no such job, or it has not ended */
uint32_t queue_position(const queue *q, const queue_job *j); /* jobs that go before it */

/* Up to `most` jobs for a list: running ones first, then queued ones in no particular order. */
size_t queue_list(const queue *q, const queue_job **to, size_t most);

/* --- workers ---------------------------------------------------------------------------------- */

typedef struct {
    char name[64];
    uint64_t device_class[QUEUE_DEVICES]; /* hashes */
    size_t classes;
    uint64_t *model; /* hashes of what it can load; borrowed, copied */
    size_t models;
    uint64_t resident[QUEUE_RESIDENT];
    size_t residents;
} queue_worker_spec;

typedef struct {
    queue_peer peer;
    char name[64];
    bool draining;
    uint32_t credit, leases;
    uint64_t finished, failed;
} queue_worker_view;

/* The worker is there, or says again what it is. ERR_BUSY: too many; ERR_NO_MEMORY. */
int queue_ready(queue *q, queue_peer worker, const queue_worker_spec *s, int64_t now, err *e);
bool queue_knows(const queue *q, queue_peer worker);
/* A sign of life, and what is resident now. */
void queue_beat(queue *q, queue_peer worker, const uint64_t *resident, size_t residents,
                bool draining, int64_t now);
void queue_credit(queue *q, queue_peer worker, uint32_t jobs, int64_t now);
void queue_lost(queue *q, queue_peer worker, int64_t now); /* its leases are lost */
void queue_bye(queue *q, queue_peer worker, int64_t now);  /* its leases are released */
/* As queue_lost, found when the ASSIGN of `lease` could not be sent. That job, and those whose
 * ASSIGN to this worker is among the actions not yet taken, never left: it costs no attempt. */
void queue_unreachable(queue *q, queue_peer worker, uint64_t lease, int64_t now);
size_t queue_workers(const queue *q, queue_worker_view *to, size_t most);

const queue_job *queue_leased(const queue *q, uint64_t lease); /* just looks; NULL: stale */

/* What a worker says under a lease. NULL: the lease is stale, nothing happened (it was counted).
 * Showing the current token extends the lease and makes it this worker's. */
const queue_job *queue_extend(queue *q, queue_peer worker, uint64_t lease, int64_t now);
const queue_job *queue_started(queue *q, queue_peer worker, uint64_t lease, int64_t now);
const queue_job *queue_note(queue *q, queue_peer worker, uint64_t lease, const queue_progress *p,
                            int64_t now);
/* The job ended; in state FINISHED its result counts and takes `bytes`. */
const queue_job *queue_done(queue *q, queue_peer worker, uint64_t lease, uint64_t device_class,
                            size_t bytes, int64_t now);
const queue_job *queue_fail(queue *q, queue_peer worker, uint64_t lease, err_code code,
                            const char *text, bool again, int64_t now);
const queue_job *queue_release(queue *q, queue_peer worker, uint64_t lease, int64_t now);

#endif
