/* liboverpaint's calls against a broker that answers: settings, a job's life, status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/on_fake.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---------------------------------------------------------------- a job's life */

static void finish_job(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    if (m->header->body_case != OVERPAINT__HEADER__BODY_SUBMIT)
        return;
    fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 77);
    fake_progress(f, NULL, &id, 2, "a preview");
    fake_result(f, NULL, &id, on_fake_two_pictures);
}

typedef struct {
    int calls, previews, ended;
    unsigned steps_done;
} progress_log;

static void note_progress(void *arg, const overpaint_progress *p)
{
    progress_log *log = arg;
    log->calls++;
    log->ended += p->state == OVERPAINT_FINISHED;
    if (p->preview) {
        assert_int_equal(p->preview_size, strlen("a preview"));
        assert_memory_equal(p->preview, "a preview", p->preview_size);
        log->previews++;
        log->steps_done = p->steps_done;
    }
}

static void gives_pictures(void **state)
{
    (void)state;
    fake_broker f;
    overpaint_id id;
    size_t size;
    progress_log log = {0};
    char path[] = "/tmp/overpaint-test-XXXXXX", saved[32] = "";
    fake_start(&f, finish_job, NULL);
    overpaint *o = on_fake_open(&f);
    assert_true(overpaint_connected(o));
    overpaint_set_progress(o, note_progress, &log);
    assert_int_equal(on_fake_submit(o, &id), 0);
    assert_int_equal(overpaint_wait(o, &id, ON_FAKE_WAIT_MS), 0);
    assert_int_equal(log.previews, 1);
    assert_int_equal(log.steps_done, 2);
    assert_int_equal(log.ended, 1);

    assert_int_equal(overpaint_pictures(o, &id), 2);
    const unsigned char *bytes = overpaint_picture(o, &id, 1, &size);
    assert_int_equal(size, strlen(on_fake_two_pictures[1]));
    assert_memory_equal(bytes, on_fake_two_pictures[1], size);
    assert_int_equal(overpaint_picture_seed(o, &id, 1), 78);
    assert_string_equal(overpaint_picture_info(o, &id, 0), "a fox\nSteps: 4");
    assert_null(overpaint_picture(o, &id, 2, &size));
    on_fake_says(overpaint_error(o), "picture 2 of a job with 2");

    close(mkstemp(path));
    assert_int_equal(overpaint_save(o, &id, 0, path), 0);
    FILE *file = fopen(path, "rb");
    assert_int_equal(fread(saved, 1, sizeof saved - 1, file), strlen(on_fake_two_pictures[0]));
    assert_string_equal(saved, on_fake_two_pictures[0]);
    fclose(file);
    unlink(path);
    assert_int_not_equal(overpaint_save(o, &id, 0, "/nowhere/at/all.png"), 0);

    overpaint_forget(o, &id);
    on_fake_expect_seen(&f, OVERPAINT__HEADER__BODY_ACK, 1);
    assert_int_equal(overpaint_pictures(o, &id), 0);
    overpaint_close(&o);
    assert_null(o);
    fake_stop(&f);
}

/* An ACK said just before the end still arrives. */
static void acknowledges_before_closing(void **state)
{
    (void)state;
    fake_broker f;
    overpaint_id id;
    fake_start(&f, finish_job, NULL);
    overpaint *o = on_fake_open(&f);
    assert_int_equal(on_fake_submit(o, &id), 0);
    assert_int_equal(overpaint_wait(o, &id, ON_FAKE_WAIT_MS), 0);
    overpaint_forget(o, &id);
    overpaint_close(&o);
    on_fake_expect_seen(&f, OVERPAINT__HEADER__BODY_ACK, 1);
    fake_stop(&f);
}

static void check_submitted(fake_broker *f, wire_message *m)
{
    err e = {0};
    job *got = f->arg;
    if (m->header->body_case != OVERPAINT__HEADER__BODY_SUBMIT)
        return;
    wire_job_unpack(got, m->header->submit->job, m, &e);
    got->paths_allowed = true;
    if (job_check(got, &e))
        fprintf(stderr, "%s\n", e.text);
    if (got->inputs)
        got->owns_bytes = !memcmp(got->input[0].bytes, "bytes", 5); /* seen before m goes away */
    fake_accept(f, m, &got->id, OVERPAINT__STATE__QUEUED, 5);
}

