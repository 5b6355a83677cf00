/* The real broker process over ipc, driven by fake clients and workers: what PROTOCOL.md promises,
 * with workers that die, lie and come back, and peers that send rubbish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clock.h"
#include "tests/support/party.h"

#define BODY(name) OVERPAINT__HEADER__BODY_##name

typedef struct {
    void *context;
    party_broker broker;
    party client, worker;
} scene;

static void open_scene(scene *s, const char *const *arguments)
{
    s->broker = party_start(arguments); /* before a context exists: it forks */
    s->context = zmq_ctx_new();
    party_join(&s->client, s->context, s->broker.clients, OVERPAINT__ROLE__CLIENT, "client");
    party_join(&s->worker, s->context, s->broker.workers, OVERPAINT__ROLE__WORKER, "worker");
    party_ready(&s->worker, "worker", "class A", NULL, NULL, 0);
}

static void close_scene(scene *s)
{
    party_leave(&s->client);
    party_leave(&s->worker);
    zmq_ctx_term(s->context);
    party_finish(&s->broker);
}

static job new_noop(void)
{
    job j;
    job_init(&j);
    job_id_new(&j.id);
    j.task = TASK_NOOP;
    return j;
}

/* Submits a noop and gives the lease under which the worker got it. */
static uint64_t submit_and_assign(scene *s, const job *j)
{
    party_submit(&s->client, j, 1);
    assert_false(party_expect(&s->client, BODY(ACCEPTED))->accepted->duplicate);
    return party_expect(&s->worker, BODY(ASSIGN))->assign->lease;
}

static const Overpaint__Result *expect_result(party *p, const job *j, Overpaint__State state)
{
    const Overpaint__Result *r = party_expect(p, BODY(RESULT))->result;
    assert_memory_equal(r->id.data, j->id.byte, JOB_ID_BYTES);
    assert_int_equal(r->state, state);
    return r;
}

static void expect_settled(party *p, uint64_t lease, bool stale)
{
    const Overpaint__Settled *s = party_expect(p, BODY(SETTLED))->settled;
    assert_true(s->lease == lease);
    assert_int_equal(s->stale, stale);
}

/* ---------------------------------------------------------------- the good way */

static void test_job_goes_through(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    job j = new_noop();
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
    expect_settled(&s.worker, lease, false);
    const Overpaint__Result *r = expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED);
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
    expect_result(&other, &j, OVERPAINT__STATE__FINISHED);
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
    close_scene(&s);
}

static void test_payload_reaches_worker(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    party_credit(&s.worker, 1);
    job j = new_noop();
    j.task = TASK_IMG2IMG;
    char *text = malloc(40000);
    memset(text, 'x', 40000);
    assert_int_equal(job_set_text(&j.prompt, text, 40000, NULL), 0);
    uint8_t picture[] = "\x89PNG and zero \0 bytes";
    job_add_input(&j, (job_picture){.bytes = picture, .size = sizeof picture}, NULL);
    submit_and_assign(&s, &j);
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
    close_scene(&s);
}

/* ---------------------------------------------------------------- workers that go wrong */

