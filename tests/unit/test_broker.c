/* The real broker process over ipc, driven by a fake client and a fake worker: what PROTOCOL.md
 * promises as long as nothing fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clock.h"
#include "tests/support/scene.h"

/* ---------------------------------------------------------------- the good way */

static void test_job_goes_through(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    job j = scene_noop();
    j.seed = -1;
    party_submit(&s.client, &j, 7);
    const wire_header *h = party_expect(&s.client, BODY(ACCEPTED));
    assert_true(h->request == 7);
    assert_int_equal(h->accepted->state, OVERPAINT__STATE__QUEUED);
    const int64_t seed = h->accepted->seed;
    assert_in_range(seed, 0, UINT32_MAX - 1);
    party_expect_none(&s.worker, BODY(ASSIGN), 50); /* no credit yet */
    party_credit(&s.worker, 1);
    const Overpaint__Assign *a = party_expect(&s.worker, BODY(ASSIGN))->assign;
    assert_true(a->job->seed == seed);
    assert_int_equal(a->attempt, 1);
    assert_true(a->local);
    assert_string_equal(a->job->sampler, "DPM++ 2M"); /* every default is in it */
    const uint64_t lease = a->lease;

    wire_header p = party_header(BODY(PROGRESS));
    Overpaint__Progress said = OVERPAINT__PROGRESS__INIT;
    p.progress = &said;
    said.has_lease = said.has_evaluations = said.has_evaluations_done = 1;
    said.lease = lease;
    said.evaluations = 20;
    said.evaluations_done = 3;
    party_send(&s.worker, &p, NULL, 0);
    const Overpaint__Progress *heard = party_expect(&s.client, BODY(PROGRESS))->progress;
    assert_int_equal(heard->evaluations_done, 3);
    assert_int_equal(heard->state, OVERPAINT__STATE__RUNNING);
    assert_false(heard->has_lease);

    party_done(&s.worker, lease, "class A", "a picture");
    scene_expect_settled(&s.worker, lease, false);
    const Overpaint__Result *r = scene_expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED);
    assert_int_equal(r->attempts, 1);
    assert_false(r->class_changed);
    size_t size;
    const uint8_t *bytes = wire_blob_bytes(r->picture[0]->blob, &s.client.in, &size, NULL);
    assert_int_equal(size, strlen("a picture"));
    assert_memory_equal(bytes, "a picture", size);

    /* Another connection finds it by id; the acknowledgement ends it. */
    party other;
    party_join(&other, s.context, s.broker.clients, OVERPAINT__ROLE__CLIENT, "other");
    party_by_id(&other, BODY(FETCH), &j.id);
    scene_expect_result(&other, &j, OVERPAINT__STATE__FINISHED);
    party_by_id(&s.client, BODY(ACK), &j.id);
    assert_true(party_counter(&s.client, "results_acknowledged") == 1);
    party_by_id(&other, BODY(FETCH), &j.id);
    assert_string_equal(party_expect(&other, BODY(FAILURE))->failure->code, "not_found");
    party_submit(&s.client, &j, 8); /* remembered all the same, and not run again */
    h = party_expect(&s.client, BODY(ACCEPTED));
    assert_true(h->accepted->duplicate);
    assert_int_equal(h->accepted->state, OVERPAINT__STATE__FINISHED);
    party_expect_none(&s.worker, BODY(ASSIGN), 50);
    party_leave(&other);
    scene_close(&s);
}

static void test_payload_reaches_worker(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    party_credit(&s.worker, 1);
    job j = scene_noop();
    j.task = TASK_IMG2IMG;
    char *text = malloc(40000);
    memset(text, 'x', 40000);
    assert_int_equal(job_set_text(&j.prompt, text, 40000, NULL), 0);
    uint8_t picture[] = "\x89PNG and zero \0 bytes";
    job_add_input(&j, (job_picture){.bytes = picture, .size = sizeof picture}, NULL);
    scene_assign(&s, &j);
    job got;
    err e = {0};
    assert_int_equal(wire_job_unpack(&got, s.worker.in.header->assign->job, &s.worker.in, &e), 0);
    assert_int_equal(strlen(got.prompt), 40000);
    assert_memory_equal(got.prompt, text, 40000);
    assert_int_equal(got.inputs, 1);
    assert_int_equal(got.input[0].size, sizeof picture);
    assert_memory_equal(got.input[0].bytes, picture, sizeof picture);
    job_done(&got);
    job_done(&j);
    free(text);
    scene_close(&s);
}

