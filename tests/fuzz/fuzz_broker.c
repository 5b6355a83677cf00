/* What peers can say to the broker: a client and a worker, in this process, send it good messages
 * in any order and bad ones of any bytes, while time passes. Whatever it answers must be a message;
 * a job ends at most once for its watcher; at the end nothing is lost and nothing leaks. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_inside.h"
#include "proto/log.h"
#include "tests/support/body.h"
#include "tests/support/party.h"

enum { IDS = 6, LEASES = 8, OPS = 64, TICK_MS = 100, LEASE_MS = 5000 };

#define BODY(name) OVERPAINT__HEADER__BODY_##name

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    broker b;
    party client, worker;
    uint64_t lease[LEASES];
    unsigned leases;
} world;

/* ---------------------------------------------------------------- the world */

static void *bind_side(void *context, const char *name)
{
    void *s = zmq_socket(context, ZMQ_ROUTER);
    const int on = 1, room = 10000;
    zmq_setsockopt(s, ZMQ_ROUTER_MANDATORY, &on, sizeof on);
    zmq_setsockopt(s, ZMQ_SNDHWM, &room, sizeof room);
    if (zmq_bind(s, name))
        abort();
    return s;
}

static void *connect_side(void *context, const char *name)
{
    void *s = zmq_socket(context, ZMQ_DEALER);
    if (zmq_connect(s, name))
        abort();
    return s;
}

/* Sockets are made once; what they lead to is new for every input. */
static world *new_world(void)
{
    static world w;
    broker *b = &w.b;
    if (!b->context) {
        log_threshold = LOG_ERROR + 1;
        b->context = zmq_ctx_new();
        b->socket[SIDE_CLIENT] = bind_side(b->context, "inproc://clients");
        b->socket[SIDE_WORKER] = bind_side(b->context, "inproc://workers");
        w.client.socket = connect_side(b->context, "inproc://clients");
        w.worker.socket = connect_side(b->context, "inproc://workers");
    }
    const queue_limits limits = {
        .jobs = 4, .bytes = 1 << 20, .result_ttl_ms = 20000, .lease_ms = LEASE_MS, .epoch = 1};
    b->options = (broker_options){.queue_jobs = limits.jobs, .queue_bytes = 1 << 20};
    b->epoch = limits.epoch;
    b->local = true;
    b->now = b->started_ms = b->warned_ms = 1000;
    b->counts = (broker_counts){0};
    b->written = 0;
    b->queue = queue_new(&limits);
    b->store = store_memory_new();
    b->peers = peers_new(b->socket);
    w.leases = 0;
    if (!b->queue || !b->store || !b->peers)
        abort();
    return &w;
}

static void free_world(world *w)
{
    peers_free(&w->b.peers);
    queue_free(&w->b.queue);
    store_free(&w->b.store);
    wire_message_done(&w->client.in);
    wire_message_done(&w->worker.in);
}

/* The broker works, and both read what it says: party_receive ends the program when that is no
 * message. */
static void turn(world *w)
{
    err e = {0};
    int rc = broker_turn(&w->b, &e);
    assert(!rc);
    (void)rc;
    while (party_receive(&w->client, 0))
        ;
    for (const wire_header *h; (h = party_receive(&w->worker, 0));)
        if (h->body_case == BODY(ASSIGN))
            w->lease[w->leases++ % LEASES] = h->assign->lease;
}

/* ---------------------------------------------------------------- what they say */

/* The first byte: which body the others are, or that they are a whole header. */
static void raw(party *p, const uint8_t *data, size_t size)
{
    uint8_t header[256 + BODY_ROOM];
    if (size && data[0] < 64) {
        size = body_wrap(header, data[0], data + 1, size - 1);
        data = header;
    }
    zmq_send(p->socket, data, size, 0);
}

static void hello(party *p, Overpaint__Role role)
{
    wire_header h = party_header(BODY(HELLO));
    Overpaint__Hello say = OVERPAINT__HELLO__INIT;
    h.hello = &say;
    say.has_role = 1;
    say.role = role;
    party_send(p, &h, NULL, 0);
}

