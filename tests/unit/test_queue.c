/* The queue by calls with made-up times: every rule of PROTOCOL.md as a short scene, and then
 * thousands of random events against a simple model that keeps its own books. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "broker/queue.h"

enum { LEASE_MS = 5000, TTL_MS = 60000, A = 101, B = 102, CLASS_X = 11, CLASS_Y = 12 };

static const queue_limits roomy = {
    .jobs = 1000, .bytes = 1 << 30, .result_ttl_ms = TTL_MS, .lease_ms = LEASE_MS, .epoch = 77};

static job_id make_id(uint32_t n)
{
    job_id id = {{0}};
    memcpy(id.byte, &n, sizeof n);
    id.byte[15] = 1;
    return id;
}

static int submit(queue *q, uint32_t n, int priority, uint64_t model, int64_t now)
{
    const queue_submission s = {.id = make_id(n),
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

static void add_worker(queue *q, queue_peer peer, uint64_t device_class, uint64_t listed,
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

/* The next action, which must be of this kind. */
static queue_action expect(queue *q, queue_action_kind kind)
{
    queue_action a;
    assert_true(queue_next(q, &a));
    assert_int_equal(a.kind, kind);
    return a;
}

static uint64_t expect_assign(queue *q, uint32_t n, queue_peer worker)
{
    const queue_action a = expect(q, QUEUE_ASSIGN);
    const job_id id = make_id(n);
    assert_true(job_id_equal(&a.id, &id));
    assert_true(a.peer == worker);
    return a.lease;
}

static void expect_nothing(queue *q)
{
    queue_action a;
    assert_false(queue_next(q, &a));
}

static const queue_job *job_of(const queue *q, uint32_t n)
{
    const job_id id = make_id(n);
    return queue_find(q, &id);
}

/* ---------------------------------------------------------------- order and credit */

static void test_priority_then_order(void **state)
{
    static const struct {
        uint32_t n;
        int priority;
    } jobs[] = {{1, 50}, {2, 50}, {3, 100}, {4, 0}, {5, 64}, {6, 63}, {7, 50}};
    static const uint32_t order[] = {3, 5, 6, 1, 2, 7, 4};
    queue *q = queue_new(&roomy);
    (void)state;
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
        assert_int_equal(submit(q, jobs[i].n, jobs[i].priority, 0, 10), 0);
    for (uint32_t i = 0; i < sizeof order / sizeof *order; i++)
        assert_int_equal(queue_position(q, job_of(q, order[i])), i);
    add_worker(q, A, CLASS_X, 0, 0, 1, 20);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        const uint64_t lease = expect_assign(q, order[i], A);
        expect_nothing(q);
        assert_non_null(queue_done(q, A, lease, CLASS_X, 5, 30));
        expect(q, QUEUE_ENDED);
    }
    expect_nothing(q);
    queue_free(&q);
}

static void test_credit_bounds_leases(void **state)
{
    queue *q = queue_new(&roomy);
    (void)state;
    add_worker(q, A, CLASS_X, 0, 0, 2, 0);
    for (uint32_t n = 1; n <= 5; n++)
        submit(q, n, 50, 0, n);
    expect_assign(q, 1, A);
    const uint64_t second = expect_assign(q, 2, A);
    expect_nothing(q);
    queue_credit(q, A, 3, 10);
    expect_assign(q, 3, A);
    queue_credit(q, A, 1, 10); /* less than it has: nothing more, and nothing taken away */
    queue_done(q, A, second, CLASS_X, 1, 11);
    expect(q, QUEUE_ENDED);
    expect_nothing(q);
    assert_int_equal(queue_get_totals(q).running, 2);
    queue_beat(q, A, NULL, 0, true, 12); /* draining */
    queue_credit(q, A, 9, 12);
    expect_nothing(q);
    queue_beat(q, A, NULL, 0, false, 13);
    expect_assign(q, 4, A);
    expect_assign(q, 5, A);
    queue_pause(q);
    submit(q, 6, 50, 0, 14);
    expect_nothing(q);
    queue_free(&q);
}

/* ---------------------------------------------------------------- which worker */

