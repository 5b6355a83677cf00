/* What the files of the main loop share; nobody else includes it. */
#ifndef BROKER_BROKER_INSIDE_H
#define BROKER_BROKER_INSIDE_H

#include "broker/broker.h"
#include "broker/idmap.h"
#include "broker/peers.h"

#define BROKER_COUNTS(F)                                                                           \
    F(messages)                                                                                    \
    F(dropped_malformed)                                                                           \
    F(dropped_unexpected)                                                                          \
    F(dropped_stranger)                                                                            \
    F(store_errors)

typedef struct {
#define COUNT(name) uint64_t name;
    BROKER_COUNTS(COUNT)
#undef COUNT
} broker_counts;

struct broker {
    broker_options options;
    uint64_t epoch;
    bool local;    /* over ipc: paths mean the same on both sides */
    bool draining; /* nothing new is taken */
    bool waiting;  /* for peers that are slow */
    char endpoint[SIDES][256];
    void *context, *socket[SIDES];
    int lock[SIDES];
    queue *queue;
    store *store;
    store_ticket written; /* of the last write: what an answer may have to wait for */
    peers *peers;
    int64_t now, started_ms, warned_ms;
    broker_counts counts;
};

/* broker.c */
/* One round at b->now: what has arrived, what is due, what could be sent by now. */
int broker_turn(broker *b, err *e);
void broker_header(wire_header *h, uint64_t request);
/* Sends header and payload (moved) to the peer once everything written so far is durable. */
void broker_send(broker *b, peer *to, const wire_header *h, zmq_msg_t *payload, size_t count,
                 bool progress);
void broker_failure(broker *b, peer *to, uint64_t request, const err *e);
void broker_welcome(broker *b, peer *to, uint64_t request);

void broker_text(char *text); /* cuts it off where it stops being UTF-8 */

/* deliver.c: what the queue decided */
void deliver_actions(broker *b);
void deliver_job(broker *b, peer *to, uint64_t request,
                 const queue_job *j); /* PROGRESS or RESULT */
/* Stores how a job ended. Takes the payload over on success. */
int deliver_settle(broker *b, const job_id *id, const Overpaint__Result *r, zmq_msg_t *payload,
                   size_t count, err *e);

uint64_t broker_hash(const char *name); /* of a model or a device class; 0: none */

/* status.c: a job's PROGRESS. */
void status_progress(const broker *b, Overpaint__Progress *p, const queue_job *j);

/* client_side.c, worker_side.c, status.c: one function a message */
typedef int message_handler(broker *b, peer *from, wire_message *m, err *e);
message_handler on_submit, on_fetch, on_watch, on_cancel, on_ack, on_status;
message_handler on_ready, on_credit, on_heartbeat, on_started, on_progress, on_done, on_fail,
    on_release, on_bye;

#endif
