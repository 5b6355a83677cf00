/* A worker's conversation with its broker: see net.h. The one idea: the broker's word is a lease.
 * The worker keeps a job or its reply for every lease it holds, until the broker has settled that
 * lease. */
#include "worker/net.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/log.h"
#include "worker/net_status.h"
#include "worker/reply.h"

enum { HELLO_EVERY_MS = 500, RESEND_MS = 2000 };

typedef struct {
    const net_options *options;
    service *service;
    void *context, *socket;
    work *held;     /* jobs inside the service */
    reply *replies; /* outcomes not settled yet */
    uint64_t epoch;
    bool welcome; /* the broker knows us */
    bool draining, broken;
    int64_t heard_ms, beat_ms, hello_ms, resend_ms;
    int credit_sent;
    uint64_t dropped; /* messages that broke the protocol */
} net;

static wire_header new_header(void)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    h.has_version = 1;
    h.version = WIRE_VERSION;
    return h;
}

/* Sends what may be lost: the next heartbeat or reconnect makes up for it. */
static void say(net *n, const wire_header *h)
{
    err ignored = {0};
    if (n->socket)
        wire_send(n->socket, NULL, h, NULL, 0, &ignored);
}

/* ---------------------------------------------------------------- what the worker says */

static int jobs_held(const net *n)
{
    int count = 0;
    for (const work *w = n->held; w; w = w->next_held)
        count++;
    return count;
}

static void say_hello(net *n, int64_t now)
{
    wire_header h = new_header();
    Overpaint__Hello hello = OVERPAINT__HELLO__INIT;
    h.body_case = OVERPAINT__HEADER__BODY_HELLO;
    h.hello = &hello;
    hello.has_role = 1;
    hello.role = OVERPAINT__ROLE__WORKER;
    hello.name = (char *)n->options->name;
    hello.program = (char *)"overpaint-worker " OVERPAINT_VERSION;
    n->hello_ms = now;
    say(n, &h);
}

/* How many leases the worker will hold at once. */
static int credit_now(const net *n)
{
    return n->draining || n->broken ? 0 : n->options->jobs_per_device * service_devices(n->service);
}

static void say_credit(net *n)
{
    wire_header h = new_header();
    Overpaint__Credit credit = OVERPAINT__CREDIT__INIT;
    h.body_case = OVERPAINT__HEADER__BODY_CREDIT;
    h.credit = &credit;
    credit.has_jobs = 1;
    credit.jobs = (uint32_t)(n->credit_sent = credit_now(n));
    say(n, &h);
}

/* The leases of jobs and of replies: the broker extends them, and learns of them after a restart.
 */
static size_t list_leases(const net *n, uint64_t *lease, size_t most)
{
    size_t count = 0;
    for (const work *w = n->held; w && count < most; w = w->next_held)
        lease[count++] = w->lease;
    for (const reply *r = n->replies; r && count < most; r = r->next)
        lease[count++] = r->lease;
    return count;
}

static void say_state(net *n, bool ready, int64_t now)
{
    uint64_t lease[512];
    net_status status;
    wire_header h = new_header();
    Overpaint__Ready r = OVERPAINT__READY__INIT;
    Overpaint__Heartbeat b = OVERPAINT__HEARTBEAT__INIT;
    size_t leases = list_leases(n, lease, sizeof lease / sizeof *lease);
    net_status_fill(&status, n->service, ready);
    if (ready) {
        h.body_case = OVERPAINT__HEADER__BODY_READY;
        h.ready = &r;
        r.name = (char *)n->options->name;
        r.n_device = status.devices;
        r.device = status.device_at;
        r.n_model = status.models;
        r.model = status.model_at;
        r.n_lease = leases;
        r.lease = lease;
    } else {
        h.body_case = OVERPAINT__HEADER__BODY_HEARTBEAT;
        h.heartbeat = &b;
        b.n_device = status.devices;
        b.device = status.device_at;
        b.n_lease = leases;
        b.lease = lease;
        b.has_draining = 1;
        b.draining = n->draining;
    }
    say(n, &h);
    n->beat_ms = now;
    net_status_done(&status);
}

static void say_started(net *n, const service_event *ev)
{
    wire_header h = new_header();
    Overpaint__Started started = OVERPAINT__STARTED__INIT;
    h.body_case = OVERPAINT__HEADER__BODY_STARTED;
    h.started = &started;
    started.has_id = started.has_lease = 1;
    started.id = wire_id_bytes(&ev->id);
    started.lease = ev->lease;
    say(n, &h);
}

