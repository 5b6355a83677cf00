/* The validator: every bad field is refused by name, with what was found and what is allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/job.h"

#define COUNT(list)  (sizeof(list) / sizeof *(list))
#define FIELD(field) offsetof(job, field), sizeof((job *)0)->field

static const uint8_t picture_bytes[] = "the bytes of a picture";

/* An img2img job that passes; txt2img when it has no input. */
static void good_job(job *j, task_kind task)
{
    job_init(j);
    job_id_new(&j->id);
    j->task = task;
    if (task != TASK_IMG2IMG)
        return;
    job_picture p = {.bytes = picture_bytes, .size = sizeof picture_bytes};
    assert_int_equal(job_add_input(j, p, NULL), 0);
}

static void set_prompt(job *j, const char *text)
{
    assert_int_equal(job_set_text(&j->prompt, text, strlen(text), NULL), 0);
}

/* Checks the job, which must fail with the code and name all three words; ends its life. */
static void must_refuse(job *j, err_code code, const char *field, const char *found,
                        const char *allowed)
{
    err e = {0};
    int rc = job_check(j, &e), silent = job_check(j, NULL);
    if (rc != (int)code || silent != rc || e.code != code || !strstr(e.text, field) ||
        !strstr(e.text, found) || !strstr(e.text, allowed))
        fail_msg("rc %d, \"%s\", expected %s with \"%s\" \"%s\" \"%s\"", rc, e.text, err_name(code),
                 field, found, allowed);
    job_done(j);
}

static void must_pass(job *j)
{
    err e = {0};
    if (job_check(j, &e) || e.code)
        fail_msg("refused: %s", e.text);
}

/* ---------------------------------------------------------------- fields */

static void defaults_pass(void **state)
{
    (void)state;
    job j;
    good_job(&j, TASK_IMG2IMG);
    must_pass(&j);
    assert_int_equal(j.steps, 20);
    assert_int_equal(j.sampler, SAMPLER_DPMPP_2M);
    assert_int_equal(j.scheduler, SCHEDULE_AUTOMATIC);
    assert_true(j.cfg_scale == 7);
    assert_true(j.denoising_strength == 0.75);
    assert_int_equal(j.seed, -1);
    assert_int_equal(j.batch_size, 1);
    assert_int_equal(j.n_iter, 1);
    assert_int_equal(j.clip_skip, 1);
    assert_int_equal(j.quality, 90);
    assert_int_equal(j.priority, 50);
    assert_int_equal(j.width, 0); /* the picture decides, see job_size */
    assert_int_equal(j.height, 0);
    job_done(&j);
    good_job(&j, TASK_NOOP);
    j.noop_engine = true;
    must_pass(&j);
    job_done(&j);
}

static void whole_fields_outside_their_range(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        size_t offset, size;
        int64_t value;
        const char *found, *allowed;
    } rows[] = {
        {"task", FIELD(task), 9, "9", "0 to 8"},
        {"task", FIELD(task), -1, "-1", "0 to 8"},
        {"priority", FIELD(priority), -1, "-1", "0 to 100"},
        {"priority", FIELD(priority), 101, "101", "0 to 100"},
        {"deadline_ms", FIELD(deadline_ms), -1, "-1", "0 to 604800000"},
        {"deadline_ms", FIELD(deadline_ms), INT64_MAX, "9223372036854775807", "0 to 604800000"},
        {"steps", FIELD(steps), 0, "0", "1 to 150"},
        {"steps", FIELD(steps), 151, "151", "1 to 150"},
        {"steps", FIELD(steps), INT32_MIN, "-2147483648", "1 to 150"},
        {"sampler", FIELD(sampler), SAMPLER_COUNT, "7", "0 to 6"},
        {"sampler", FIELD(sampler), -5, "-5", "0 to 6"},
        {"scheduler", FIELD(scheduler), SCHEDULE_COUNT, "7", "0 to 6"},
        {"seed", FIELD(seed), -2, "-2", "-1 to 9223372036854775807"},
        {"seed", FIELD(seed), INT64_MIN, "-9223372036854775808", "-1 to"},
        {"width", FIELD(width), 15, "15", "0 (not given) or 16 to 4096"},
        {"width", FIELD(width), -512, "-512", "16 to 4096"},
        {"height", FIELD(height), 4097, "4097", "16 to 4096"},
        {"resize", FIELD(resize), RESIZE_COUNT, "3", "0 to 2"},
        {"batch_size", FIELD(batch_size), 0, "0", "1 to 16"},
        {"batch_size", FIELD(batch_size), 17, "17", "1 to 16"},
        {"n_iter", FIELD(n_iter), -1, "-1", "1 to 64"},
        {"n_iter", FIELD(n_iter), INT32_MAX, "2147483647", "1 to 64"},
        {"clip_skip", FIELD(clip_skip), 0, "0", "1 to 12"},
        {"clip_skip", FIELD(clip_skip), 13, "13", "1 to 12"},
        {"rng", FIELD(rng), RNG_COUNT, "2", "0 to 1"},
        {"format", FIELD(format), FORMAT_COUNT, "3", "0 to 2"},
        {"quality", FIELD(quality), 0, "0", "1 to 101"},
        {"quality", FIELD(quality), 102, "102", "1 to 101"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j;
        good_job(&j, TASK_IMG2IMG);
        int32_t narrow = (int32_t)rows[i].value;
        const void *value = rows[i].size == sizeof narrow ? (void *)&narrow : &rows[i].value;
        memcpy((char *)&j + rows[i].offset, value, rows[i].size);
        char found[64];
        snprintf(found, sizeof found, "%s is %s, expected", rows[i].field, rows[i].found);
        must_refuse(&j, ERR_INVALID, rows[i].field, found, rows[i].allowed);
    }
}

