/* Clients and workers as calls to a queue with made-up times. What is not as expected fails the
 * test. */
#ifndef TESTS_SUPPORT_PLAY_H
#define TESTS_SUPPORT_PLAY_H

#include "broker/queue.h"

enum {
    PLAY_LEASE_MS = 5000,
    PLAY_TTL_MS = 60000,
    PLAY_EPOCH = 77,
    PLAY_A = 101, /* workers, and classes of devices */
    PLAY_B = 102,
    PLAY_CLASS_X = 11,
    PLAY_CLASS_Y = 12
};

/* Room for whatever a short scene does, with the times above. */
extern const queue_limits play_roomy;

job_id play_id(uint32_t n);
const queue_job *play_job(const queue *q, uint32_t n);

/* Submits job `n`, of 100 bytes and with a watcher of its own; what queue_submit says. */
int play_submit(queue *q, uint32_t n, int priority, uint64_t model, int64_t now);

/* A worker that is ready and has credit; `listed`, `resident`: one model each, or 0. */
void play_worker(queue *q, queue_peer peer, uint64_t device_class, uint64_t listed,
                 uint64_t resident, uint32_t credit, int64_t now);

/* The next action, which must be of this kind. */
queue_action play_expect(queue *q, queue_action_kind kind);
/* The next action gives job `n` to the worker; its lease. */
uint64_t play_expect_assign(queue *q, uint32_t n, queue_peer worker);
void play_expect_nothing(queue *q);

#endif
