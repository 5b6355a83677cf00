/* Jobs in the queue: from submission to the last acknowledgement. The one idea: every change of
 * state goes through one of three functions (lease_give, queue_requeue, queue_end), so what is
 * counted, timed and announced is decided in one place each. */
#include "broker/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/queue_inside.h"

enum { SLOTS_FIRST = 64, ACTIONS_FIRST = 64, GAP_UNKNOWN = 250, GAP_WEIGHT = 8 };

queue *queue_new(const queue_limits *limits)
{
    queue *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->limits = *limits;
    q->free_slot = NONE;
    q->front = INT64_MIN / 2;
    q->workers_due = q->match_at = INT64_MAX;
    q->gap_ms = GAP_UNKNOWN;
    q->memory = calloc(QUEUE_REMEMBERED, sizeof *q->memory);
    if (!q->memory)
        queue_free(&q);
    return q;
}

void queue_free(queue **at)
{
    queue *q = *at;
    if (!q)
        return;
    for (uint32_t i = 0; i < q->slots; i++)
        free(q->job[i].why);
    for (size_t i = 0; i < q->lanes; i++)
        free(q->lane[i]);
    workers_free(q);
    idmap_done(&q->by_id);
    idmap_done(&q->by_lease);
    idmap_done(&q->remembered);
    free(q->job);
    free(q->heap);
    free(q->memory);
    free(q->action);
    free(q);
    *at = NULL;
}

/* ---------------------------------------------------------------- actions */

/* Room is made before anything changes (see reserve): a queue that runs out of memory in the middle
 * of a change could only lie about it. */
static bool grow_actions(queue *q)
{
    size_t room = q->action_room ? 2 * q->action_room : ACTIONS_FIRST;
    queue_action *bigger = malloc(room * sizeof *bigger);
    if (!bigger)
        return false;
    for (size_t i = 0; i < q->actions; i++)
        bigger[i] = q->action[(q->action_at + i) % q->action_room];
    free(q->action);
    q->action = bigger;
    q->action_at = 0;
    q->action_room = room;
    return true;
}

void queue_act(queue *q, queue_action_kind kind, const queue_job *j)
{
    if (q->actions == q->action_room && !grow_actions(q))
        abort(); /* some kilobytes: nothing that follows would be right */
    q->action[(q->action_at + q->actions++) % q->action_room] = (queue_action){
        .kind = kind, .id = j->id, .peer = j->worker, .lease = j->lease, .attempt = j->attempts};
}

bool queue_next(queue *q, queue_action *a)
{
    if (!q->actions)
        return false;
    *a = q->action[q->action_at];
    q->action_at = (q->action_at + 1) % q->action_room;
    q->actions--;
    return true;
}

/* ---------------------------------------------------------------- slots */

uint32_t slot_of(const queue *q, const queue_job *j)
{
    return (uint32_t)(j - q->job);
}

static bool grow_slots(queue *q)
{
    uint32_t slots = q->slots ? 2 * q->slots : SLOTS_FIRST;
    queue_job *jobs = realloc(q->job, slots * sizeof *jobs);
    if (jobs)
        q->job = jobs;
    uint32_t *heap = realloc(q->heap, slots * sizeof *heap);
    if (heap)
        q->heap = heap;
    if (!jobs || !heap)
        return false;
    for (uint32_t i = slots; i-- > q->slots;) {
        q->job[i] = (queue_job){.next = q->free_slot};
        q->free_slot = i;
    }
    q->slots = slots;
    return true;
}

static void free_slot(queue *q, uint32_t slot)
{
    queue_job *j = &q->job[slot];
    idmap_remove(&q->by_id, &j->id);
    q->bytes -= j->bytes + QUEUE_RECORD_BYTES;
    free(j->why);
    *j = (queue_job){.next = q->free_slot};
    q->free_slot = slot;
}

/* ---------------------------------------------------------------- ids that are over */