static void real_fields_outside_their_range(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        size_t offset, size;
        double value;
        const char *found, *allowed;
    } rows[] = {
        {"cfg_scale", FIELD(cfg_scale), NAN, "nan", "0 to 1000"},
        {"cfg_scale", FIELD(cfg_scale), INFINITY, "inf", "0 to 1000"},
        {"cfg_scale", FIELD(cfg_scale), -0.5, "-0.5", "0 to 1000"},
        {"cfg_scale", FIELD(cfg_scale), 1000.5, "1000.5", "0 to 1000"},
        {"denoising_strength", FIELD(denoising_strength), NAN, "nan", "0 to 1"},
        {"denoising_strength", FIELD(denoising_strength), -INFINITY, "-inf", "0 to 1"},
        {"denoising_strength", FIELD(denoising_strength), 1.01, "1.01", "0 to 1"},
        {"denoising_strength", FIELD(denoising_strength), -1e-9, "-1e-09", "0 to 1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j;
        good_job(&j, TASK_IMG2IMG);
        memcpy((char *)&j + rows[i].offset, &rows[i].value, rows[i].size);
        must_refuse(&j, ERR_INVALID, rows[i].field, rows[i].found, rows[i].allowed);
    }
}

static void limits_themselves_pass(void **state)
{
    (void)state;
    job j;
    good_job(&j, TASK_IMG2IMG);
    j.steps = 150;
    j.cfg_scale = 1000;
    j.denoising_strength = 0.001;
    j.fix_steps = true;
    j.width = 16;
    j.height = 4096;
    j.batch_size = 16;
    j.n_iter = 4;
    j.seed = INT64_MAX - 63;
    j.clip_skip = 12;
    j.priority = 100;
    j.quality = 101;
    j.format = FORMAT_WEBP;
    must_pass(&j);
    j.cfg_scale = 0;
    j.denoising_strength = 0;
    j.quality = 1;
    must_pass(&j);
    job_done(&j);
}

/* ---------------------------------------------------------------- what belongs together */

static void tasks_and_their_inputs(void **state)
{
    (void)state;
    job_picture p = {.bytes = picture_bytes, .size = sizeof picture_bytes};
    job j;
    good_job(&j, TASK_INTERROGATE);
    must_refuse(&j, ERR_INVALID, "interrogate", "not supported yet", "img2img");
    good_job(&j, TASK_TXT2IMG);
    j.task = TASK_IMG2IMG;
    must_refuse(&j, ERR_INVALID, "img2img", "has 0 input pictures", "expected 1");
    good_job(&j, TASK_IMG2IMG);
    assert_int_equal(job_add_input(&j, p, NULL), 0);
    must_refuse(&j, ERR_INVALID, "img2img", "has 2 input pictures", "expected 1");
    good_job(&j, TASK_IMG2IMG);
    j.task = TASK_TXT2IMG;
    must_refuse(&j, ERR_INVALID, "txt2img", "has 1 input pictures", "expected 0");
    good_job(&j, TASK_IMG2IMG);
    j.task = TASK_NOOP;
    must_refuse(&j, ERR_INVALID, "noop", "has 1 input pictures", "expected 0");
    good_job(&j, TASK_IMG2IMG);
    j.noop_engine = true;
    must_refuse(&j, ERR_INVALID, "noop_engine", "img2img", "noop");
    good_job(&j, TASK_IMG2IMG);
    memset(&j.id, 0, sizeof j.id);
    must_refuse(&j, ERR_INVALID, "id", "zero", "128 random bits");
}

