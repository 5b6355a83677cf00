/* A worker's conversation with its broker, against a broker that the test plays itself: a real
 * socket in a temporary folder, one message after another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/clock.h"
#include "tests/support/jobs.h"
#include "worker/net.h"

enum { LOST_MS = 1000, BEAT_MS = 200, PATIENCE_MS = 30000, JOBS = 3 };

/* The broker, and the worker it talks to. */
typedef struct {
    char folder[64], endpoint[128];
    void *context, *socket;
    int lock;
    wire_peer peer; /* who spoke last */
    bool mute;      /* heartbeats are not answered */
    wire_message heard;

    service *inside;
    net_options options;
    atomic_int stop;
    int stop_descriptor;
    pthread_t thread;
    int rc;
} stage;

/* ---------------------------------------------------------------- the worker */

static void *run_worker(void *arg)
{
    stage *s = arg;
    err e = {0};
    s->rc = net_run(&s->options, s->inside, &s->stop, s->stop_descriptor, &e);
    return NULL;
}

static void signal_worker(stage *s)
{
    const uint64_t one = 1;
    atomic_fetch_add(&s->stop, 1);
    assert_int_equal(write(s->stop_descriptor, &one, sizeof one), sizeof one);
}

static void bind_broker(stage *s)
{
    err e = {0};
    s->socket = wire_bind(s->context, s->endpoint, &s->lock, &e);
    assert_non_null(s->socket);
}

static void close_broker(stage *s)
{
    zmq_close(s->socket);
    close(s->lock);
}

static int raise_curtain(void **state)
{
    stage *s = calloc(1, sizeof *s);
    assert_non_null(s);
    strcpy(s->folder, "/tmp/overpaint-net-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->endpoint, sizeof s->endpoint, "ipc://%s/b", s->folder);
    s->context = zmq_ctx_new();
    bind_broker(s);
    s->inside = jobs_service("cpu", 1, 0, 0);
    s->options = (net_options){.endpoint = s->endpoint,
                               .name = "tester",
                               .local = true,
                               .jobs_per_device = JOBS,
                               .drain_ms = 60000};
    s->stop_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(pthread_create(&s->thread, NULL, run_worker, s), 0);
    *state = s;
    return 0;
}

/* Ends the worker if the test did not. */
static int drop_curtain(void **state)
{
    stage *s = *state;
    char path[160];
    if (s->thread) {
        signal_worker(s);
        signal_worker(s);
        pthread_join(s->thread, NULL);
    }
    wire_message_done(&s->heard);
    close_broker(s);
    zmq_ctx_term(s->context);
    service_free(&s->inside);
    close(s->stop_descriptor);
    snprintf(path, sizeof path, "%s/b.lock", s->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/b", s->folder);
    unlink(path);
    rmdir(s->folder);
    free(s);
    return 0;
}

/* ---------------------------------------------------------------- what the broker says */

static wire_header new_header(Overpaint__Header__BodyCase body)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    h.has_version = 1;
    h.version = WIRE_VERSION;
    h.body_case = body;
    return h;
}

static void say(stage *s, const wire_header *h, zmq_msg_t *frames, size_t count)
{
    err e = {0};
    if (wire_send(s->socket, &s->peer, h, frames, count, &e))
        print_error("%s\n", e.text);
    assert_int_equal(e.code, ERR_OK);
}

static void say_welcome(stage *s, uint64_t epoch)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_WELCOME);
    Overpaint__Welcome w = OVERPAINT__WELCOME__INIT;
    h.welcome = &w;
    w.has_epoch = w.has_heartbeat_ms = w.has_lost_after_ms = 1;
    w.epoch = epoch;
    w.heartbeat_ms = BEAT_MS;
    w.lost_after_ms = LOST_MS;
    say(s, &h, NULL, 0);
}

static void say_assign(stage *s, uint64_t lease, const job *j)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_ASSIGN);
    Overpaint__Assign a = OVERPAINT__ASSIGN__INIT;
    wire_job_packed *packed = calloc(1, sizeof *packed);
    assert_non_null(packed);
    h.assign = &a;
    a.has_lease = a.has_attempt = a.has_local = 1;
    a.lease = lease;
    a.attempt = 1;
    a.local = 1;
    if (j) {
        assert_int_equal(wire_job_pack(packed, j, NULL), 0);
        a.job = &packed->message;
    }
    say(s, &h, packed->frame, packed->frames);
    packed->frames = 0;
    wire_job_packed_done(packed);
    free(packed);
}

