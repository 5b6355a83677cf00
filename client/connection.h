/* One connection to a broker: HELLO until WELCOME, HELLO again as the heartbeat (its WELCOME proves
 * that the broker lives and names its epoch), a fresh socket when the broker stays silent. */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire.h"

typedef struct {
    void *context, *socket;
    char endpoint[256], name[80];
    bool welcome;        /* the broker has answered on this socket */
    uint64_t epoch;      /* of the last WELCOME */
    uint64_t sessions;   /* counts WELCOMEs that began a conversation; see connection_receive */
    uint64_t dropped;    /* messages that broke the protocol */
    uint64_t most_bytes; /* of a message, as WELCOME said */
    int64_t heard_ms, hello_ms, heartbeat_ms, lost_ms;
    err refusal; /* the last time the broker would not talk to us, why */
} connection;

/* Does not wait for the broker. ERR_INVALID for a bad endpoint, ERR_IO. connection_done accepts a
 * zeroed one; it gives the last messages a moment to leave. */
int connection_init(connection *c, const char *endpoint, const char *name, err *e);
void connection_done(connection *c);

/* What time asks for: HELLO, heartbeat, another socket. Call it at least every CONNECTION_BEAT_MS
 * while using the connection. */
enum { CONNECTION_BEAT_MS = 200 };
void connection_keep(connection *c, int64_t now_ms);

/* Waits until something can be received, or at most `ms`, or a signal. */
void connection_wait(connection *c, int64_t ms);

/* The next message that is not about the connection itself: 1, or 0 when none waits. When
 * `sessions` has changed afterwards, the broker knows nothing of earlier requests. Broken messages
 * are counted and passed over. */
int connection_receive(connection *c, wire_message *m);

/* As wire_send: the frames are consumed on success. ERR_BUSY while there is no broker. */
int connection_send(connection *c, const wire_header *header, zmq_msg_t *frames, size_t count,
                    err *e);

/* A header with the version set. */
wire_header connection_header(Overpaint__Header__BodyCase body, uint64_t request);

/* "no broker answers at ipc://…; …": for whoever waited in vain. Returns ERR_TIMEOUT, or the code
 * of a broker's refusal. */
int connection_missing(const connection *c, err *e);

#endif
