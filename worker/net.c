/* A worker's conversation with its broker: see net.h. The one idea: the broker's word is a lease.
 * The worker keeps a job or its reply for every lease it holds, until the broker has settled that
 * lease. */
#include "worker/net.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/log.h"
#include "worker/net_state.h"

enum { HELLO_EVERY_MS = 500, BYE_LINGER_MS = 500, TICK_MS = 250 };

/* ---------------------------------------------------------------- leases */

static int jobs_held(const net *n)
{
    int count = 0;
    for (const work *w = n->held; w; w = w->next_held)
        count++;
    return count;
}

/* How many leases the worker will hold at once. */
static int credit_now(const net *n)
{
    return n->draining || n->broken ? 0 : n->options->jobs_per_device * service_devices(n->service);
}

static void renew_credit(net *n)
{
    if (n->welcome && n->credit_sent != credit_now(n))
        net_say_credit(n, n->credit_sent = credit_now(n));
}

/* Sends a reply; what the socket does not take now is sent at the next tick. */
static void send_reply(net *n, reply *r, int64_t now)
{
    err e = {0};
    if (n->welcome && n->socket && !reply_send(r, n->socket, &e))
        r->sent_ms = now;
}

static void add_reply(net *n, reply *r)
{
    r->next = n->replies;
    n->replies = r;
    send_reply(n, r, clock_ms());
}

/* Answers a lease that never became a work; without an error: DONE, with no pictures. */
static void answer(net *n, const job_id *id, uint64_t lease, const err *e)
{
    work w = {.lease = lease, .error = *e, .again = e->code == ERR_NO_MEMORY};
    w.started_ms = clock_ms();
    w.job.id = *id;
    reply *r = reply_new(&w, "");
    if (!r)
        return; /* the lease will run out */
    r->release = n->draining;
    add_reply(n, r);
}

static work *find_held(net *n, uint64_t lease)
{
    work *w = n->held;
    while (w && w->lease != lease)
        w = w->next_held;
    return w;
}

static void unhold(net *n, work *w)
{
    work **at = &n->held;
    while (*at != w)
        at = &(*at)->next_held;
    *at = w->next_held;
}

static void complete(net *n, work *w)
{
    engine_status status;
    service_status(n->service, w->device, &status);
    unhold(n, w);
    char id[JOB_ID_TEXT], text[sizeof w->error.text];
    job_id_text(&w->job.id, id);
    if (w->error.code == ERR_OK)
        log_event(LOG_INFO, "net", "done", "job=%s ms=%lld", id,
                  (long long)(clock_ms() - w->started_ms));
    else
        log_event(LOG_WARN, "net", "failed", "job=%s code=%s text=%s", id, err_name(w->error.code),
                  log_quote(text, sizeof text, w->error.text));
    n->broken |= w->again && w->error.code == ERR_DEVICE;
    renew_credit(n); /* before the broker thinks of giving the same job again */
    reply *r = reply_new(w, status.class_name);
    if (r && n->draining && w->error.code == ERR_CANCELLED && w->released)
        r->release = true;
    if (r)
        add_reply(n, r);
    else
        log_event(LOG_ERROR, "net", "no_memory", "job=%s", id); /* the lease will run out */
}

/* ---------------------------------------------------------------- what the broker says */

/* A period that the broker names, within reason. */
static int64_t period(bool given, uint32_t ms, int64_t fallback)
{
    return given && ms >= 100 && ms <= 600000 ? ms : fallback;
}

static void on_welcome(net *n, wire_message *m)
{
    const Overpaint__Welcome *w = m->header->welcome;
    n->welcome = true;
    n->beat_every_ms = period(w->has_heartbeat_ms, w->heartbeat_ms, WIRE_HEARTBEAT_MS) / 2;
    n->lost_after_ms = period(w->has_lost_after_ms, w->lost_after_ms, WIRE_LOST_MS);
    log_event(LOG_INFO, "net", "welcome", "epoch=%llx", (unsigned long long)w->epoch);
    for (reply *r = n->replies; r; r = r->next)
        r->sent_ms = 0;
    net_say_ready(n);
    n->beat_ms = clock_ms();
    n->credit_sent = -1;
}

