/* The broker: two sockets, the queue, the store, one loop.
 *
 *     broker *b = broker_open(&options, &e);      // both sockets are bound
 *     broker_run(b, descriptor_of_signals);
 *     broker_close(&b);
 *
 * One thread. A message is read, handled by its row in the table of messages, and the queue's
 * actions are carried out before the next one. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdint.h>

#include "proto/err.h"

typedef struct broker broker;

typedef struct {
    const char *endpoint; /* of clients; the workers' is derived */
    int64_t queue_jobs, queue_bytes;
    int64_t result_ttl_ms;
    int64_t drain_ms; /* how long running jobs are waited for */
} broker_options;

broker *broker_open(const broker_options *o, err *e); /* NULL on failure */

/* Runs until a signal arrives on `signals` (a signalfd): the first drains, the second ends it. */
int broker_run(broker *b, int signals, err *e);
void broker_close(broker **b);

#endif