static void say_progress(net *n, const service_event *ev)
{
    wire_header h = new_header();
    Overpaint__Progress p = OVERPAINT__PROGRESS__INIT;
    wire_blob blob = OVERPAINT__BLOB__INIT;
    zmq_msg_t frame;
    size_t frames = 0;
    err ignored = {0};
    h.body_case = OVERPAINT__HEADER__BODY_PROGRESS;
    h.progress = &p;
    p.has_id = p.has_state = p.has_lease = p.has_evaluations_done = p.has_evaluations = 1;
    p.has_steps_done = p.has_steps = 1;
    p.id = wire_id_bytes(&ev->id);
    p.state = OVERPAINT__STATE__RUNNING;
    p.lease = ev->lease;
    p.evaluations_done = (uint32_t)ev->progress.evaluations_done;
    p.evaluations = (uint32_t)ev->progress.evaluations;
    p.steps_done = (uint32_t)ev->progress.steps_done;
    p.steps = (uint32_t)ev->progress.steps;
    p.has_eta_seconds = ev->progress.eta_seconds >= 0;
    p.eta_seconds = ev->progress.eta_seconds;
    if (ev->preview && !zmq_msg_init_size(&frame, ev->preview_size)) {
        memcpy(zmq_msg_data(&frame), ev->preview, ev->preview_size);
        blob.has_frame = blob.has_size = 1;
        blob.frame = 1;
        blob.size = ev->preview_size;
        blob.media = (char *)"image/png";
        p.preview = &blob;
        frames = 1;
    }
    if (n->socket && wire_send(n->socket, NULL, &h, &frame, frames, &ignored))
        wire_frames_close(&frame, frames);
}

/* ---------------------------------------------------------------- leases */

static void add_reply(net *n, reply *r)
{
    err e = {0};
    r->next = n->replies;
    n->replies = r;
    if (n->welcome)
        reply_send(r, n->socket, &e); /* sent again every RESEND_MS until it is settled */
}

/* Answers a lease that never became a work. */
static void refuse(net *n, const job_id *id, uint64_t lease, const err *e, bool again)
{
    work w = {.lease = lease, .error = *e, .again = again, .started_ms = clock_ms()};
    w.job.id = *id;
    reply *r = reply_new(&w, "");
    if (r)
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
    char id[JOB_ID_TEXT];
    job_id_text(&w->job.id, id);
    if (w->error.code == ERR_OK)
        log_event(LOG_INFO, "net", "done", "job=%s ms=%lld", id,
                  (long long)(clock_ms() - w->started_ms));
    else
        log_event(LOG_WARN, "net", "failed", "job=%s code=%s text=\"%s\"", id,
                  err_name(w->error.code), w->error.text);
    n->broken |= w->again && w->error.code == ERR_DEVICE;
    reply *r = reply_new(w, status.class_name);
    if (r && n->draining && w->error.code == ERR_CANCELLED && w->released)
        r->release = true;
    if (r)
        add_reply(n, r);
    else
        log_event(LOG_ERROR, "net", "no_memory", "job=%s", id); /* the lease will run out */
}

/* ---------------------------------------------------------------- what the broker says */

static void on_welcome(net *n, wire_message *m)
{
    const Overpaint__Welcome *w = m->header->welcome;
    n->welcome = true;
    n->epoch = w->epoch;
    log_event(LOG_INFO, "net", "welcome", "epoch=%llx", (unsigned long long)w->epoch);
    say_state(n, true, clock_ms());
    say_credit(n);
    n->resend_ms = 0;
}

static bool answer_noop(net *n, const work *w)
{
    if (w->job.task != TASK_NOOP || w->job.noop_engine)
        return false;
    err none = {0};
    refuse(n, &w->job.id, w->lease, &none, false);
    return true;
}