static void say_revoke(stage *s, uint64_t lease)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_REVOKE);
    Overpaint__Revoke r = OVERPAINT__REVOKE__INIT;
    h.revoke = &r;
    r.has_lease = 1;
    r.lease = lease;
    say(s, &h, NULL, 0);
}

static void say_settled(stage *s, uint64_t lease, bool stale)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_SETTLED);
    Overpaint__Settled settled = OVERPAINT__SETTLED__INIT;
    h.settled = &settled;
    settled.has_lease = settled.has_stale = 1;
    settled.lease = lease;
    settled.stale = stale;
    say(s, &h, NULL, 0);
}

static void say_heartbeat(stage *s)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_HEARTBEAT);
    Overpaint__Heartbeat b = OVERPAINT__HEARTBEAT__INIT;
    h.heartbeat = &b;
    say(s, &h, NULL, 0);
}

/* ---------------------------------------------------------------- what the broker hears */

/* The next message, whatever it is; it lives until the next call. Heartbeats are answered. */
static const wire_header *hear_any(stage *s)
{
    const int64_t end = clock_ms() + PATIENCE_MS;
    wire_message_done(&s->heard);
    for (int rc = 0; rc == 0;) {
        err e = {0};
        zmq_pollitem_t item = {s->socket, 0, ZMQ_POLLIN, 0};
        zmq_poll(&item, 1, 100);
        rc = wire_receive(s->socket, true, &s->heard, &e);
        assert_true(rc >= 0);
        assert_true(clock_ms() < end);
    }
    s->peer = s->heard.peer;
    if (s->heard.header->body_case == OVERPAINT__HEADER__BODY_HEARTBEAT && !s->mute)
        say_heartbeat(s);
    return s->heard.header;
}

/* The next message with this body; others are passed over. */
static const wire_header *hear(stage *s, Overpaint__Header__BodyCase body)
{
    const wire_header *h = hear_any(s);
    while (h->body_case != body)
        h = hear_any(s);
    return h;
}

static void greet(stage *s, uint64_t epoch)
{
    assert_int_equal(hear(s, OVERPAINT__HEADER__BODY_HELLO)->hello->role, OVERPAINT__ROLE__WORKER);
    say_welcome(s, epoch);
    hear(s, OVERPAINT__HEADER__BODY_READY);
}

/* Assigns a job of so many steps under this lease. */
static void assign_steps(stage *s, uint64_t lease, int steps)
{
    work *w = jobs_simple("tiny", "over the wire");
    w->job.steps = steps;
    say_assign(s, lease, &w->job);
    work_free(&w);
}

static void assign_noop(stage *s, uint64_t lease, bool through)
{
    job j;
    job_init(&j);
    job_id_new(&j.id);
    j.task = TASK_NOOP;
    j.noop_engine = through;
    j.seed = 0;
    say_assign(s, lease, &j);
    job_done(&j);
}

static void assert_failed(stage *s, uint64_t lease, const char *code)
{
    const Overpaint__Fail *f = hear(s, OVERPAINT__HEADER__BODY_FAIL)->fail;
    assert_int_equal(f->lease, lease);
    assert_string_equal(f->code, code);
    assert_true(strlen(f->text) > 0);
    assert_false(f->again);
    say_settled(s, lease, false);
}

/* ---------------------------------------------------------------- the plays */

static void greeting(void **state)
{
    stage *s = *state;
    const Overpaint__Hello *hello = hear_any(s)->hello;
    assert_string_equal(hello->name, "tester");
    say_welcome(s, 1);
    const Overpaint__Ready *ready = hear(s, OVERPAINT__HEADER__BODY_READY)->ready;
    assert_string_equal(ready->name, "tester");
    assert_int_equal(ready->n_device, 1);
    assert_string_equal(ready->device[0]->name, "cpu:0");
    assert_true(strlen(ready->device[0]->device_class) > 0);
    assert_int_equal(ready->n_lease, 0);
    assert_int_equal(hear(s, OVERPAINT__HEADER__BODY_CREDIT)->credit->jobs, JOBS);
    hear(s, OVERPAINT__HEADER__BODY_HEARTBEAT);
}

