/* liboverpaint against a broker that is absent, refuses, falls silent, restarts, forgets,
 * contradicts itself or sends rubbish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proto/clock.h"
#include "tests/support/on_fake.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---------------------------------------------------------------- no broker, refusals, silence */

static void names_up_without_a_broker(void **state)
{
    (void)state;
    const int64_t start = clock_ms();
    overpaint_id id = {{1}};
    overpaint *o = overpaint_open("ipc:///tmp/overpaint-nobody-here", NULL);
    assert_in_range(clock_ms() - start, 1900, 8000); /* 2000, and what a busy machine adds */
    assert_int_equal(overpaint_error_code(o), ERR_TIMEOUT);
    on_fake_says(overpaint_error(o), "overpaint up");
    assert_false(overpaint_connected(o));
    assert_int_equal(overpaint_wait(o, &id, 10), ERR_TIMEOUT);
    assert_int_equal(on_fake_submit(o, &id), ERR_TIMEOUT);
    assert_null(overpaint_status_json(o, NULL));
    overpaint_close(&o);

    static const char *const bad[] = {"", "ipc://relative", "tcp://example.org:1", "http://x"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        o = overpaint_open(bad[i], NULL);
        assert_int_equal(overpaint_error_code(o), ERR_INVALID);
        overpaint_close(&o);
    }
}

static void reject_job(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    if (m->header->body_case == OVERPAINT__HEADER__BODY_SUBMIT)
        fake_reject(f, m, &id, f->arg, 1500);
}

static void says_why_a_job_is_rejected(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        int expected;
    } codes[] = {{"busy", ERR_BUSY}, {"conflict", ERR_CONFLICT}, {"nonsense", ERR_PROTOCOL}};
    for (size_t i = 0; i < COUNT(codes); i++) {
        fake_broker f;
        overpaint_id id;
        fake_start(&f, reject_job, (void *)codes[i].code);
        overpaint *o = on_fake_open(&f);
        assert_int_equal(on_fake_submit(o, &id), codes[i].expected);
        on_fake_says(overpaint_error(o), "the fake broker refuses");
        if (codes[i].expected == ERR_BUSY)
            on_fake_says(overpaint_error(o), "try again in 1.5 s");
        assert_int_equal(overpaint_retry_after_ms(o), codes[i].expected == ERR_BUSY ? 1500 : 0);
        overpaint_close(&o);
        fake_stop(&f);
    }
}

static void accept_and_fall_silent(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    if (m->header->body_case == OVERPAINT__HEADER__BODY_SUBMIT) {
        fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 1);
        f->mute = true;
    }
}

static void notices_silence(void **state)
{
    (void)state;
    fake_broker f;
    overpaint_id id;
    fake_start(&f, accept_and_fall_silent, NULL);
    f.lost_after_ms = 1000;
    overpaint *o = on_fake_open(&f);
    assert_int_equal(on_fake_submit(o, &id), 0);
    assert_int_equal(overpaint_wait(o, &id, 100), ERR_TIMEOUT);
    on_fake_says(overpaint_error(o), "it is queued");
    assert_int_equal(overpaint_wait(o, &id, 2000), ERR_TIMEOUT);
    on_fake_says(overpaint_error(o), "no broker answers");
    assert_false(overpaint_connected(o));
    overpaint_close(&o);
    fake_stop(&f);
}

/* ---------------------------------------------------------------- a broker that forgets */

/* What the first SUBMIT leads to; the second one, or a WATCH, ends the job. */
typedef struct {
    enum { BIND_AGAIN, NEW_EPOCH, FORGET_PEER, FORGET_JOB } first;
    int64_t seed; /* of the second SUBMIT */
    job_id id[2];
} forgetful;

static void forget_something(fake_broker *f, wire_message *m)
{
    forgetful *t = f->arg;
    const job_id id = fake_id(m);
    const bool submits = m->header->body_case == OVERPAINT__HEADER__BODY_SUBMIT;
    if (submits && on_fake_seen(f, OVERPAINT__HEADER__BODY_SUBMIT) == 1) {
        t->id[0] = id;
        fake_accept(f, m, &id, OVERPAINT__STATE__RUNNING, 4711);
        f->restart = t->first == BIND_AGAIN;
        f->epoch += t->first == NEW_EPOCH;
        f->known = false;
    } else if (submits) {
        t->id[1] = id;
        t->seed = m->header->submit->job->seed;
        fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, t->seed);
        fake_result(f, NULL, &id, on_fake_one_picture);
    } else if (m->header->body_case == OVERPAINT__HEADER__BODY_WATCH) {
        if (t->first == FORGET_PEER)
            fake_result(f, m, &id, on_fake_one_picture);
        else
            fake_fail(f, m, "not_found");
    }
}

static void survives_forgetting(void **state)
{
    (void)state;
    static const struct {
        int first, submits, watches;
    } cases[] = {{BIND_AGAIN, 2, 0}, {NEW_EPOCH, 2, 0}, {FORGET_PEER, 1, 1}, {FORGET_JOB, 2, 1}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        fake_broker f;
        forgetful t = {.first = cases[i].first};
        overpaint_id id;
        fake_start(&f, forget_something, &t);
        overpaint *o = on_fake_open(&f);
        assert_int_equal(on_fake_submit(o, &id), 0);
        assert_int_equal(overpaint_wait(o, &id, ON_FAKE_WAIT_MS), 0);
        assert_int_equal(overpaint_pictures(o, &id), 1);
        overpaint_close(&o);
        fake_stop(&f);
        assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_SUBMIT), cases[i].submits);
        assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_WATCH), cases[i].watches);
        if (cases[i].submits == 2) {
            assert_memory_equal(&t.id[0], &t.id[1], sizeof t.id[0]);
            assert_int_equal(t.seed, 4711); /* the seed that was drawn: the same picture */
        }
    }
}

