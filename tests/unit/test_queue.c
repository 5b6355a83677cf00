/* The queue by calls with made-up times, every rule of PROTOCOL.md as a short scene: which job goes
 * to which worker and when, and what becomes of it when that worker fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/play.h"

/* ---------------------------------------------------------------- order and credit */

static void test_priority_then_order(void **state)
{
    static const struct {
        uint32_t n;
        int priority;
    } jobs[] = {{1, 50}, {2, 50}, {3, 100}, {4, 0}, {5, 64}, {6, 63}, {7, 50}};
    static const uint32_t order[] = {3, 5, 6, 1, 2, 7, 4};
    queue *q = queue_new(&play_roomy);
    (void)state;
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
        assert_int_equal(play_submit(q, jobs[i].n, jobs[i].priority, 0, 10), 0);
    for (uint32_t i = 0; i < sizeof order / sizeof *order; i++)
        assert_int_equal(queue_position(q, play_job(q, order[i])), i);
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 1, 20);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        const uint64_t lease = play_expect_assign(q, order[i], PLAY_A);
        play_expect_nothing(q);
        assert_non_null(queue_done(q, PLAY_A, lease, PLAY_CLASS_X, 5, 30));
        play_expect(q, QUEUE_ENDED);
    }
    play_expect_nothing(q);
    queue_free(&q);
}

static void test_credit_bounds_leases(void **state)
{
    queue *q = queue_new(&play_roomy);
    (void)state;
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 2, 0);
    for (uint32_t n = 1; n <= 5; n++)
        play_submit(q, n, 50, 0, n);
    play_expect_assign(q, 1, PLAY_A);
    const uint64_t second = play_expect_assign(q, 2, PLAY_A);
    play_expect_nothing(q);
    queue_credit(q, PLAY_A, 3, 10);
    play_expect_assign(q, 3, PLAY_A);
    queue_credit(q, PLAY_A, 1, 10); /* less than it has: nothing more, and nothing taken away */
    queue_done(q, PLAY_A, second, PLAY_CLASS_X, 1, 11);
    play_expect(q, QUEUE_ENDED);
    play_expect_nothing(q);
    assert_int_equal(queue_get_totals(q).running, 2);
    queue_beat(q, PLAY_A, NULL, 0, true, 12); /* draining */
    queue_credit(q, PLAY_A, 9, 12);
    play_expect_nothing(q);
    queue_beat(q, PLAY_A, NULL, 0, false, 13);
    play_expect_assign(q, 4, PLAY_A);
    play_expect_assign(q, 5, PLAY_A);
    queue_pause(q);
    play_submit(q, 6, 50, 0, 14);
    play_expect_nothing(q);
    queue_free(&q);
}

/* ---------------------------------------------------------------- which worker */

static void test_resident_model_is_preferred(void **state)
{
    enum { M = 5, N = 6 };
    queue *q = queue_new(&play_roomy);
    (void)state;
    play_worker(q, PLAY_A, PLAY_CLASS_X, M, 0, 1, 0);
    play_worker(q, PLAY_B, PLAY_CLASS_X, M, M, 1, 0);
    play_submit(q, 1, 50, M, 0);
    const uint64_t lease = play_expect_assign(q, 1, PLAY_B);
    play_submit(q, 2, 50, M, 100); /* PLAY_B is busy: wait for it, but not for ever */
    play_expect_nothing(q);
    assert_int_equal(queue_next_tick(q), 100 + QUEUE_WAIT_MS);
    queue_tick(q, 100 + QUEUE_WAIT_MS - 1);
    play_expect_nothing(q);
    queue_tick(q, 100 + QUEUE_WAIT_MS);
    play_expect_assign(q, 2, PLAY_A);
    play_submit(q, 3, 50, M, 2200);
    queue_done(q, PLAY_B, lease, PLAY_CLASS_X, 1, 2300);
    play_expect(q, QUEUE_ENDED);
    play_expect_assign(q, 3, PLAY_B);
    queue_free(&q);
}