/* ---------------------------------------------------------------- what clients do */

static void test_cancel(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    job waiting = scene_noop(), running = scene_noop();
    party_submit(&s.client, &waiting, 1);
    party_expect(&s.client, BODY(ACCEPTED));
    party_by_id(&s.client, BODY(CANCEL), &waiting.id);
    /* Both orders are right: the answer and the result come from the same decision. */
    const wire_header *h = party_expect(&s.client, BODY(CANCELLED));
    assert_int_equal(h->cancelled->state, OVERPAINT__STATE__CANCELLED_STATE);
    assert_string_equal(
        scene_expect_result(&s.client, &waiting, OVERPAINT__STATE__CANCELLED_STATE)->code,
        "cancelled");

    party_credit(&s.worker, 1);
    const uint64_t lease = scene_assign(&s, &running);
    party_by_id(&s.client, BODY(CANCEL), &running.id);
    h = party_expect(&s.client, BODY(CANCELLED));
    assert_int_equal(h->cancelled->state, OVERPAINT__STATE__RUNNING);
    assert_true(party_expect(&s.worker, BODY(REVOKE))->revoke->lease == lease);
    party_beat(&s.worker, &lease, 1); /* it has not noticed: told again */
    assert_true(party_expect(&s.worker, BODY(REVOKE))->revoke->lease == lease);
    party_done(&s.worker, lease, "class A", "finished all the same");
    scene_expect_settled(&s.worker, lease, false);
    const Overpaint__Result *r =
        scene_expect_result(&s.client, &running, OVERPAINT__STATE__CANCELLED_STATE);
    assert_int_equal(r->n_picture, 0);

    job unknown = scene_noop();
    party_by_id(&s.client, BODY(CANCEL), &unknown.id);
    assert_string_equal(party_expect(&s.client, BODY(FAILURE))->failure->code, "not_found");
    scene_close(&s);
}

static void test_duplicates(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    party_credit(&s.worker, 1);
    job j = scene_noop();
    party_submit(&s.client, &j, 1);
    const int64_t seed = party_expect(&s.client, BODY(ACCEPTED))->accepted->seed;
    const uint64_t lease = party_expect(&s.worker, BODY(ASSIGN))->assign->lease;

    party_submit(&s.client, &j, 2); /* as it was */
    const Overpaint__Accepted *a = party_expect(&s.client, BODY(ACCEPTED))->accepted;
    assert_true(a->duplicate);
    assert_int_equal(a->state, OVERPAINT__STATE__RUNNING);
    assert_true(a->seed == seed);
    j.seed = seed; /* with the seed the broker drew */
    party_submit(&s.client, &j, 3);
    assert_true(party_expect(&s.client, BODY(ACCEPTED))->accepted->duplicate);
    j.seed = seed + 1;
    party_submit(&s.client, &j, 4);
    assert_string_equal(party_expect(&s.client, BODY(REJECTED))->rejected->code, "conflict");
    j.seed = -1;
    j.steps = 21;
    party_submit(&s.client, &j, 5);
    const wire_header *h = party_expect(&s.client, BODY(REJECTED));
    assert_true(h->request == 5);
    assert_string_equal(h->rejected->code, "conflict");
    j.steps = 20;

    party_done(&s.worker, lease, "class A", "once");
    scene_expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED);
    party other; /* somebody else who submits it gets the result too */
    party_join(&other, s.context, s.broker.clients, OVERPAINT__ROLE__CLIENT, "other");
    party_submit(&other, &j, 6);
    a = party_expect(&other, BODY(ACCEPTED))->accepted;
    assert_true(a->duplicate);
    assert_int_equal(a->state, OVERPAINT__STATE__FINISHED);
    scene_expect_result(&other, &j, OVERPAINT__STATE__FINISHED);
    assert_true(party_counter(&s.client, "conflicts") == 2);
    assert_true(party_counter(&s.client, "duplicates") == 3);
    party_leave(&other);
    scene_close(&s);
}