static void test_resident_model_is_preferred(void **state)
{
    enum { M = 5, N = 6 };
    queue *q = queue_new(&roomy);
    (void)state;
    add_worker(q, A, CLASS_X, M, 0, 1, 0);
    add_worker(q, B, CLASS_X, M, M, 1, 0);
    submit(q, 1, 50, M, 0);
    const uint64_t lease = expect_assign(q, 1, B);
    submit(q, 2, 50, M, 100); /* B is busy: wait for it, but not for ever */
    expect_nothing(q);
    assert_int_equal(queue_next_tick(q), 100 + QUEUE_WAIT_MS);
    queue_tick(q, 100 + QUEUE_WAIT_MS - 1);
    expect_nothing(q);
    queue_tick(q, 100 + QUEUE_WAIT_MS);
    expect_assign(q, 2, A);
    submit(q, 3, 50, M, 2200);
    queue_done(q, B, lease, CLASS_X, 1, 2300);
    expect(q, QUEUE_ENDED);
    expect_assign(q, 3, B);
    queue_free(&q);
}

static void test_resident_job_goes_ahead_within_limits(void **state)
{
    enum { M = 5, N = 6 };
    queue *q = queue_new(&roomy);
    (void)state;
    submit(q, 1, 50, N, 0);
    submit(q, 2, 50, M, 1000);
    submit(q, 3, 50, M, 2001); /* too much later than 1 to go before it */
    submit(q, 4, 51, N, 2002); /* but priority is priority */
    add_worker(q, A, CLASS_X, M, M, 0, 2100);
    uint64_t model[] = {M, N};
    queue_worker_spec s = {.name = "w", .model = model, .models = 2, .resident = {M}};
    s.residents = 1;
    queue_ready(q, A, &s, 2100, NULL);
    queue_credit(q, A, 1, 2100);
    uint64_t lease = expect_assign(q, 4, A);
    const uint64_t resident = M;
    queue_done(q, A, lease, 0, 1, 2200);
    queue_beat(q, A, &resident, 1, false, 2200);
    expect(q, QUEUE_ENDED);
    /* What it had last, N, counts as resident until it says otherwise: 1 goes first. */
    lease = expect_assign(q, 1, A);
    queue_credit(q, A, 0, 2300);
    queue_done(q, A, lease, 0, 1, 2300);
    expect(q, QUEUE_ENDED);
    queue_beat(q, A, &resident, 1, false, 2300);
    submit(q, 5, 50, N, 500);
    queue_credit(q, A, 1, 2300);
    lease = expect_assign(q, 2, A); /* of 1000, against 500 + 2000 */
    queue_done(q, A, lease, 0, 1, 2400);
    expect(q, QUEUE_ENDED);
    expect_assign(q, 3, A); /* of 2001 */
    queue_free(&q);
}

static void test_only_who_lists_the_model(void **state)
{
    enum { M = 5, N = 6 };
    queue *q = queue_new(&roomy);
    (void)state;
    add_worker(q, A, CLASS_X, N, N, 4, 0);
    submit(q, 1, 50, M, 0); /* nobody has it: A will say so */
    expect_assign(q, 1, A);
    add_worker(q, B, CLASS_X, M, 0, 0, 0);
    submit(q, 2, 50, M, 0); /* B has it, but takes nothing yet: never to A */
    queue_tick(q, 4000);
    expect_nothing(q);
    queue_credit(q, B, 1, 4001);
    expect_assign(q, 2, B);
    queue_free(&q);
}

static void test_lost_job_prefers_its_class(void **state)
{
    queue *q = queue_new(&roomy);
    (void)state;
    add_worker(q, A, CLASS_X, 0, 0, 1, 0);
    submit(q, 1, 50, 0, 0);
    expect_assign(q, 1, A);
    add_worker(q, B, CLASS_Y, 0, 0, 1, 0);
    add_worker(q, 103, CLASS_X, 0, 0, 1, 0);
    submit(q, 2, 90, 0, 5); /* takes the equal one */
    const queue_peer first = expect(q, QUEUE_ASSIGN).peer;
    if (first == B) { /* either is free: make 103 the busy one */
        submit(q, 3, 90, 0, 6);
        expect_assign(q, 3, 103);
        queue_done(q, B, job_of(q, 2)->lease, CLASS_Y, 1, 7);
        expect(q, QUEUE_ENDED);
    }
    queue_lost(q, A, 100);
    expect(q, QUEUE_REQUEUED);
    expect_nothing(q); /* waits for 103 */
    queue_beat(q, B, NULL, 0, false, 2000);
    queue_tick(q, 100 + QUEUE_WAIT_MS);
    const uint64_t lease = expect_assign(q, 1, B);
    const queue_job *j = queue_done(q, B, lease, CLASS_Y, 1, 2200);
    assert_true(j->class_changed);
    assert_int_equal(j->attempts, 2);
    queue_free(&q);
}

