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
    wire_job_options room;
    wire_job_settings(&from, &room, &plain); /* and written out they are the same */
    assert_int_equal(wire_job_unpack(&got, &from, &m, &e), 0);
    assert_int_equal(got.sampler, plain.sampler);
    assert_int_equal(got.seed, -1);
    assert_int_equal(got.task, plain.task);
    job_done(&got);
}

static job masked_job(task_kind task, input_role role)
{
    static const uint8_t picture[] = "a picture", mask[] = "its mask";
    job j;
    job_init(&j);
    job_id_new(&j.id);
    j.task = task;
    job_add_input(&j, (job_picture){.role = role, .bytes = mask, .size = sizeof mask}, NULL);
    job_add_input(&j, (job_picture){.bytes = picture, .size = sizeof picture}, NULL);
    return j;
}

/* No two fields alike, none the default. */
static void set_every_option(job *j)
{
    strcpy(j->img2img_upscaler, "Nearest");
    j->inpaint = (inpaint_options){.invert = true,
                                   .blur_x = 11,
                                   .blur_y = 12,
                                   .content = CONTENT_LATENT_NOTHING,
                                   .only_masked = true,
                                   .padding = 13,
                                   .mask_weight = 0.1 + 0.2,
                                   .colour_correction = true,
                                   .give_mask = true,
                                   .give_composite = true,
                                   .sketch_transparency = 14.5,
                                   .soft = {true, 1.1, 2.1, 3.1, 0.4, 5.1, 6.1}};
    j->outpaint = (outpaint_options){.method = OUTPAINT_MK2,
                                     .left = true,
                                     .right = true,
                                     .up = true,
                                     .down = true,
                                     .pixels = 21,
                                     .mask_blur = 22,
                                     .content = CONTENT_LATENT_NOISE,
                                     .falloff = 2.3,
                                     .colour_variation = 0.24};
    j->loopback = (loopback_options){.loops = 31, .final_strength = 0.32, .curve = LOOP_LAZY};
    j->upscale = (upscale_options){.upscaler = "R-ESRGAN 4x+",
                                   .upscaler_2 = "None",
                                   .visibility_2 = 0.41,
                                   .scale = 4.2,
                                   .width = 43,
                                   .height = 44,
                                   .crop = false,
                                   .tile_overlap = 45};
}

static void options_and_roles_survive(void **state)
{
    (void)state;
    for (int role = INPUT_MASK; role < INPUT_COUNT; role++) {
        job j = masked_job(TASK_INPAINT, (input_role)role), got;
        wire_message m;
        err e = {0};
        set_every_option(&j);
        parcel_deliver(&m, &j);
        assert_int_equal(wire_job_unpack(&got, m.header->submit->job, &m, &e), 0);
        assert_string_equal(got.img2img_upscaler, "Nearest");
        assert_string_equal(got.upscale.upscaler, j.upscale.upscaler);
        assert_string_equal(got.upscale.upscaler_2, "None");
        wire_job_options again, sent;
        wire_job one = OVERPAINT__JOB__INIT, two = OVERPAINT__JOB__INIT;
        uint8_t bytes[2][4096];
        wire_job_settings(&one, &again, &got);
        wire_job_settings(&two, &sent, &j);
        const size_t size = overpaint__job__pack(&one, bytes[0]);
        assert_int_equal(overpaint__job__pack(&two, bytes[1]), size);
        assert_memory_equal(bytes[0], bytes[1], size);
        assert_int_equal(got.inpaint.blur_y, 12); /* not only as wrong as what was sent */
        assert_true(got.inpaint.soft.difference_contrast == 6.1);
        assert_true(got.outpaint.colour_variation == 0.24 && got.outpaint.down);
        assert_true(got.loopback.final_strength == 0.32);
        assert_true(got.upscale.tile_overlap == 45 && !got.upscale.crop);
        assert_int_equal(got.inputs, 2);
        assert_string_equal((char *)job_find_input(&got, INPUT_PICTURE)->bytes, "a picture");
        assert_string_equal((char *)job_find_input(&got, (input_role)role)->bytes, "its mask");
        assert_null(job_find_input(&got, role == INPUT_MASK ? INPUT_SKETCH : INPUT_MASK));
        job_done(&got);
        job_done(&j);
        wire_message_done(&m);
    }
}

static void one_mask_is_all_a_message_holds(void **state)
{
    (void)state;
    job j = masked_job(TASK_INPAINT, INPUT_MASK);
    wire_job_packed p;
    err e = {0};
    j.input[1].role = INPUT_MASK;
    assert_int_equal(wire_job_pack(&p, &j, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "two masks"));
    assert_int_equal(p.frames, 0); /* given back */
    job_done(&j);
}

