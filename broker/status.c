/* STATUS: what the broker knows, as far as it fits one header. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_inside.h"

enum {
    JOBS_MAX = 128, /* listed */
    WORKERS_MAX = 256,
    COUNTERS_MAX = 64,
    TEXT_MAX = sizeof((err *)0)->text,
    WORKER_BYTES = 36 << 10, /* of the header, for workers and then for jobs */
    JOB_BYTES = 56 << 10,
    ENTRY_BYTES = 8, /* tag and length of an entry in a list */
};

/* Everything a reply points to, in one allocation. */
typedef struct {
    Overpaint__StatusReply reply;
    Overpaint__Counter counter[COUNTERS_MAX], *counter_at[COUNTERS_MAX];
    Overpaint__WorkerStatus worker[WORKERS_MAX], *worker_at[WORKERS_MAX];
    Overpaint__JobStatus job[JOBS_MAX], *job_at[JOBS_MAX];
    Overpaint__Progress progress[JOBS_MAX];
    queue_worker_view view[WORKERS_MAX];
    const queue_job *found[JOBS_MAX];
    char text[JOBS_MAX][TEXT_MAX];
    size_t bytes;
} status;

void status_progress(const broker *b, Overpaint__Progress *p, const queue_job *j)
{
    p->has_id = p->has_state = p->has_position = 1;
    p->id = wire_id_bytes(&j->id);
    p->state = (Overpaint__State)j->state;
    p->position = queue_position(b->queue, j);
    p->has_evaluations_done = p->has_evaluations = j->progress.evaluations > 0;
    p->evaluations_done = j->progress.evaluations_done;
    p->evaluations = j->progress.evaluations;
    p->has_steps_done = p->has_steps = j->progress.steps > 0;
    p->steps_done = j->progress.steps_done;
    p->steps = j->progress.steps;
    p->has_eta_seconds = j->progress.eta_seconds >= 0;
    p->eta_seconds = j->progress.eta_seconds;
}

/* ---------------------------------------------------------------- counters */

static void add_counter(status *s, const char *name, uint64_t value)
{
    if (s->reply.n_counter == COUNTERS_MAX)
        return;
    Overpaint__Counter *c = &s->counter[s->reply.n_counter];
    overpaint__counter__init(c);
    c->name = (char *)name;
    c->has_value = 1;
    c->value = value;
    s->counter_at[s->reply.n_counter++] = c;
    s->bytes += overpaint__counter__get_packed_size(c) + ENTRY_BYTES;
}

static void add_counters(status *s, broker *b, const queue_counts *counts)
{
    const peers_counts sent = peers_get_counts(b->peers);
#define ADD(name) add_counter(s, #name, b->counts.name);
    BROKER_COUNTS(ADD)
#undef ADD
#define ADD(name) add_counter(s, #name, counts->name);
    QUEUE_COUNTS(ADD)
#undef ADD
    add_counter(s, "progress_dropped", sent.progress_dropped);
    add_counter(s, "peers_overflowed", sent.peers_overflowed);
    add_counter(s, "peers_gone", sent.peers_gone);
    add_counter(s, "clients", peers_count(b->peers, SIDE_CLIENT));
}

/* ---------------------------------------------------------------- workers */

static void point_to_devices(Overpaint__WorkerStatus *w, const peer *p)
{
    if (p->beat) {
        w->n_device = p->beat->heartbeat->n_device;
        w->device = p->beat->heartbeat->device;
    } else if (p->ready) {
        w->n_device = p->ready->ready->n_device;
        w->device = p->ready->ready->device;
    }
    if (p->ready) {
        w->n_model = p->ready->ready->n_model;
        w->model = p->ready->ready->model;
    }
}

static void fill_worker(Overpaint__WorkerStatus *w, const queue_worker_view *v, const peer *p)
{
    overpaint__worker_status__init(w);
    w->name = (char *)v->name;
    w->state = (char *)(v->draining ? "draining" : "ready");
    w->has_running = w->has_credit = w->has_finished = w->has_failed = 1;
    w->running = v->leases;
    w->credit = v->credit;
    w->finished = v->finished;
    w->failed = v->failed;
    if (p)
        point_to_devices(w, p);
}

