/* The real broker process over ipc when others fail: workers that fall silent, die, lie and come
 * back, peers that send rubbish, and the broker itself killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clock.h"
#include "tests/support/scene.h"

/* ---------------------------------------------------------------- workers that go wrong */

static void test_silent_worker_is_replaced(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    party_credit(&s.worker, 1);
    job j = scene_noop();
    const int64_t start = clock_ms();
    const uint64_t stale = scene_assign(&s, &j);
    party second;
    party_join(&second, s.context, s.broker.workers, OVERPAINT__ROLE__WORKER, "second");
    party_ready(&second, "second", "class B", NULL, NULL, 0);
    party_credit(&second, 1);
    while (clock_ms() - start < 3 * WIRE_LOST_MS) { /* the second one lives, the first is still */
        party_beat(&second, NULL, 0);
        if (party_receive(&second, 300) && second.in.header->body_case == BODY(ASSIGN))
            break;
    }
    assert_non_null(second.in.header);
    assert_int_equal(second.in.header->body_case, BODY(ASSIGN));
    assert_true(clock_ms() - start >= WIRE_LOST_MS - 500);
    assert_int_equal(second.in.header->assign->attempt, 2);
    const uint64_t lease = second.in.header->assign->lease;
    assert_true(lease != stale);

    party_done(&s.worker, stale, "class A", "too late");
    scene_expect_settled(&s.worker, stale, true);
    party_beat(&s.worker, &stale, 1); /* it has to say READY again */
    assert_string_equal(party_expect(&s.worker, BODY(FAILURE))->failure->code, "protocol");
    party_hello(&s.worker, OVERPAINT__ROLE__WORKER, "worker");
    party_ready(&s.worker, "worker", "class A", NULL, &stale, 1);
    scene_expect_settled(&s.worker, stale, true);

    party_done(&second, lease, "class B", "right");
    scene_expect_settled(&second, lease, false);
    const Overpaint__Result *r = scene_expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED);
    assert_true(r->class_changed);
    assert_int_equal(r->attempts, 2);
    assert_memory_equal(zmq_msg_data(&s.client.in.frame[0]), "right", 5);
    assert_in_range(party_counter(&s.client, "stale"), 2, 3);
    party_leave(&second);
    scene_close(&s);
}

/* A process of its own, so that it can be killed. */
static pid_t start_doomed_worker(const party_broker *b, int *said)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        party p;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        party_join(&p, zmq_ctx_new(), b->workers, OVERPAINT__ROLE__WORKER, "doomed");
        party_ready(&p, "doomed", "class A", NULL, NULL, 0);
        party_credit(&p, 1);
        party_expect(&p, BODY(ASSIGN));
        _exit(write(pipes[1], "x", 1) == 1 && pause() ? 0 : 1);
    }
    close(pipes[1]);
    *said = pipes[0];
    return pid;
}

static void test_killed_worker(void **state)
{
    scene s;
    int said;
    char byte;
    (void)state;
    s.broker = party_start(NULL);
    pid_t doomed = start_doomed_worker(&s.broker, &said);
    s.context = zmq_ctx_new();
    party_join(&s.client, s.context, s.broker.clients, OVERPAINT__ROLE__CLIENT, "client");
    job j = scene_noop();
    party_submit(&s.client, &j, 1);
    assert_int_equal(read(said, &byte, 1), 1); /* it has the job */
    close(said);
    kill(doomed, SIGKILL);
    waitpid(doomed, NULL, 0);
    party_join(&s.worker, s.context, s.broker.workers, OVERPAINT__ROLE__WORKER, "worker");
    party_ready(&s.worker, "worker", "class A", NULL, NULL, 0);
    party_credit(&s.worker, 1);
    const wire_header *h = NULL;
    for (int i = 0; i < 20 && !(h && h->body_case == BODY(ASSIGN)); i++) {
        party_beat(&s.worker, NULL, 0);
        h = party_receive(&s.worker, 500);
    }
    assert_non_null(h);
    assert_int_equal(h->assign->attempt, 2);
    party_done(&s.worker, h->assign->lease, "class A", "again");
    assert_false(scene_expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED)->class_changed);
    scene_close(&s);
}

