/* The main loop: see broker.h. The one idea: a message is one row of a table (which side may send
 * it, who handles it); a handler changes the queue and answers; what the queue decided is delivered
 * before the next message is read. */
#include "broker/broker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/broker_inside.h"
#include "proto/clock.h"
#include "proto/log.h"
#include "proto/text.h"

enum {
    ROUND_MESSAGES = 64, /* of one socket before the other gets its turn */
    RETRY_MS = 2,        /* a peer's queue was full */
    IDLE_MS = 1000,
    LINGER_MS = 500, /* the last results may still leave */
    WARN_EVERY_MS = 1000,
};

/* ---------------------------------------------------------------- sending */

void broker_header(wire_header *h, uint64_t request)
{
    overpaint__header__init(h);
    h->has_version = 1;
    h->version = WIRE_VERSION;
    h->has_request = request != 0;
    h->request = request;
}

void broker_text(char *text)
{
    size_t at;
    if (!text_is_utf8(text, strlen(text), &at))
        text[at] = 0;
}

void broker_send(broker *b, peer *to, const wire_header *h, zmq_msg_t *payload, size_t count,
                 bool progress)
{
    zmq_msg_t packed;
    store_record r;
    err e = {0};
    int rc = wire_pack(&packed, h, payload, count, &e);
    if (!rc && !store_record_make(&r, &packed, payload, count)) {
        zmq_msg_close(&packed);
        rc = err_set(&e, ERR_NO_MEMORY, "no memory for a message of %zu frames", count);
    }
    if (!rc) {
        peers_send(b->peers, to, &r, progress ? 0 : b->written, progress);
        return;
    }
    char text[sizeof e.text];
    log_event(LOG_ERROR, "broker", "unsendable", "text=%s", log_quote(text, sizeof text, e.text));
    if (h->body_case != OVERPAINT__HEADER__BODY_FAILURE)
        broker_failure(b, to, h->request, &e);
}

void broker_failure(broker *b, peer *to, uint64_t request, const err *e)
{
    wire_header h;
    Overpaint__Failure f = OVERPAINT__FAILURE__INIT;
    broker_header(&h, request);
    h.body_case = OVERPAINT__HEADER__BODY_FAILURE;
    h.failure = &f;
    f.code = (char *)err_name(e->code);
    f.text = (char *)e->text;
    if (e->code == ERR_BUSY) {
        f.has_retry_after_ms = 1;
        f.retry_after_ms = queue_retry_after_ms(b->queue);
    }
    broker_send(b, to, &h, NULL, 0, false);
}

/* To somebody without a place in the table of peers: may be lost, costs nothing. */
static void tell_stranger(broker *b, peer_side side, const wire_message *m, const err *e)
{
    wire_header h;
    Overpaint__Failure f = OVERPAINT__FAILURE__INIT;
    broker_header(&h, m->header ? m->header->request : 0);
    h.body_case = OVERPAINT__HEADER__BODY_FAILURE;
    h.failure = &f;
    f.code = (char *)err_name(e->code);
    f.text = (char *)e->text;
    if (m->peer.size)
        wire_send(b->socket[side], &m->peer, &h, NULL, 0, NULL);
}

void broker_welcome(broker *b, peer *to, uint64_t request)
{
    wire_header h;
    Overpaint__Welcome w = OVERPAINT__WELCOME__INIT;
    Overpaint__Limits l = OVERPAINT__LIMITS__INIT;
    broker_header(&h, request);
    h.body_case = OVERPAINT__HEADER__BODY_WELCOME;
    h.welcome = &w;
#define SET(message, field, v) (message).has_##field = 1, (message).field = (v)
    SET(w, epoch, b->epoch);
    SET(w, heartbeat_ms, WIRE_HEARTBEAT_MS);
    SET(w, lost_after_ms, WIRE_LOST_MS);
    SET(l, header_bytes, WIRE_HEADER_MAX);
    SET(l, frames, WIRE_FRAMES_MAX);
    SET(l, message_bytes, WIRE_MESSAGE_MAX);
    SET(l, text_bytes, JOB_TEXT_MAX);
    SET(l, pictures, JOB_PICTURES_MAX);
    SET(l, side, JOB_SIDE_MAX);
    SET(l, queue_jobs, (uint32_t)b->options.queue_jobs);
    SET(l, queue_bytes, (uint64_t)b->options.queue_bytes);
#undef SET
    w.limits = &l;
    w.version = (char *)OVERPAINT_VERSION;
    broker_send(b, to, &h, NULL, 0, false);
}

/* ---------------------------------------------------------------- one message */

static int on_hello(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Hello *hello = m->header->hello;
    const Overpaint__Role expected =
        from->side == SIDE_WORKER ? OVERPAINT__ROLE__WORKER : OVERPAINT__ROLE__CLIENT;
    if (hello->role != expected)
        return err_set(e, ERR_INVALID, "HELLO with role %d on the %s endpoint, expected %d",
                       hello->role, from->side == SIDE_WORKER ? "workers'" : "clients'", expected);
    snprintf(from->name, sizeof from->name, "%s", hello->name ? hello->name : "");
    broker_text(from->name);
    char name[2 * PEER_NAME];
    log_event(LOG_DEBUG, "broker", "hello", "name=%s", log_quote(name, sizeof name, from->name));
    broker_welcome(b, from, m->header->request);
    return 0;
}