static void sends_every_setting(void **state)
{
    (void)state;
    static const char *const values[][2] = {
        {"negative_prompt", "blur"},
        {"steps", "7"},
        {"sampler", "k_euler_a"},
        {"scheduler", "karras"},
        {"cfg_scale", "1.1"},
        {"denoising_strength", "0.3"},
        {"fix_steps", "true"},
        {"seed", "9007199254740993"},
        {"width", "256"},
        {"height", "320"},
        {"resize_mode", "fill"},
        {"batch_size", "2"},
        {"n_iter", "3"},
        {"clip_skip", "2"},
        {"rng", "CPU"},
        {"priority", "60"},
        {"deadline_ms", "1234"},
        {"format", "jpeg"},
        {"quality", "80"},
        {"background", "#102030"},
        {"want_preview", "1"},
        {"model", "/tmp"},
    };
    fake_broker f;
    job got;
    overpaint_id id;
    fake_start(&f, check_submitted, &got);
    overpaint *o = on_fake_open(&f);
    overpaint_job *j = overpaint_job_new("img2img");
    assert_int_equal(overpaint_job_set(j, "prompt", "ein Fuchs im Schnee \xc3\xa4"), 0);
    for (size_t i = 0; i < COUNT(values); i++)
        if (overpaint_job_set(j, values[i][0], values[i][1]))
            fail_msg("%s=%s: %s", values[i][0], values[i][1], overpaint_job_error(j));
    assert_int_equal(overpaint_job_add_bytes(j, "bytes", 5), 0);
    assert_int_equal(overpaint_submit(o, j, &id), 0);
    overpaint_job_free(&j);
    overpaint_close(&o);
    fake_stop(&f);

    assert_memory_equal(got.id.byte, id.byte, sizeof id.byte);
    assert_string_equal(got.prompt, "ein Fuchs im Schnee \xc3\xa4");
    assert_string_equal(got.negative_prompt, "blur");
    assert_string_equal(got.model, "/tmp");
    assert_int_equal(got.steps, 7);
    assert_int_equal(got.sampler, SAMPLER_EULER_A);
    assert_int_equal(got.scheduler, SCHEDULE_KARRAS);
    assert_true(got.cfg_scale == 1.1 && got.denoising_strength == 0.3 && got.fix_steps);
    assert_true(got.seed == 9007199254740993);
    assert_true(got.width == 256 && got.height == 320 && got.resize == RESIZE_FILL);
    assert_true(got.batch_size == 2 && got.n_iter == 3 && got.clip_skip == 2);
    assert_true(got.rng == RNG_CPU && got.priority == 60 && got.deadline_ms == 1234);
    assert_true(got.format == FORMAT_JPEG && got.quality == 80 && got.want_preview);
    assert_true(got.background[0] == 0x10 && got.background[2] == 0x30);
    assert_true(got.inputs == 1 && got.owns_bytes);
    got.owns_bytes = false;
    job_done(&got);
}

static void refuses_settings(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *says;
    } bad[] = {
        {"cfg_scal", "7", "nearest is cfg-scale"},
        {"", "7", "unknown setting"},
        {"steps", "many", "expected a whole number"},
        {"steps", "99999999999", "smaller number"},
        {"steps", "", "expected a whole number"},
        {"cfg_scale", "nan", "expected a number"},
        {"fix_steps", "perhaps", "true or false"},
        {"sampler", "Eulr", "Euler"},
        {"scheduler", "Karas", "Karras"},
        {"resize_mode", "crops", "nearest is crop"},
        {"background", "red", "#RRGGBB"},
        {"background", "#12345g", "#RRGGBB"},
        {"model", "/no/such/model.safetensors", "no file or folder"},
    };
    overpaint_job *j = overpaint_job_new("img2img");
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_not_equal(overpaint_job_set(j, bad[i].name, bad[i].value), 0);
        on_fake_says(overpaint_job_error(j), bad[i].says);
    }
    char *long_text = malloc(300001);
    memset(long_text, 'a', 300000);
    long_text[300000] = 0;
    assert_int_equal(overpaint_job_set(j, "prompt", long_text), ERR_TOO_LARGE);
    on_fake_says(overpaint_job_error(j), "300000 bytes");
    free(long_text);
    assert_int_not_equal(overpaint_job_add_file(j, "/no/such/file.png"), 0);
    on_fake_says(overpaint_job_error(j), "/no/such/file.png");
    assert_int_not_equal(overpaint_job_add_file(j, "/dev/zero"), 0);
    on_fake_says(overpaint_job_error(j), "no regular file");
    overpaint_job_free(&j);
}

