/* net: a worker's conversation with its broker. One thread, one DEALER socket: it takes jobs to the
 * service, carries events back, and keeps heartbeats going while the engines work. */
#ifndef WORKER_NET_H
#define WORKER_NET_H

#include <stdatomic.h>

#include "worker/service.h"

typedef struct {
    const char *endpoint; /* the broker's worker side */
    const char *name;
    bool local;          /* over ipc: the job may name files */
    int jobs_per_device; /* credit */
    int64_t drain_ms;    /* how long running jobs may take after the first signal */
} net_options;

/* Runs until *stop has counted a signal and the jobs at hand are done (or drain_ms is over, or a
 * second signal came: what is left is released to the broker). 0, or ERR_DEVICE when a device broke
 * or got stuck: the process should end, its jobs were handed back. */
int net_run(const net_options *o, service *s, const atomic_int *stop, int stop_descriptor, err *e);

#endif
