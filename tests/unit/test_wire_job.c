/* Jobs in messages: they survive the way there, and none that breaks a rule gets through: blobs
 * that lie, names nobody knows, values out of range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/parcel.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void test_round_trip(void **state)
{
    job j = parcel_job(), got;
    wire_message m;
    err e = {0};
    (void)state;
    parcel_deliver(&m, &j);
    assert_int_equal(m.frames, 2); /* the long text and the picture */
    assert_int_equal(wire_job_unpack(&got, m.header->submit->job, &m, &e), 0);
    assert_true(job_id_equal(&got.id, &j.id));
#define SAME(field) assert_true(got.field == j.field);
    SAME(task) SAME(priority) SAME(noop_engine) SAME(deadline_ms) SAME(steps) SAME(sampler);
    SAME(scheduler) SAME(cfg_scale) SAME(denoising_strength) SAME(fix_steps) SAME(seed);
    SAME(width) SAME(height) SAME(resize) SAME(batch_size) SAME(n_iter) SAME(clip_skip);
    SAME(rng) SAME(format) SAME(quality) SAME(want_preview) SAME(inputs);
#undef SAME
    assert_string_equal(got.model, j.model);
    assert_string_equal(got.prompt, j.prompt);
    assert_string_equal(got.negative_prompt, j.negative_prompt);
    assert_memory_equal(got.background, j.background, 3);
    assert_int_equal(got.input[0].size, j.input[0].size);
    assert_memory_equal(got.input[0].bytes, j.input[0].bytes, j.input[0].size);
    assert_string_equal(got.input[1].path, j.input[1].path);
    assert_false(got.paths_allowed); /* never from the wire */
    job_done(&got);
    job_done(&j);
    wire_message_done(&m);
}

static void test_absent_fields_are_defaults(void **state)
{
    wire_job from = OVERPAINT__JOB__INIT;
    wire_message m = {.frames = 0};
    uint8_t id[JOB_ID_BYTES] = {9};
    job got, plain;
    err e = {0};
    (void)state;
    from.has_id = 1;
    from.id = (ProtobufCBinaryData){sizeof id, id};
    assert_int_equal(wire_job_unpack(&got, &from, &m, &e), 0);
    job_init(&plain);
    memcpy(plain.id.byte, id, sizeof id);
    assert_memory_equal(&got.task, &plain.task, sizeof got - offsetof(job, task));
    job_done(&got);
    wire_job_settings(&from, &plain); /* and written out they are the same */
    assert_int_equal(wire_job_unpack(&got, &from, &m, &e), 0);
    assert_int_equal(got.sampler, plain.sampler);
    assert_int_equal(got.seed, -1);
    assert_int_equal(got.task, plain.task);
    job_done(&got);
}

/* Every task, sampler, scheduler, … goes there and back. */
static void test_every_choice(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLER_COUNT * SCHEDULE_COUNT; i++) {
        job j, got;
        wire_message m;
        err e = {0};
        job_init(&j);
        job_id_new(&j.id);
        j.sampler = (sampler_kind)(i % SAMPLER_COUNT);
        j.scheduler = (schedule)(i / SAMPLER_COUNT);
        j.task = (task_kind)(i % TASK_COUNT);
        j.resize = (resize_mode)(i % RESIZE_COUNT);
        j.rng = (rng_source)(i % RNG_COUNT);
        j.format = (picture_format)(i % FORMAT_COUNT);
        parcel_deliver(&m, &j);
        assert_int_equal(wire_job_unpack(&got, m.header->submit->job, &m, &e), 0);
        assert_memory_equal(&got.task, &j.task, sizeof got - offsetof(job, task));
        job_done(&got);
        job_done(&j);
        wire_message_done(&m);
    }
}

/* ---------------------------------------------------------------- hostile jobs */

/* One change to a good job, and what is said about it. */
typedef struct {
    const char *reason;
    int code;
    void (*spoil)(wire_job *j);
} spoiled;

static wire_blob *first_input(wire_job *j)
{
    return j->input[0];
}

static char *repeat(char **field, char c, size_t n)
{
    free(*field);
    *field = malloc(n + 1);
    memset(*field, c, n);
    (*field)[n] = 0;
    return *field;
}

