/* What the worker says to its broker: see net_state.h. One function per message. */
#include <string.h>

#include "worker/net_state.h"
#include "worker/net_status.h"

static wire_header new_header(void)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    h.has_version = 1;
    h.version = WIRE_VERSION;
    return h;
}

static void say(net *n, const wire_header *h)
{
    err ignored = {0};
    if (n->socket)
        wire_send(n->socket, NULL, h, NULL, 0, &ignored);
}

void net_say_hello(net *n)
{
    wire_header h = new_header();
    Overpaint__Hello hello = OVERPAINT__HELLO__INIT;
    h.body_case = OVERPAINT__HEADER__BODY_HELLO;
    h.hello = &hello;
    hello.has_role = 1;
    hello.role = OVERPAINT__ROLE__WORKER;
    hello.name = (char *)n->options->name;
    hello.program = (char *)"overpaint-worker " OVERPAINT_VERSION;
    say(n, &h);
}

void net_say_credit(net *n, int jobs)
{
    wire_header h = new_header();
    Overpaint__Credit credit = OVERPAINT__CREDIT__INIT;
    h.body_case = OVERPAINT__HEADER__BODY_CREDIT;
    h.credit = &credit;
    credit.has_jobs = 1;
    credit.jobs = (uint32_t)jobs;
    say(n, &h);
}

/* The leases of jobs and of replies not yet sent on this connection: the broker extends them, and
 * learns of them after a restart. A reply that was sent speaks for its own lease. */
static size_t list_leases(const net *n, uint64_t *lease, size_t most)
{
    size_t count = 0;
    for (const work *w = n->held; w && count < most; w = w->next_held)
        lease[count++] = w->lease;
    for (const reply *r = n->replies; r && count < most; r = r->next)
        if (!r->sent_ms)
            lease[count++] = r->lease;
    return count;
}

enum { LEASES_MAX = 512 };

void net_say_ready(net *n)
{
    uint64_t lease[LEASES_MAX];
    net_status status;
    wire_header h = new_header();
    Overpaint__Ready r = OVERPAINT__READY__INIT;
    net_status_fill(&status, n->service, true);
    h.body_case = OVERPAINT__HEADER__BODY_READY;
    h.ready = &r;
    r.name = (char *)n->options->name;
    r.n_device = status.devices;
    r.device = status.device_at;
    r.n_model = status.models;
    r.model = status.model_at;
    r.n_lease = list_leases(n, lease, LEASES_MAX);
    r.lease = lease;
    say(n, &h);
    net_status_done(&status);
}

void net_say_heartbeat(net *n)
{
    uint64_t lease[LEASES_MAX];
    net_status status;
    wire_header h = new_header();
    Overpaint__Heartbeat b = OVERPAINT__HEARTBEAT__INIT;
    net_status_fill(&status, n->service, false);
    h.body_case = OVERPAINT__HEADER__BODY_HEARTBEAT;
    h.heartbeat = &b;
    b.n_device = status.devices;
    b.device = status.device_at;
    b.n_lease = list_leases(n, lease, LEASES_MAX);
    b.lease = lease;
    b.has_draining = 1;
    b.draining = n->draining;
    say(n, &h);
    net_status_done(&status);
}

void net_say_started(net *n, const service_event *ev)
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

void net_say_progress(net *n, const service_event *ev)
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

void net_say_bye(net *n)
{
    wire_header h = new_header();
    Overpaint__Bye bye = OVERPAINT__BYE__INIT;
    h.body_case = OVERPAINT__HEADER__BODY_BYE;
    h.bye = &bye;
    bye.reason = (char *)(n->broken ? "device broken" : "drained");
    say(n, &h);
}