/* A job tried twice waits long for a worker that outlived its losses; others do not wait behind. */
static void test_last_attempt_waits_alone(void **state)
{
    enum { OLD = 200 };
    queue *q = queue_new(&roomy);
    (void)state;
    add_worker(q, OLD, CLASS_X, 0, 0, 1, 0);
    submit(q, 1, 50, 0, 0);
    expect_assign(q, 1, OLD);
    submit(q, 2, 50, 0, 1);
    add_worker(q, 1, CLASS_X, 0, 0, 1, 10);
    expect_assign(q, 2, 1);
    queue_lost(q, 1, 15);
    expect(q, QUEUE_REQUEUED);
    add_worker(q, 2, CLASS_X, 0, 0, 1, 20);
    expect_nothing(q); /* OLD would be better */
    queue_tick(q, 15 + QUEUE_WAIT_MS);
    expect_assign(q, 2, 2);
    queue_lost(q, 2, 2020);
    expect(q, QUEUE_REQUEUED);
    submit(q, 3, 50, 0, 2030);
    add_worker(q, A, CLASS_X, 0, 0, 1, 2040); /* as young as the others were */
    expect_assign(q, 3, A);
    queue_done(q, A, job_of(q, 3)->lease, CLASS_X, 1, 2050);
    expect(q, QUEUE_ENDED);
    queue_tick(q, 2020 + QUEUE_WAIT_MS);
    expect_nothing(q);
    queue_done(q, OLD, job_of(q, 1)->lease, CLASS_X, 1, 4500);
    expect(q, QUEUE_ENDED);
    expect_assign(q, 2, OLD);
    queue_free(&q);
}

/* ---------------------------------------------------------------- leases */

static void test_lease_runs_out(void **state)
{
    queue *q = queue_new(&roomy);
    (void)state;
    add_worker(q, A, CLASS_X, 0, 0, 1, 0);
    submit(q, 1, 50, 0, 0);
    submit(q, 2, 50, 0, 1);
    const uint64_t lease = expect_assign(q, 1, A);
    assert_non_null(queue_extend(q, A, lease, 3000));
    for (int64_t now = 4000; now < 8000; now += 500) /* alive, but no longer of that job */
        queue_beat(q, A, NULL, 0, false, now);
    queue_tick(q, 7999);
    expect_nothing(q);
    queue_tick(q, 8000);
    expect(q, QUEUE_REQUEUED);
    const uint64_t again = expect_assign(q, 1, A); /* to the front: before 2 */
    assert_true(again != lease);
    assert_int_equal(again >> 32, 77);
    assert_null(queue_done(q, A, lease, CLASS_X, 1, 8100));
    assert_null(queue_fail(q, A, lease, ERR_DEVICE, "late", true, 8100));
    assert_null(queue_release(q, A, lease, 8100));
    assert_null(queue_started(q, A, lease, 8100));
    assert_null(queue_extend(q, A, 0, 8100));
    assert_int_equal(queue_get_totals(q).counts.stale, 5);
    assert_int_equal(queue_get_totals(q).counts.leases_expired, 1);
    assert_int_equal(job_of(q, 1)->state, QUEUE_RUNNING);
    queue_free(&q);
}

static void test_attempts_and_reasons(void **state)
{
    queue *q = queue_new(&roomy);
    (void)state;
    add_worker(q, A, CLASS_X, 0, 0, 1, 0);
    submit(q, 1, 50, 0, 0);
    for (int i = 0; i < QUEUE_RELEASES; i++) { /* handing back costs nothing */
        queue_release(q, A, expect_assign(q, 1, A), 10);
        expect(q, QUEUE_REQUEUED);
    }
    for (int i = 1; i < QUEUE_ATTEMPTS; i++) {
        const uint64_t lease = expect_assign(q, 1, A);
        assert_int_equal(job_of(q, 1)->attempts, i);
        queue_fail(q, A, lease, ERR_DEVICE, i == 1 ? "xid 13" : "xid 31", true, 20);
        expect(q, QUEUE_REQUEUED);
    }
    queue_release(q, A, expect_assign(q, 1, A), 30); /* one too many */
    expect(q, QUEUE_ENDED);
    const queue_job *j = job_of(q, 1);
    assert_int_equal(j->state, QUEUE_FAILED);
    assert_int_equal(j->why->code, ERR_LOST);
    assert_string_equal(j->why->text, "attempt 1 on w: xid 13; attempt 2 on w: xid 31; attempt 3 "
                                      "on w: handed back once too often; quarantined");
    assert_int_equal(queue_get_totals(q).counts.quarantined, 1);
    submit(q, 2, 50, 0, 40);
    queue_fail(q, A, expect_assign(q, 2, A), ERR_INVALID, "no such model", false, 50);
    expect(q, QUEUE_ENDED);
    assert_int_equal(job_of(q, 2)->why->code, ERR_INVALID);
    assert_string_equal(job_of(q, 2)->why->text, "no such model");
    queue_free(&q);
}