enum { CLIENTS = 1 << SIDE_CLIENT, WORKERS = 1 << SIDE_WORKER };

static const struct {
    int sides;
    message_handler *handle;
} messages[] = {
    [OVERPAINT__HEADER__BODY_HELLO] = {CLIENTS | WORKERS, on_hello},
    [OVERPAINT__HEADER__BODY_STATUS] = {CLIENTS | WORKERS, on_status},
    [OVERPAINT__HEADER__BODY_SUBMIT] = {CLIENTS, on_submit},
    [OVERPAINT__HEADER__BODY_FETCH] = {CLIENTS, on_fetch},
    [OVERPAINT__HEADER__BODY_WATCH] = {CLIENTS, on_watch},
    [OVERPAINT__HEADER__BODY_CANCEL] = {CLIENTS, on_cancel},
    [OVERPAINT__HEADER__BODY_ACK] = {CLIENTS, on_ack},
    [OVERPAINT__HEADER__BODY_READY] = {WORKERS, on_ready},
    [OVERPAINT__HEADER__BODY_CREDIT] = {WORKERS, on_credit},
    [OVERPAINT__HEADER__BODY_HEARTBEAT] = {WORKERS, on_heartbeat},
    [OVERPAINT__HEADER__BODY_STARTED] = {WORKERS, on_started},
    [OVERPAINT__HEADER__BODY_PROGRESS] = {WORKERS, on_progress},
    [OVERPAINT__HEADER__BODY_DONE] = {WORKERS, on_done},
    [OVERPAINT__HEADER__BODY_FAIL] = {WORKERS, on_fail},
    [OVERPAINT__HEADER__BODY_RELEASE] = {WORKERS, on_release},
    [OVERPAINT__HEADER__BODY_BYE] = {WORKERS, on_bye},
};

static message_handler *find_handler(peer_side side, const wire_header *h)
{
    const size_t body = (size_t)h->body_case;
    if (body >= sizeof messages / sizeof *messages || !(messages[body].sides & 1 << side))
        return NULL;
    return messages[body].handle;
}

static void handle(broker *b, peer_side side, wire_message *m)
{
    err e = {0};
    const uint64_t request = m->header->request;
    const bool hello = m->header->body_case == OVERPAINT__HEADER__BODY_HELLO;
    message_handler *handler = find_handler(side, m->header);
    peer *from = peers_find(b->peers, side, &m->peer);
    if (!from && hello)
        from = peers_add(b->peers, side, &m->peer);
    if (!from) {
        b->counts.dropped_stranger++;
        err_set(&e, ERR_PROTOCOL, "this broker does not know you, say HELLO");
        tell_stranger(b, side, m, &e);
        return;
    }
    if (!handler) {
        b->counts.dropped_unexpected++;
        err_set(&e, ERR_INVALID, "message %d is none that this side of the broker takes",
                (int)m->header->body_case);
    }
    if (!handler || handler(b, from, m, &e))
        broker_failure(b, from, request, &e);
}

static void remove_lost(broker *b)
{
    for (peer *p; (p = peers_next_lost(b->peers)); deliver_actions(b)) {
        char name[2 * PEER_NAME];
        log_event(LOG_INFO, "broker", "gone", "name=%s", log_quote(name, sizeof name, p->name));
        queue_lost(b->queue, p->handle, b->now);
        peers_remove(b->peers, p);
    }
}

/* A flood of bad messages must not become a flood of log lines. */
static void note_malformed(broker *b, peer_side side, const wire_message *m, const err *e)
{
    b->counts.dropped_malformed++;
    tell_stranger(b, side, m, e);
    if (b->now - b->warned_ms < WARN_EVERY_MS)
        return;
    b->warned_ms = b->now;
    char text[sizeof e->text];
    log_event(LOG_WARN, "broker", "malformed", "side=%s so_far=%llu text=%s",
              side == SIDE_WORKER ? "worker" : "client",
              (unsigned long long)b->counts.dropped_malformed,
              log_quote(text, sizeof text, e->text));
}

/* Reads some messages of one side. Negative: the socket failed. */
static int read_side(broker *b, peer_side side, err *e)
{
    for (int i = 0; i < ROUND_MESSAGES; i++) {
        wire_message m;
        err why = {0};
        int rc = wire_receive(b->socket[side], true, &m, &why);
        if (rc == 0)
            return 0;
        if (rc == ERR_IO)
            return err_set(e, rc, "%s", why.text);
        b->counts.messages++;
        if (rc < 0) {
            note_malformed(b, side, &m, &why);
            continue;
        }
        handle(b, side, &m);
        wire_message_done(&m);
        deliver_actions(b);
        remove_lost(b);
    }
    return 0;
}

/* ---------------------------------------------------------------- the loop */