static void test_silent_worker_is_replaced(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    party_credit(&s.worker, 1);
    job j = new_noop();
    const uint64_t stale = submit_and_assign(&s, &j);
    party second;
    party_join(&second, s.context, s.broker.workers, OVERPAINT__ROLE__WORKER, "second");
    party_ready(&second, "second", "class B", NULL, NULL, 0);
    party_credit(&second, 1);
    const int64_t start = clock_ms();
    while (clock_ms() - start < WIRE_LOST_MS + 500) { /* the second one lives, the first is still */
        party_beat(&second, NULL, 0);
        if (party_receive(&second, 300) && second.in.header->body_case == BODY(ASSIGN))
            break;
    }
    assert_non_null(second.in.header);
    assert_int_equal(second.in.header->body_case, BODY(ASSIGN));
    assert_in_range(clock_ms() - start, WIRE_LOST_MS - 500, WIRE_LOST_MS + 500);
    assert_int_equal(second.in.header->assign->attempt, 2);
    const uint64_t lease = second.in.header->assign->lease;
    assert_true(lease != stale);

    party_done(&s.worker, stale, "class A", "too late");
    expect_settled(&s.worker, stale, true);
    party_beat(&s.worker, &stale, 1); /* it has to say READY again */
    assert_string_equal(party_expect(&s.worker, BODY(FAILURE))->failure->code, "protocol");
    party_hello(&s.worker, OVERPAINT__ROLE__WORKER, "worker");
    party_ready(&s.worker, "worker", "class A", NULL, &stale, 1);
    expect_settled(&s.worker, stale, true);

    party_done(&second, lease, "class B", "right");
    expect_settled(&second, lease, false);
    const Overpaint__Result *r = expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED);
    assert_true(r->class_changed);
    assert_int_equal(r->attempts, 2);
    assert_memory_equal(zmq_msg_data(&s.client.in.frame[0]), "right", 5);
    assert_in_range(party_counter(&s.client, "stale"), 2, 3);
    party_leave(&second);
    close_scene(&s);
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
    job j = new_noop();
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
    assert_false(expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED)->class_changed);
    close_scene(&s);
}

static void test_attempts_end(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    party_credit(&s.worker, 1);
    job j = new_noop();
    uint64_t lease = submit_and_assign(&s, &j);
    for (int attempt = 1; attempt < 3; attempt++) {
        party_fail(&s.worker, lease, ERR_DEVICE, true);
        expect_settled(&s.worker, lease, false);
        const Overpaint__Assign *a = party_expect(&s.worker, BODY(ASSIGN))->assign;
        assert_int_equal(a->attempt, attempt + 1);
        assert_true(a->lease != lease);
        lease = a->lease;
    }
    party_fail(&s.worker, lease, ERR_DEVICE, true);
    const Overpaint__Result *r = expect_result(&s.client, &j, OVERPAINT__STATE__FAILED);
    assert_string_equal(r->code, "lost");
    assert_non_null(strstr(r->text, "attempt 1 on worker: the test says so"));
    assert_non_null(strstr(r->text, "attempt 3"));
    assert_non_null(strstr(r->text, "quarantined"));

    job bad = new_noop(); /* the job's own fault: once is enough */
    lease = submit_and_assign(&s, &bad);
    party_fail(&s.worker, lease, ERR_INVALID, false);
    r = expect_result(&s.client, &bad, OVERPAINT__STATE__FAILED);
    assert_string_equal(r->code, "invalid");
    assert_string_equal(r->text, "the test says so");
    close_scene(&s);
}

/* A DONE whose pictures are not there is a failed attempt, never a result. */
static void test_lying_worker(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    party_credit(&s.worker, 1);
    job j = new_noop();
    const uint64_t lease = submit_and_assign(&s, &j);
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
    expect_settled(&s.worker, lease, false);
    assert_int_equal(party_expect(&s.worker, BODY(ASSIGN))->assign->attempt, 2);
    close_scene(&s);
}

static void test_reconnected_worker_keeps_its_lease(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    party_credit(&s.worker, 1);
    job j = new_noop();
    const uint64_t lease = submit_and_assign(&s, &j);
    party_leave(&s.worker);
    party_join(&s.worker, s.context, s.broker.workers, OVERPAINT__ROLE__WORKER, "worker");
    const uint64_t held[] = {lease, 0xdead};
    party_ready(&s.worker, "worker", "class A", NULL, held, 2);
    expect_settled(&s.worker, 0xdead, true);
    party_done(&s.worker, lease, "class A", "kept");
    expect_settled(&s.worker, lease, false);
    assert_int_equal(expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED)->attempts, 1);
    close_scene(&s);
}

/* ---------------------------------------------------------------- what clients do */

