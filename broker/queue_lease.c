/* Workers and their leases. The one idea: whoever shows the current token of a job speaks for it;
 * every other token is stale and changes nothing. */
#include "broker/queue_inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- workers */

static queue_worker *find_worker(const queue *q, queue_peer peer)
{
    for (size_t i = 0; peer && i < q->workers; i++)
        if (q->worker[i]->peer == peer)
            return q->worker[i];
    return NULL;
}

bool queue_knows(const queue *q, queue_peer worker)
{
    return find_worker(q, worker) != NULL;
}

static void free_worker(queue_worker *w)
{
    free(w->model);
    free(w);
}

void workers_free(queue *q)
{
    for (size_t i = 0; i < q->workers; i++)
        free_worker(q->worker[i]);
    q->workers = 0;
}

static queue_worker *add_worker(queue *q, queue_peer peer, int64_t now, err *e)
{
    if (q->workers == QUEUE_WORKERS) {
        err_set(e, ERR_BUSY, "%d workers are here, no more are taken", QUEUE_WORKERS);
        return NULL;
    }
    queue_worker *w = calloc(1, sizeof *w);
    if (!w) {
        err_set(e, ERR_NO_MEMORY, "no memory for another worker");
        return NULL;
    }
    w->peer = peer;
    w->since_ms = now;
    return q->worker[q->workers++] = w;
}

static void set_resident(queue_worker *w, const uint64_t *resident, size_t residents)
{
    w->residents = residents < QUEUE_RESIDENT ? residents : QUEUE_RESIDENT;
    if (w->residents)
        memcpy(w->resident, resident, w->residents * sizeof *resident);
    if (!w->leases.count)
        w->coming = 0;
}

int queue_ready(queue *q, queue_peer peer, const queue_worker_spec *s, int64_t now, err *e)
{
    assert(s->classes <= QUEUE_DEVICES);
    uint64_t *model = malloc((s->models + 1) * sizeof *model);
    if (!model)
        return err_set(e, ERR_NO_MEMORY, "no memory for the list of %zu models", s->models);
    queue_worker *w = find_worker(q, peer);
    if (!w && !(w = add_worker(q, peer, now, e))) {
        free(model);
        return e ? (int)e->code : ERR_BUSY;
    }
    if (s->models)
        memcpy(model, s->model, s->models * sizeof *model);
    workers_sort(model, s->models);
    free(w->model);
    w->model = model;
    w->models = s->models;
    snprintf(w->name, sizeof w->name, "%s", s->name);
    memcpy(w->device_class, s->device_class, s->classes * sizeof *s->device_class);
    w->classes = s->classes;
    w->draining = false;
    set_resident(w, s->resident, s->residents);
    w->seen_ms = now;
    if (now + q->limits.lease_ms < q->workers_due)
        q->workers_due = now + q->limits.lease_ms;
    queue_match(q, now);
    return 0;
}

void queue_beat(queue *q, queue_peer peer, const uint64_t *resident, size_t residents,
                bool draining, int64_t now)
{
    queue_worker *w = find_worker(q, peer);
    if (!w)
        return;
    w->seen_ms = now;
    w->draining = draining;
    set_resident(w, resident, residents);
    queue_match(q, now);
}

void queue_credit(queue *q, queue_peer peer, uint32_t jobs, int64_t now)
{
    queue_worker *w = find_worker(q, peer);
    if (!w)
        return;
    w->seen_ms = now;
    w->credit = jobs;
    queue_match(q, now);
}

/* ---------------------------------------------------------------- leases */

static job_id token_key(uint64_t lease)
{
    job_id key = {{0}};
    memcpy(key.byte, &lease, sizeof lease);
    return key;
}

static int64_t lease_due(const queue_job *j)
{
    return j->deadline_at && !j->stop && j->deadline_at < j->lease_until ? j->deadline_at
                                                                         : j->lease_until;
}

bool lease_give(queue *q, uint32_t slot, queue_worker *w, int64_t now)
{
    queue_job *j = &q->job[slot];
    const uint64_t lease = q->limits.epoch << 32 | (uint32_t)(q->leases_given + 1);
    const job_id key = token_key(lease);
    if (!idmap_set(&q->by_lease, &key, slot))
        return false;
    q->leases_given++;
    lane_remove(q, slot);
    line_push(q, &w->leases, slot, false);
    q->running++;
    j->state = QUEUE_RUNNING;
    j->lease = lease;
    j->worker = w->peer;
    j->attempts++;
    j->assigned_ms = now;
    j->lease_until = now + q->limits.lease_ms;
    w->coming = j->model;
    heap_set(q, slot, lease_due(j));
    q->counts.assigned++;
    queue_act(q, QUEUE_ASSIGN, j);
    return true;
}