static void on_assign(net *n, wire_message *m)
{
    const Overpaint__Assign *a = m->header->assign;
    err e = {0};
    work *w = work_new();
    job_id id = {{0}};
    if (a->job)
        wire_id(&id, &a->job->id);
    if (!w) {
        err_set(&e, ERR_NO_MEMORY, "no memory for the job");
        refuse(n, &id, a->lease, &e, true);
        return;
    }
    w->lease = a->lease;
    w->attempt = a->attempt;
    wire_message_move(&w->message, m); /* the job's pictures point into it */
    int rc = wire_job_unpack(&w->job, w->message.header->assign->job, &w->message, &e);
    w->job.paths_allowed = n->options->local && w->message.header->assign->local;
    if (!rc)
        rc = job_check(&w->job, &e);
    if (!rc && answer_noop(n, w)) {
        work_free(&w);
        return;
    }
    if (!rc)
        rc = service_take(n->service, w, &e);
    if (rc) {
        refuse(n, &id, w->lease, &e, e.code == ERR_NO_MEMORY);
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
    if (n->socket)
        zmq_close(n->socket);
    n->welcome = false;
    n->heard_ms = now;
    n->socket = wire_connect(n->context, n->options->endpoint, &e);
    if (!n->socket)
        log_event(LOG_ERROR, "net", "connect", "text=\"%s\"", e.text);
    say_hello(n, now);
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
            log_event(LOG_WARN, "net", "dropped", "text=\"%s\"", e.text);
            if (rc == ERR_IO)
                return;
        }
    }
}

static void handle_events(net *n)
{
    for (service_event *ev; (ev = service_next(n->service)); service_event_free(&ev)) {
        if (ev->kind == EVENT_STARTED)
            say_started(n, ev);
        else if (ev->kind == EVENT_PROGRESS)
            say_progress(n, ev);
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
    if (now - n->heard_ms > WIRE_LOST_MS || !n->socket)
        reconnect(n, now);
    if (!n->welcome) {
        if (now - n->hello_ms > HELLO_EVERY_MS)
            say_hello(n, now);
        return;
    }
    if (now - n->beat_ms >= WIRE_HEARTBEAT_MS / 2)
        say_state(n, false, now);
    if (n->credit_sent != credit_now(n))
        say_credit(n);
    if (now - n->resend_ms < RESEND_MS)
        return;
    n->resend_ms = now;
    for (reply *r = n->replies; r; r = r->next) {
        err e = {0};
        reply_send(r, n->socket, &e);
    }
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

static void say_bye(net *n)
{
    wire_header h = new_header();
    Overpaint__Bye bye = OVERPAINT__BYE__INIT;
    h.body_case = OVERPAINT__HEADER__BODY_BYE;
    h.bye = &bye;
    bye.reason = (char *)(n->broken ? "device broken" : "drained");
    say(n, &h);
    zmq_close(n->socket);
    n->socket = NULL;
}

static int loop(net *n, const atomic_int *stop, int stop_descriptor)
{
    int64_t drain_end = 0, settle_end = 0;
    for (;;) {
        zmq_pollitem_t items[] = {{n->socket, 0, ZMQ_POLLIN, 0},
                                  {NULL, service_descriptor(n->service), ZMQ_POLLIN, 0},
                                  {NULL, stop_descriptor, ZMQ_POLLIN, 0}};
        zmq_poll(items, atomic_load(stop) ? 2 : 3, WIRE_HEARTBEAT_MS / 4);
        const int64_t now = clock_ms();
        receive_all(n, now);
        handle_events(n);
        keep_time(n, now);
        if (stuck(n, now))
            return ERR_DEVICE;
        if ((atomic_load(stop) || n->broken) && !n->draining) {
            begin_drain(n);
            drain_end = now + (n->broken ? 0 : n->options->drain_ms);
        }
        if (n->draining && (now >= drain_end || atomic_load(stop) > 1))
            release_all(n);
        if (n->draining && !n->held && !settle_end)
            settle_end = now + RESEND_MS;
        if (n->draining && !n->held && (!n->replies || now >= settle_end))
            return n->broken ? ERR_DEVICE : 0;
    }
}

int net_run(const net_options *o, service *s, const atomic_int *stop, int stop_descriptor, err *e)
{
    net n = {.options = o, .service = s, .context = zmq_ctx_new()};
    if (!n.context)
        return err_set(e, ERR_NO_MEMORY, "no ZeroMQ context: %s", zmq_strerror(errno));
    reconnect(&n, clock_ms());
    int rc = loop(&n, stop, stop_descriptor);
    if (n.socket)
        say_bye(&n);
    while (n.replies) {
        reply *r = n.replies;
        n.replies = r->next;
        reply_free(&r);
    }
    zmq_ctx_term(n.context);
    return rc ? err_set(e, rc, "a device broke or got stuck; its jobs were handed back") : 0;
}