static void refuses_jobs_before_sending(void **state)
{
    (void)state;
    fake_broker f;
    overpaint_id id;
    fake_start(&f, finish_job, NULL);
    f.message_bytes = 100000;
    overpaint *o = on_fake_open(&f);
    overpaint_job *unknown = overpaint_job_new("paint"), *j = overpaint_job_new("img2img");
    assert_int_equal(overpaint_submit(o, unknown, &id), ERR_INVALID);
    on_fake_says(overpaint_error(o), "unknown task \"paint\"");
    overpaint_job_set(j, "steps", "151");
    assert_int_equal(overpaint_submit(o, j, &id), ERR_INVALID);
    on_fake_says(overpaint_error(o), "steps is 151");
    on_fake_says(overpaint_error(o), "0 input pictures, expected 1");
    assert_int_equal(overpaint_job_check(j), ERR_INVALID); /* the same without a broker */
    on_fake_says(overpaint_job_error(j), "0 input pictures, expected 1");
    assert_int_equal(overpaint_job_check(unknown), ERR_INVALID);
    overpaint_job_set(j, "steps", "20");
    void *bytes = calloc(1, 200000);
    overpaint_job_add_bytes(j, bytes, 200000);
    free(bytes);
    assert_int_equal(overpaint_submit(o, j, &id), ERR_TOO_LARGE);
    on_fake_says(overpaint_error(o), "at most 100000");
    overpaint_job_free(&j);
    overpaint_job_free(&unknown);
    overpaint_close(&o);
    assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_SUBMIT), 0);
    fake_stop(&f);
}

/* ---------------------------------------------------------------- jobs of an earlier handle */

static void answer_watch(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    const bool ended = on_fake_seen(f, OVERPAINT__HEADER__BODY_FETCH) != 1;
    if (id.byte[0] != 1)
        fake_fail(f, m, "not_found");
    else if (!ended)
        fake_progress(f, m, &id, 1, NULL);
    else
        fake_result(f, m, &id, on_fake_one_picture);
}

static void finds_jobs_by_id(void **state)
{
    (void)state;
    const overpaint_id id = {{1, 2, 3}}, none = {{9}};
    fake_broker f;
    fake_start(&f, answer_watch, NULL);
    overpaint *o = on_fake_open(&f);
    assert_int_equal(overpaint_fetch(o, &none), ERR_NOT_FOUND);
    assert_int_equal(overpaint_wait(o, &none, ON_FAKE_WAIT_MS), ERR_NOT_FOUND);
    overpaint_close(&o);
    fake_stop(&f);

    fake_start(&f, answer_watch, NULL);
    o = on_fake_open(&f);
    assert_int_equal(overpaint_fetch(o, &id), ERR_TIMEOUT);
    on_fake_says(overpaint_error(o), "it is running");
    assert_int_equal(overpaint_fetch(o, &id), 0);
    assert_int_equal(overpaint_pictures(o, &id), 1);
    overpaint_forget(o, &id);
    assert_int_equal(overpaint_wait(o, &id, ON_FAKE_WAIT_MS), 0);
    assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_WATCH), 1);
    overpaint_close(&o);
    fake_stop(&f);
}

/* ---------------------------------------------------------------- cancel, failure, status */

static void cancel_job(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Cancelled c = OVERPAINT__CANCELLED__INIT;
    if (m->header->body_case == OVERPAINT__HEADER__BODY_SUBMIT)
        fake_accept(f, m, &id, OVERPAINT__STATE__RUNNING, 1);
    if (m->header->body_case != OVERPAINT__HEADER__BODY_CANCEL)
        return;
    h.has_version = h.has_request = c.has_id = c.has_state = 1;
    h.version = WIRE_VERSION;
    h.request = m->header->request;
    h.body_case = OVERPAINT__HEADER__BODY_CANCELLED;
    h.cancelled = &c;
    c.id = wire_id_bytes(&id);
    const bool first = on_fake_seen(f, OVERPAINT__HEADER__BODY_CANCEL) == 1;
    c.state = first ? OVERPAINT__STATE__RUNNING : OVERPAINT__STATE__FINISHED;
    fake_send(f, &h, NULL, 0);
    if (first)
        fake_ended(f, NULL, &id, OVERPAINT__STATE__CANCELLED_STATE, "cancelled");
}

static void cancels(void **state)
{
    (void)state;
    fake_broker f;
    overpaint_id id;
    fake_start(&f, cancel_job, NULL);
    overpaint *o = on_fake_open(&f);
    assert_int_equal(on_fake_submit(o, &id), 0);
    assert_int_equal(overpaint_cancel(o, &id), 0);
    assert_int_equal(overpaint_wait(o, &id, ON_FAKE_WAIT_MS), ERR_CANCELLED);
    assert_int_equal(overpaint_cancel(o, &id), ERR_CONFLICT);
    on_fake_says(overpaint_error(o), "has finished already");
    overpaint_close(&o);
    fake_stop(&f);
}

static void fail_job(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    if (m->header->body_case == OVERPAINT__HEADER__BODY_SUBMIT) {
        fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 1);
        fake_ended(f, NULL, &id, OVERPAINT__STATE__FAILED, "device");
    }
}

