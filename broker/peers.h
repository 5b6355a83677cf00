/* The connections of the broker and what waits to be sent to each.
 *
 * A peer is found by side and routing id when it speaks, by handle when somebody has something for
 * it. A message goes out at once if it can; otherwise it waits in the peer's own bounded queue: for
 * room (the peer is slow) or for its ticket (the store has not made it durable yet). Order per peer
 * is kept. Whoever cannot keep up, or is gone, ends up in the list of the lost. */
#ifndef BROKER_PEERS_H
#define BROKER_PEERS_H

#include "broker/queue.h"
#include "broker/store.h"
#include "proto/wire.h"

typedef enum { SIDE_CLIENT, SIDE_WORKER, SIDES } peer_side;

enum {
    PEERS_MAX = 4096, /* of one side */
    PEER_MESSAGES_MAX = 1024,
    PEER_BYTES_MAX = 128 << 20,
    PEERS_BYTES_MAX = 1 << 30, /* of all together; beyond it the greediest is lost */
    PEER_NAME = 64,
};

typedef struct peer_message peer_message;
typedef struct peers peers;

typedef struct peer {
    queue_peer handle;
    peer_side side;
    wire_peer route;
    char name[PEER_NAME];
    wire_header *ready, *beat; /* a worker's last READY and HEARTBEAT, for STATUS */

    peer_message *first, **last; /* waiting */
    size_t messages, bytes;
    bool lost;
    struct peer *newer, *older; /* by when it last spoke */
    struct peer *next[2];       /* in the lists of those that wait, and of the lost */
    bool is_waiting;
} peer;

typedef struct {
    uint64_t progress_dropped, peers_overflowed, peers_gone;
} peers_counts;

peers *peers_new(void *const socket[SIDES]); /* NULL without memory */
void peers_free(peers **ps);

/* The peer that spoke; NULL: never seen. */
peer *peers_find(peers *ps, peer_side side, const wire_peer *route);
/* A new one. When there are too many, the one that has been silent for longest is lost. NULL
 * without memory. */
peer *peers_add(peers *ps, peer_side side, const wire_peer *route);
peer *peers_get(peers *ps, queue_peer handle); /* NULL: gone */
void peers_remove(peers *ps, peer *p);
peer *peers_next_lost(peers *ps); /* one that should be removed; NULL: none */
size_t peers_count(const peers *ps, peer_side side);
peers_counts peers_get_counts(const peers *ps);

/* Sends the message or lets it wait; takes it over in any case. It does not leave before `ticket`
 * is durable. `progress`: may be dropped. */
void peers_send(peers *ps, peer *to, store_record *message, store_ticket ticket, bool progress);
/* Writes up to this ticket are durable: sends what waited. True: something still waits. */
bool peers_flush(peers *ps, store_ticket durable);

#endif