static void test_full_queue(void **state)
{
    static const char *const few[] = {"--queue-jobs", "3", NULL};
    scene s;
    (void)state;
    scene_open(&s, few);
    for (int i = 0; i < 3; i++) {
        job j = scene_noop();
        party_submit(&s.client, &j, 1);
        assert_int_equal(party_expect(&s.client, BODY(ACCEPTED))->accepted->position, i);
    }
    job j = scene_noop();
    party_submit(&s.client, &j, 9);
    const Overpaint__Rejected *r = party_expect(&s.client, BODY(REJECTED))->rejected;
    assert_string_equal(r->code, "busy");
    assert_in_range(r->retry_after_ms, 100, 10000);
    assert_memory_equal(r->id.data, j.id.byte, JOB_ID_BYTES);
    party_credit(&s.worker, 1); /* one ends: there is room again */
    party_done(&s.worker, party_expect(&s.worker, BODY(ASSIGN))->assign->lease, "class A", "p");
    party_expect(&s.client, BODY(RESULT));
    party_submit(&s.client, &j, 10);
    party_expect(&s.client, BODY(ACCEPTED));
    scene_close(&s);
}

static void test_refused_jobs(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    job j = scene_noop();
    j.steps = 1000;
    party_submit(&s.client, &j, 1);
    const Overpaint__Rejected *r = party_expect(&s.client, BODY(REJECTED))->rejected;
    assert_string_equal(r->code, "invalid");
    assert_non_null(strstr(r->text, "steps is 1000"));
    wire_header h = party_header(BODY(SUBMIT)); /* no job in it at all */
    Overpaint__Submit empty = OVERPAINT__SUBMIT__INIT;
    h.submit = &empty;
    party_send(&s.client, &h, NULL, 0);
    r = party_expect(&s.client, BODY(REJECTED))->rejected;
    assert_string_equal(r->code, "protocol");
    assert_false(r->has_id);
    scene_close(&s);
}

static void test_deadline_and_ttl(void **state)
{
    static const char *const short_ttl[] = {"--result-ttl", "0.3", NULL};
    scene s;
    (void)state;
    scene_open(&s, short_ttl);
    job j = scene_noop();
    j.deadline_ms = 50;
    party_submit(&s.client, &j, 1);
    const Overpaint__Result *r = scene_expect_result(&s.client, &j, OVERPAINT__STATE__FAILED);
    assert_string_equal(r->code, "timeout");
    usleep(400000);
    party_by_id(&s.client, BODY(FETCH), &j.id);
    assert_string_equal(party_expect(&s.client, BODY(FAILURE))->failure->code, "not_found");
    assert_true(party_counter(&s.client, "results_expired") == 1);
    party_submit(&s.client, &j, 2); /* nobody saw its result: it may run again */
    assert_false(party_expect(&s.client, BODY(ACCEPTED))->accepted->duplicate);
    scene_close(&s);
}

