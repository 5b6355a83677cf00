/* What the files of the queue share; nobody else includes it. */
#ifndef BROKER_QUEUE_INSIDE_H
#define BROKER_QUEUE_INSIDE_H

#include "broker/idmap.h"
#include "broker/queue.h"

#define NONE UINT32_MAX

typedef struct {
    uint32_t head, tail, count;
} queue_line;

/* The queued jobs of one model, tried before or not: a line per priority, and which lines have
 * jobs. */
typedef struct {
    uint64_t model;
    bool retried; /* of jobs that lost an attempt */
    uint64_t busy[2];
    queue_line line[QUEUE_PRIORITIES];
    int64_t waits_since;    /* for a better worker; INT64_MAX: it does not */
    bool resident, blocked; /* during a match */
} queue_lane;

typedef struct {
    queue_peer peer;
    char name[64];
    bool draining;
    uint32_t credit;
    queue_line leases;
    int64_t since_ms, seen_ms;
    uint64_t device_class[QUEUE_DEVICES], resident[QUEUE_RESIDENT], *model; /* model: sorted */
    size_t classes, residents, models;
    uint64_t coming; /* the model of its last job: resident soon */
    uint64_t finished, failed;
} queue_worker;

typedef struct {
    job_id id;
    uint64_t contents;
    int64_t seed_asked, seed;
    queue_state state;
    bool used;
} queue_memory;

struct queue {
    queue_limits limits;
    queue_job *job; /* slots */
    uint32_t slots, free_slot;
    idmap by_id, by_lease;

    queue_lane *lane[QUEUE_MODELS];
    size_t lanes;
    int64_t waiting[QUEUE_PRIORITIES], taken[QUEUE_PRIORITIES];
    int64_t order, front; /* front: counts down, for jobs that go back to the front */

    uint32_t *heap; /* job slots by due time; room for every slot */
    uint32_t heap_count;
    queue_line kept; /* ended, oldest first */

    queue_worker *worker[QUEUE_WORKERS];
    size_t workers;
    int64_t workers_due, match_at;
    bool paused;
    uint32_t leases_given;

    queue_memory *memory; /* ring */
    size_t memory_at;
    idmap remembered;

    queue_action *action; /* ring buffer that grows */
    size_t actions, action_at, action_room;

    uint32_t queued, running;
    uint64_t bytes;
    int64_t ended_ms, gap_ms; /* of the last end; running mean of the time between ends */
    queue_counts counts;
};

/* queue_order.c: lines, lanes, the heap of due times */
void line_push(queue *q, queue_line *l, uint32_t slot, bool front);
void line_remove(queue *q, queue_line *l, uint32_t slot);
int lane_add(queue *q, uint32_t slot, bool front, err *e);
void lane_remove(queue *q, uint32_t slot);
uint32_t lane_first(const queue_lane *l);            /* slot of its best job */
void heap_set(queue *q, uint32_t slot, int64_t due); /* INT64_MAX: never */

/* queue.c */
void queue_act(queue *q, queue_action_kind kind, const queue_job *j);
void queue_reason(queue_job *j, err_code code, const char *text);
void queue_end(queue *q, uint32_t slot, queue_state state, err_code code, const char *text,
               int64_t now);
void queue_requeue(queue *q, uint32_t slot, int64_t now);
uint32_t slot_of(const queue *q, const queue_job *j);

/* queue_match.c */
void queue_match(queue *q, int64_t now);
void workers_sort(uint64_t *hash, size_t count); /* as a match looks for them */

/* queue_lease.c */
bool lease_give(queue *q, uint32_t slot, queue_worker *w, int64_t now); /* false: no memory */
void lease_end(queue *q, uint32_t slot); /* takes it from its worker */
void lease_expired(queue *q, uint32_t slot, int64_t now);
void workers_tick(queue *q, int64_t now);
void workers_free(queue *q);

#endif
