/* A broker that does what a test tells it: a thread with a ROUTER, WELCOME for every HELLO, and a
 * script for everything else. */
#ifndef TESTS_SUPPORT_FAKE_BROKER_H
#define TESTS_SUPPORT_FAKE_BROKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "proto/wire.h"

enum { FAKE_BODIES = 64 };

typedef struct fake_broker fake_broker;

/* Handles one message of a client that has said HELLO. Runs in the broker's thread. */
typedef void fake_script(fake_broker *f, wire_message *m);

struct fake_broker {
    char endpoint[100];
    fake_script *script;
    void *arg;      /* the script's */
    uint64_t epoch; /* the script may change it, and what follows */
    bool known;     /* false: the client has to say HELLO (again) */
    bool mute;      /* answers nothing at all */
    bool restart;   /* close the socket and bind it again, with another epoch */
    atomic_uint message_bytes, lost_after_ms; /* in WELCOME; 0: absent */
    atomic_int seen[FAKE_BODIES];             /* messages by body */
    wire_peer peer;                           /* of the last message */

    void *context, *socket;
    int lock;
    pthread_t thread;
    atomic_bool stop;
};

/* Binds a path of its own in /tmp. Fails the test when it cannot. */
void fake_start(fake_broker *f, fake_script *script, void *arg);
void fake_stop(fake_broker *f);

/* Answers to the message's sender; `m` NULL: pushed to the last one. */
void fake_accept(fake_broker *f, const wire_message *m, const job_id *id, Overpaint__State state,
                 int64_t seed);
void fake_reject(fake_broker *f, const wire_message *m, const job_id *id, const char *code,
                 uint32_t retry_after_ms);
void fake_fail(fake_broker *f, const wire_message *m, const char *code);
void fake_progress(fake_broker *f, const wire_message *m, const job_id *id, uint32_t step,
                   const char *preview);
/* One picture for every text, which is its bytes; seeds count from 77. */
void fake_result(fake_broker *f, const wire_message *m, const job_id *id, const char *const *texts);
void fake_ended(fake_broker *f, const wire_message *m, const job_id *id, Overpaint__State state,
                const char *code);
/* Answers a CANCEL: the job is cancelled, and its RESULT says so. */
void fake_cancelled(fake_broker *f, const wire_message *m, const job_id *id);
void fake_send(fake_broker *f, wire_header *h, zmq_msg_t *frames, size_t count);
/* Frames as they are: `size` bytes each, ended by NULL. */
void fake_raw(fake_broker *f, const void *bytes, size_t size);

/* The id in the message, whatever its body. */
job_id fake_id(const wire_message *m);

#endif