static void test_status(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    party_credit(&s.worker, 1);
    job first = scene_noop(), second = scene_noop();
    scene_assign(&s, &first);
    party_submit(&s.client, &second, 2);
    party_expect(&s.client, BODY(ACCEPTED));
    wire_header h = party_header(BODY(STATUS));
    Overpaint__Status all = OVERPAINT__STATUS__INIT;
    h.status = &all;
    party_send(&s.client, &h, NULL, 0);
    const Overpaint__StatusReply *r = party_expect(&s.client, BODY(STATUS_REPLY))->status_reply;
    assert_int_equal(r->queued, 1);
    assert_int_equal(r->running, 1);
    assert_true(r->epoch == s.client.epoch);
    assert_int_equal(r->n_worker, 1);
    assert_string_equal(r->worker[0]->name, "worker");
    assert_string_equal(r->worker[0]->state, "ready");
    assert_int_equal(r->worker[0]->running, 1);
    assert_string_equal(r->worker[0]->device[0]->device_class, "class A");
    assert_int_equal(r->n_job, 2);
    assert_memory_equal(r->job[0]->id.data, first.id.byte, JOB_ID_BYTES);
    assert_string_equal(r->job[0]->worker, "worker");
    assert_string_equal(r->job[0]->client, "client");
    party_by_id(&s.client, BODY(STATUS), &second.id);
    r = party_expect(&s.client, BODY(STATUS_REPLY))->status_reply;
    assert_int_equal(r->n_job, 1);
    assert_int_equal(r->job[0]->state, OVERPAINT__STATE__QUEUED);
    scene_close(&s);
}

/* ---------------------------------------------------------------- the broker's own end */

static void test_drain(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    party_credit(&s.worker, 2);
    job running = scene_noop(), late = scene_noop();
    const uint64_t lease = scene_assign(&s, &running);
    kill(s.broker.pid, SIGTERM);
    const wire_header *h = NULL;
    for (int i = 0; i < 20 && !(h && h->body_case == BODY(REJECTED)); i++) {
        job_id_new(&late.id);
        party_submit(&s.client, &late, 2);
        h = party_receive(&s.client, 500);
    }
    assert_non_null(h);
    assert_int_equal(h->body_case, BODY(REJECTED));
    assert_string_equal(h->rejected->code, "busy");
    party_done(&s.worker, lease, "class A", "last");
    scene_expect_settled(&s.worker, lease, false);
    scene_expect_result(&s.client, &running, OVERPAINT__STATE__FINISHED);
    assert_int_equal(party_wait(&s.broker), 0);
    scene_close(&s);
}

static void test_second_broker_is_refused(void **state)
{
    scene s;
    char command[256];
    (void)state;
    scene_open(&s, NULL);
    snprintf(command, sizeof command, BIN_DIR "/overpaint-broker --endpoint %s 2>/dev/null",
             s.broker.clients);
    assert_int_equal(WEXITSTATUS(system(command)), 1);
    assert_true(party_counter(&s.client, "messages") > 0); /* the first one still serves */
    scene_close(&s);
}

/* Latency of a no-op by client, broker and worker in one thread of this test. */
static void test_noop_latency(void **state)
{
    enum { ROUNDS = 200 };
    scene s;
    double took[ROUNDS], sum = 0;
    (void)state;
    scene_open(&s, NULL);
    party_credit(&s.worker, 1);
    for (int i = 0; i < ROUNDS; i++) {
        const double start = clock_seconds();
        job j = scene_noop();
        party_done(&s.worker, scene_assign(&s, &j), "class A", "p");
        party_expect(&s.client, BODY(RESULT));
        took[i] = clock_seconds() - start;
        sum += took[i];
        party_by_id(&s.client, BODY(ACK), &j.id);
    }
    for (int i = 0; i < ROUNDS; i++) /* the median by selection */
        for (int k = i + 1; k < ROUNDS; k++)
            if (took[k] < took[i]) {
                const double swap = took[i];
                took[i] = took[k];
                took[k] = swap;
            }
    print_message("no-op: median %.3f ms, mean %.3f ms\n", 1e3 * took[ROUNDS / 2],
                  1e3 * sum / ROUNDS);
    assert_true(took[ROUNDS / 2] < 0.05); /* a loaded machine; the figure is for reading */
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job_goes_through),
        cmocka_unit_test(test_payload_reaches_worker),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_refused_jobs),
        cmocka_unit_test(test_deadline_and_ttl),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_second_broker_is_refused),
        cmocka_unit_test(test_noop_latency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