static void a_job_until_it_is_settled(void **state)
{
    stage *s = *state;
    greet(s, 1);
    assign_steps(s, 11, 3);
    assert_int_equal(hear(s, OVERPAINT__HEADER__BODY_STARTED)->started->lease, 11);
    const Overpaint__Progress *p = hear(s, OVERPAINT__HEADER__BODY_PROGRESS)->progress;
    assert_int_equal(p->lease, 11);
    assert_int_equal(p->steps, 3);
    size_t size = 0;
    uint8_t *bytes = NULL;
    for (int times = 0; times < 2; times++) { /* it is sent again: nobody settled it */
        const Overpaint__Done *d = hear(s, OVERPAINT__HEADER__BODY_DONE)->done;
        assert_int_equal(d->lease, 11);
        assert_int_equal(d->result->n_picture, 1);
        assert_int_equal(d->result->picture[0]->seed, 1);
        assert_int_equal(d->result->picture[0]->width, 64);
        assert_non_null(strstr(d->result->info[0], "Steps: 3, Sampler: Euler"));
        const size_t now = zmq_msg_size(&s->heard.frame[0]);
        assert_int_equal(d->result->picture[0]->blob->size, now);
        if (times) {
            assert_int_equal(now, size);
            assert_memory_equal(zmq_msg_data(&s->heard.frame[0]), bytes, size);
        } else {
            size = now;
            bytes = malloc(size);
            assert_non_null(bytes);
            memcpy(bytes, zmq_msg_data(&s->heard.frame[0]), size);
        }
    }
    free(bytes);
    /* What was sent speaks for its lease: beside it a heartbeat would only be called stale. */
    assert_int_equal(hear(s, OVERPAINT__HEADER__BODY_HEARTBEAT)->heartbeat->n_lease, 0);
    say_settled(s, 11, false);
}

static void a_revoked_job(void **state)
{
    stage *s = *state;
    greet(s, 1);
    assign_steps(s, 5, 150);
    hear(s, OVERPAINT__HEADER__BODY_STARTED);
    say_revoke(s, 77); /* not held: nothing happens */
    say_revoke(s, 5);
    assert_failed(s, 5, "cancelled");
}

static void noops(void **state)
{
    stage *s = *state;
    greet(s, 1);
    for (int through = 0; through < 2; through++) {
        assign_noop(s, 20 + (uint64_t)through, through);
        const wire_header *h = hear_any(s);
        bool started = false;
        for (; h->body_case != OVERPAINT__HEADER__BODY_DONE; h = hear_any(s))
            started |= h->body_case == OVERPAINT__HEADER__BODY_STARTED;
        assert_int_equal(h->done->lease, 20 + through);
        assert_int_equal(h->done->result->n_picture, 0);
        assert_int_equal(started, through);
        say_settled(s, 20 + (uint64_t)through, false);
    }
}

static void bad_jobs_fail_as_invalid(void **state)
{
    stage *s = *state;
    greet(s, 1);
    assign_steps(s, 3, 0);
    assert_failed(s, 3, "invalid");
    say_assign(s, 4, NULL);
    assert_failed(s, 4, "protocol");
    work *w = jobs_simple("tiny", "no such model");
    strcpy(w->job.model, "absent");
    say_assign(s, 5, &w->job);
    work_free(&w);
    assert_failed(s, 5, "not_found");
}

static void malformed_messages_are_dropped(void **state)
{
    static const char *const rubbish[] = {"", "\x08", "rubbish", "\x08\x01", "\x08\x02\x52\x00"};
    stage *s = *state;
    greet(s, 1);
    for (size_t i = 0; i < sizeof rubbish / sizeof *rubbish; i++) {
        const size_t size = strlen(rubbish[i]);
        assert_int_equal(zmq_send(s->socket, s->peer.id, s->peer.size, ZMQ_SNDMORE), s->peer.size);
        assert_int_equal(zmq_send(s->socket, rubbish[i], size, 0), size);
    }
    wire_header h = new_header(OVERPAINT__HEADER__BODY_SUBMIT); /* no message for a worker */
    Overpaint__Submit submit = OVERPAINT__SUBMIT__INIT;
    h.submit = &submit;
    say(s, &h, NULL, 0);
    assign_noop(s, 6, false);
    assert_int_equal(hear(s, OVERPAINT__HEADER__BODY_DONE)->done->lease, 6);
    say_settled(s, 6, false);
}

