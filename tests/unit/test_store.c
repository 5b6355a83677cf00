/* The store: records move in, are shared out, and leave nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "broker/idmap.h"
#include "broker/store.h"

static job_id make_id(uint32_t n)
{
    job_id id = {{0}};
    memcpy(id.byte, &n, sizeof n);
    return id;
}

static void text_frame(zmq_msg_t *f, const char *text)
{
    zmq_msg_init_size(f, strlen(text));
    memcpy(zmq_msg_data(f), text, strlen(text));
}

static store_record make_record(const char *message, const char *payload)
{
    zmq_msg_t first, second;
    store_record r;
    text_frame(&first, message);
    text_frame(&second, payload);
    assert_true(store_record_make(&r, &first, &second, 1));
    assert_int_equal(zmq_msg_size(&first) + zmq_msg_size(&second), 0); /* moved */
    return r;
}

static void expect_frames(store_record *r, const char *message, const char *payload)
{
    assert_int_equal(r->frames, 2);
    assert_int_equal(zmq_msg_size(&r->frame[0]), strlen(message));
    assert_memory_equal(zmq_msg_data(&r->frame[0]), message, strlen(message));
    assert_int_equal(zmq_msg_size(&r->frame[1]), strlen(payload));
    assert_memory_equal(zmq_msg_data(&r->frame[1]), payload, strlen(payload));
}

static void test_life(void **state)
{
    static const char big[] = "a payload long enough not to be stored inside of the message itself";
    store *s = store_memory_new();
    const job_id id = make_id(1);
    store_ticket t = 0, next = 0;
    store_record r = make_record("job", big), read;
    err e = {0};
    (void)state;
    assert_int_equal(store_record_bytes(&r), 3 + strlen(big));
    const void *bytes = zmq_msg_data(&r.frame[1]);
    assert_int_equal(store_append(s, &id, &r, &t, &e), 0);
    assert_int_equal(r.frames, 0); /* taken over */
    assert_true(t > 0 && store_durable(s) >= t);
    assert_int_equal(store_descriptor(s), -1);
    assert_int_equal(store_read(s, &id, STORE_JOB, &read, &e), 0);
    expect_frames(&read, "job", big);
    assert_ptr_equal(zmq_msg_data(&read.frame[1]), bytes); /* shared, not copied */
    assert_int_equal(store_take(s, &id, 1, &next, &e), 0);
    assert_true(next > t);
    assert_int_equal(store_read(s, &id, STORE_RESULT, &r, NULL), ERR_NOT_FOUND);

    store_record again = make_record("other", "x");
    assert_int_equal(store_append(s, &id, &again, &t, NULL), ERR_CONFLICT);
    assert_int_equal(again.frames, 2); /* still the caller's */
    assert_int_equal(store_settle(s, &id, &again, &t, &e), 0);
    again = make_record("third", "y");
    assert_int_equal(store_settle(s, &id, &again, &t, NULL), ERR_CONFLICT);
    store_record_done(&again);
    assert_int_equal(store_read(s, &id, STORE_JOB, &r, NULL), ERR_NOT_FOUND); /* replaced */
    expect_frames(&read, "job", big); /* what was read lives on */
    store_record_done(&read);
    assert_int_equal(store_read(s, &id, STORE_RESULT, &read, &e), 0);
    expect_frames(&read, "other", "x");
    store_record_done(&read);
    assert_int_equal(store_forget(s, &id, &e), 0);
    assert_int_equal(store_forget(s, &id, NULL), ERR_NOT_FOUND);
    assert_int_equal(store_read(s, &id, STORE_RESULT, &read, NULL), ERR_NOT_FOUND);
    assert_int_equal(store_settle(s, &id, &r, &t, NULL), ERR_NOT_FOUND);
    assert_int_equal(store_take(s, &id, 1, &t, NULL), ERR_NOT_FOUND);
    store_free(&s);
    assert_null(s);
}

typedef struct {
    uint32_t expected[8], count, at;
} visit;