static void pictures_and_seeds(void **state)
{
    (void)state;
    job j;
    good_job(&j, TASK_IMG2IMG);
    j.batch_size = 13;
    j.n_iter = 5;
    must_refuse(&j, ERR_INVALID, "batch_size x n_iter", "65", "at most 64");
    good_job(&j, TASK_IMG2IMG);
    j.n_iter = 2;
    j.seed = INT64_MAX;
    must_refuse(&j, ERR_INVALID, "seed", "9223372036854775807", "at most 9223372036854775806");
    good_job(&j, TASK_IMG2IMG);
    j.seed = INT64_MAX;
    must_pass(&j);
    job_done(&j);
    good_job(&j, TASK_IMG2IMG);
    j.format = FORMAT_JPEG;
    j.quality = 101;
    must_refuse(&j, ERR_INVALID, "quality", "101", "1 to 100");
    good_job(&j, TASK_IMG2IMG);
    char *words = malloc(30002);
    memset(words, 'a', 30001);
    words[30001] = 0;
    free(j.prompt);
    j.prompt = words;
    must_pass(&j);
    j.format = FORMAT_JPEG;
    must_refuse(&j, ERR_TOO_LARGE, "prompts", "30001", "at most 30000");
    good_job(&j, TASK_IMG2IMG);
    j.fix_steps = true;
    j.denoising_strength = 1e-300;
    must_refuse(&j, ERR_INVALID, "denoising_strength", "1e-300 with fix_steps",
                "at least 0.000133");
}

static void sides_that_txt2img_does_not_give(void **state)
{
    (void)state;
    static const struct {
        int width, height, width_out, height_out;
    } rows[] = {{0, 0, 512, 512}, {768, 0, 768, 512}, {0, 96, 512, 96}, {64, 32, 64, 32}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j;
        good_job(&j, TASK_TXT2IMG);
        j.width = rows[i].width;
        j.height = rows[i].height;
        must_pass(&j);
        assert_int_equal(j.width, rows[i].width_out);
        assert_int_equal(j.height, rows[i].height_out);
        job_done(&j);
    }
    job j;
    good_job(&j, TASK_TXT2IMG);
    j.steps = 0;
    assert_int_equal(job_check(&j, NULL), ERR_INVALID);
    assert_int_equal(j.width, 0); /* a refused job stays as it was */
    job_done(&j);
}

/* ---------------------------------------------------------------- names, texts, pictures */

static void model_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool paths;
        const char *found, *allowed; /* NULL: passes */
    } rows[] = {
        {"", false, NULL, NULL},
        {"v1-5 pruned (ema).safetensors", false, NULL, NULL},
        {"\xc3\xa4\xe7\x8c\xab", false, NULL, NULL},
        {"..a", false, NULL, NULL},
        {"/models/a.safetensors", true, NULL, NULL},
        {"tiny", true, NULL, NULL},
        {"/models/a.safetensors", false, "path", "without '/'"},
        {"a/b", false, "path", "without '/'"},
        {"../a", false, "path", "without '/'"},
        {"a/b", true, "relative path", "absolute"},
        {"../a", true, "relative path", "absolute"},
        {"..", false, "\"..\"", "file or folder"},
        {".", true, "\".\"", "file or folder"},
        {"a\nb", false, "control character 0x0a at byte 1", "none"},
        {"a\x7f", false, "control character 0x7f", "none"},
        {"/a\x1b[2J", true, "control character 0x1b", "none"},
        {"a\xff", false, "byte 0xff at 1", "UTF-8"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j;
        good_job(&j, TASK_IMG2IMG);
        strcpy(j.model, rows[i].name);
        j.paths_allowed = rows[i].paths;
        if (rows[i].found) {
            must_refuse(&j, ERR_INVALID, "model", rows[i].found, rows[i].allowed);
            continue;
        }
        must_pass(&j);
        job_done(&j);
    }
    job j;
    good_job(&j, TASK_IMG2IMG);
    memset(j.model, 'm', sizeof j.model);
    must_refuse(&j, ERR_TOO_LARGE, "model", "no end", "255 bytes");
}