static void short_id(wire_job *j)
{
    j->id.len = 15;
}
static void no_id(wire_job *j)
{
    j->has_id = 0;
}
static void frame_zero(wire_job *j)
{
    first_input(j)->frame = 0;
}
static void frame_beyond(wire_job *j)
{
    first_input(j)->frame = 3;
}
static void frame_huge(wire_job *j)
{
    first_input(j)->frame = UINT32_MAX;
}
static void size_less(wire_job *j)
{
    first_input(j)->size--;
}
static void size_more(wire_job *j)
{
    first_input(j)->size = UINT64_MAX;
}
static void text_frame(wire_job *j)
{
    j->negative_prompt_blob->frame = 9;
}
static void bad_sampler(wire_job *j)
{
    repeat(&j->sampler, 'z', 9);
}
static void bad_scheduler(wire_job *j)
{
    repeat(&j->scheduler, 'z', 9);
}
static void bad_rng(wire_job *j)
{
    repeat(&j->rng, 'z', 300);
}
static void bad_format(wire_job *j)
{
    repeat(&j->format, 'z', 3);
}
static void long_model(wire_job *j)
{
    repeat(&j->model, 'm', 256);
}
static void long_path(wire_job *j)
{
    repeat(&j->input[1]->path, '/', 256);
}
static void long_prompt(wire_job *j)
{
    repeat(&j->prompt, 'p', JOB_TEXT_MAX + 1);
}
static void bad_task(wire_job *j)
{
    j->task = 99;
}
static void negative_task(wire_job *j)
{
    j->task = -1;
}
static void bad_resize(wire_job *j)
{
    j->resize_mode = 3;
}
static void bad_steps(wire_job *j)
{
    j->steps = INT32_MIN;
}
static void bad_scale(wire_job *j)
{
    j->cfg_scale = NAN;
}

static void test_bad_jobs(void **state)
{
    static const spoiled rows[] = {
        {"without an id", ERR_PROTOCOL, short_id},
        {"without an id", ERR_PROTOCOL, no_id},
        {"frame 0 of 2", ERR_PROTOCOL, frame_zero},
        {"frame 3 of 2", ERR_PROTOCOL, frame_beyond},
        {"frame 4294967295 of 2", ERR_PROTOCOL, frame_huge},
        {"its frame has", ERR_PROTOCOL, size_less},
        {"its frame has", ERR_PROTOCOL, size_more},
        {"frame 9 of 2", ERR_PROTOCOL, text_frame},
        {"sampler", ERR_INVALID, bad_sampler},
        {"schedule", ERR_INVALID, bad_scheduler},
        {"rng is", ERR_INVALID, bad_rng},
        {"format is", ERR_INVALID, bad_format},
        {"model name has 256", ERR_INVALID, long_model},
        {"path of a picture has 256", ERR_INVALID, long_path},
        {"65537 bytes", ERR_TOO_LARGE, long_prompt},
        {"task", ERR_INVALID, bad_task},
        {"task", ERR_INVALID, negative_task},
        {"resize", ERR_INVALID, bad_resize},
        {"steps is -2147483648", ERR_INVALID, bad_steps},
        {"cfg_scale is", ERR_INVALID, bad_scale},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j = parcel_job(), got;
        wire_message m;
        err e = {0};
        j.quality = 90;
        parcel_deliver(&m, &j);
        rows[i].spoil(m.header->submit->job);
        int rc = wire_job_unpack(&got, m.header->submit->job, &m, &e);
        got.paths_allowed = true;
        if (!rc)
            rc = job_check(&got, &e);
        if (rc != rows[i].code || !strstr(e.text, rows[i].reason))
            fail_msg("row %zu: %d \"%s\", expected %d \"%s\"", i, rc, e.text, rows[i].code,
                     rows[i].reason);
        job_done(&got);
        job_done(&j);
        wire_message_done(&m);
    }
}

static void test_too_many_pictures(void **state)
{
    wire_blob blob = OVERPAINT__BLOB__INIT, *at[JOB_INPUTS_MAX + 1];
    wire_job from = OVERPAINT__JOB__INIT;
    wire_message m = {.frames = 0};
    uint8_t id[JOB_ID_BYTES] = {1};
    job got;
    err e = {0};
    (void)state;
    blob.path = (char *)"/p";
    for (size_t i = 0; i < COUNT(at); i++)
        at[i] = &blob;
    from.has_id = 1;
    from.id = (ProtobufCBinaryData){sizeof id, id};
    from.input = at;
    from.n_input = COUNT(at);
    assert_int_equal(wire_job_unpack(&got, &from, &m, &e), ERR_INVALID);
    job_done(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_absent_fields_are_defaults),
        cmocka_unit_test(test_every_choice),      cmocka_unit_test(test_bad_jobs),
        cmocka_unit_test(test_too_many_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