/* The job of an ASSIGN; noops without an option never leave this thread. 1: it was answered. */
static int take_in(net *n, work *w, err *e)
{
    const Overpaint__Assign *a = w->message.header->assign;
    int rc = wire_job_unpack(&w->job, a->job, &w->message, e);
    w->job.paths_allowed = n->options->local && a->local;
    if (!rc)
        rc = job_check(&w->job, e);
    if (rc)
        return rc;
    if (n->draining || (w->job.task == TASK_NOOP && !w->job.noop_engine)) {
        answer(n, &w->job.id, w->lease, e);
        return 1;
    }
    return service_take(n->service, w, e);
}

static void on_assign(net *n, wire_message *m)
{
    const Overpaint__Assign *a = m->header->assign;
    err e = {0};
    job_id id = {{0}};
    if (find_held(n, a->lease))
        return; /* it is being worked on */
    if (a->job)
        wire_id(&id, &a->job->id);
    const uint64_t lease = a->lease;
    work *w = work_new();
    int rc = w ? 0 : err_set(&e, ERR_NO_MEMORY, "no memory for the job");
    if (w) {
        w->lease = lease;
        wire_message_move(&w->message, m); /* the job's pictures point into it */
        rc = take_in(n, w, &e);
    }
    if (rc) {
        if (e.code)
            answer(n, &id, lease, &e);
        work_free(&w);
        return;
    }
    w->next_held = n->held;
    n->held = w;
}

static void on_revoke(net *n, wire_message *m)
{
    work *w = find_held(n, m->header->revoke->lease);
    if (w)
        service_cancel(n->service, w);
}

static void on_settled(net *n, wire_message *m)
{
    const Overpaint__Settled *s = m->header->settled;
    for (reply **at = &n->replies; *at; at = &(*at)->next)
        if ((*at)->lease == s->lease) {
            reply *r = *at;
            *at = r->next;
            reply_free(&r);
            return;
        }
    work *w = find_held(n, s->lease);
    if (w && s->stale)
        service_cancel(n->service, w); /* someone else has the job now */
}

static void on_failure(net *n, wire_message *m)
{
    char code[64], text[512];
    const Overpaint__Failure *f = m->header->failure;
    log_event(LOG_WARN, "net", "refused", "code=%s text=%s",
              log_quote(code, sizeof code, f->code ? f->code : ""),
              log_quote(text, sizeof text, f->text ? f->text : ""));
    n->welcome = false; /* a broker that does not know us wants a HELLO */
}

static void on_heartbeat(net *n, wire_message *m)
{
    (void)n; /* that it came is all it says */
    (void)m;
}

static void dispatch(net *n, wire_message *m)
{
    static const struct {
        Overpaint__Header__BodyCase body;
        void (*handle)(net *, wire_message *);
    } table[] = {
        {OVERPAINT__HEADER__BODY_WELCOME, on_welcome},
        {OVERPAINT__HEADER__BODY_ASSIGN, on_assign},
        {OVERPAINT__HEADER__BODY_REVOKE, on_revoke},
        {OVERPAINT__HEADER__BODY_SETTLED, on_settled},
        {OVERPAINT__HEADER__BODY_FAILURE, on_failure},
        {OVERPAINT__HEADER__BODY_HEARTBEAT, on_heartbeat},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].body == m->header->body_case) {
            table[i].handle(n, m);
            return;
        }
    n->dropped++;
}

/* ---------------------------------------------------------------- the loop */

static void reconnect(net *n, int64_t now)
{
    err e = {0};
    char text[sizeof e.text];
    if (n->socket)
        zmq_close(n->socket);
    n->welcome = false;
    n->heard_ms = now;
    n->socket = wire_connect(n->context, n->options->endpoint, &e);
    if (!n->socket)
        log_event(LOG_ERROR, "net", "connect", "text=%s", log_quote(text, sizeof text, e.text));
    n->hello_ms = now;
    net_say_hello(n);
}

static void receive_all(net *n, int64_t now)
{
    wire_message m;
    for (int rc = 1; n->socket && rc;) {
        err e = {0};
        rc = wire_receive(n->socket, false, &m, &e);
        if (rc > 0) {
            n->heard_ms = now;
            dispatch(n, &m);
            wire_message_done(&m);
        } else if (rc < 0) {
            n->dropped++;
            char text[sizeof e.text];
            log_event(LOG_WARN, "net", "dropped", "count=%llu text=%s",
                      (unsigned long long)n->dropped, log_quote(text, sizeof text, e.text));
            if (rc == ERR_IO)
                return;
        }
    }
}

static void handle_events(net *n)
{
    for (service_event *ev; (ev = service_next(n->service)); service_event_free(&ev)) {
        if (ev->kind == EVENT_STARTED)
            net_say_started(n, ev);
        else if (ev->kind == EVENT_PROGRESS)
            net_say_progress(n, ev);
        else
            complete(n, ev->work);
    }
}