static void test_worker_silence_bye_and_return(void **state)
{
    queue *q = queue_new(&roomy);
    (void)state;
    add_worker(q, A, CLASS_X, 0, 0, 2, 0);
    submit(q, 1, 50, 0, 0);
    submit(q, 2, 50, 0, 0);
    const uint64_t lease = expect_assign(q, 1, A);
    expect_assign(q, 2, A);
    add_worker(q, B, CLASS_X, 0, 0, 0, 100);
    assert_non_null(queue_extend(q, B, lease, 4000)); /* the same worker by another connection */
    queue_tick(q, LEASE_MS);
    expect(q, QUEUE_REQUEUED); /* 2, with A; 1 lives on with B */
    assert_false(queue_knows(q, A));
    assert_int_equal(job_of(q, 1)->state, QUEUE_RUNNING);
    queue_bye(q, B, 6000);
    expect(q, QUEUE_REQUEUED);
    assert_int_equal(job_of(q, 1)->attempts, 0);
    assert_int_equal(job_of(q, 2)->attempts, 1);
    assert_int_equal(queue_get_totals(q).workers, 0);
    queue_free(&q);
}

/* ---------------------------------------------------------------- clients */

/* What could not be sent was no attempt; what had been sent before was one. */
static void test_unreachable_worker_costs_what_it_got(void **state)
{
    queue *q = queue_new(&roomy);
    (void)state;
    add_worker(q, A, CLASS_X, 0, 0, 3, 0);
    submit(q, 1, 50, 0, 1);
    expect_assign(q, 1, A);
    submit(q, 2, 50, 0, 2);
    submit(q, 3, 50, 0, 2);
    const uint64_t unsent = expect_assign(q, 2, A); /* and that of job 3 is not taken yet */
    queue_unreachable(q, A, unsent, 3);
    assert_false(queue_knows(q, A));
    assert_int_equal(job_of(q, 1)->attempts, 1);
    assert_int_equal(job_of(q, 2)->attempts, 0);
    assert_int_equal(job_of(q, 3)->attempts, 0);
    assert_int_equal(queue_get_totals(q).queued, 3);
    assert_int_equal(queue_get_totals(q).counts.workers_lost, 1);
    queue_unreachable(q, A, unsent, 4); /* again: nothing to do */
    assert_int_equal(queue_get_totals(q).queued, 3);
    queue_free(&q);
}

static void test_cancel(void **state)
{
    queue *q = queue_new(&roomy);
    (void)state;
    const job_id one = make_id(1), two = make_id(2), three = make_id(3), none = make_id(9);
    submit(q, 1, 50, 0, 0);
    assert_int_equal(queue_cancel(q, &one, 1)->state, QUEUE_CANCELLED);
    expect(q, QUEUE_ENDED);
    assert_int_equal(queue_cancel(q, &one, 2)->state, QUEUE_CANCELLED); /* again: nothing new */
    assert_null(queue_cancel(q, &none, 2));
    expect_nothing(q);
    add_worker(q, A, CLASS_X, 0, 0, 1, 2);
    submit(q, 2, 50, 0, 3);
    uint64_t lease = expect_assign(q, 2, A);
    assert_int_equal(queue_cancel(q, &two, 4)->state, QUEUE_RUNNING);
    assert_true(expect(q, QUEUE_REVOKE).lease == lease);
    queue_extend(q, A, lease, 5);
    assert_true(expect(q, QUEUE_REVOKE).lease == lease);
    queue_fail(q, A, lease, ERR_CANCELLED, "cancelled", false, 6);
    expect(q, QUEUE_ENDED);
    assert_int_equal(job_of(q, 2)->state, QUEUE_CANCELLED);
    submit(q, 3, 50, 0, 7); /* the worker dies instead of answering: not again */
    expect_assign(q, 3, A);
    queue_cancel(q, &three, 8);
    expect(q, QUEUE_REVOKE);
    queue_tick(q, 20000);
    expect(q, QUEUE_ENDED);
    assert_int_equal(job_of(q, 3)->state, QUEUE_CANCELLED);
    queue_free(&q);
}

