/* Calls to a queue that tests make again and again: see play.h. */
#include "tests/support/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

const queue_limits play_roomy = {.jobs = 1000,
                                 .bytes = 1 << 30,
                                 .result_ttl_ms = PLAY_TTL_MS,
                                 .lease_ms = PLAY_LEASE_MS,
                                 .epoch = PLAY_EPOCH};

job_id play_id(uint32_t n)
{
    job_id id = {{0}};
    memcpy(id.byte, &n, sizeof n);
    id.byte[15] = 1;
    return id;
}

int play_submit(queue *q, uint32_t n, int priority, uint64_t model, int64_t now)
{
    const queue_submission s = {.id = play_id(n),
                                .priority = priority,
                                .contents = n,
                                .seed_asked = -1,
                                .seed = n,
                                .model = model,
                                .bytes = 100,
                                .watcher = 1000 + n};
    queue_receipt r;
    err e = {0};
    return queue_submit(q, &s, now, &r, &e);
}

void play_worker(queue *q, queue_peer peer, uint64_t device_class, uint64_t listed,
                 uint64_t resident, uint32_t credit, int64_t now)
{
    queue_worker_spec s = {.name = "w", .device_class = {device_class}, .classes = 1};
    s.model = &listed;
    s.models = listed != 0;
    s.resident[0] = resident;
    s.residents = resident != 0;
    assert_int_equal(queue_ready(q, peer, &s, now, NULL), 0);
    queue_credit(q, peer, credit, now);
}

queue_action play_expect(queue *q, queue_action_kind kind)
{
    queue_action a;
    assert_true(queue_next(q, &a));
    assert_int_equal(a.kind, kind);
    return a;
}

uint64_t play_expect_assign(queue *q, uint32_t n, queue_peer worker)
{
    const queue_action a = play_expect(q, QUEUE_ASSIGN);
    const job_id id = play_id(n);
    assert_true(job_id_equal(&a.id, &id));
    assert_true(a.peer == worker);
    return a.lease;
}

void play_expect_nothing(queue *q)
{
    queue_action a;
    assert_false(queue_next(q, &a));
}

const queue_job *play_job(const queue *q, uint32_t n)
{
    const job_id id = play_id(n);
    return queue_find(q, &id);
}