/* A device that takes far longer than its work can take will not come back. */
static bool stuck(net *n, int64_t now)
{
    for (int i = 0; i < service_devices(n->service); i++) {
        engine_status s;
        service_status(n->service, i, &s);
        if (!s.busy_since_ms || now - s.busy_since_ms < s.busy_limit_ms)
            continue;
        log_event(LOG_ERROR, "net", "stuck", "device=%s ms=%lld limit=%lld", s.name,
                  (long long)(now - s.busy_since_ms), (long long)s.busy_limit_ms);
        return true;
    }
    return false;
}

static void keep_time(net *n, int64_t now)
{
    if (now - n->heard_ms > n->lost_after_ms || !n->socket)
        reconnect(n, now);
    if (!n->welcome) {
        if (now - n->hello_ms > HELLO_EVERY_MS) {
            n->hello_ms = now;
            net_say_hello(n);
        }
        return;
    }
    if (now - n->beat_ms >= n->beat_every_ms) {
        n->beat_ms = now;
        net_say_heartbeat(n);
    }
    renew_credit(n);
    for (reply *r = n->replies; r; r = r->next)
        if (!r->sent_ms || now - r->sent_ms >= n->lost_after_ms)
            send_reply(n, r, now);
}

/* The first signal drains, the second (or the time) releases what is left. */
static void begin_drain(net *n)
{
    n->draining = true;
    log_event(LOG_INFO, "net", "draining", "jobs=%d ms=%lld", jobs_held(n),
              (long long)n->options->drain_ms);
}

static void release_all(net *n)
{
    for (work *w = n->held; w; w = w->next_held)
        if (!w->released) {
            w->released = true;
            service_cancel(n->service, w);
        }
}

/* Sleeps until a message, an event or a signal comes, or a moment. */
static void wait_for_something(net *n, int stop_descriptor)
{
    uint64_t signals;
    zmq_pollitem_t items[] = {{NULL, service_descriptor(n->service), ZMQ_POLLIN, 0},
                              {NULL, stop_descriptor, ZMQ_POLLIN, 0},
                              {n->socket, 0, ZMQ_POLLIN, 0}};
    zmq_poll(items, n->socket ? 3 : 2, TICK_MS);
    if ((items[1].revents & ZMQ_POLLIN) && read(stop_descriptor, &signals, sizeof signals) < 0)
        return; /* another signal may have been read with it: *stop counts them */
}

static int loop(net *n, const atomic_int *stop, int stop_descriptor)
{
    int64_t drain_end = 0, settle_end = 0;
    for (;;) {
        wait_for_something(n, stop_descriptor);
        const int64_t now = clock_ms();
        if ((atomic_load(stop) || n->broken) && !n->draining) {
            begin_drain(n);
            drain_end = now + (n->broken ? 0 : n->options->drain_ms);
        }
        receive_all(n, now);
        handle_events(n);
        keep_time(n, now);
        if (stuck(n, now))
            return ERR_DEVICE;
        if (n->draining && (now >= drain_end || atomic_load(stop) > 1))
            release_all(n);
        if (n->draining && !n->held && !settle_end)
            settle_end = now + n->lost_after_ms;
        if (n->draining && !n->held && (!n->replies || now >= settle_end))
            return n->broken ? ERR_DEVICE : 0;
    }
}

static void disconnect(net *n)
{
    const int linger = BYE_LINGER_MS;
    if (!n->socket)
        return;
    net_say_bye(n);
    zmq_setsockopt(n->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(n->socket);
    n->socket = NULL;
}

int net_run(const net_options *o, service *s, const atomic_int *stop, int stop_descriptor, err *e)
{
    net n = {.options = o,
             .service = s,
             .context = zmq_ctx_new(),
             .beat_every_ms = WIRE_HEARTBEAT_MS / 2,
             .lost_after_ms = WIRE_LOST_MS};
    if (!n.context)
        return err_set(e, ERR_NO_MEMORY, "no ZeroMQ context: %s", zmq_strerror(errno));
    reconnect(&n, clock_ms());
    int rc = loop(&n, stop, stop_descriptor);
    disconnect(&n);
    while (n.replies) {
        reply *r = n.replies;
        n.replies = r->next;
        reply_free(&r);
    }
    zmq_ctx_term(n.context);
    return rc ? err_set(e, rc, "a device broke or got stuck; its jobs were handed back") : 0;
}