static job_id id_of(unsigned n)
{
    return (job_id){{(uint8_t)(n % IDS + 1)}};
}

static void submit(world *w, unsigned how)
{
    job j;
    job_init(&j);
    j.id = id_of(how);
    j.task = TASK_NOOP;
    j.priority = how >> 4;
    j.deadline_ms = how & 8 ? 500 : 0;
    party_submit(&w->client, &j, how);
}

static void by_id(world *w, unsigned how)
{
    static const Overpaint__Header__BodyCase body[] = {BODY(FETCH), BODY(WATCH), BODY(CANCEL),
                                                       BODY(ACK), BODY(STATUS)};
    const job_id id = id_of(how >> 3);
    party_by_id(&w->client, body[how % 5], &id);
}

static void release(world *w, uint64_t lease)
{
    wire_header h = party_header(BODY(RELEASE));
    Overpaint__Release say = OVERPAINT__RELEASE__INIT;
    h.release = &say;
    say.has_lease = 1;
    say.lease = lease;
    party_send(&w->worker, &h, NULL, 0);
}

static void bye(world *w)
{
    wire_header h = party_header(BODY(BYE));
    Overpaint__Bye say = OVERPAINT__BYE__INIT;
    h.bye = &say;
    party_send(&w->worker, &h, NULL, 0);
}

/* One of the things a peer does; `how` says with which job, lease or number. */
static void act(world *w, unsigned what, unsigned how, const uint8_t *data, size_t size)
{
    const uint64_t lease = w->lease[how % LEASES];
    switch (what % 16) {
    case 0: raw(&w->client, data, size); break;
    case 1: raw(&w->worker, data, size); break;
    case 2:
        hello(how & 1 ? &w->client : &w->worker,
              how & 2 ? OVERPAINT__ROLE__CLIENT : OVERPAINT__ROLE__WORKER);
        break;
    case 3: party_ready(&w->worker, "w", "c", how & 8 ? "m" : NULL, w->lease, how % LEASES); break;
    case 4: party_credit(&w->worker, how % 4); break;
    case 5: party_beat(&w->worker, w->lease, how % LEASES); break;
    case 6: party_done(&w->worker, lease, how & 64 ? "c" : "d", "picture"); break;
    case 7: party_fail(&w->worker, lease, ERR_DEVICE, how & 64); break;
    case 8: release(w, lease); break;
    case 9: bye(w); break;
    case 10: w->b.now += (int64_t)how * TICK_MS; break;
    case 11:
    case 12: by_id(w, how); break;
    default: submit(w, how);
    }
}

/* Everything that was accepted ends, given time and nobody who works. */
static void check_end(world *w)
{
    for (int i = 0; i < 40; i++) {
        for (unsigned n = 0; n < IDS; n++) {
            const job_id id = id_of(n);
            queue_cancel(w->b.queue, &id, w->b.now);
        }
        w->b.now += LEASE_MS;
        turn(w);
    }
    const queue_totals t = queue_get_totals(w->b.queue);
    assert(!t.queued && !t.running && !t.kept && !t.bytes && !t.workers);
    (void)t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world *w = new_world();
    hello(&w->client, OVERPAINT__ROLE__CLIENT);
    hello(&w->worker, OVERPAINT__ROLE__WORKER);
    turn(w);
    party_ready(&w->worker, "w", "c", NULL, NULL, 0);
    party_credit(&w->worker, 2);
    for (int i = 0; i < OPS && size >= 2; i++) {
        const unsigned what = data[0], how = data[1];
        size_t length = what % 16 < 2 ? how : 0; /* raw bytes follow */
        data += 2;
        size -= 2;
        length = length < size ? length : size;
        act(w, what, how, data, length);
        data += length;
        size -= length;
        turn(w);
    }
    check_end(w);
    free_world(w);
    return 0;
}