/* The broker came back with another epoch: it does not know the lease, and the job is dropped. */
static void a_broker_that_restarted(void **state)
{
    stage *s = *state;
    greet(s, 1);
    assign_steps(s, 9, 150);
    hear(s, OVERPAINT__HEADER__BODY_STARTED);
    close_broker(s);
    bind_broker(s);
    hear_any(s);
    wire_header h = new_header(OVERPAINT__HEADER__BODY_FAILURE);
    Overpaint__Failure f = OVERPAINT__FAILURE__INIT;
    h.failure = &f;
    f.code = (char *)"protocol";
    f.text = (char *)"say HELLO";
    say(s, &h, NULL, 0);
    hear(s, OVERPAINT__HEADER__BODY_HELLO);
    say_welcome(s, 2);
    const Overpaint__Ready *ready = hear(s, OVERPAINT__HEADER__BODY_READY)->ready;
    assert_int_equal(ready->n_lease, 1);
    assert_int_equal(ready->lease[0], 9);
    say_settled(s, 9, true);
    assert_failed(s, 9, "cancelled");
    while (hear(s, OVERPAINT__HEADER__BODY_HEARTBEAT)->heartbeat->n_lease)
        ;
}

static void a_silent_broker(void **state)
{
    stage *s = *state;
    greet(s, 1);
    const wire_peer before = s->peer;
    s->mute = true;
    hear(s, OVERPAINT__HEADER__BODY_HELLO); /* on another connection */
    assert_true(before.size != s->peer.size || memcmp(before.id, s->peer.id, before.size));
    s->mute = false;
    say_welcome(s, 1);
    hear(s, OVERPAINT__HEADER__BODY_READY);
}

/* The first signal: what runs goes on, what comes is handed back. The second hands back all. */
static void draining(void **state)
{
    stage *s = *state;
    greet(s, 1);
    assign_steps(s, 1, 150);
    hear(s, OVERPAINT__HEADER__BODY_STARTED);
    signal_worker(s);
    const Overpaint__Credit *c = hear(s, OVERPAINT__HEADER__BODY_CREDIT)->credit;
    while (c->jobs)
        c = hear(s, OVERPAINT__HEADER__BODY_CREDIT)->credit;
    assert_true(hear(s, OVERPAINT__HEADER__BODY_HEARTBEAT)->heartbeat->draining);
    assign_steps(s, 2, 4);
    assert_int_equal(hear(s, OVERPAINT__HEADER__BODY_RELEASE)->release->lease, 2);
    say_settled(s, 2, false);
    signal_worker(s);
    const wire_header *h = hear_any(s);
    while (h->body_case != OVERPAINT__HEADER__BODY_RELEASE &&
           h->body_case != OVERPAINT__HEADER__BODY_DONE)
        h = hear_any(s);
    assert_int_equal(h->body_case, OVERPAINT__HEADER__BODY_RELEASE);
    assert_int_equal(h->release->lease, 1);
    say_settled(s, 1, false);
    assert_string_equal(hear(s, OVERPAINT__HEADER__BODY_BYE)->bye->reason, "drained");
    pthread_join(s->thread, NULL);
    s->thread = 0;
    assert_int_equal(s->rc, 0);
}

int main(void)
{
#define PLAY(name) cmocka_unit_test_setup_teardown(name, raise_curtain, drop_curtain)
    const struct CMUnitTest tests[] = {
        PLAY(greeting),
        PLAY(a_job_until_it_is_settled),
        PLAY(a_revoked_job),
        PLAY(noops),
        PLAY(bad_jobs_fail_as_invalid),
        PLAY(malformed_messages_are_dropped),
        PLAY(a_broker_that_restarted),
        PLAY(a_silent_broker),
        PLAY(draining),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
