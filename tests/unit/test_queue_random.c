/* The queue against thousands of random events, beside a simple model that keeps its own books; and
 * against a hundred thousand jobs at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/support/play.h"

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
    const queue_job *a = play_job(m->q, assigned);
    for (uint32_t n = 0; n < JOBS; n++) {
        const queue_job *j = play_job(m->q, n);
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
        const queue_job *j = play_job(m->q, n);
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
    assert_true(queue_next_tick(m->q) == INT64_MAX ||
                queue_next_tick(m->q) > m->now - PLAY_LEASE_MS);
}

static void random_worker_event(model *m)
{
    const int w = (int)pick(m, WORKERS);
    const queue_peer peer = (queue_peer)w + 1;
    const unsigned what = pick(m, 10);
    if (!m->worker[w].alive || !queue_knows(m->q, peer)) {
        m->worker[w].alive = true;
        m->worker[w].credit = 1 + pick(m, 4);
        play_worker(m->q, peer, 1 + pick(m, 2), 1 + pick(m, 3), 1 + pick(m, 3), m->worker[w].credit,
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
    const job_id id = play_id(n);
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
    const queue_limits limits = {.jobs = 150,
                                 .bytes = 300000,
                                 .result_ttl_ms = 30000,
                                 .lease_ms = PLAY_LEASE_MS,
                                 .epoch = 3};
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
                const job_id id = play_id(n);
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
        .jobs = MANY, .bytes = 1 << 30, .result_ttl_ms = PLAY_TTL_MS, .lease_ms = PLAY_LEASE_MS});
    uint32_t ended = 0;
    int last = 100;
    (void)state;
    for (uint32_t n = 0; n < MANY; n++)
        assert_int_equal(play_submit(q, n, (int)(n % 101), n % 7, n / 100), 0);
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 1, 1000);
    for (queue_action a; queue_next(q, &a);) {
        if (a.kind == QUEUE_ASSIGN) {
            const int priority = queue_find(q, &a.id)->priority;
            assert_true(priority <= last);
            last = priority;
            assert_non_null(queue_done(q, PLAY_A, a.lease, PLAY_CLASS_X, 1, 1000));
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
        cmocka_unit_test(test_random_events),
        cmocka_unit_test(test_many_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