/* ---------------------------------------------------------------- peers that misbehave */

/* Everything that contradicts itself or comes for nobody, then the truth. */
static void contradict(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m), stranger = {{42}};
    static const char *const other[] = {"another picture", NULL};
    if (m->header->body_case != OVERPAINT__HEADER__BODY_SUBMIT)
        return;
    fake_accept(f, m, &stranger, OVERPAINT__STATE__FINISHED, 1);
    fake_result(f, NULL, &stranger, other);
    fake_progress(f, NULL, &stranger, 3, NULL);
    fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 1);
    fake_reject(f, m, &id, "invalid", 0);
    fake_fail(f, NULL, "busy");
    fake_result(f, NULL, &id, on_fake_one_picture);
    fake_result(f, NULL, &id, other);
    fake_ended(f, NULL, &id, OVERPAINT__STATE__FAILED, "lost");
    fake_accept(f, NULL, &id, OVERPAINT__STATE__QUEUED, 1);
}

static void first_result_counts(void **state)
{
    (void)state;
    fake_broker f;
    overpaint_id id;
    size_t size;
    fake_start(&f, contradict, NULL);
    overpaint *o = on_fake_open(&f);
    on_fake_submit(o, &id);
    assert_int_equal(overpaint_wait(o, &id, ON_FAKE_WAIT_MS), 0);
    assert_int_equal(overpaint_poll(o, 300), 0);
    assert_int_equal(overpaint_wait(o, &id, 0), 0);
    const unsigned char *bytes = overpaint_picture(o, &id, 0, &size);
    assert_int_equal(size, strlen(on_fake_one_picture[0]));
    assert_memory_equal(bytes, on_fake_one_picture[0], size);
    overpaint_close(&o);
    fake_stop(&f);
}

static size_t valid_result(uint8_t *bytes, const job_id *id)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Result r = OVERPAINT__RESULT__INIT;
    h.has_version = r.has_id = r.has_state = 1;
    h.version = WIRE_VERSION;
    h.body_case = OVERPAINT__HEADER__BODY_RESULT;
    h.result = &r;
    r.id = wire_id_bytes(id);
    r.state = OVERPAINT__STATE__QUEUED; /* contradicts itself when it is whole */
    r.text = (char *)"text";
    return overpaint__header__pack(&h, bytes);
}

/* Rubbish of every kind; the job itself goes on. */
static void be_hostile(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m), stranger = {{42}};
    uint8_t bytes[256];
    static uint8_t large[WIRE_HEADER_MAX + 100];
    if (m->header->body_case != OVERPAINT__HEADER__BODY_SUBMIT)
        return;
    fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 1);
    const size_t size = valid_result(bytes, &stranger);
    for (size_t i = 0; i <= size; i++)
        fake_raw(f, bytes, i);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0xff;
        fake_raw(f, bytes, size);
        bytes[i] ^= 0xff;
    }
    fake_raw(f, large, sizeof large);
    fake_send(f, m->header, NULL, 0); /* a SUBMIT is nothing for a client */
    fake_result(f, NULL, &id, on_fake_one_picture);
}

static void survives_rubbish(void **state)
{
    (void)state;
    fake_broker f;
    overpaint_id id;
    fake_start(&f, be_hostile, NULL);
    overpaint *o = on_fake_open(&f);
    assert_int_equal(on_fake_submit(o, &id), 0);
    assert_int_equal(overpaint_wait(o, &id, ON_FAKE_WAIT_MS), 0);
    assert_int_equal(overpaint_pictures(o, &id), 1);
    overpaint_close(&o);
    fake_stop(&f);
}

/* A result whose picture is nowhere. */
static void send_broken_result(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Result r = OVERPAINT__RESULT__INIT;
    Overpaint__Picture p = OVERPAINT__PICTURE__INIT, *at[] = {&p};
    wire_blob b = OVERPAINT__BLOB__INIT;
    if (m->header->body_case != OVERPAINT__HEADER__BODY_SUBMIT)
        return;
    fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 1);
    h.has_version = r.has_id = r.has_state = b.has_frame = 1;
    h.version = WIRE_VERSION;
    h.body_case = OVERPAINT__HEADER__BODY_RESULT;
    h.result = &r;
    r.id = wire_id_bytes(&id);
    r.state = f->arg ? OVERPAINT__STATE__FINISHED : OVERPAINT__STATE__RUNNING;
    r.n_picture = 1;
    r.picture = at;
    p.blob = &b;
    b.frame = 9;
    fake_send(f, &h, NULL, 0);
}

static void refuses_broken_results(void **state)
{
    (void)state;
    static const char *const says[] = {"has not ended", "blob points to frame 9 of 0"};
    for (int i = 0; i < 2; i++) {
        fake_broker f;
        overpaint_id id;
        fake_start(&f, send_broken_result, i ? &f : NULL);
        overpaint *o = on_fake_open(&f);
        assert_int_equal(on_fake_submit(o, &id), 0);
        assert_int_equal(overpaint_wait(o, &id, ON_FAKE_WAIT_MS), ERR_PROTOCOL);
        on_fake_says(overpaint_error(o), says[i]);
        overpaint_close(&o);
        fake_stop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_up_without_a_broker), cmocka_unit_test(says_why_a_job_is_rejected),
        cmocka_unit_test(notices_silence),           cmocka_unit_test(survives_forgetting),
        cmocka_unit_test(first_result_counts),       cmocka_unit_test(survives_rubbish),
        cmocka_unit_test(refuses_broken_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
