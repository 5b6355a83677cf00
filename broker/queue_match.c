/* Which job goes to which worker. The one idea: every worker gets a score for the job, and a job
 * whose best worker is busy waits for it for a bounded time. PROTOCOL.md has the rule in words. */
#include "broker/queue_inside.h"

#include <assert.h>
#include <stdlib.h>

/* What makes a worker better for a job, the strongest first. */
enum { SCORE_CLASS = 8, SCORE_OUTLIVED = 4, SCORE_OTHER = 2, SCORE_RESIDENT = 1 };

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool has_hash(const uint64_t *list, size_t count, uint64_t hash)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == hash)
            return true;
    return false;
}

static bool is_resident(const queue_worker *w, uint64_t model)
{
    return !model || w->coming == model || has_hash(w->resident, w->residents, model);
}

static bool lists(const queue_worker *w, uint64_t model)
{
    return !model || has_hash(w->resident, w->residents, model) ||
           (w->models && bsearch(&model, w->model, w->models, sizeof *w->model, compare_hashes));
}

static bool is_free(const queue_worker *w)
{
    return !w->draining && w->leases.count < w->credit;
}

static int score(const queue_worker *w, const queue_job *j)
{
    int s = 0;
    if (!j->device_class || has_hash(w->device_class, w->classes, j->device_class))
        s += SCORE_CLASS;
    if (j->attempts && w->since_ms <= j->assigned_ms) /* here since before the last attempt */
        s += SCORE_OUTLIVED;
    if (w->peer != j->avoid)
        s += SCORE_OTHER;
    if (is_resident(w, j->model))
        s += SCORE_RESIDENT;
    return s;
}

static bool anyone_lists(const queue *q, uint64_t model)
{
    for (size_t i = 0; i < q->workers; i++)
        if (lists(q->worker[i], model))
            return true;
    return false;
}

/* How long a busy worker is worth waiting for when a free one is there. Before its last attempt a
 * job has most to lose: then it waits for one that has outlived the attempt before. */
static int64_t worth_ms(const queue_job *j, int busy, int idle)
{
    const bool last = j->attempts == QUEUE_ATTEMPTS - 1;
    if (busy <= idle)
        return 0;
    return last && (busy & ~idle & SCORE_OUTLIVED) ? QUEUE_LAST_WAIT_MS : QUEUE_WAIT_MS;
}

/* The best free worker, or NULL; *wait: how long a busy one is worth waiting for. */
static queue_worker *choose_worker(const queue *q, const queue_job *j, int64_t *wait)
{
    const bool must_list = anyone_lists(q, j->model);
    queue_worker *best = NULL;
    int best_free = -1, best_busy = -1;
    for (size_t i = 0; i < q->workers; i++) {
        queue_worker *w = q->worker[i];
        if (w->draining || !w->credit || (must_list && !lists(w, j->model)))
            continue;
        const int s = score(w, j);
        if (!is_free(w)) {
            best_busy = s > best_busy ? s : best_busy;
        } else if (s > best_free || (s == best_free && w->credit - w->leases.count >
                                                           best->credit - best->leases.count)) {
            best = w;
            best_free = s;
        }
    }
    *wait = worth_ms(j, best_busy, best_free);
    return best;
}

/* Of two jobs that come first in their lanes, whether `a` goes before `b`. */
static bool goes_before(const queue_job *a, bool a_resident, const queue_job *b, bool b_resident)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    const int64_t at = a->at + (a_resident ? 0 : QUEUE_WAIT_MS);
    const int64_t bt = b->at + (b_resident ? 0 : QUEUE_WAIT_MS);
    return at != bt ? at < bt : a->order < b->order;
}

static queue_lane *next_lane(const queue *q)
{
    queue_lane *best = NULL;
    for (size_t i = 0; i < q->lanes; i++) {
        queue_lane *l = q->lane[i];
        if (!l->blocked && (!best || goes_before(&q->job[lane_first(l)], l->resident,
                                                 &q->job[lane_first(best)], best->resident)))
            best = l;
    }
    return best;
}

static size_t count_free(const queue *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->workers; i++)
        n += is_free(q->worker[i]) ? q->worker[i]->credit - q->worker[i]->leases.count : 0;
    return n;
}

static void begin(queue *q)
{
    for (size_t i = 0; i < q->lanes; i++) {
        queue_lane *l = q->lane[i];
        l->blocked = l->resident = false;
        for (size_t w = 0; w < q->workers && !l->resident; w++)
            l->resident = is_free(q->worker[w]) && is_resident(q->worker[w], l->model);
    }
}

/* Since when: a lane waits at a stretch, whatever comes to its front. */
static int64_t waits_since(const queue_job *j, const queue_lane *l)
{
    return j->queued_ms < l->waits_since ? j->queued_ms : l->waits_since;
}

void queue_match(queue *q, int64_t now)
{
    q->match_at = INT64_MAX;
    size_t credit = q->paused || !q->queued ? 0 : count_free(q);
    if (!credit)
        return;
    begin(q);
    for (queue_lane *l; credit && (l = next_lane(q));) {
        const uint32_t slot = lane_first(l);
        int64_t wait;
        queue_worker *w = choose_worker(q, &q->job[slot], &wait);
        const int64_t until = waits_since(&q->job[slot], l) + wait;
        if (w && now >= until) {
            l->waits_since = INT64_MAX;
            if (!lease_give(q, slot, w, now))
                return; /* no memory: the next event tries again */
            credit--;   /* the lane may be gone now */
            continue;
        }
        l->blocked = true;
        if (w && l->waits_since > now)
            l->waits_since = now;
        if (w && until < q->match_at)
            q->match_at = until;
    }
}

void workers_sort(uint64_t *hash, size_t count)
{
    if (count)
        qsort(hash, count, sizeof *hash, compare_hashes);
}
