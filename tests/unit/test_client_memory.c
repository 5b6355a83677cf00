/* liboverpaint whose n-th allocation fails, for every n of a whole visit: open, submit, wait, save,
 * reports, close. Every call succeeds or says why, nothing hangs, and the next visit works. Leaks
 * show in the builds with AddressSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/command/folder.h"
#include "tests/support/failing.h"
#include "tests/support/on_fake.h"

static void finish_job(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__StatusReply reply = OVERPAINT__STATUS_REPLY__INIT;
    switch ((int)m->header->body_case) {
    case OVERPAINT__HEADER__BODY_SUBMIT:
        fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 77);
        fake_progress(f, NULL, &id, 2, "a preview");
        fake_result(f, NULL, &id, on_fake_two_pictures);
        return;
    case OVERPAINT__HEADER__BODY_STATUS:
        h.has_version = h.has_request = 1;
        h.version = WIRE_VERSION;
        h.request = m->header->request;
        h.body_case = OVERPAINT__HEADER__BODY_STATUS_REPLY;
        h.status_reply = &reply;
        fake_send(f, &h, NULL, 0);
        return;
    }
}

/* Each call is made whatever became of those before. How many failed. */
typedef struct {
    const char *endpoint, *picture, *saved;
    int failures;
} visit;

static void note(visit *v, int code, const char *text)
{
    if (!code)
        return;
    assert_in_range(-code, 1, -OVERPAINT_ERROR_LOST);
    assert_true(strlen(text) > 0);
    v->failures++;
}

static void make_job(visit *v, overpaint_job *j)
{
    note(v, overpaint_job_set(j, "prompt", "a fox"), overpaint_job_error(j));
    note(v, overpaint_job_set(j, "model", "/tmp/"), overpaint_job_error(j));
    note(v, overpaint_job_from(j, GOLDEN_DIR "/formats/parameters.png"), overpaint_job_error(j));
    note(v, overpaint_job_add_file(j, v->picture), overpaint_job_error(j));
    note(v, overpaint_job_set(j, "mask", v->picture), overpaint_job_error(j));
    note(v, overpaint_job_add_mask(j, "mask", 4), overpaint_job_error(j));
    note(v, overpaint_job_check(j), overpaint_job_error(j));
}

static void use(visit *v, overpaint *o, const overpaint_job *j)
{
    overpaint_id id;
    if (overpaint_submit(o, j, &id)) {
        note(v, overpaint_error_code(o), overpaint_error(o));
        assert_int_not_equal(overpaint_error_code(o), 0);
        return;
    }
    note(v, overpaint_wait(o, &id, ON_FAKE_WAIT_MS), overpaint_error(o));
    note(v, overpaint_save(o, &id, 0, v->saved), overpaint_error(o));
    if (!overpaint_picture_info(o, &id, 1))
        note(v, overpaint_error_code(o), overpaint_error(o));
    if (!overpaint_result_json(o, &id))
        note(v, overpaint_error_code(o), overpaint_error(o));
    if (!overpaint_status_json(o, NULL))
        note(v, overpaint_error_code(o), overpaint_error(o));
    overpaint_forget(o, &id);
}

/* True: no allocation failed any more. */
static bool survives(visit *v, int64_t n)
{
    v->failures = 0;
    failing_after(n);
    overpaint *o = overpaint_open(v->endpoint, "test");
    overpaint_job *j = overpaint_job_new("inpaint");
    note(v, overpaint_error_code(o), overpaint_error(o));
    make_job(v, j);
    use(v, o, j);
    overpaint_job_free(&j);
    overpaint_close(&o);
    const bool met = failing_stop();
    if (!met)
        assert_int_equal(v->failures, 0);
    return !met;
}

static void every_failed_allocation(void **state)
{
    char picture[] = "/tmp/overpaint-test-XXXXXX", saved[] = "/tmp/overpaint-test-XXXXXX";
    (void)state;
    fake_broker f;
    fake_start(&f, finish_job, NULL);
    int file = mkstemp(picture);
    assert_int_equal(write(file, "bytes", 5), 5);
    close(file);
    close(mkstemp(saved));
    visit v = {.endpoint = f.endpoint, .picture = picture, .saved = saved};
    int64_t n = 0;
    int seen = 0;
    while (!survives(&v, n)) {
        seen += v.failures > 0;
        n++;
    }
    print_message("a visit asks for memory %lld times, %d failures were told\n", (long long)n,
                  seen);
    assert_true(n > 10 && seen > 5);
    unlink(picture);
    unlink(saved);
    fake_stop(&f);
}

static void says_so_without_a_handle(void **state)
{
    overpaint_id id = {{0}};
    (void)state;
    visit v = {.endpoint = "ipc:///tmp/nowhere"};
    overpaint_job *j = overpaint_job_new("noop");
    note(&v, overpaint_submit(NULL, j, &id), overpaint_error(NULL));
    note(&v, overpaint_wait(NULL, &id, 0), overpaint_error(NULL));
    note(&v, overpaint_fetch(NULL, &id), overpaint_error(NULL));
    note(&v, overpaint_poll(NULL, 0), overpaint_error(NULL));
    note(&v, overpaint_cancel(NULL, &id), overpaint_error(NULL));
    note(&v, overpaint_save(NULL, &id, 0, "/tmp"), overpaint_error(NULL));
    note(&v, overpaint_job_set(NULL, "seed", "1"), overpaint_job_error(NULL));
    note(&v, overpaint_job_add_bytes(NULL, "", 0), overpaint_job_error(NULL));
    note(&v, overpaint_job_add_mask(NULL, "", 0), overpaint_job_error(NULL));
    note(&v, overpaint_job_add_sketch(NULL, "", 0), overpaint_job_error(NULL));
    note(&v, overpaint_job_from(NULL, "/tmp"), overpaint_job_error(NULL));
    note(&v, overpaint_job_check(NULL), overpaint_job_error(NULL));
    assert_int_equal(v.failures, 12);
    assert_string_equal(overpaint_job_notes(NULL), "");
    overpaint_forget(NULL, &id);
    overpaint_set_progress(NULL, NULL, NULL);
    overpaint_job_use_id(NULL, &id);
    assert_false(overpaint_connected(NULL));
    assert_null(overpaint_status_json(NULL, NULL));
    assert_null(overpaint_result_json(NULL, &id));
    assert_int_equal(overpaint_pictures(NULL, &id), 0);
    overpaint_job_free(&j);
}

static void folders(void **state)
{
    (void)state;
    int64_t n = 0;
    for (bool met = true; met; n++) {
        folder f;
        err e = {0};
        failing_after(n);
        int rc = folder_read(&f, GOLDEN_DIR, NULL, &e);
        if (!rc)
            rc = folder_check(&f, "out", NULL, &e);
        met = failing_stop();
        assert_int_equal(rc, met ? ERR_NO_MEMORY : 0);
        assert_int_equal(rc, e.code);
        folder_done(&f);
    }
    assert_true(n > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failed_allocation),
        cmocka_unit_test(says_so_without_a_handle),
        cmocka_unit_test(folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