static void test_cancel(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    job waiting = new_noop(), running = new_noop();
    party_submit(&s.client, &waiting, 1);
    party_expect(&s.client, BODY(ACCEPTED));
    party_by_id(&s.client, BODY(CANCEL), &waiting.id);
    /* Both orders are right: the answer and the result come from the same decision. */
    const wire_header *h = party_expect(&s.client, BODY(CANCELLED));
    assert_int_equal(h->cancelled->state, OVERPAINT__STATE__CANCELLED_STATE);
    assert_string_equal(expect_result(&s.client, &waiting, OVERPAINT__STATE__CANCELLED_STATE)->code,
                        "cancelled");

    party_credit(&s.worker, 1);
    const uint64_t lease = submit_and_assign(&s, &running);
    party_by_id(&s.client, BODY(CANCEL), &running.id);
    h = party_expect(&s.client, BODY(CANCELLED));
    assert_int_equal(h->cancelled->state, OVERPAINT__STATE__RUNNING);
    assert_true(party_expect(&s.worker, BODY(REVOKE))->revoke->lease == lease);
    party_beat(&s.worker, &lease, 1); /* it has not noticed: told again */
    assert_true(party_expect(&s.worker, BODY(REVOKE))->revoke->lease == lease);
    party_done(&s.worker, lease, "class A", "finished all the same");
    expect_settled(&s.worker, lease, false);
    const Overpaint__Result *r =
        expect_result(&s.client, &running, OVERPAINT__STATE__CANCELLED_STATE);
    assert_int_equal(r->n_picture, 0);

    job unknown = new_noop();
    party_by_id(&s.client, BODY(CANCEL), &unknown.id);
    assert_string_equal(party_expect(&s.client, BODY(FAILURE))->failure->code, "not_found");
    close_scene(&s);
}

static void test_duplicates(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    party_credit(&s.worker, 1);
    job j = new_noop();
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
    expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED);
    party other; /* somebody else who submits it gets the result too */
    party_join(&other, s.context, s.broker.clients, OVERPAINT__ROLE__CLIENT, "other");
    party_submit(&other, &j, 6);
    a = party_expect(&other, BODY(ACCEPTED))->accepted;
    assert_true(a->duplicate);
    assert_int_equal(a->state, OVERPAINT__STATE__FINISHED);
    expect_result(&other, &j, OVERPAINT__STATE__FINISHED);
    assert_true(party_counter(&s.client, "conflicts") == 2);
    assert_true(party_counter(&s.client, "duplicates") == 3);
    party_leave(&other);
    close_scene(&s);
}

static void test_full_queue(void **state)
{
    static const char *const few[] = {"--queue-jobs", "3", NULL};
    scene s;
    (void)state;
    open_scene(&s, few);
    for (int i = 0; i < 3; i++) {
        job j = new_noop();
        party_submit(&s.client, &j, 1);
        assert_int_equal(party_expect(&s.client, BODY(ACCEPTED))->accepted->position, i);
    }
    job j = new_noop();
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
    close_scene(&s);
}

static void test_refused_jobs(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    job j = new_noop();
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
    close_scene(&s);
}

static void test_deadline_and_ttl(void **state)
{
    static const char *const short_ttl[] = {"--result-ttl", "0.3", NULL};
    scene s;
    (void)state;
    open_scene(&s, short_ttl);
    job j = new_noop();
    j.deadline_ms = 50;
    party_submit(&s.client, &j, 1);
    const Overpaint__Result *r = expect_result(&s.client, &j, OVERPAINT__STATE__FAILED);
    assert_string_equal(r->code, "timeout");
    usleep(400000);
    party_by_id(&s.client, BODY(FETCH), &j.id);
    assert_string_equal(party_expect(&s.client, BODY(FAILURE))->failure->code, "not_found");
    assert_true(party_counter(&s.client, "results_expired") == 1);
    party_submit(&s.client, &j, 2); /* nobody saw its result: it may run again */
    assert_false(party_expect(&s.client, BODY(ACCEPTED))->accepted->duplicate);
    close_scene(&s);
}

static void test_status(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    party_credit(&s.worker, 1);
    job first = new_noop(), second = new_noop();
    submit_and_assign(&s, &first);
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
    close_scene(&s);
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
    open_scene(&s, NULL);
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
    job j = new_noop();
    party_done(&s.worker, submit_and_assign(&s, &j), "class A", "p");
    expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED);
    uint64_t dropped = 0;
    for (int i = 0; i < 500 && dropped < 3 * ROUNDS; i++, usleep(10000))
        dropped = party_counter(&s.client, "dropped_malformed");
    assert_true(dropped == 3 * ROUNDS);
    close_scene(&s);
}