static long wait_ms(const broker *b)
{
    int64_t left = queue_next_tick(b->queue) - b->now;
    if (left > IDLE_MS)
        left = IDLE_MS;
    if (b->waiting && store_durable(b->store) >= b->written && left > RETRY_MS)
        left = RETRY_MS;
    return left < 0 ? 0 : (long)left;
}

static void begin_drain(broker *b)
{
    b->draining = true;
    queue_pause(b->queue);
    queue_totals t = queue_get_totals(b->queue);
    log_event(LOG_INFO, "broker", "draining", "running=%u queued=%u", t.running, t.queued);
}

int broker_turn(broker *b, err *e)
{
    int rc = 0;
    for (int side = 0; !rc && side < SIDES; side++)
        rc = read_side(b, (peer_side)side, e);
    queue_tick(b->queue, b->now);
    deliver_actions(b);
    b->waiting = peers_flush(b->peers, store_durable(b->store));
    remove_lost(b);
    return rc;
}

int broker_run(broker *b, int signals, err *e)
{
    int64_t drain_end = INT64_MAX;
    for (int rc = 0; !rc;) {
        zmq_pollitem_t items[] = {{b->socket[SIDE_CLIENT], 0, ZMQ_POLLIN, 0},
                                  {b->socket[SIDE_WORKER], 0, ZMQ_POLLIN, 0},
                                  {NULL, signals, ZMQ_POLLIN, 0},
                                  {NULL, store_descriptor(b->store), ZMQ_POLLIN, 0}};
        b->now = clock_ms();
        if (zmq_poll(items, items[3].fd < 0 ? 3 : 4, wait_ms(b)) < 0 && errno != EINTR)
            return err_set(e, ERR_IO, "waiting for messages: %s", zmq_strerror(errno));
        b->now = clock_ms();
        if (items[2].revents) {
            struct signalfd_siginfo ignored;
            if (read(signals, &ignored, sizeof ignored) > 0 && b->draining)
                return 0;
            begin_drain(b);
            drain_end = b->now + b->options.drain_ms;
        }
        rc = broker_turn(b, e);
        if (b->draining &&
            (b->now >= drain_end || (!b->waiting && !queue_get_totals(b->queue).running)))
            return 0;
        if (rc)
            return rc;
    }
    return 0;
}

/* ---------------------------------------------------------------- life */

static int bind_side(broker *b, peer_side side, err *e)
{
    b->socket[side] = wire_bind(b->context, b->endpoint[side], &b->lock[side], e);
    return b->socket[side] ? 0 : (int)e->code;
}

static int open_parts(broker *b, err *e)
{
    int rc = wire_worker_endpoint(b->options.endpoint, b->endpoint[SIDE_WORKER],
                                  sizeof b->endpoint[SIDE_WORKER], e);
    if (rc)
        return rc;
    snprintf(b->endpoint[SIDE_CLIENT], sizeof b->endpoint[SIDE_CLIENT], "%s", b->options.endpoint);
    if (getrandom(&b->epoch, sizeof b->epoch, 0) != sizeof b->epoch)
        return err_set(e, ERR_IO, "no random numbers: %s", strerror(errno));
    b->context = zmq_ctx_new();
    const queue_limits limits = {.jobs = (uint32_t)b->options.queue_jobs,
                                 .bytes = (uint64_t)b->options.queue_bytes,
                                 .result_ttl_ms = b->options.result_ttl_ms,
                                 .lease_ms = WIRE_LOST_MS,
                                 .epoch = b->epoch};
    b->queue = queue_new(&limits);
    b->store = store_memory_new();
    if (!b->context || !b->queue || !b->store)
        return err_set(e, ERR_NO_MEMORY, "no memory for the queue");
    rc = bind_side(b, SIDE_CLIENT, e);
    if (!rc)
        rc = bind_side(b, SIDE_WORKER, e);
    if (!rc && !(b->peers = peers_new(b->socket)))
        rc = err_set(e, ERR_NO_MEMORY, "no memory for the table of peers");
    return rc;
}

broker *broker_open(const broker_options *o, err *e)
{
    broker *b = calloc(1, sizeof *b);
    if (!b) {
        err_set(e, ERR_NO_MEMORY, "no memory for a broker");
        return NULL;
    }
    b->options = *o;
    b->local = wire_is_local(o->endpoint);
    b->lock[SIDE_CLIENT] = b->lock[SIDE_WORKER] = -1;
    b->now = b->started_ms = clock_ms();
    b->warned_ms = b->now - WARN_EVERY_MS;
    if (open_parts(b, e))
        broker_close(&b);
    return b;
}

void broker_close(broker **at)
{
    broker *b = *at;
    const int linger = LINGER_MS;
    if (!b)
        return;
    peers_free(&b->peers);
    for (int side = 0; side < SIDES; side++)
        if (b->socket[side]) {
            zmq_setsockopt(b->socket[side], ZMQ_LINGER, &linger, sizeof linger);
            zmq_close(b->socket[side]);
        }
    if (b->context)
        zmq_ctx_term(b->context);
    for (int side = 0; side < SIDES; side++)
        wire_unbind(b->endpoint[side], b->lock[side]);
    queue_free(&b->queue);
    store_free(&b->store);
    free(b);
    *at = NULL;
}
