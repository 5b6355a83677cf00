/* Where jobs and results are kept, behind one interface: memory now, a journal and JetStream later.
 * The queue decides, the store remembers: it knows ids and bytes, not states or workers.
 *
 * Writes return a ticket at once. What was written survives once store_durable() has reached the
 * ticket, so many writes share one sync, and answers that promise something wait for their ticket
 * (the main loop holds them back). Payload frames are moved in and shared out, never copied. */
#ifndef BROKER_STORE_H
#define BROKER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "proto/err.h"
#include "proto/job.h"

typedef struct store store;
typedef uint64_t store_ticket; /* counts writes; 0: nothing to wait for */

/* What the broker keeps of a job or a result: a packed message (frame 0) and its payload frames. */
typedef struct {
    zmq_msg_t *frame; /* owned array */
    size_t frames;    /* 0: empty */
} store_record;

/* Moves message and payload in; what was moved is an empty message afterwards. False without
 * memory: nothing was moved. */
bool store_record_make(store_record *to, zmq_msg_t *message, zmq_msg_t *payload, size_t count);
/* A second record that shares the bytes. False without memory. */
bool store_record_share(store_record *to, const store_record *from);
size_t store_record_bytes(const store_record *r);
void store_record_done(store_record *r); /* accepts an empty one */

typedef enum { STORE_JOB, STORE_RESULT } store_part;

/* Called for every job that was not forgotten, in the order of append; `result` may be NULL. */
typedef int store_visit(void *arg, const job_id *id, store_record *job, store_record *result,
                        uint32_t attempts, err *e);

/* One row per kind of store. Functions that take a record take it over on success. */
typedef struct {
    int (*append)(store *s, const job_id *id, store_record *job, store_ticket *t, err *e);
    int (*take)(store *s, const job_id *id, uint32_t attempt, store_ticket *t, err *e);
    int (*settle)(store *s, const job_id *id, store_record *result, store_ticket *t, err *e);
    int (*forget)(store *s, const job_id *id, err *e);
    int (*read)(store *s, const job_id *id, store_part part, store_record *to, err *e);
    store_ticket (*durable)(store *s);
    int (*descriptor)(store *s);
    int (*replay)(store *s, store_visit *visit, void *arg, err *e);
    void (*free)(store *s);
} store_kind;

struct store {
    const store_kind *kind;
};

store *store_memory_new(void); /* NULL without memory */
void store_free(store **s);

/* A new job. ERR_CONFLICT: the id is there already. */
int store_append(store *s, const job_id *id, store_record *job, store_ticket *t, err *e);
/* An attempt begins: after a restart the job has lost that attempt. */
int store_take(store *s, const job_id *id, uint32_t attempt, store_ticket *t, err *e);
/* The job has ended; its result replaces its payload. ERR_NOT_FOUND, ERR_CONFLICT: has one. */
int store_settle(store *s, const job_id *id, store_record *result, store_ticket *t, err *e);
/* Nobody needs it any more. Unknown ids are ERR_NOT_FOUND. */
int store_forget(store *s, const job_id *id, err *e);
/* Reads back: `to` shares the bytes. ERR_NOT_FOUND: no such job, or not that part of it. */
int store_read(store *s, const job_id *id, store_part part, store_record *to, err *e);

store_ticket store_durable(store *s); /* every write up to this ticket survives */
int store_descriptor(store *s);       /* readable when store_durable may have moved; -1: never */
/* What an earlier run left behind; before anything else. */
int store_replay(store *s, store_visit *visit, void *arg, err *e);

#endif