static void test_resident_job_goes_ahead_within_limits(void **state)
{
    enum { M = 5, N = 6 };
    queue *q = queue_new(&play_roomy);
    (void)state;
    play_submit(q, 1, 50, N, 0);
    play_submit(q, 2, 50, M, 1000);
    play_submit(q, 3, 50, M, 2001); /* too much later than 1 to go before it */
    play_submit(q, 4, 51, N, 2002); /* but priority is priority */
    play_worker(q, PLAY_A, PLAY_CLASS_X, M, M, 0, 2100);
    uint64_t model[] = {M, N};
    queue_worker_spec s = {.name = "w", .model = model, .models = 2, .resident = {M}};
    s.residents = 1;
    queue_ready(q, PLAY_A, &s, 2100, NULL);
    queue_credit(q, PLAY_A, 1, 2100);
    uint64_t lease = play_expect_assign(q, 4, PLAY_A);
    const uint64_t resident = M;
    queue_done(q, PLAY_A, lease, 0, 1, 2200);
    queue_beat(q, PLAY_A, &resident, 1, false, 2200);
    play_expect(q, QUEUE_ENDED);
    /* What it had last, N, counts as resident until it says otherwise: 1 goes first. */
    lease = play_expect_assign(q, 1, PLAY_A);
    queue_credit(q, PLAY_A, 0, 2300);
    queue_done(q, PLAY_A, lease, 0, 1, 2300);
    play_expect(q, QUEUE_ENDED);
    queue_beat(q, PLAY_A, &resident, 1, false, 2300);
    play_submit(q, 5, 50, N, 500);
    queue_credit(q, PLAY_A, 1, 2300);
    lease = play_expect_assign(q, 2, PLAY_A); /* of 1000, against 500 + 2000 */
    queue_done(q, PLAY_A, lease, 0, 1, 2400);
    play_expect(q, QUEUE_ENDED);
    play_expect_assign(q, 3, PLAY_A); /* of 2001 */
    queue_free(&q);
}

static void test_only_who_lists_the_model(void **state)
{
    enum { M = 5, N = 6 };
    queue *q = queue_new(&play_roomy);
    (void)state;
    play_worker(q, PLAY_A, PLAY_CLASS_X, N, N, 4, 0);
    play_submit(q, 1, 50, M, 0); /* nobody has it: PLAY_A will say so */
    play_expect_assign(q, 1, PLAY_A);
    play_worker(q, PLAY_B, PLAY_CLASS_X, M, 0, 0, 0);
    play_submit(q, 2, 50, M, 0); /* PLAY_B has it, but takes nothing yet: never to PLAY_A */
    queue_tick(q, 4000);
    play_expect_nothing(q);
    queue_credit(q, PLAY_B, 1, 4001);
    play_expect_assign(q, 2, PLAY_B);
    queue_free(&q);
}

static void test_lost_job_prefers_its_class(void **state)
{
    queue *q = queue_new(&play_roomy);
    (void)state;
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 1, 0);
    play_submit(q, 1, 50, 0, 0);
    play_expect_assign(q, 1, PLAY_A);
    play_worker(q, PLAY_B, PLAY_CLASS_Y, 0, 0, 1, 0);
    play_worker(q, 103, PLAY_CLASS_X, 0, 0, 1, 0);
    play_submit(q, 2, 90, 0, 5); /* takes the equal one */
    const queue_peer first = play_expect(q, QUEUE_ASSIGN).peer;
    if (first == PLAY_B) { /* either is free: make 103 the busy one */
        play_submit(q, 3, 90, 0, 6);
        play_expect_assign(q, 3, 103);
        queue_done(q, PLAY_B, play_job(q, 2)->lease, PLAY_CLASS_Y, 1, 7);
        play_expect(q, QUEUE_ENDED);
    }
    queue_lost(q, PLAY_A, 100);
    play_expect(q, QUEUE_REQUEUED);
    play_expect_nothing(q); /* waits for 103 */
    queue_beat(q, PLAY_B, NULL, 0, false, 2000);
    queue_tick(q, 100 + QUEUE_WAIT_MS);
    const uint64_t lease = play_expect_assign(q, 1, PLAY_B);
    const queue_job *j = queue_done(q, PLAY_B, lease, PLAY_CLASS_Y, 1, 2200);
    assert_true(j->class_changed);
    assert_int_equal(j->attempts, 2);
    queue_free(&q);
}

/* PLAY_A job tried twice waits long for a worker that outlived its losses; others do not wait
 * behind. */