static void test_strangers_and_wrong_sides(void **state)
{
    scene s;
    err e = {0};
    (void)state;
    open_scene(&s, NULL);
    party silent = {.socket = wire_connect(s.context, s.broker.clients, &e)};
    job j = new_noop();
    party_by_id(&silent, BODY(FETCH), &j.id); /* no HELLO before it */
    assert_string_equal(party_expect(&silent, BODY(FAILURE))->failure->code, "protocol");
    party_by_id(&s.worker, BODY(FETCH), &j.id); /* clients ask that */
    assert_string_equal(party_expect(&s.worker, BODY(FAILURE))->failure->code, "invalid");
    party_credit(&s.client, 1); /* workers say that */
    assert_string_equal(party_expect(&s.client, BODY(FAILURE))->failure->code, "invalid");
    assert_true(party_counter(&s.client, "dropped_stranger") == 1);
    assert_true(party_counter(&s.client, "dropped_unexpected") == 2);
    party_leave(&silent);
    close_scene(&s);
}

/* ---------------------------------------------------------------- the broker's own end */

static void test_restart(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    party_credit(&s.worker, 1);
    job j = new_noop();
    const uint64_t lease = submit_and_assign(&s, &j);
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
    expect_settled(&s.worker, lease, true);
    party_credit(&s.worker, 1);
    party_submit(&s.client, &j, 2);
    assert_false(party_expect(&s.client, BODY(ACCEPTED))->accepted->duplicate);
    const uint64_t fresh = party_expect(&s.worker, BODY(ASSIGN))->assign->lease;
    assert_true(fresh != lease);
    party_done(&s.worker, fresh, "class A", "p");
    expect_result(&s.client, &j, OVERPAINT__STATE__FINISHED);
    close_scene(&s);
}

static void test_drain(void **state)
{
    scene s;
    (void)state;
    open_scene(&s, NULL);
    party_credit(&s.worker, 2);
    job running = new_noop(), late = new_noop();
    const uint64_t lease = submit_and_assign(&s, &running);
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
    expect_settled(&s.worker, lease, false);
    expect_result(&s.client, &running, OVERPAINT__STATE__FINISHED);
    assert_int_equal(party_wait(&s.broker), 0);
    close_scene(&s);
}

static void test_second_broker_is_refused(void **state)
{
    scene s;
    char command[256];
    (void)state;
    open_scene(&s, NULL);
    snprintf(command, sizeof command, BIN_DIR "/overpaint-broker --endpoint %s 2>/dev/null",
             s.broker.clients);
    assert_int_equal(WEXITSTATUS(system(command)), 1);
    assert_true(party_counter(&s.client, "messages") > 0); /* the first one still serves */
    close_scene(&s);
}

/* Latency of a no-op by client, broker and worker in one thread of this test. */
static void test_noop_latency(void **state)
{
    enum { ROUNDS = 200 };
    scene s;
    double took[ROUNDS], sum = 0;
    (void)state;
    open_scene(&s, NULL);
    party_credit(&s.worker, 1);
    for (int i = 0; i < ROUNDS; i++) {
        const double start = clock_seconds();
        job j = new_noop();
        party_done(&s.worker, submit_and_assign(&s, &j), "class A", "p");
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
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job_goes_through),
        cmocka_unit_test(test_payload_reaches_worker),
        cmocka_unit_test(test_silent_worker_is_replaced),
        cmocka_unit_test(test_killed_worker),
        cmocka_unit_test(test_attempts_end),
        cmocka_unit_test(test_lying_worker),
        cmocka_unit_test(test_reconnected_worker_keeps_its_lease),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_refused_jobs),
        cmocka_unit_test(test_deadline_and_ttl),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_rubbish),
        cmocka_unit_test(test_strangers_and_wrong_sides),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_second_broker_is_refused),
        cmocka_unit_test(test_noop_latency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