static void test_attempts_end(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    party_credit(&s.worker, 1);
    job j = scene_noop();
    uint64_t lease = scene_assign(&s, &j);
    for (int attempt = 1; attempt < 5; attempt++) {
        party_fail(&s.worker, lease, ERR_DEVICE, true);
        scene_expect_settled(&s.worker, lease, false);
        const Overpaint__Assign *a = party_expect(&s.worker, BODY(ASSIGN))->assign;
        assert_int_equal(a->attempt, attempt + 1);
        assert_true(a->lease != lease);
        lease = a->lease;
    }
    party_fail(&s.worker, lease, ERR_DEVICE, true);
    const Overpaint__Result *r = scene_expect_result(&s.client, &j, OVERPAINT__STATE__FAILED);
    assert_string_equal(r->code, "lost");
    assert_non_null(strstr(r->text, "attempt 1 on worker: the test says so"));
    assert_non_null(strstr(r->text, "attempt 5"));
    assert_non_null(strstr(r->text, "quarantined"));

    job bad = scene_noop(); /* the job's own fault: once is enough */
    lease = scene_assign(&s, &bad);
    party_fail(&s.worker, lease, ERR_INVALID, false);
    r = scene_expect_result(&s.client, &bad, OVERPAINT__STATE__FAILED);
    assert_string_equal(r->code, "invalid");
    assert_string_equal(r->text, "the test says so");
    scene_close(&s);
}

/* A DONE whose pictures are not there is a failed attempt, never a result. */
static void test_lying_worker(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    party_credit(&s.worker, 1);
    job j = scene_noop();
    const uint64_t lease = scene_assign(&s, &j);
    wire_header h = party_header(BODY(DONE));
    Overpaint__Done done = OVERPAINT__DONE__INIT;
    Overpaint__Result result = OVERPAINT__RESULT__INIT;
    Overpaint__Picture picture = OVERPAINT__PICTURE__INIT, *at = &picture;
    h.done = &done;
    done.has_lease = 1;
    done.lease = lease;
    done.result = &result;
    result.n_picture = 1;
    result.picture = &at;
    party_send(&s.worker, &h, NULL, 0);
    scene_expect_settled(&s.worker, lease, false);
    assert_int_equal(party_expect(&s.worker, BODY(ASSIGN))->assign->attempt, 2);
    scene_close(&s);
}

static void test_reconnected_worker_keeps_its_lease(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    party_credit(&s.worker, 1);
    job j = scene_noop();
    const uint64_t lease = scene_assign(&s, &j);
    party_leave(&s.worker);
    party_join(&s.worker, s.context, s.broker.workers, OVERPAINT__ROLE__WORKER, "worker");
    const uint64_t held[] = {lease, 0xdead};
    party_ready(&s.worker, "worker", "class A", NULL, held, 2);
    scene_expect_settled(&s.worker, 0xdead, true);
    party_done(&s.worker, lease, "class A", "kept");
    scene_expect_settled(&s.worker, lease, false);
    assert_int_equal(scene_expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED)->attempts, 1);
    scene_close(&s);
}

/* ---------------------------------------------------------------- hostile peers */

static void send_raw(void *socket, const void *bytes, size_t size, int frames)
{
    for (int i = 0; i < frames; i++)
        zmq_send(socket, bytes, size, i + 1 < frames ? ZMQ_SNDMORE : 0);
}