void lease_end(queue *q, uint32_t slot)
{
    queue_job *j = &q->job[slot];
    const job_id key = token_key(j->lease);
    queue_worker *w = find_worker(q, j->worker);
    assert(w && j->lease);
    idmap_remove(&q->by_lease, &key);
    line_remove(q, &w->leases, slot);
    q->running--;
    j->lease = 0;
    j->worker = 0;
}

/* The running job of a token, which is thereby extended and this worker's. */
static queue_job *hold(queue *q, queue_peer peer, uint64_t lease, int64_t now)
{
    const job_id key = token_key(lease);
    queue_worker *w = find_worker(q, peer);
    uint32_t slot;
    if (w)
        w->seen_ms = now;
    if (!idmap_get(&q->by_lease, &key, &slot)) {
        q->counts.stale++;
        return NULL;
    }
    queue_job *j = &q->job[slot];
    if (w && w->peer != j->worker) {
        line_remove(q, &find_worker(q, j->worker)->leases, slot);
        line_push(q, &w->leases, slot, false);
        j->worker = w->peer;
    }
    j->lease_until = now + q->limits.lease_ms;
    heap_set(q, slot, lease_due(j));
    return j;
}

const queue_job *queue_leased(const queue *q, uint64_t lease)
{
    const job_id key = token_key(lease);
    uint32_t slot;
    return idmap_get(&q->by_lease, &key, &slot) ? &q->job[slot] : NULL;
}

const queue_job *queue_extend(queue *q, queue_peer worker, uint64_t lease, int64_t now)
{
    const queue_job *j = hold(q, worker, lease, now);
    if (j && j->stop)
        queue_act(q, QUEUE_REVOKE, j); /* the first may have been lost */
    return j;
}

const queue_job *queue_started(queue *q, queue_peer worker, uint64_t lease, int64_t now)
{
    queue_job *j = hold(q, worker, lease, now);
    if (j && !j->started_ms)
        j->started_ms = now;
    return j;
}

const queue_job *queue_note(queue *q, queue_peer worker, uint64_t lease, const queue_progress *p,
                            int64_t now)
{
    queue_job *j = hold(q, worker, lease, now);
    if (j)
        j->progress = *p;
    return j;
}

/* ---------------------------------------------------------------- how a lease ends */

/* It was to be stopped, and now it has: whatever came of it is void. */
static void stopped(queue *q, uint32_t slot, int64_t now)
{
    const bool cancelled = q->job[slot].stop == ERR_CANCELLED;
    queue_end(q, slot, cancelled ? QUEUE_CANCELLED : QUEUE_FAILED, q->job[slot].stop,
              cancelled ? "cancelled" : "its deadline passed while it ran", now);
}

/* An attempt came to nothing, for a reason that need not be the job's. */
static void attempt_failed(queue *q, uint32_t slot, err_code code, const char *text, int64_t now)
{
    queue_job *j = &q->job[slot];
    const queue_worker *w = find_worker(q, j->worker);
    char reason[sizeof((err *)0)->text];
    if (j->stop) {
        stopped(q, slot, now);
        return;
    }
    j->avoid = w->peer;
    if (w->classes)
        j->device_class = w->device_class[0];
    snprintf(reason, sizeof reason, "attempt %u on %.64s: %s", j->attempts, w->name, text);
    queue_reason(j, code, reason);
    if (j->attempts < QUEUE_ATTEMPTS) {
        queue_requeue(q, slot, now);
        return;
    }
    q->counts.quarantined++;
    queue_end(q, slot, QUEUE_FAILED, ERR_LOST, "quarantined", now);
}

void lease_expired(queue *q, uint32_t slot, int64_t now)
{
    attempt_failed(q, slot, ERR_LOST, "no sign of life", now);
}

static void hand_back(queue *q, uint32_t slot, int64_t now)
{
    queue_job *j = &q->job[slot];
    q->counts.released++;
    if (j->stop) {
        stopped(q, slot, now);
    } else if (j->releases++ >= QUEUE_RELEASES) {
        attempt_failed(q, slot, ERR_LOST, "handed back once too often", now);
    } else {
        j->attempts--;
        j->avoid = j->worker;
        queue_requeue(q, slot, now);
    }
}

