/* The queue by calls with made-up times, every rule of PROTOCOL.md as a short scene: what clients
 * ask of it, and what it keeps for them and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/play.h"

static void test_cancel(void **state)
{
    queue *q = queue_new(&play_roomy);
    (void)state;
    const job_id one = play_id(1), two = play_id(2), three = play_id(3), none = play_id(9);
    play_submit(q, 1, 50, 0, 0);
    assert_int_equal(queue_cancel(q, &one, 1)->state, QUEUE_CANCELLED);
    play_expect(q, QUEUE_ENDED);
    assert_int_equal(queue_cancel(q, &one, 2)->state, QUEUE_CANCELLED); /* again: nothing new */
    assert_null(queue_cancel(q, &none, 2));
    play_expect_nothing(q);
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 1, 2);
    play_submit(q, 2, 50, 0, 3);
    uint64_t lease = play_expect_assign(q, 2, PLAY_A);
    assert_int_equal(queue_cancel(q, &two, 4)->state, QUEUE_RUNNING);
    assert_true(play_expect(q, QUEUE_REVOKE).lease == lease);
    queue_extend(q, PLAY_A, lease, 5);
    assert_true(play_expect(q, QUEUE_REVOKE).lease == lease);
    queue_fail(q, PLAY_A, lease, ERR_CANCELLED, "cancelled", false, 6);
    play_expect(q, QUEUE_ENDED);
    assert_int_equal(play_job(q, 2)->state, QUEUE_CANCELLED);
    play_submit(q, 3, 50, 0, 7); /* the worker dies instead of answering: not again */
    play_expect_assign(q, 3, PLAY_A);
    queue_cancel(q, &three, 8);
    play_expect(q, QUEUE_REVOKE);
    queue_tick(q, 20000);
    play_expect(q, QUEUE_ENDED);
    assert_int_equal(play_job(q, 3)->state, QUEUE_CANCELLED);
    queue_free(&q);
}

static void test_deadline(void **state)
{
    queue *q = queue_new(&play_roomy);
    queue_receipt r;
    (void)state;
    queue_submission s = {.id = play_id(1), .deadline_ms = 100};
    assert_int_equal(queue_submit(q, &s, 1000, &r, NULL), 0);
    assert_int_equal(queue_next_tick(q), 1100);
    queue_tick(q, 1099);
    play_expect_nothing(q);
    queue_tick(q, 1100);
    play_expect(q, QUEUE_ENDED);
    assert_int_equal(play_job(q, 1)->why->code, ERR_TIMEOUT);
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 1, 1100);
    s.id = play_id(2);
    queue_submit(q, &s, 1100, &r, NULL);
    const uint64_t lease = play_expect_assign(q, 2, PLAY_A);
    queue_tick(q, 1200);
    play_expect(q, QUEUE_REVOKE);
    assert_non_null(
        queue_done(q, PLAY_A, lease, PLAY_CLASS_X, 1, 1300)); /* void: it was too late */
    play_expect(q, QUEUE_ENDED);
    assert_int_equal(play_job(q, 2)->state, QUEUE_FAILED);
    assert_int_equal(play_job(q, 2)->why->code, ERR_TIMEOUT);
    queue_free(&q);
}

static void test_duplicates(void **state)
{
    queue *q = queue_new(&play_roomy);
    queue_receipt r;
    err e = {0};
    (void)state;
    queue_submission s = {.id = play_id(1), .contents = 5, .seed_asked = -1, .seed = 33};
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
                                .result_ttl_ms = PLAY_TTL_MS,
                                .lease_ms = PLAY_LEASE_MS};
    queue *q = queue_new(&tight);
    (void)state;
    for (uint32_t n = 1; n <= 3; n++)
        assert_int_equal(play_submit(q, n, 50, 0, n), 0);
    assert_int_equal(play_submit(q, 4, 50, 0, 4), ERR_BUSY);
    assert_int_equal(play_submit(q, 1, 50, 0, 4), 0); /* a duplicate needs no room */
    assert_in_range(queue_retry_after_ms(q), 100, 10000);
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 3, 5);
    for (uint32_t n = 1; n <= 3; n++)
        queue_done(q, PLAY_A, play_expect_assign(q, n, PLAY_A), PLAY_CLASS_X, 1500,
                   6 + n); /* grows: the oldest go */
    const queue_totals t = queue_get_totals(q);
    assert_true(t.bytes <= tight.bytes);
    assert_true(t.counts.results_crowded_out >= 1);
    assert_null(play_job(q, 1));
    assert_non_null(play_job(q, 3));
    queue_free(&q);

    const queue_limits one_result = {.jobs = 3, .bytes = 2000, .lease_ms = PLAY_LEASE_MS};
    q = queue_new(&one_result);
    play_worker(q, PLAY_A, PLAY_CLASS_X, 0, 0, 1, 0);
    play_submit(q, 1, 50, 0, 0);
    queue_done(q, PLAY_A, play_expect_assign(q, 1, PLAY_A), PLAY_CLASS_X, 1 << 20, 1);
    assert_non_null(play_job(q, 1)); /* larger than everything: kept, but nothing else is taken */
    assert_int_equal(play_submit(q, 2, 50, 0, 2), ERR_BUSY);
    queue_free(&q);
}

static void test_results_are_kept_for_a_while(void **state)
{
    queue *q = queue_new(&play_roomy);
    const job_id id = play_id(1), other = play_id(2);
    (void)state;
    play_submit(q, 1, 50, 0, 0);
    play_submit(q, 2, 50, 0, 0);
    queue_cancel(q, &id, 0);
    queue_cancel(q, &other, 10);
    play_expect(q, QUEUE_ENDED);
    play_expect(q, QUEUE_ENDED);
    assert_non_null(queue_watch(q, &id, 5, 1000)); /* somebody came: its time starts again */
    assert_int_equal(queue_next_tick(q), 10 + PLAY_TTL_MS);
    queue_tick(q, 10 + PLAY_TTL_MS);
    const queue_action a = play_expect(q, QUEUE_FORGET);
    assert_true(job_id_equal(&a.id, &other));
    play_expect_nothing(q);
    queue_tick(q, 1000 + PLAY_TTL_MS);
    play_expect(q, QUEUE_FORGET);
    assert_int_equal(queue_get_totals(q).kept, 0);
    assert_int_equal(queue_get_totals(q).counts.results_expired, 2);
    assert_int_equal(play_submit(q, 1, 50, 0, 99999), 0);
    assert_int_equal(play_job(q, 1)->state, QUEUE_QUEUED); /* unseen: may run again */
    queue_free(&q);
}

static void test_many_models_are_bounded(void **state)
{
    queue *q =
        queue_new(&(queue_limits){.jobs = 5000, .bytes = 1 << 30, .lease_ms = PLAY_LEASE_MS});
    (void)state;
    for (uint32_t n = 1; n <= QUEUE_MODELS; n++)
        assert_int_equal(play_submit(q, n, 50, n, 0), 0);
    assert_int_equal(play_submit(q, 5000, 50, 5000, 0), ERR_BUSY);
    assert_int_equal(play_submit(q, 5001, 50, 1, 0), 0); /* one that is there already */
    const job_id id = play_id(7);
    queue_cancel(q, &id, 1);
    assert_int_equal(play_submit(q, 5000, 50, 5000, 0), 0);
    queue_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_results_are_kept_for_a_while),
        cmocka_unit_test(test_many_models_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
