/* The jobs of a handle: what was submitted or asked for, how far each is, how it ended. Plain data:
 * no socket, no clock. */
#ifndef CLIENT_JOBS_H
#define CLIENT_JOBS_H

#include "client/client.h"
#include "proto/wire.h"

/* What still has to be said to the broker about a job. */
typedef enum { DUE_NOTHING, DUE_WATCH, DUE_SUBMIT } due_kind;

typedef struct {
    job_id id;
    overpaint_state state;
    bool accepted;
    bool settled;     /* the broker says it ended, without giving the result */
    bool ended;       /* `result` or `error` is final */
    uint64_t epoch;   /* of the broker that accepted it */
    uint64_t request; /* of the last SUBMIT or WATCH */
    due_kind due;
    int64_t due_ms;   /* not before */
    int64_t heard_ms; /* when the broker last spoke of it */

    wire_header *submit; /* how to submit it again; NULL: a job of an earlier handle */
    zmq_msg_t frame[WIRE_FRAMES_MAX];
    size_t frames;

    err error;            /* why it ended without pictures */
    wire_message *result; /* owned; the pictures are its frames */
    char **info; /* parameters texts read from the pictures, owned, as they are asked for */
} job_entry;

typedef struct {
    job_entry **at;
    size_t count;
} jobs;

/* An entry that knows its id only; NULL without memory. The caller looks first. */
job_entry *jobs_add(jobs *t, const job_id *id);
job_entry *jobs_find(const jobs *t, const job_id *id);
void jobs_remove(jobs *t, const job_id *id);
void jobs_done(jobs *t);

/* Keeps SUBMIT for `j`, so that it can be said again and again; the pictures are copied once. */
int job_entry_pack(job_entry *e, const job *j, err *error);

/* The job as its RESULT says it ended. Takes over *m on success, which becomes NULL. ERR_PROTOCOL
 * for a result that contradicts itself: the entry is unchanged. */
int job_entry_end(job_entry *e, wire_message **m, err *error);
void job_entry_fail(job_entry *e, const err *why);

/* The err_code whose stable name this is; ERR_PROTOCOL for no such name. */
err_code job_code(const char *name);
overpaint_state job_state(Overpaint__State s);

#endif