static int visit_job(void *arg, const job_id *id, store_record *first, store_record *result,
                     uint32_t attempts, err *e)
{
    visit *v = arg;
    assert_true(v->at < v->count);
    const job_id expected = make_id(v->expected[v->at]);
    assert_true(job_id_equal(id, &expected));
    assert_true((first != NULL) != (result != NULL));
    assert_int_equal(attempts, v->expected[v->at] == 4 ? 2 : 0);
    v->at++;
    return v->at == 3 && e ? err_set(e, ERR_IO, "enough") : 0;
}

static void test_replay_in_order(void **state)
{
    store *s = store_memory_new();
    store_ticket t;
    err e = {0};
    (void)state;
    for (uint32_t n = 1; n <= 200; n++) { /* beyond the first room */
        const job_id id = make_id(n);
        store_record r = make_record("j", "p");
        assert_int_equal(store_append(s, &id, &r, &t, &e), 0);
    }
    for (uint32_t n = 6; n <= 200; n++) {
        const job_id id = make_id(n);
        assert_int_equal(store_forget(s, &id, &e), 0);
    }
    const job_id one = make_id(1), two = make_id(2), four = make_id(4);
    store_forget(s, &one, &e);
    store_record r = make_record("r", "q");
    store_settle(s, &two, &r, &t, &e);
    store_take(s, &four, 2, &t, &e);
    r = make_record("again", "p"); /* in a slot used before, but last in order */
    assert_int_equal(store_append(s, &one, &r, &t, &e), 0);
    visit v = {.expected = {2, 3, 4, 5, 1}, .count = 5};
    assert_int_equal(store_replay(s, visit_job, &v, NULL), 0);
    assert_int_equal(v.at, 5);
    v.at = 0;
    assert_int_equal(store_replay(s, visit_job, &v, &e), ERR_IO); /* the visitor may stop it */
    assert_int_equal(v.at, 3);
    store_free(&s);
}

/* ---------------------------------------------------------------- the table of ids */

static void test_idmap_against_a_plain_array(void **state)
{
    enum { IDS = 500, STEPS = 50000 };
    idmap m = {0};
    bool has[IDS] = {false};
    uint32_t value[IDS], got;
    unsigned seed = 7;
    size_t count = 0;
    (void)state;
    const job_id none = make_id(1);
    assert_false(idmap_get(&m, &none, &got));
    idmap_remove(&m, &none);
    for (int i = 0; i < STEPS; i++) {
        seed = seed * 1664525u + 1013904223u;
        const uint32_t n = (seed >> 8) % IDS;
        const job_id id = make_id(n);
        if (seed >> 31) {
            count += !has[n];
            has[n] = true;
            value[n] = (uint32_t)i;
            assert_true(idmap_set(&m, &id, value[n]));
        } else {
            count -= has[n];
            has[n] = false;
            idmap_remove(&m, &id);
        }
        assert_int_equal(m.count, count);
        if (i % 500)
            continue;
        for (uint32_t k = 0; k < IDS; k++) {
            const job_id other = make_id(k);
            assert_int_equal(idmap_get(&m, &other, &got), has[k]);
            if (has[k])
                assert_int_equal(got, value[k]);
        }
    }
    idmap_done(&m);
}

static void test_hash_sees_every_byte(void **state)
{
    uint8_t bytes[40] = {0};
    (void)state;
    for (size_t size = 0; size <= sizeof bytes; size++) {
        const uint64_t plain = hash_bytes(1, bytes, size);
        assert_true(size == sizeof bytes || plain != hash_bytes(1, bytes, size + 1));
        assert_true(plain != hash_bytes(2, bytes, size));
        for (size_t i = 0; i < size; i++) {
            bytes[i] = 1;
            assert_true(plain != hash_bytes(1, bytes, size));
            bytes[i] = 0;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_replay_in_order),
        cmocka_unit_test(test_idmap_against_a_plain_array),
        cmocka_unit_test(test_hash_sees_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