static void test_deadline(void **state)
{
    queue *q = queue_new(&roomy);
    queue_receipt r;
    (void)state;
    queue_submission s = {.id = make_id(1), .deadline_ms = 100};
    assert_int_equal(queue_submit(q, &s, 1000, &r, NULL), 0);
    assert_int_equal(queue_next_tick(q), 1100);
    queue_tick(q, 1099);
    expect_nothing(q);
    queue_tick(q, 1100);
    expect(q, QUEUE_ENDED);
    assert_int_equal(job_of(q, 1)->why->code, ERR_TIMEOUT);
    add_worker(q, A, CLASS_X, 0, 0, 1, 1100);
    s.id = make_id(2);
    queue_submit(q, &s, 1100, &r, NULL);
    const uint64_t lease = expect_assign(q, 2, A);
    queue_tick(q, 1200);
    expect(q, QUEUE_REVOKE);
    assert_non_null(queue_done(q, A, lease, CLASS_X, 1, 1300)); /* void: it was too late */
    expect(q, QUEUE_ENDED);
    assert_int_equal(job_of(q, 2)->state, QUEUE_FAILED);
    assert_int_equal(job_of(q, 2)->why->code, ERR_TIMEOUT);
    queue_free(&q);
}

static void test_duplicates(void **state)
{
    queue *q = queue_new(&roomy);
    queue_receipt r;
    err e = {0};
    (void)state;
    queue_submission s = {.id = make_id(1), .contents = 5, .seed_asked = -1, .seed = 33};
    assert_int_equal(queue_submit(q, &s, 0, &r, &e), 0);
    assert_false(r.duplicate);
    s.seed = 44; /* what would have been drawn this time */
    assert_int_equal(queue_submit(q, &s, 0, &r, &e), 0);
    assert_true(r.duplicate && r.kept && r.seed == 33);
    s.seed_asked = 33;
    assert_int_equal(queue_submit(q, &s, 0, &r, &e), 0);
    s.seed_asked = 34;
    assert_int_equal(queue_submit(q, &s, 0, &r, &e), ERR_CONFLICT);
    s.seed_asked = -1;
    s.contents = 6;
    assert_int_equal(queue_submit(q, &s, 0, &r, NULL), ERR_CONFLICT);
    s.contents = 5;
    assert_int_equal(queue_get_totals(q).queued, 1);
    queue_cancel(q, &s.id, 1);
    assert_true(queue_acknowledge(q, &s.id));
    assert_false(queue_acknowledge(q, &s.id));
    assert_null(queue_find(q, &s.id));
    assert_int_equal(queue_submit(q, &s, 2, &r, NULL), 0); /* remembered, not run */
    assert_true(r.duplicate && !r.kept && r.state == QUEUE_CANCELLED && r.seed == 33);
    s.contents = 7;
    assert_int_equal(queue_submit(q, &s, 2, &r, NULL), ERR_CONFLICT);
    assert_int_equal(queue_get_totals(q).bytes, 0);
    queue_free(&q);
}

static void test_bounds(void **state)
{
    const queue_limits tight = {.jobs = 3,
                                .bytes = 3 * (100 + QUEUE_RECORD_BYTES),
                                .result_ttl_ms = TTL_MS,
                                .lease_ms = LEASE_MS};
    queue *q = queue_new(&tight);
    (void)state;
    for (uint32_t n = 1; n <= 3; n++)
        assert_int_equal(submit(q, n, 50, 0, n), 0);
    assert_int_equal(submit(q, 4, 50, 0, 4), ERR_BUSY);
    assert_int_equal(submit(q, 1, 50, 0, 4), 0); /* a duplicate needs no room */
    assert_in_range(queue_retry_after_ms(q), 100, 10000);
    add_worker(q, A, CLASS_X, 0, 0, 3, 5);
    for (uint32_t n = 1; n <= 3; n++)
        queue_done(q, A, expect_assign(q, n, A), CLASS_X, 1500, 6 + n); /* grows: the oldest go */
    const queue_totals t = queue_get_totals(q);
    assert_true(t.bytes <= tight.bytes);
    assert_true(t.counts.results_crowded_out >= 1);
    assert_null(job_of(q, 1));
    assert_non_null(job_of(q, 3));
    queue_free(&q);

    const queue_limits one_result = {.jobs = 3, .bytes = 2000, .lease_ms = LEASE_MS};
    q = queue_new(&one_result);
    add_worker(q, A, CLASS_X, 0, 0, 1, 0);
    submit(q, 1, 50, 0, 0);
    queue_done(q, A, expect_assign(q, 1, A), CLASS_X, 1 << 20, 1);
    assert_non_null(job_of(q, 1)); /* larger than everything: kept, but nothing else is taken */
    assert_int_equal(submit(q, 2, 50, 0, 2), ERR_BUSY);
    queue_free(&q);
}

