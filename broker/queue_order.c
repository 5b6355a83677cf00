/* The orders a job can be in: lines (linked lists), the lanes of queued jobs (a line per model and
 * priority), and the heap of what is due. A job is in one line and at most once in the heap. */
#include "broker/queue_inside.h"

#include <assert.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- lines */

void line_push(queue *q, queue_line *l, uint32_t slot, bool front)
{
    queue_job *j = &q->job[slot];
    if (!l->count)
        l->head = l->tail = NONE;
    j->prev = front ? NONE : l->tail;
    j->next = front ? l->head : NONE;
    *(j->prev == NONE ? &l->head : &q->job[j->prev].next) = slot;
    *(j->next == NONE ? &l->tail : &q->job[j->next].prev) = slot;
    l->count++;
}

void line_remove(queue *q, queue_line *l, uint32_t slot)
{
    queue_job *j = &q->job[slot];
    assert(l->count > 0);
    *(j->prev == NONE ? &l->head : &q->job[j->prev].next) = j->next;
    *(j->next == NONE ? &l->tail : &q->job[j->next].prev) = j->prev;
    j->next = j->prev = NONE;
    l->count--;
}

/* ---------------------------------------------------------------- lanes */

/* Jobs tried before have lanes of their own: they may wait long for a better worker, and nothing
 * that never failed should wait behind them. */
static size_t find_lane(const queue *q, const queue_job *j)
{
    size_t i = 0;
    while (i < q->lanes &&
           (q->lane[i]->model != j->model || q->lane[i]->retried != (j->attempts > 0)))
        i++;
    return i;
}

static int add_lane(queue *q, const queue_job *j, err *e)
{
    if (q->lanes == QUEUE_MODELS)
        return err_set(e, ERR_BUSY, "jobs of %d different models are queued, no more are taken",
                       QUEUE_MODELS);
    queue_lane *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NO_MEMORY, "no memory for another model");
    l->model = j->model;
    l->retried = j->attempts > 0;
    l->waits_since = INT64_MAX;
    q->lane[q->lanes++] = l;
    return 0;
}

int lane_add(queue *q, uint32_t slot, bool front, err *e)
{
    queue_job *j = &q->job[slot];
    const int p = j->priority;
    size_t i = find_lane(q, j);
    int rc = i < q->lanes ? 0 : add_lane(q, j, e);
    if (rc)
        return rc;
    queue_lane *l = q->lane[i];
    line_push(q, &l->line[p], slot, front);
    l->busy[p / 64] |= UINT64_C(1) << p % 64;
    if (front)
        q->taken[p]--;
    j->rank = front ? q->taken[p] : q->taken[p] + q->waiting[p];
    q->waiting[p]++;
    q->queued++;
    return 0;
}

void lane_remove(queue *q, uint32_t slot)
{
    const queue_job *j = &q->job[slot];
    const int p = j->priority;
    size_t i = find_lane(q, j);
    assert(i < q->lanes);
    queue_lane *l = q->lane[i];
    line_remove(q, &l->line[p], slot);
    q->waiting[p]--;
    q->taken[p]++;
    q->queued--;
    if (l->line[p].count)
        return;
    l->busy[p / 64] &= ~(UINT64_C(1) << p % 64);
    if (l->busy[0] || l->busy[1])
        return;
    free(l);
    q->lane[i] = q->lane[--q->lanes];
}

uint32_t lane_first(const queue_lane *l)
{
    const int half = l->busy[1] ? 1 : 0;
    assert(l->busy[half]);
    return l->line[64 * half + 63 - __builtin_clzll(l->busy[half])].head;
}

uint32_t queue_position(const queue *q, const queue_job *j)
{
    if (j->state != QUEUE_QUEUED)
        return 0;
    int64_t ahead = j->rank - q->taken[j->priority];
    if (ahead > q->waiting[j->priority] - 1)
        ahead = q->waiting[j->priority] - 1;
    if (ahead < 0)
        ahead = 0; /* others left from behind it */
    for (int p = j->priority + 1; p < QUEUE_PRIORITIES; p++)
        ahead += q->waiting[p];
    return (uint32_t)ahead;
}

/* ---------------------------------------------------------------- due times */

static void heap_put(queue *q, uint32_t at, uint32_t slot)
{
    q->heap[at] = slot;
    q->job[slot].heap_at = at;
}

static int64_t heap_due(const queue *q, uint32_t at)
{
    return q->job[q->heap[at]].due;
}

static void heap_up(queue *q, uint32_t at)
{
    const uint32_t slot = q->heap[at];
    for (; at && heap_due(q, (at - 1) / 2) > q->job[slot].due; at = (at - 1) / 2)
        heap_put(q, at, q->heap[(at - 1) / 2]);
    heap_put(q, at, slot);
}

static void heap_down(queue *q, uint32_t at)
{
    const uint32_t slot = q->heap[at];
    for (uint32_t child; (child = 2 * at + 1) < q->heap_count; at = child) {
        if (child + 1 < q->heap_count && heap_due(q, child + 1) < heap_due(q, child))
            child++;
        if (heap_due(q, child) >= q->job[slot].due)
            break;
        heap_put(q, at, q->heap[child]);
    }
    heap_put(q, at, slot);
}

void heap_set(queue *q, uint32_t slot, int64_t due)
{
    queue_job *j = &q->job[slot];
    j->due = due;
    if (due < INT64_MAX && j->heap_at == NONE)
        heap_put(q, q->heap_count++, slot);
    if (j->heap_at == NONE)
        return;
    uint32_t at = j->heap_at;
    if (due == INT64_MAX) {
        j->heap_at = NONE;
        if (at == --q->heap_count)
            return;
        heap_put(q, at, q->heap[q->heap_count]);
    }
    heap_up(q, at);
    heap_down(q, at);
}