static void test_last_attempt_waits_alone(void **state)
{
    enum { OLD = 200 };
    queue *q = queue_new(&play_roomy);
    (void)state;
    play_worker(q, OLD, PLAY_CLASS_X, 0, 0, 1, 0);
    play_submit(q, 1, 50, 0, 0);
    play_expect_assign(q, 1, OLD);
    play_submit(q, 2, 50, 0, 1);
    play_worker(q, 1, PLAY_CLASS_X, 0, 0, 1, 10);
    play_expect_assign(q, 2, 1);
    int64_t lost = 15;
    queue_lost(q, 1, lost);
    play_expect(q, QUEUE_REQUEUED);
    for (int attempt = 2; attempt < QUEUE_ATTEMPTS; attempt++) {
        const uint64_t held = play_job(q, 1)->lease;
        assert_non_null(queue_extend(q, OLD, held, lost + 1));
        queue_beat(q, OLD, NULL, 0, false, lost + 1);
        play_worker(q, (uint64_t)attempt, PLAY_CLASS_X, 0, 0, 1, lost + 5);
        play_expect_nothing(q); /* OLD would be better */
        queue_tick(q, lost + QUEUE_WAIT_MS);
        play_expect_assign(q, 2, (uint64_t)attempt);
        lost += QUEUE_WAIT_MS + 5;
        queue_lost(q, (uint64_t)attempt, lost);
        play_expect(q, QUEUE_REQUEUED);
    }
    const uint64_t kept = play_job(q, 1)->lease;
    assert_non_null(queue_extend(q, OLD, kept, lost + 1));
    queue_beat(q, OLD, NULL, 0, false, lost + 1);
    play_submit(q, 3, 50, 0, lost + 10);
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 1, lost + 20); /* as young as the others were */
    play_expect_assign(q, 3, PLAY_A);
    queue_done(q, PLAY_A, play_job(q, 3)->lease, PLAY_CLASS_X, 1, lost + 30);
    play_expect(q, QUEUE_ENDED);
    queue_tick(q, lost + QUEUE_WAIT_MS);
    play_expect_nothing(q);
    queue_done(q, OLD, play_job(q, 1)->lease, PLAY_CLASS_X, 1, lost + 3000);
    play_expect(q, QUEUE_ENDED);
    play_expect_assign(q, 2, OLD);
    queue_free(&q);
}

/* ---------------------------------------------------------------- leases */

static void test_lease_runs_out(void **state)
{
    queue *q = queue_new(&play_roomy);
    (void)state;
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 1, 0);
    play_submit(q, 1, 50, 0, 0);
    play_submit(q, 2, 50, 0, 1);
    const uint64_t lease = play_expect_assign(q, 1, PLAY_A);
    assert_non_null(queue_extend(q, PLAY_A, lease, 3000));
    for (int64_t now = 4000; now < 8000; now += 500) /* alive, but no longer of that job */
        queue_beat(q, PLAY_A, NULL, 0, false, now);
    queue_tick(q, 7999);
    play_expect_nothing(q);
    queue_tick(q, 8000);
    play_expect(q, QUEUE_REQUEUED);
    const uint64_t again = play_expect_assign(q, 1, PLAY_A); /* to the front: before 2 */
    assert_true(again != lease);
    assert_int_equal(again >> 32, PLAY_EPOCH);
    assert_null(queue_done(q, PLAY_A, lease, PLAY_CLASS_X, 1, 8100));
    assert_null(queue_fail(q, PLAY_A, lease, ERR_DEVICE, "late", true, 8100));
    assert_null(queue_release(q, PLAY_A, lease, 8100));
    assert_null(queue_started(q, PLAY_A, lease, 8100));
    assert_null(queue_extend(q, PLAY_A, 0, 8100));
    assert_int_equal(queue_get_totals(q).counts.stale, 5);
    assert_int_equal(queue_get_totals(q).counts.leases_expired, 1);
    assert_int_equal(play_job(q, 1)->state, QUEUE_RUNNING);
    queue_free(&q);
}

