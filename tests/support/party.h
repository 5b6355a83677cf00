/* A broker process in a temporary folder, and fake clients and workers that talk to it. What fails
 * ends the test. */
#ifndef TESTS_SUPPORT_PARTY_H
#define TESTS_SUPPORT_PARTY_H

#include <sys/types.h>

#include "proto/wire.h"

typedef struct {
    pid_t pid;
    char folder[64], clients[128], workers[128];
    int lines; /* its standard output */
} party_broker;

/* Starts bin/overpaint-broker with these further arguments (NULL-ended) and waits for "ready". */
party_broker party_start(const char *const *arguments);
/* The same folder and endpoint again, after party_kill. */
void party_restart(party_broker *b, const char *const *arguments);
void party_kill(party_broker *b, int signal); /* and waits for its end */
int party_wait(party_broker *b);              /* for its end: the exit status, or -signal */
void party_finish(party_broker *b);           /* SIGTERM, must exit 0; removes the folder */

typedef struct {
    void *socket;
    uint64_t epoch;
    wire_message in; /* the last one received */
} party;

/* Connects and says HELLO until WELCOME. */
void party_join(party *p, void *context, const char *endpoint, Overpaint__Role role,
                const char *name);
void party_leave(party *p);

wire_header party_header(Overpaint__Header__BodyCase body);
/* Sends; the frames are consumed. */
void party_send(party *p, const wire_header *h, zmq_msg_t *frames, size_t count);
/* The next message other than answers to heartbeats; NULL when none comes within `ms`. */
const wire_header *party_receive(party *p, int ms);
/* The next message with this body within 10 s; others are skipped. */
const wire_header *party_expect(party *p, Overpaint__Header__BodyCase body);
/* Nothing with this body comes within `ms`. */
void party_expect_none(party *p, Overpaint__Header__BodyCase body, int ms);

/* Messages in one line. */
void party_hello(party *p, Overpaint__Role role, const char *name);
void party_submit(party *p, const job *j, uint64_t request);
void party_by_id(party *p, Overpaint__Header__BodyCase body, const job_id *id); /* FETCH, ACK, … */
void party_ready(party *p, const char *name, const char *device_class, const char *model,
                 const uint64_t *lease, size_t leases);
void party_credit(party *p, uint32_t jobs);
void party_beat(party *p, const uint64_t *lease, size_t leases);
void party_done(party *p, uint64_t lease, const char *device_class, const char *picture);
void party_fail(party *p, uint64_t lease, err_code code, bool again);
uint64_t party_counter(party *p, const char *name); /* of STATUS; fails when there is none */

#endif