static void test_results_are_kept_for_a_while(void **state)
{
    queue *q = queue_new(&roomy);
    const job_id id = make_id(1), other = make_id(2);
    (void)state;
    submit(q, 1, 50, 0, 0);
    submit(q, 2, 50, 0, 0);
    queue_cancel(q, &id, 0);
    queue_cancel(q, &other, 10);
    expect(q, QUEUE_ENDED);
    expect(q, QUEUE_ENDED);
    assert_non_null(queue_watch(q, &id, 5, 1000)); /* somebody came: its time starts again */
    assert_int_equal(queue_next_tick(q), 10 + TTL_MS);
    queue_tick(q, 10 + TTL_MS);
    const queue_action a = expect(q, QUEUE_FORGET);
    assert_true(job_id_equal(&a.id, &other));
    expect_nothing(q);
    queue_tick(q, 1000 + TTL_MS);
    expect(q, QUEUE_FORGET);
    assert_int_equal(queue_get_totals(q).kept, 0);
    assert_int_equal(queue_get_totals(q).counts.results_expired, 2);
    assert_int_equal(submit(q, 1, 50, 0, 99999), 0);
    assert_int_equal(job_of(q, 1)->state, QUEUE_QUEUED); /* unseen: may run again */
    queue_free(&q);
}

static void test_many_models_are_bounded(void **state)
{
    queue *q = queue_new(&(queue_limits){.jobs = 5000, .bytes = 1 << 30, .lease_ms = LEASE_MS});
    (void)state;
    for (uint32_t n = 1; n <= QUEUE_MODELS; n++)
        assert_int_equal(submit(q, n, 50, n, 0), 0);
    assert_int_equal(submit(q, 5000, 50, 5000, 0), ERR_BUSY);
    assert_int_equal(submit(q, 5001, 50, 1, 0), 0); /* one that is there already */
    const job_id id = make_id(7);
    queue_cancel(q, &id, 1);
    assert_int_equal(submit(q, 5000, 50, 5000, 0), 0);
    queue_free(&q);
}

/* ---------------------------------------------------------------- random events */

enum { EVENTS = 60000, JOBS = 400, WORKERS = 6, LEASES = 64 };

typedef struct {
    queue *q;
    int64_t now;
    unsigned seed;
    int ended[JOBS], submitted[JOBS]; /* by job number, of its present life */
    struct {
        bool alive;
        uint32_t credit, held;
        uint64_t lease[LEASES]; /* live ones */
        uint32_t job[LEASES];
    } worker[WORKERS];
    uint64_t stale[LEASES]; /* tokens that were taken away */
    size_t stales;
    uint64_t starts, ends;
} model;

static unsigned pick(model *m, unsigned n)
{
    m->seed = m->seed * 1664525u + 1013904223u;
    return (m->seed >> 8) % n;
}

static uint32_t number_of(const job_id *id)
{
    uint32_t n;
    memcpy(&n, id->byte, sizeof n);
    return n;
}

/* Takes the lease of job n away from whoever has it. */
static void drop_lease(model *m, uint32_t n)
{
    for (int w = 0; w < WORKERS; w++)
        for (uint32_t i = 0; i < m->worker[w].held; i++)
            if (m->worker[w].job[i] == n) {
                m->stale[m->stales++ % LEASES] = m->worker[w].lease[i];
                const uint32_t last = --m->worker[w].held;
                m->worker[w].lease[i] = m->worker[w].lease[last];
                m->worker[w].job[i] = m->worker[w].job[last];
                return;
            }
}

/* No job of a higher priority was left behind among those that want the same. */
static void check_priority(model *m, uint32_t assigned)
{
    const queue_job *a = job_of(m->q, assigned);
    for (uint32_t n = 0; n < JOBS; n++) {
        const queue_job *j = job_of(m->q, n);
        if (j && j->state == QUEUE_QUEUED && j->queued_ms < m->now && j->model == a->model &&
            (j->attempts > 0) == (a->attempts > 1))
            assert_true(j->priority <= a->priority);
    }
}