static void tells_why_a_job_failed(void **state)
{
    (void)state;
    fake_broker f;
    overpaint_id id;
    fake_start(&f, fail_job, NULL);
    overpaint *o = on_fake_open(&f);
    assert_int_equal(on_fake_submit(o, &id), 0);
    assert_int_equal(overpaint_wait(o, &id, ON_FAKE_WAIT_MS), ERR_DEVICE);
    assert_string_equal(overpaint_error(o), "as the fake broker wants it");
    assert_int_equal(overpaint_pictures(o, &id), 0);
    overpaint_close(&o);
    fake_stop(&f);
}

static void tell_status(fake_broker *f, wire_message *m)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__StatusReply r = OVERPAINT__STATUS_REPLY__INIT;
    Overpaint__JobStatus j = OVERPAINT__JOB_STATUS__INIT, *jobs[] = {&j};
    Overpaint__WorkerStatus w = OVERPAINT__WORKER_STATUS__INIT, *workers[] = {&w};
    Overpaint__Counter c = OVERPAINT__COUNTER__INIT, *counters[] = {&c};
    Overpaint__RowStatus row = OVERPAINT__ROW_STATUS__INIT, *rows[] = {&row};
    Overpaint__DeviceStatus d = OVERPAINT__DEVICE_STATUS__INIT, *devices[] = {&d};
    const job_id id = fake_id(m);
    if (m->header->body_case != OVERPAINT__HEADER__BODY_STATUS)
        return;
    h.has_version = h.has_request = 1;
    h.version = WIRE_VERSION;
    h.request = m->header->request;
    h.body_case = OVERPAINT__HEADER__BODY_STATUS_REPLY;
    h.status_reply = &r;
    r.has_queued = j.has_id = row.has_step = row.has_id = c.has_value = d.has_budget_bytes = 1;
    r.queued = 3;
    r.job = jobs;
    r.n_job = m->header->status->has_id ? id.byte[0] == 1 : 1;
    j.id = wire_id_bytes(&id);
    r.n_worker = r.n_counter = w.n_device = d.n_row = 1;
    r.worker = workers;
    w.name = (char *)"bad \xff utf-8";
    w.state = (char *)"ready";
    w.device = devices;
    d.row = rows;
    d.budget_bytes = 1ULL << 33;
    row.id = j.id;
    row.step = 5;
    r.counter = counters;
    c.name = (char *)"dropped";
    c.value = 12;
    fake_send(f, &h, NULL, 0);
}

static void tells_status(void **state)
{
    (void)state;
    const overpaint_id id = {{1}}, none = {{2}};
    fake_broker f;
    int queued, step, dropped;
    json_int_t budget;
    const char *worker_state;
    json_t *name;
    fake_start(&f, tell_status, NULL);
    overpaint *o = on_fake_open(&f);
    json_t *s = json_loads(overpaint_status_json(o, NULL), 0, NULL);
    assert_non_null(s);
    assert_int_equal(json_unpack(s, "{s:i, s:[{s:s, s:o, s:[{s:I, s:[{s:i}]}]}], s:{s:i}}",
                                 "queued", &queued, "workers", "state", &worker_state, "name",
                                 &name, "devices", "budget_bytes", &budget, "rows", "step", &step,
                                 "counters", "dropped", &dropped),
                     0);
    assert_int_equal(queued, 3);
    assert_int_equal(step, 5);
    assert_int_equal(dropped, 12);
    assert_true(budget == 1LL << 33 && json_is_null(name));
    json_decref(s);
    s = json_loads(overpaint_status_json(o, &id), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(s, "state")), "queued");
    json_decref(s);
    assert_null(overpaint_status_json(o, &none));
    assert_int_equal(overpaint_error_code(o), ERR_NOT_FOUND);
    overpaint_close(&o);
    fake_stop(&f);
}

static void reads_ids(void **state)
{
    (void)state;
    overpaint_id id;
    char text[37];
    assert_int_equal(overpaint_id_parse("00112233-4455-6677-8899-aabbccddeeff", &id), 0);
    overpaint_id_text(&id, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    static const char *const bad[] = {"", "0011", "00112233-4455-6677-8899-aabbccddeefg"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_not_equal(overpaint_id_parse(bad[i], &id), 0);
    assert_int_not_equal(overpaint_id_parse(NULL, &id), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_pictures),
        cmocka_unit_test(acknowledges_before_closing),
        cmocka_unit_test(sends_every_setting),
        cmocka_unit_test(refuses_settings),
        cmocka_unit_test(refuses_jobs_before_sending),
        cmocka_unit_test(finds_jobs_by_id),
        cmocka_unit_test(cancels),
        cmocka_unit_test(tells_why_a_job_failed),
        cmocka_unit_test(tells_status),
        cmocka_unit_test(reads_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