static void test_attempts_and_reasons(void **state)
{
    queue *q = queue_new(&play_roomy);
    (void)state;
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 1, 0);
    play_submit(q, 1, 50, 0, 0);
    for (int i = 0; i < QUEUE_RELEASES; i++) { /* handing back costs nothing */
        queue_release(q, PLAY_A, play_expect_assign(q, 1, PLAY_A), 10);
        play_expect(q, QUEUE_REQUEUED);
    }
    for (int i = 1; i < QUEUE_ATTEMPTS; i++) {
        const uint64_t lease = play_expect_assign(q, 1, PLAY_A);
        assert_int_equal(play_job(q, 1)->attempts, i);
        queue_fail(q, PLAY_A, lease, ERR_DEVICE, i == 1 ? "xid 13" : "xid 31", true, 20);
        play_expect(q, QUEUE_REQUEUED);
    }
    queue_release(q, PLAY_A, play_expect_assign(q, 1, PLAY_A), 30); /* one too many */
    play_expect(q, QUEUE_ENDED);
    const queue_job *j = play_job(q, 1);
    assert_int_equal(j->state, QUEUE_FAILED);
    assert_int_equal(j->why->code, ERR_LOST);
    assert_string_equal(j->why->text,
                        "attempt 1 on w: xid 13; attempt 2 on w: xid 31; attempt 3 on w: xid 31; "
                        "attempt 4 on w: xid 31; attempt 5 on w: handed back once too often; "
                        "quarantined");
    assert_int_equal(queue_get_totals(q).counts.quarantined, 1);
    play_submit(q, 2, 50, 0, 40);
    queue_fail(q, PLAY_A, play_expect_assign(q, 2, PLAY_A), ERR_INVALID, "no such model", false,
               50);
    play_expect(q, QUEUE_ENDED);
    assert_int_equal(play_job(q, 2)->why->code, ERR_INVALID);
    assert_string_equal(play_job(q, 2)->why->text, "no such model");
    queue_free(&q);
}

static void test_worker_silence_bye_and_return(void **state)
{
    queue *q = queue_new(&play_roomy);
    (void)state;
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 2, 0);
    play_submit(q, 1, 50, 0, 0);
    play_submit(q, 2, 50, 0, 0);
    const uint64_t lease = play_expect_assign(q, 1, PLAY_A);
    play_expect_assign(q, 2, PLAY_A);
    play_worker(q, PLAY_B, PLAY_CLASS_X, 0, 0, 0, 100);
    assert_non_null(
        queue_extend(q, PLAY_B, lease, 4000)); /* the same worker by another connection */
    queue_tick(q, PLAY_LEASE_MS);
    play_expect(q, QUEUE_REQUEUED); /* 2, with PLAY_A; 1 lives on with PLAY_B */
    assert_false(queue_knows(q, PLAY_A));
    assert_int_equal(play_job(q, 1)->state, QUEUE_RUNNING);
    queue_bye(q, PLAY_B, 6000);
    play_expect(q, QUEUE_REQUEUED);
    assert_int_equal(play_job(q, 1)->attempts, 0);
    assert_int_equal(play_job(q, 2)->attempts, 1);
    assert_int_equal(queue_get_totals(q).workers, 0);
    queue_free(&q);
}

/* What could not be sent was no attempt; what had been sent before was one. */
static void test_unreachable_worker_costs_what_it_got(void **state)
{
    queue *q = queue_new(&play_roomy);
    (void)state;
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 3, 0);
    play_submit(q, 1, 50, 0, 1);
    play_expect_assign(q, 1, PLAY_A);
    play_submit(q, 2, 50, 0, 2);
    play_submit(q, 3, 50, 0, 2);
    const uint64_t unsent =
        play_expect_assign(q, 2, PLAY_A); /* and that of job 3 is not taken yet */
    queue_unreachable(q, PLAY_A, unsent, 3);
    assert_false(queue_knows(q, PLAY_A));
    assert_int_equal(play_job(q, 1)->attempts, 1);
    assert_int_equal(play_job(q, 2)->attempts, 0);
    assert_int_equal(play_job(q, 3)->attempts, 0);
    assert_int_equal(queue_get_totals(q).queued, 3);
    assert_int_equal(queue_get_totals(q).counts.workers_lost, 1);
    queue_unreachable(q, PLAY_A, unsent, 4); /* again: nothing to do */
    assert_int_equal(queue_get_totals(q).queued, 3);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