static void remember(queue *q, const queue_job *j)
{
    queue_memory *m = &q->memory[q->memory_at];
    if (m->used)
        idmap_remove(&q->remembered, &m->id);
    *m = (queue_memory){j->id, j->contents, j->seed_asked, j->seed, j->state, true};
    m->used = idmap_set(&q->remembered, &j->id, (uint32_t)q->memory_at);
    q->memory_at = (q->memory_at + 1) % QUEUE_REMEMBERED;
}

static void forget(queue *q, uint32_t slot, bool acknowledged)
{
    queue_job *j = &q->job[slot];
    line_remove(q, &q->kept, slot);
    queue_act(q, QUEUE_FORGET, j);
    if (acknowledged)
        remember(q, j);
    free_slot(q, slot);
}

/* Kept results beyond the limits: the oldest go, never the newest. */
static void crowd_out(queue *q)
{
    while (q->kept.count > 1 && (q->kept.count > q->limits.jobs || q->bytes > q->limits.bytes)) {
        q->counts.results_crowded_out++;
        forget(q, q->kept.head, false);
    }
}

/* ---------------------------------------------------------------- submission */

static const queue_job *find(const queue *q, const job_id *id, uint32_t *slot)
{
    return idmap_get(&q->by_id, id, slot) ? &q->job[*slot] : NULL;
}

const queue_job *queue_find(const queue *q, const job_id *id)
{
    uint32_t slot;
    return find(q, id, &slot);
}

static int receive_again(queue *q, const queue_submission *s, const queue_memory *known,
                         queue_receipt *r, err *e)
{
    if (known->contents != s->contents ||
        (s->seed_asked != known->seed_asked && s->seed_asked != known->seed)) {
        q->counts.conflicts++;
        return err_set(e, ERR_CONFLICT, "there is another job with this id, expected a new id");
    }
    q->counts.duplicates++;
    r->duplicate = true;
    r->state = known->state;
    r->seed = known->seed;
    return 0;
}

static int check_room(queue *q, size_t bytes, err *e)
{
    if (q->queued + q->running >= q->limits.jobs) {
        q->counts.refused_full++;
        return err_set(e, ERR_BUSY, "the queue is full: %u jobs of %u", q->queued + q->running,
                       q->limits.jobs);
    }
    if (q->bytes + bytes + QUEUE_RECORD_BYTES > q->limits.bytes) {
        q->counts.refused_full++;
        return err_set(e, ERR_BUSY, "the queue is full: %llu bytes of %llu, the job has %zu",
                       (unsigned long long)q->bytes, (unsigned long long)q->limits.bytes, bytes);
    }
    return 0;
}

static void add_watcher(queue_job *j, queue_peer watcher)
{
    if (!watcher)
        return;
    int i = 0;
    while (i < QUEUE_WATCHERS && j->watcher[i] && j->watcher[i] != watcher)
        i++;
    if (i == QUEUE_WATCHERS) { /* the oldest stops watching */
        memmove(j->watcher, j->watcher + 1, (QUEUE_WATCHERS - 1) * sizeof *j->watcher);
        i--;
    }
    j->watcher[i] = watcher;
}

static int add_job(queue *q, const queue_submission *s, int64_t now, err *e)
{
    if (q->free_slot == NONE && !grow_slots(q))
        return err_set(e, ERR_NO_MEMORY, "no memory for another job");
    const uint32_t slot = q->free_slot;
    queue_job *j = &q->job[slot];
    const uint32_t next_free = j->next;
    *j = (queue_job){.id = s->id,
                     .priority = s->priority,
                     .task = s->task,
                     .contents = s->contents,
                     .seed_asked = s->seed_asked,
                     .seed = s->seed,
                     .model = s->model,
                     .bytes = s->bytes,
                     .accepted_ms = now,
                     .queued_ms = now,
                     .deadline_at = s->deadline_ms ? now + s->deadline_ms : 0,
                     .progress = {.eta_seconds = -1},
                     .at = now,
                     .order = q->order++,
                     .heap_at = NONE};
    add_watcher(j, s->watcher);
    int rc = idmap_set(&q->by_id, &s->id, slot)
                 ? lane_add(q, slot, false, e)
                 : err_set(e, ERR_NO_MEMORY, "no memory for another job");
    if (rc) {
        idmap_remove(&q->by_id, &s->id);
        *j = (queue_job){.next = next_free};
        return rc;
    }
    q->free_slot = next_free;
    q->bytes += s->bytes + QUEUE_RECORD_BYTES;
    heap_set(q, slot, j->deadline_at ? j->deadline_at : INT64_MAX);
    return 0;
}