static void add_workers(status *s, broker *b)
{
    const size_t n = queue_workers(b->queue, s->view, WORKERS_MAX);
    for (size_t i = 0; i < n; i++) {
        Overpaint__WorkerStatus *w = &s->worker[i];
        fill_worker(w, &s->view[i], peers_get(b->peers, s->view[i].peer));
        size_t size = overpaint__worker_status__get_packed_size(w) + ENTRY_BYTES;
        if (s->bytes + size > WORKER_BYTES) { /* at least who it is */
            fill_worker(w, &s->view[i], NULL);
            size = overpaint__worker_status__get_packed_size(w) + ENTRY_BYTES;
        }
        if (s->bytes + size > JOB_BYTES)
            return;
        s->bytes += size;
        s->worker_at[s->reply.n_worker++] = w;
    }
}

/* ---------------------------------------------------------------- jobs */

static void fill_job(status *s, size_t i, broker *b, const queue_job *j)
{
    Overpaint__JobStatus *to = &s->job[i];
    const peer *client = peers_get(b->peers, j->watcher[0]);
    const peer *worker = peers_get(b->peers, j->worker);
    overpaint__job_status__init(to);
    overpaint__progress__init(&s->progress[i]);
    status_progress(b, &s->progress[i], j);
    to->has_id = to->has_state = to->has_task = to->has_attempts = to->has_waited_ms = 1;
    to->id = wire_id_bytes(&j->id);
    to->state = (Overpaint__State)j->state;
    to->task = (Overpaint__Task)j->task;
    to->client = client ? (char *)client->name : NULL;
    to->worker = worker ? (char *)worker->name : NULL;
    to->progress = &s->progress[i];
    to->attempts = j->attempts;
    const int64_t until = j->state == QUEUE_QUEUED ? b->now : j->assigned_ms;
    to->waited_ms = (uint32_t)(until > j->accepted_ms ? until - j->accepted_ms : 0);
    if (j->why) {
        snprintf(s->text[i], TEXT_MAX, "%s", j->why->text);
        broker_text(s->text[i]);
        to->text = s->text[i];
    }
}

static void add_jobs(status *s, broker *b, size_t found)
{
    for (size_t i = 0; i < found; i++) {
        fill_job(s, i, b, s->found[i]);
        const size_t size = overpaint__job_status__get_packed_size(&s->job[i]) + ENTRY_BYTES;
        if (s->bytes + size > JOB_BYTES)
            return;
        s->bytes += size;
        s->job_at[s->reply.n_job++] = &s->job[i];
    }
}

/* ---------------------------------------------------------------- the message */

static void fill_totals(status *s, const broker *b, const queue_totals *t)
{
    Overpaint__StatusReply *r = &s->reply;
    overpaint__status_reply__init(r);
    r->has_epoch = r->has_uptime_ms = r->has_queued = r->has_running = r->has_kept = 1;
    r->has_bytes = 1;
    r->epoch = b->epoch;
    r->uptime_ms = (uint64_t)(b->now - b->started_ms);
    r->queued = t->queued;
    r->running = t->running;
    r->kept = t->kept;
    r->bytes = t->bytes;
    r->worker = s->worker_at;
    r->job = s->job_at;
    r->counter = s->counter_at;
}

int on_status(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Status *asked = m->header->status;
    const queue_totals totals = queue_get_totals(b->queue);
    const queue_job *one = NULL;
    job_id id;
    wire_header h;
    if (asked->has_id && !wire_id(&id, &asked->id))
        return err_set(e, ERR_PROTOCOL, "job id of %zu bytes, expected %d", asked->id.len,
                       JOB_ID_BYTES);
    if (asked->has_id && !(one = queue_find(b->queue, &id)))
        return err_set(e, ERR_NOT_FOUND, "no such job");
    status *s = malloc(sizeof *s);
    if (!s)
        return err_set(e, ERR_NO_MEMORY, "no memory for the status");
    s->bytes = 0;
    fill_totals(s, b, &totals);
    if (one) {
        s->found[0] = one;
        add_jobs(s, b, 1);
    } else {
        add_counters(s, b, &totals.counts);
        add_workers(s, b);
        add_jobs(s, b, queue_list(b->queue, s->found, JOBS_MAX));
    }
    broker_header(&h, m->header->request);
    h.body_case = OVERPAINT__HEADER__BODY_STATUS_REPLY;
    h.status_reply = &s->reply;
    broker_send(b, from, &h, NULL, 0, false);
    free(s);
    return 0;
}