static void prompts(void **state)
{
    (void)state;
    job j;
    good_job(&j, TASK_IMG2IMG);
    set_prompt(&j, "a (red:1.3) fox \xf0\x9f\xa6\x8a\nBREAK snow");
    must_pass(&j);
    set_prompt(&j, "bytes \xc3(");
    must_refuse(&j, ERR_INVALID, "prompt", "byte 0xc3 at 6", "UTF-8");

    good_job(&j, TASK_TXT2IMG);
    static const char tag[] = "[cat|<lora:dog:1>]";
    assert_int_equal(job_set_text(&j.negative_prompt, tag, sizeof tag - 1, NULL), 0);
    must_refuse(&j, ERR_INVALID, "negative_prompt: ", "extra network", "not supported yet");
    static const char many[] = "a AND b AND c AND d AND e AND f AND g AND h";
    good_job(&j, TASK_TXT2IMG);
    assert_int_equal(job_set_text(&j.negative_prompt, many, sizeof many - 1, NULL), 0);
    must_pass(&j);
    set_prompt(&j, many);
    must_refuse(&j, ERR_TOO_LARGE, "prompt: ", "more than 7 parts", "at most");

    char *longest = malloc(JOB_TEXT_MAX + 2);
    memset(longest, 'x', JOB_TEXT_MAX + 1);
    longest[JOB_TEXT_MAX + 1] = 0;
    good_job(&j, TASK_TXT2IMG);
    err e = {0};
    assert_int_equal(job_set_text(&j.prompt, longest, JOB_TEXT_MAX, &e), 0);
    must_pass(&j);
    assert_int_equal(job_set_text(&j.prompt, longest, JOB_TEXT_MAX + 1, &e), ERR_TOO_LARGE);
    assert_int_equal(strlen(j.prompt), JOB_TEXT_MAX);
    assert_int_equal(job_set_text(&j.prompt, "a\0b", 3, NULL), ERR_INVALID);
    free(j.prompt);
    j.prompt = longest;
    must_refuse(&j, ERR_TOO_LARGE, "prompt", "more than 65536", "at most");
}

static void input_pictures(void **state)
{
    (void)state;
    static const struct {
        job_picture picture;
        bool paths;
        err_code code;
        const char *found, *allowed;
    } rows[] = {
        {{.bytes = picture_bytes}, false, ERR_INVALID, "empty", "bytes of a picture"},
        {{.size = 7}, false, ERR_INVALID, "empty", "bytes of a picture"},
        {{.path = "/a.png"}, false, ERR_INVALID, "path", "ipc only"},
        {{.path = "a.png"}, true, ERR_INVALID, "no absolute path", "expected one"},
        {{.path = "/a\t.png"}, true, ERR_INVALID, "control character 0x09", "none"},
        {{.path = "/a.png", .bytes = picture_bytes, .size = 3},
         true,
         ERR_INVALID,
         "bytes and a path",
         "one of them"},
        {{.bytes = picture_bytes, .size = JOB_INPUT_BYTES_MAX + 1},
         false,
         ERR_TOO_LARGE,
         "more than 67108864",
         "at most"},
        {{.bytes = picture_bytes, .size = SIZE_MAX},
         false,
         ERR_TOO_LARGE,
         "more than 67108864",
         "at most"},
        {{.path = "/a.png"}, true, ERR_OK, NULL, NULL},
        {{.bytes = picture_bytes, .size = JOB_INPUT_BYTES_MAX}, false, ERR_OK, NULL, NULL},
    };
    job j;
    for (size_t i = 0; i < COUNT(rows); i++) {
        good_job(&j, TASK_IMG2IMG);
        j.input[0] = rows[i].picture;
        j.paths_allowed = rows[i].paths;
        if (rows[i].found) {
            must_refuse(&j, rows[i].code, "input", rows[i].found, rows[i].allowed);
            continue;
        }
        must_pass(&j);
        job_done(&j);
    }
    good_job(&j, TASK_IMG2IMG);
    err e = {0};
    for (int i = 1; i < JOB_INPUTS_MAX; i++)
        assert_int_equal(job_add_input(&j, j.input[0], &e), 0);
    assert_int_equal(job_add_input(&j, j.input[0], &e), ERR_TOO_LARGE);
    assert_int_equal(j.inputs, JOB_INPUTS_MAX);
    job_done(&j);
}

static void every_problem_is_listed(void **state)
{
    (void)state;
    job j;
    good_job(&j, TASK_IMG2IMG);
    j.steps = 0;
    j.cfg_scale = NAN;
    strcpy(j.model, "..");
    must_refuse(&j, ERR_INVALID, "steps is 0", "; cfg_scale is nan", "; model is");

    good_job(&j, TASK_IMG2IMG); /* everything wrong at once fits no message, and is still refused */
    uint8_t *byte = (uint8_t *)&j.task;
    memset(byte, 0xfe, offsetof(job, paths_allowed) - offsetof(job, task));
    j.noop_engine = true;
    err e = {0};
    assert_int_equal(job_check(&j, &e), ERR_INVALID);
    assert_true(strlen(e.text) < sizeof e.text);
    job_done(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_pass),
        cmocka_unit_test(whole_fields_outside_their_range),
        cmocka_unit_test(real_fields_outside_their_range),
        cmocka_unit_test(limits_themselves_pass),
        cmocka_unit_test(tasks_and_their_inputs),
        cmocka_unit_test(pictures_and_seeds),
        cmocka_unit_test(sides_that_txt2img_does_not_give),
        cmocka_unit_test(model_names),
        cmocka_unit_test(prompts),
        cmocka_unit_test(input_pictures),
        cmocka_unit_test(every_problem_is_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