int queue_submit(queue *q, const queue_submission *s, int64_t now, queue_receipt *r, err *e)
{
    uint32_t slot;
    assert(s->priority >= 0 && s->priority < QUEUE_PRIORITIES);
    *r = (queue_receipt){.seed = s->seed, .state = QUEUE_QUEUED};
    if (find(q, &s->id, &slot)) {
        const queue_job *j = &q->job[slot];
        const queue_memory known = {j->id, j->contents, j->seed_asked, j->seed, j->state, true};
        int rc = receive_again(q, s, &known, r, e);
        if (!rc)
            queue_watch(q, &s->id, s->watcher, now);
        r->kept = !rc;
        return rc;
    }
    if (idmap_get(&q->remembered, &s->id, &slot))
        return receive_again(q, s, &q->memory[slot], r, e);
    int rc = check_room(q, s->bytes, e);
    if (!rc)
        rc = add_job(q, s, now, e);
    if (rc)
        return rc;
    q->counts.accepted++;
    queue_match(q, now);
    return 0;
}

/* The ASSIGN that its submission may have caused finds no job, and is void. */
void queue_withdraw(queue *q, const job_id *id)
{
    uint32_t slot;
    const queue_job *j = find(q, id, &slot);
    assert(j && (j->state == QUEUE_QUEUED || j->state == QUEUE_RUNNING));
    queue_end(q, slot, QUEUE_FAILED, ERR_IO, "it could not be stored", j->accepted_ms);
    forget(q, slot, false);
}

/* ---------------------------------------------------------------- changes of state */

void queue_reason(queue_job *j, err_code code, const char *text)
{
    if (!j->why)
        j->why = calloc(1, sizeof *j->why);
    if (j->why)
        err_add(j->why, code, "%s", text);
}

void queue_end(queue *q, uint32_t slot, queue_state state, err_code code, const char *text,
               int64_t now)
{
    queue_job *j = &q->job[slot];
    uint64_t *const counted[] = {[QUEUE_FINISHED] = &q->counts.finished,
                                 [QUEUE_FAILED] = &q->counts.failed,
                                 [QUEUE_CANCELLED] = &q->counts.cancelled};
    assert(state >= QUEUE_FINISHED && j->state < QUEUE_FINISHED);
    if (j->state == QUEUE_QUEUED)
        lane_remove(q, slot);
    else if (j->lease)
        lease_end(q, slot);
    j->state = state;
    j->ended_ms = now;
    if (code) {
        queue_reason(j, code, text);
        if (j->why)
            j->why->code = code;
        q->bytes -= j->bytes; /* the payload is no longer needed */
        j->bytes = 0;
    }
    heap_set(q, slot, INT64_MAX);
    line_push(q, &q->kept, slot, false);
    ++*counted[state];
    if (q->ended_ms)
        q->gap_ms += (now - q->ended_ms - q->gap_ms) / GAP_WEIGHT;
    q->ended_ms = now;
    queue_act(q, QUEUE_ENDED, j);
    crowd_out(q);
}

void queue_requeue(queue *q, uint32_t slot, int64_t now)
{
    queue_job *j = &q->job[slot];
    lease_end(q, slot);
    j->state = QUEUE_QUEUED;
    j->queued_ms = now;
    j->started_ms = 0;
    j->progress = (queue_progress){.eta_seconds = -1};
    j->at = q->front--;
    q->counts.requeued++;
    err e = {0};
    if (lane_add(q, slot, true, &e)) { /* too many models are queued: it cannot wait */
        j->state = QUEUE_RUNNING;
        queue_end(q, slot, QUEUE_FAILED, e.code, e.text, now);
        return;
    }
    heap_set(q, slot, j->deadline_at ? j->deadline_at : INT64_MAX);
    queue_act(q, QUEUE_REQUEUED, j);
}

/* ---------------------------------------------------------------- what clients ask */

