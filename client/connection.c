/* The conversation below the jobs: see connection.h. The one idea: HELLO may be said at any time,
 * so it is greeting, heartbeat and question for the epoch in one, and every way of losing a broker
 * (restarted, forgot us, silent, never there) ends in the same WELCOME. */
#include "client/connection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/clock.h"

enum {
    HELLO_EVERY_MS = 250, /* until the first WELCOME */
    HELLO_AGAIN_MS = 50,  /* after a failure; not at once, or two sides could spin */
    LINGER_MS = 500,
    BEAT_LEAST_MS = 100,
    LOST_LEAST_MS = 1000,
    LOST_MOST_MS = 60000,
    MESSAGE_LEAST = 1 << 16,
};

wire_header connection_header(Overpaint__Header__BodyCase body, uint64_t request)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    h.has_version = h.has_request = 1;
    h.version = WIRE_VERSION;
    h.request = request;
    h.body_case = body;
    return h;
}

/* Failure to send is left to the next HELLO. */
static void say_hello(connection *c, int64_t now)
{
    wire_header h = connection_header(OVERPAINT__HEADER__BODY_HELLO, 0);
    Overpaint__Hello hello = OVERPAINT__HELLO__INIT;
    err ignored = {0};
    hello.has_role = 1;
    hello.role = OVERPAINT__ROLE__CLIENT;
    hello.name = c->name;
    hello.program = (char *)"liboverpaint " OVERPAINT_VERSION;
    h.hello = &hello;
    c->hello_ms = now;
    if (c->socket)
        wire_send(c->socket, NULL, &h, NULL, 0, &ignored);
}

static void close_socket(connection *c, int linger_ms)
{
    if (!c->socket)
        return;
    zmq_setsockopt(c->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_close(c->socket);
    c->socket = NULL;
    c->welcome = false;
}

/* A new socket forgets what still waited for a broker that is gone. */
static int open_socket(connection *c, int64_t now, err *e)
{
    close_socket(c, 0);
    c->heard_ms = now;
    c->socket = wire_connect(c->context, c->endpoint, e);
    say_hello(c, now);
    return c->socket ? 0 : e->code;
}

int connection_init(connection *c, const char *endpoint, const char *name, err *e)
{
    memset(c, 0, sizeof *c);
    c->heartbeat_ms = WIRE_HEARTBEAT_MS;
    c->lost_ms = WIRE_LOST_MS;
    c->most_bytes = WIRE_MESSAGE_MAX;
    if (strlen(endpoint) >= sizeof c->endpoint)
        return err_set(e, ERR_INVALID, "endpoint has %zu bytes, expected at most %zu",
                       strlen(endpoint), sizeof c->endpoint - 1);
    strcpy(c->endpoint, endpoint);
    char host[48] = "";
    gethostname(host, sizeof host - 1);
    if (name)
        snprintf(c->name, sizeof c->name, "%s", name);
    else
        snprintf(c->name, sizeof c->name, "%s/%d", host, (int)getpid());
    c->context = zmq_ctx_new();
    if (!c->context)
        return err_set(e, ERR_IO, "cannot make a ZeroMQ context: %s", zmq_strerror(errno));
    return open_socket(c, clock_ms(), e);
}

void connection_done(connection *c)
{
    close_socket(c, c->welcome ? LINGER_MS : 0);
    if (c->context)
        zmq_ctx_term(c->context);
    c->context = NULL;
}

void connection_keep(connection *c, int64_t now)
{
    err ignored = {0};
    if (!c->socket || now - c->heard_ms > c->lost_ms)
        open_socket(c, now, &ignored);
    else if (now - c->hello_ms >= (c->welcome ? c->heartbeat_ms : HELLO_EVERY_MS))
        say_hello(c, now);
}

void connection_wait(connection *c, int64_t ms)
{
    zmq_pollitem_t item = {c->socket, 0, ZMQ_POLLIN, 0};
    if (c->socket)
        zmq_poll(&item, 1, (long)(ms < 0 ? 0 : ms));
    else
        usleep((useconds_t)(ms < 0 ? 0 : ms) * 1000);
}

/* A number a peer sent, or our own where it is absent or makes no sense. */
static int64_t within(bool given, uint32_t value, int64_t least, int64_t most, int64_t own)
{
    return given && value >= least && value <= most ? value : own;
}

static void on_welcome(connection *c, const Overpaint__Welcome *w)
{
    if (!c->welcome || c->epoch != w->epoch)
        c->sessions++;
    c->welcome = true;
    c->epoch = w->epoch;
    c->lost_ms =
        within(w->has_lost_after_ms, w->lost_after_ms, LOST_LEAST_MS, LOST_MOST_MS, WIRE_LOST_MS);
    c->heartbeat_ms =
        within(w->has_heartbeat_ms, w->heartbeat_ms, BEAT_LEAST_MS, c->lost_ms / 2, c->lost_ms / 5);
    const Overpaint__Limits *l = w->limits;
    c->most_bytes = WIRE_MESSAGE_MAX;
    if (l && l->has_message_bytes && l->message_bytes >= MESSAGE_LEAST &&
        l->message_bytes < c->most_bytes)
        c->most_bytes = l->message_bytes;
}

/* Is this failure about the connection? Code `protocol`, or no request of ours: the broker does not
 * know us (any more), or did not like what it read. */
static bool is_refusal(const connection *c, const wire_header *h)
{
    return h->body_case == OVERPAINT__HEADER__BODY_FAILURE &&
           (!c->welcome || !h->request ||
            (h->failure->code && !strcmp(h->failure->code, err_name(ERR_PROTOCOL))));
}

static void on_refusal(connection *c, const Overpaint__Failure *f)
{
    c->refusal = (err){0};
    err_set(&c->refusal, ERR_PROTOCOL, "the broker at %s refuses this client: %s", c->endpoint,
            f->text ? f->text : "no reason given");
    if (c->welcome)
        c->hello_ms = clock_ms() - HELLO_EVERY_MS + HELLO_AGAIN_MS;
    c->welcome = false;
}

int connection_receive(connection *c, wire_message *m)
{
    while (c->socket) {
        err e = {0};
        int rc = wire_receive(c->socket, false, m, &e);
        if (rc == 0)
            return 0;
        if (rc < 0) {
            c->dropped++;
            if (rc == ERR_IO)
                close_socket(c, 0);
            continue;
        }
        c->heard_ms = clock_ms();
        const wire_header *h = m->header;
        if (h->body_case == OVERPAINT__HEADER__BODY_WELCOME)
            on_welcome(c, h->welcome);
        else if (is_refusal(c, h))
            on_refusal(c, h->failure);
        else
            return 1;
        wire_message_done(m);
    }
    return 0;
}

int connection_send(connection *c, const wire_header *header, zmq_msg_t *frames, size_t count,
                    err *e)
{
    if (!c->socket || !c->welcome)
        return err_set(e, ERR_BUSY, "no broker to send to now");
    return wire_send(c->socket, NULL, header, frames, count, e);
}

int connection_missing(const connection *c, err *e)
{
    if (!c->welcome && c->refusal.code)
        return err_set(e, c->refusal.code, "%s", c->refusal.text);
    return err_set(e, ERR_TIMEOUT, "no broker answers at %s; `overpaint up` starts one",
                   c->endpoint);
}