const queue_job *queue_done(queue *q, queue_peer worker, uint64_t lease, uint64_t device_class,
                            size_t bytes, int64_t now)
{
    queue_job *j = hold(q, worker, lease, now);
    if (!j)
        return NULL;
    const uint32_t slot = slot_of(q, j);
    find_worker(q, j->worker)->finished++;
    if (j->stop) {
        stopped(q, slot, now);
    } else {
        j->class_changed = j->device_class && device_class && j->device_class != device_class;
        q->bytes = q->bytes - j->bytes + bytes;
        j->bytes = bytes;
        queue_end(q, slot, QUEUE_FINISHED, ERR_OK, NULL, now);
    }
    queue_match(q, now);
    return &q->job[slot];
}

const queue_job *queue_fail(queue *q, queue_peer worker, uint64_t lease, err_code code,
                            const char *text, bool again, int64_t now)
{
    queue_job *j = hold(q, worker, lease, now);
    if (!j)
        return NULL;
    const uint32_t slot = slot_of(q, j);
    find_worker(q, j->worker)->failed++;
    if (j->stop)
        stopped(q, slot, now);
    else if (again || code == ERR_CANCELLED) /* nobody here asked it to cancel */
        attempt_failed(q, slot, code, text, now);
    else
        queue_end(q, slot, QUEUE_FAILED, code, text, now);
    queue_match(q, now);
    return &q->job[slot];
}

const queue_job *queue_release(queue *q, queue_peer worker, uint64_t lease, int64_t now)
{
    queue_job *j = hold(q, worker, lease, now);
    if (!j)
        return NULL;
    const uint32_t slot = slot_of(q, j);
    hand_back(q, slot, now);
    queue_match(q, now);
    return &q->job[slot];
}

/* ---------------------------------------------------------------- how a worker goes */

static void remove_worker(queue *q, queue_worker *w)
{
    size_t i = 0;
    while (q->worker[i] != w)
        i++;
    q->worker[i] = q->worker[--q->workers];
    free_worker(w);
}

static void lose(queue *q, queue_worker *w, const char *text, int64_t now)
{
    q->counts.workers_lost++;
    while (w->leases.count)
        attempt_failed(q, w->leases.head, ERR_LOST, text, now);
    remove_worker(q, w);
}

void queue_lost(queue *q, queue_peer worker, int64_t now)
{
    queue_worker *w = find_worker(q, worker);
    if (!w)
        return;
    lose(q, w, "the worker is gone", now);
    queue_match(q, now);
}

static void never_left(queue *q, uint64_t lease, int64_t now)
{
    const job_id key = token_key(lease);
    uint32_t slot;
    if (idmap_get(&q->by_lease, &key, &slot))
        hand_back(q, slot, now);
}

void queue_unreachable(queue *q, queue_peer worker, uint64_t lease, int64_t now)
{
    never_left(q, lease, now);
    for (size_t i = 0, pending = q->actions; i < pending; i++) {
        const queue_action a = q->action[(q->action_at + i) % q->action_room];
        if (a.kind == QUEUE_ASSIGN && a.peer == worker)
            never_left(q, a.lease, now);
    }
    queue_lost(q, worker, now);
}

void queue_bye(queue *q, queue_peer worker, int64_t now)
{
    queue_worker *w = find_worker(q, worker);
    if (!w)
        return;
    while (w->leases.count)
        hand_back(q, w->leases.head, now);
    remove_worker(q, w);
    queue_match(q, now);
}

void workers_tick(queue *q, int64_t now)
{
    if (now < q->workers_due)
        return;
    q->workers_due = INT64_MAX;
    for (size_t i = q->workers; i-- > 0;) {
        const int64_t due = q->worker[i]->seen_ms + q->limits.lease_ms;
        if (due <= now)
            lose(q, q->worker[i], "no sign of life", now);
        else if (due < q->workers_due)
            q->workers_due = due;
    }
}

/* ---------------------------------------------------------------- for lists */

size_t queue_workers(const queue *q, queue_worker_view *to, size_t most)
{
    size_t n = q->workers < most ? q->workers : most;
    for (size_t i = 0; i < n; i++) {
        const queue_worker *w = q->worker[i];
        to[i] = (queue_worker_view){.peer = w->peer,
                                    .draining = w->draining,
                                    .credit = w->credit,
                                    .leases = w->leases.count,
                                    .finished = w->finished,
                                    .failed = w->failed};
        memcpy(to[i].name, w->name, sizeof w->name);
    }
    return n;
}

queue_totals queue_get_totals(const queue *q)
{
    queue_totals t = {.queued = q->queued,
                      .running = q->running,
                      .kept = q->kept.count,
                      .bytes = q->bytes,
                      .workers = (uint32_t)q->workers,
                      .counts = q->counts};
    for (size_t i = 0; i < q->workers; i++) {
        const queue_worker *w = q->worker[i];
        if (!w->draining && w->credit > w->leases.count)
            t.credit += w->credit - w->leases.count;
    }
    return t;
}