/* A broker writes the settings into what a client sent and keeps the mask there. */
static void settings_keep_the_blobs(void **state)
{
    (void)state;
    job j = masked_job(TASK_INPAINT, INPUT_MASK), got;
    wire_message m;
    wire_job_options room;
    err e = {0};
    parcel_deliver(&m, &j);
    assert_int_equal(wire_job_unpack(&got, m.header->submit->job, &m, &e), 0);
    wire_job effective = *m.header->submit->job;
    got.inpaint.padding = 99;
    wire_job_settings(&effective, &room, &got);
    assert_int_equal(effective.inpaint->padding, 99);
    assert_ptr_equal(effective.inpaint->mask, m.header->submit->job->inpaint->mask);
    assert_int_equal(effective.n_input, 1);
    job_done(&got);
    job_done(&j);
    wire_message_done(&m);
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

static void mask_frame_beyond(wire_job *j)
{
    j->inpaint->mask->frame = 7;
}
static void mask_size(wire_job *j)
{
    j->inpaint->mask->size = 1;
}
static void mask_nowhere(wire_job *j)
{
    j->inpaint->mask->frame = 0;
}
static void mask_long_path(wire_job *j)
{
    repeat(&j->inpaint->mask->path, '/', 256);
}
static void mask_no_task(wire_job *j)
{
    j->task = OVERPAINT__TASK__IMG2IMG;
}
static void bad_content(wire_job *j)
{
    j->inpaint->content = -1;
}
static void bad_weight(wire_job *j)
{
    j->inpaint->mask_weight = NAN;
}
static void bad_soft(wire_job *j)
{
    j->inpaint->soft->transition_contrast_boost = 0;
}
static void bad_method(wire_job *j)
{
    j->outpaint->method = 2;
}
static void no_loops(wire_job *j)
{
    j->loopback->loops = 0;
}
static void bad_curve(wire_job *j)
{
    j->loopback->curve = INT32_MAX;
}
static void long_upscaler(wire_job *j)
{
    repeat(&j->upscale->upscaler, 'u', 256);
}
static void long_img2img_upscaler(wire_job *j)
{
    repeat(&j->img2img_upscaler, 'u', 300);
}
static void upscaler_path(wire_job *j)
{
    repeat(&j->upscale->upscaler_2, '/', 9);
}

/* The spoiled job is refused by the reader or by job_check. */
static void must_refuse(const job *j, bool paths_allowed, const spoiled *row)
{
    job got;
    wire_message m;
    err e = {0};
    parcel_deliver(&m, j);
    row->spoil(m.header->submit->job);
    int rc = wire_job_unpack(&got, m.header->submit->job, &m, &e);
    got.paths_allowed = paths_allowed;
    if (!rc)
        rc = job_check(&got, &e);
    if (rc != row->code || !strstr(e.text, row->reason))
        fail_msg("%d \"%s\", expected %d \"%s\"", rc, e.text, row->code, row->reason);
    job_done(&got);
    wire_message_done(&m);
}

static void test_bad_options(void **state)
{
    static const spoiled rows[] = {
        {"frame 7 of 2", ERR_PROTOCOL, mask_frame_beyond},
        {"its frame has", ERR_PROTOCOL, mask_size},
        {"frame 0 of 2", ERR_PROTOCOL, mask_nowhere},
        {"path of a picture has 256", ERR_INVALID, mask_long_path},
        {"task img2img has 1 masks, expected 0", ERR_INVALID, mask_no_task},
        {"inpaint.content is -1", ERR_INVALID, bad_content},
        {"inpaint.mask_weight is", ERR_INVALID, bad_weight},
        {"inpaint.soft.transition_contrast_boost is 0", ERR_INVALID, bad_soft},
        {"outpaint.method is 2", ERR_INVALID, bad_method},
        {"loopback.loops is 0", ERR_INVALID, no_loops},
        {"loopback.curve is 2147483647", ERR_INVALID, bad_curve},
        {"upscaler has 256", ERR_INVALID, long_upscaler},
        {"img2img upscaler has 300", ERR_INVALID, long_img2img_upscaler},
        {"upscale.upscaler_2 is a path", ERR_INVALID, upscaler_path},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j = masked_job(TASK_INPAINT, INPUT_MASK);
        strcpy(j.upscale.upscaler_2, "None");
        strcpy(j.img2img_upscaler, "None");
        must_refuse(&j, false, &rows[i]);
        job_done(&j);
    }
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
        job j = parcel_job();
        j.quality = 90;
        must_refuse(&j, true, &rows[i]);
        job_done(&j);
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
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_absent_fields_are_defaults),
        cmocka_unit_test(test_every_choice),
        cmocka_unit_test(test_bad_jobs),
        cmocka_unit_test(test_too_many_pictures),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(options_and_roles_survive),
        cmocka_unit_test(one_mask_is_all_a_message_holds),
        cmocka_unit_test(settings_keep_the_blobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