static void take_actions(model *m)
{
    for (queue_action a; queue_next(m->q, &a);) {
        const uint32_t n = number_of(&a.id);
        const int w = (int)a.peer - 1;
        switch (a.kind) {
        case QUEUE_ASSIGN:
            assert_true(m->worker[w].alive);
            assert_true(m->worker[w].held < m->worker[w].credit);
            for (int o = 0; o < WORKERS; o++) /* never on two live leases */
                for (uint32_t i = 0; i < m->worker[o].held; i++)
                    assert_true(m->worker[o].job[i] != n && m->worker[o].lease[i] != a.lease);
            assert_int_equal(m->ended[n], 0);
            assert_in_range(a.attempt, 1, QUEUE_ATTEMPTS);
            m->worker[w].lease[m->worker[w].held] = a.lease;
            m->worker[w].job[m->worker[w].held++] = n;
            m->starts++;
            check_priority(m, n);
            break;
        case QUEUE_REQUEUED: drop_lease(m, n); break;
        case QUEUE_ENDED:
            drop_lease(m, n);
            assert_int_equal(m->submitted[n], 1);
            assert_int_equal(++m->ended[n], 1); /* exactly one outcome */
            m->ends++;
            break;
        case QUEUE_FORGET:
            assert_int_equal(m->ended[n], 1);
            m->submitted[n] = m->ended[n] = 0;
            break;
        case QUEUE_REVOKE: assert_true(m->worker[w].alive); break;
        }
    }
}

static void check_books(model *m)
{
    const queue_totals t = queue_get_totals(m->q);
    uint64_t bytes = 0;
    uint32_t queued = 0, running = 0, kept = 0, held = 0;
    for (uint32_t n = 0; n < JOBS; n++) {
        const queue_job *j = job_of(m->q, n);
        if (!j) {
            assert_int_equal(m->submitted[n], 0);
            continue;
        }
        bytes += j->bytes + QUEUE_RECORD_BYTES;
        queued += j->state == QUEUE_QUEUED;
        running += j->state == QUEUE_RUNNING;
        kept += j->state >= QUEUE_FINISHED;
        assert_int_equal(m->ended[n], j->state >= QUEUE_FINISHED);
    }
    for (int w = 0; w < WORKERS; w++)
        held += m->worker[w].held;
    assert_int_equal(t.bytes, bytes);
    assert_int_equal(t.queued, queued);
    assert_int_equal(t.running, running);
    assert_int_equal(t.running, held);
    assert_int_equal(t.kept, kept);
    assert_true(queue_next_tick(m->q) == INT64_MAX || queue_next_tick(m->q) > m->now - LEASE_MS);
}

static void random_worker_event(model *m)
{
    const int w = (int)pick(m, WORKERS);
    const queue_peer peer = (queue_peer)w + 1;
    const unsigned what = pick(m, 10);
    if (!m->worker[w].alive || !queue_knows(m->q, peer)) {
        m->worker[w].alive = true;
        m->worker[w].credit = 1 + pick(m, 4);
        add_worker(m->q, peer, 1 + pick(m, 2), 1 + pick(m, 3), 1 + pick(m, 3), m->worker[w].credit,
                   m->now);
    } else if (what == 0) {
        m->worker[w].alive = false;
        if (m->worker[w].held && pick(m, 2))
            queue_unreachable(m->q, peer, m->worker[w].lease[0], m->now);
        else
            queue_lost(m->q, peer, m->now);
    } else if (what == 1) {
        m->worker[w].alive = false;
        queue_bye(m->q, peer, m->now);
    } else if (what == 2) {
        m->worker[w].credit = pick(m, 5);
        queue_credit(m->q, peer, m->worker[w].credit, m->now);
    } else if (what == 3 && m->stales) {
        const uint64_t stale = m->stale[pick(m, m->stales < LEASES ? (unsigned)m->stales : LEASES)];
        assert_null(queue_done(m->q, peer, stale, 1, 10, m->now));
    } else {
        queue_beat(m->q, peer, NULL, 0, false, m->now);
        for (uint32_t i = 0; i < m->worker[w].held; i++)
            if (pick(m, 8))
                assert_non_null(queue_extend(m->q, peer, m->worker[w].lease[i], m->now));
    }
}

static void random_outcome(model *m)
{
    const int w = (int)pick(m, WORKERS);
    const queue_peer peer = (queue_peer)w + 1;
    if (!m->worker[w].held)
        return;
    const uint64_t lease = m->worker[w].lease[pick(m, m->worker[w].held)];
    switch (pick(m, 6)) {
    case 0: assert_non_null(queue_fail(m->q, peer, lease, ERR_DEVICE, "x", true, m->now)); break;
    case 1: assert_non_null(queue_fail(m->q, peer, lease, ERR_INVALID, "y", false, m->now)); break;
    case 2: assert_non_null(queue_release(m->q, peer, lease, m->now)); break;
    case 3: assert_non_null(queue_started(m->q, peer, lease, m->now)); break;
    default: assert_non_null(queue_done(m->q, peer, lease, 1, pick(m, 500), m->now));
    }
}