const queue_job *queue_watch(queue *q, const job_id *id, queue_peer watcher, int64_t now)
{
    uint32_t slot;
    if (!find(q, id, &slot))
        return NULL;
    queue_job *j = &q->job[slot];
    add_watcher(j, watcher);
    if (j->state >= QUEUE_FINISHED && watcher) { /* somebody wants it: its time starts again */
        j->ended_ms = now;
        line_remove(q, &q->kept, slot);
        line_push(q, &q->kept, slot, false);
    }
    return j;
}

const queue_job *queue_cancel(queue *q, const job_id *id, int64_t now)
{
    uint32_t slot;
    if (!find(q, id, &slot))
        return NULL;
    queue_job *j = &q->job[slot];
    if (j->state == QUEUE_QUEUED) {
        queue_end(q, slot, QUEUE_CANCELLED, ERR_CANCELLED, "cancelled before it started", now);
    } else if (j->state == QUEUE_RUNNING && j->stop != ERR_CANCELLED) {
        j->stop = ERR_CANCELLED;
        heap_set(q, slot, j->lease_until);
        queue_act(q, QUEUE_REVOKE, j);
    }
    return j;
}

bool queue_acknowledge(queue *q, const job_id *id)
{
    uint32_t slot;
    const queue_job *j = find(q, id, &slot);
    if (!j || j->state < QUEUE_FINISHED)
        return false;
    q->counts.results_acknowledged++;
    forget(q, slot, true);
    return true;
}

/* ---------------------------------------------------------------- time */

static void job_due(queue *q, uint32_t slot, int64_t now)
{
    queue_job *j = &q->job[slot];
    if (j->state == QUEUE_QUEUED) {
        queue_end(q, slot, QUEUE_FAILED, ERR_TIMEOUT, "its deadline passed while it was queued",
                  now);
    } else if (j->lease_until <= now) {
        q->counts.leases_expired++;
        lease_expired(q, slot, now);
    } else {
        j->stop = ERR_TIMEOUT;
        heap_set(q, slot, j->lease_until);
        queue_act(q, QUEUE_REVOKE, j);
    }
}

void queue_tick(queue *q, int64_t now)
{
    workers_tick(q, now);
    while (q->heap_count && q->job[q->heap[0]].due <= now)
        job_due(q, q->heap[0], now);
    while (q->kept.count && q->job[q->kept.head].ended_ms + q->limits.result_ttl_ms <= now) {
        q->counts.results_expired++;
        forget(q, q->kept.head, false);
    }
    queue_match(q, now);
}

int64_t queue_next_tick(const queue *q)
{
    int64_t next = q->workers_due < q->match_at ? q->workers_due : q->match_at;
    if (q->heap_count && q->job[q->heap[0]].due < next)
        next = q->job[q->heap[0]].due;
    if (q->kept.count && q->job[q->kept.head].ended_ms + q->limits.result_ttl_ms < next)
        next = q->job[q->kept.head].ended_ms + q->limits.result_ttl_ms;
    return next;
}

void queue_pause(queue *q)
{
    q->paused = true;
    q->match_at = INT64_MAX;
}

uint32_t queue_retry_after_ms(const queue *q)
{
    const int64_t least = 100, most = 10000;
    int64_t estimate = 4 * q->gap_ms; /* others want the room too */
    return (uint32_t)(estimate < least ? least : estimate > most ? most : estimate);
}

size_t queue_list(const queue *q, const queue_job **to, size_t most)
{
    size_t n = 0;
    for (size_t w = 0; w < q->workers; w++)
        for (uint32_t i = q->worker[w]->leases.count ? q->worker[w]->leases.head : NONE;
             i != NONE && n < most; i = q->job[i].next)
            to[n++] = &q->job[i];
    for (size_t l = 0; l < q->lanes; l++)
        for (int p = QUEUE_PRIORITIES; p-- > 0;)
            for (uint32_t i = q->lane[l]->line[p].count ? q->lane[l]->line[p].head : NONE;
                 i != NONE && n < most; i = q->job[i].next)
                to[n++] = &q->job[i];
    return n;
}