static void test_rubbish(void **state)
{
    enum { ROUNDS = 300 };
    static uint8_t big[WIRE_HEADER_MAX + 1];
    uint8_t noise[64];
    scene s;
    (void)state;
    scene_open(&s, NULL);
    void *hostile = zmq_socket(s.context, ZMQ_DEALER);
    int patience = 5000;
    zmq_setsockopt(hostile, ZMQ_LINGER, &patience, sizeof patience);
    zmq_setsockopt(hostile, ZMQ_SNDTIMEO, &patience, sizeof patience);
    zmq_connect(hostile, s.broker.clients);
    srand(1);
    for (int i = 0; i < ROUNDS; i++) {
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (uint8_t)rand();
        send_raw(hostile, noise, (size_t)rand() % sizeof noise, 1 + i % 4);
        send_raw(hostile, noise, 1, i % 50 ? 1 : 100);
        send_raw(hostile, big, i % 20 ? 0 : sizeof big, 1);
    }
    zmq_close(hostile);
    party_credit(&s.worker, 1); /* and all goes on */
    job j = scene_noop();
    party_done(&s.worker, scene_assign(&s, &j), "class A", "p");
    scene_expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED);
    uint64_t dropped = 0;
    for (int i = 0; i < 500 && dropped < 3 * ROUNDS; i++, usleep(10000))
        dropped = party_counter(&s.client, "dropped_malformed");
    assert_true(dropped == 3 * ROUNDS);
    scene_close(&s);
}

static void test_strangers_and_wrong_sides(void **state)
{
    scene s;
    err e = {0};
    (void)state;
    scene_open(&s, NULL);
    party silent = {.socket = wire_connect(s.context, s.broker.clients, &e)};
    job j = scene_noop();
    party_by_id(&silent, BODY(FETCH), &j.id); /* no HELLO before it */
    assert_string_equal(party_expect(&silent, BODY(FAILURE))->failure->code, "protocol");
    party_by_id(&s.worker, BODY(FETCH), &j.id); /* clients ask that */
    assert_string_equal(party_expect(&s.worker, BODY(FAILURE))->failure->code, "invalid");
    party_credit(&s.client, 1); /* workers say that */
    assert_string_equal(party_expect(&s.client, BODY(FAILURE))->failure->code, "invalid");
    assert_true(party_counter(&s.client, "dropped_stranger") == 1);
    assert_true(party_counter(&s.client, "dropped_unexpected") == 2);
    party_leave(&silent);
    scene_close(&s);
}

/* ---------------------------------------------------------------- the broker is killed */

static void test_restart(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, NULL);
    party_credit(&s.worker, 1);
    job j = scene_noop();
    const uint64_t lease = scene_assign(&s, &j);
    const uint64_t epoch = s.client.epoch;
    party_kill(&s.broker, SIGKILL);
    party_restart(&s.broker, NULL);
    party_by_id(&s.client, BODY(FETCH), &j.id); /* the same sockets reconnect by themselves */
    const wire_header *h = NULL;
    for (int i = 0; i < 50 && !h; i++) {
        h = party_receive(&s.client, 200);
        if (!h)
            party_by_id(&s.client, BODY(FETCH), &j.id);
    }
    assert_non_null(h);
    assert_string_equal(h->failure->code, "protocol");
    party_hello(&s.client, OVERPAINT__ROLE__CLIENT, "client");
    assert_true(s.client.epoch != epoch);
    party_hello(&s.worker, OVERPAINT__ROLE__WORKER, "worker");
    party_ready(&s.worker, "worker", "class A", NULL, &lease, 1);
    scene_expect_settled(&s.worker, lease, true);
    party_credit(&s.worker, 1);
    party_submit(&s.client, &j, 2);
    assert_false(party_expect(&s.client, BODY(ACCEPTED))->accepted->duplicate);
    const uint64_t fresh = party_expect(&s.worker, BODY(ASSIGN))->assign->lease;
    assert_true(fresh != lease);
    party_done(&s.worker, fresh, "class A", "p");
    scene_expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_worker_is_replaced),
        cmocka_unit_test(test_killed_worker),
        cmocka_unit_test(test_attempts_end),
        cmocka_unit_test(test_lying_worker),
        cmocka_unit_test(test_reconnected_worker_keeps_its_lease),
        cmocka_unit_test(test_rubbish),
        cmocka_unit_test(test_strangers_and_wrong_sides),
        cmocka_unit_test(test_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
