/* The inside of an overpaint handle, and its conversation: questions that are answered, and what
 * the broker tells by itself. */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include "client/connection.h"
#include "client/jobs.h"

/* The one request a public call is waiting for. */
typedef struct {
    uint64_t request; /* 0: none */
    bool answered;
    err error;
    overpaint_state state;   /* CANCELLED's */
    uint32_t retry_after_ms; /* REJECTED's */
    bool one_job;            /* STATUS of a job, not of the service */
} question;

struct overpaint {
    connection link;
    uint64_t sessions; /* of the link, that the jobs know of */
    uint64_t requests; /* the last request number */
    jobs jobs;
    question asked;
    wire_message *in; /* what is being received; a RESULT is kept by its job */
    char *text;       /* result of the last call that returned a text */
    err error;        /* of the last call */
    err broken;       /* why no call can work */
    overpaint_on_progress *on_progress;
    void *progress_arg;
};

/* Handles what has arrived, says what is due, and waits at most `ms` for more if nothing had. */
void handle_step(overpaint *o, int64_t ms);

/* Does what the message in o->in says; it is empty afterwards, or a job has taken it. */
void handle_message(overpaint *o);

/* Says `header` (its request number is set) with copies of the frames, again whenever the broker
 * has lost it, until it is answered: the answer's error, or ERR_TIMEOUT after 10 s. */
int handle_ask(overpaint *o, wire_header *header, zmq_msg_t *frames, size_t count, err *e);

#endif