static void random_client_event(model *m)
{
    const uint32_t n = pick(m, JOBS);
    const job_id id = make_id(n);
    const unsigned what = pick(m, 8);
    if (what == 0) {
        queue_cancel(m->q, &id, m->now);
    } else if (what < 3) {
        queue_acknowledge(m->q, &id);
    } else if (!m->submitted[n]) {
        queue_receipt r = {0};
        const queue_submission s = {.id = id,
                                    .priority = (int)pick(m, QUEUE_PRIORITIES),
                                    .contents = n,
                                    .seed = n,
                                    .model = pick(m, 4),
                                    .bytes = pick(m, 1000),
                                    .deadline_ms = pick(m, 4) ? 0 : 1 + pick(m, 20000)};
        if (!queue_submit(m->q, &s, m->now, &r, NULL) && !r.duplicate)
            m->submitted[n] = 1;
    }
}

static void test_random_events(void **state)
{
    const queue_limits limits = {
        .jobs = 150, .bytes = 300000, .result_ttl_ms = 30000, .lease_ms = LEASE_MS, .epoch = 3};
    static void (*const event[])(model *) = {random_worker_event, random_outcome, random_outcome,
                                             random_client_event, random_client_event};
    (void)state;
    for (unsigned seed = 1; seed <= 4; seed++) {
        model m = {.q = queue_new(&limits), .seed = seed};
        for (int i = 0; i < EVENTS / 4; i++) {
            m.now += pick(&m, 60);
            queue_tick(m.q, m.now);
            take_actions(&m);
            event[pick(&m, sizeof event / sizeof *event)](&m);
            take_actions(&m);
            for (int w = 0; w < WORKERS; w++) /* lost by silence */
                m.worker[w].alive = m.worker[w].alive && queue_knows(m.q, (queue_peer)w + 1);
            if (i % 16 == 0)
                check_books(&m);
        }
        assert_true(m.starts > 1000 && m.ends > 500);   /* it was not an idle run */
        for (int i = 0; i < 100; i++, m.now += 10000) { /* without workers, and patience */
            for (uint32_t n = 0; n < JOBS; n++) {
                const job_id id = make_id(n);
                queue_cancel(m.q, &id, m.now);
                queue_acknowledge(m.q, &id);
            }
            queue_tick(m.q, m.now);
            take_actions(&m);
        }
        assert_int_equal(queue_get_totals(m.q).bytes, 0); /* everything ended, nothing is left */
        queue_free(&m.q);
    }
}

/* 10^5 jobs: no call may look at all of them. */
static void test_many_jobs(void **state)
{
    enum { MANY = 100000 };
    queue *q = queue_new(&(queue_limits){
        .jobs = MANY, .bytes = 1 << 30, .result_ttl_ms = TTL_MS, .lease_ms = LEASE_MS});
    uint32_t ended = 0;
    int last = 100;
    (void)state;
    for (uint32_t n = 0; n < MANY; n++)
        assert_int_equal(submit(q, n, (int)(n % 101), n % 7, n / 100), 0);
    add_worker(q, A, CLASS_X, 0, 0, 1, 1000);
    for (queue_action a; queue_next(q, &a);) {
        if (a.kind == QUEUE_ASSIGN) {
            const int priority = queue_find(q, &a.id)->priority;
            assert_true(priority <= last);
            last = priority;
            assert_non_null(queue_done(q, A, a.lease, CLASS_X, 1, 1000));
            assert_true(queue_acknowledge(q, &a.id));
            ended++;
        }
    }
    assert_int_equal(ended, MANY);
    assert_int_equal(queue_get_totals(q).bytes, 0);
    queue_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_priority_then_order),
        cmocka_unit_test(test_credit_bounds_leases),
        cmocka_unit_test(test_resident_model_is_preferred),
        cmocka_unit_test(test_resident_job_goes_ahead_within_limits),
        cmocka_unit_test(test_only_who_lists_the_model),
        cmocka_unit_test(test_lost_job_prefers_its_class),
        cmocka_unit_test(test_last_attempt_waits_alone),
        cmocka_unit_test(test_lease_runs_out),
        cmocka_unit_test(test_attempts_and_reasons),
        cmocka_unit_test(test_worker_silence_bye_and_return),
        cmocka_unit_test(test_unreachable_worker_costs_what_it_got),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_results_are_kept_for_a_while),
        cmocka_unit_test(test_many_models_are_bounded),
        cmocka_unit_test(test_random_events),
        cmocka_unit_test(test_many_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
