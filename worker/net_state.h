/* The inside of the net thread, shared by net.c and net_say.c. */
#ifndef WORKER_NET_STATE_H
#define WORKER_NET_STATE_H

#include "worker/net.h"
#include "worker/reply.h"

typedef struct {
    const net_options *options;
    service *service;
    void *context, *socket; /* socket: NULL when it could not be made */
    work *held;             /* jobs inside the service */
    reply *replies;         /* outcomes not settled yet */
    bool welcome;           /* the broker knows us */
    bool draining, broken;
    int64_t beat_every_ms, lost_after_ms; /* as WELCOME says */
    int64_t heard_ms, beat_ms, hello_ms;
    int credit_sent;
    uint64_t dropped; /* messages that broke the protocol */
} net;

/* --- net_say.c: messages that may be lost, for the next heartbeat or reconnect makes up for them
 */

void net_say_hello(net *n);
void net_say_credit(net *n, int jobs);
void net_say_ready(net *n);
void net_say_heartbeat(net *n);
void net_say_started(net *n, const service_event *ev);
void net_say_progress(net *n, const service_event *ev);
void net_say_bye(net *n);

#endif
