/* Settings from a picture's parameters: texts as the web UI's versions and this program write them,
 * and texts that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/job_infotext.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* A job of that task with the settings of the text. */
static job read_job(task_kind task, const char *text, err *notes)
{
    job j;
    infotext t;
    err e = {0};
    job_init(&j);
    j.task = task;
    *notes = (err){0};
    assert_int_equal(infotext_read(&t, text, &e), 0);
    if (job_from_infotext(&j, &t, notes, &e))
        fail_msg("%s", e.text);
    infotext_done(&t);
    return j;
}

static void nothing_noted(const err *notes)
{
    assert_string_equal(notes->text, "");
    assert_int_equal(notes->code, 0);
}

static void a_text_of_the_web_ui(void **state)
{
    (void)state;
    err notes;
    job j = read_job(TASK_INPAINT,
                     "a (red:1.3) fox, snow\nsecond line\nNegative prompt: blurry, dark\n"
                     "Steps: 28, Sampler: DPM2 a, Schedule type: Karras, CFG scale: 6.5, Seed: "
                     "4294967296, Size: 512x768, Model hash: 6ce0161689, Model: v1-5-pruned, "
                     "Denoising strength: 0.62, Conditional mask weight: 0.5, Clip skip: 2, "
                     "ENSD: 31337, RNG: CPU, Mask mode: Inpaint not masked, Mask blur: 8, Inpaint "
                     "area: Only masked, Masked area padding: 48, Masked content: latent noise, "
                     "Soft inpainting enabled: True, Soft inpainting schedule bias: 1.5, Soft "
                     "inpainting difference contrast: 3, Version: v1.10.1",
                     &notes);
    nothing_noted(&notes);
    assert_string_equal(j.prompt, "a (red:1.3) fox, snow\nsecond line");
    assert_string_equal(j.negative_prompt, "blurry, dark");
    assert_int_equal(j.steps, 28);
    assert_int_equal(j.sampler, SAMPLER_DPM2_A);
    assert_int_equal(j.scheduler, SCHEDULE_KARRAS);
    assert_true(j.cfg_scale == 6.5 && j.denoising_strength == 0.62);
    assert_true(j.seed == INT64_C(4294967296));
    assert_int_equal(j.clip_skip, 2);
    assert_int_equal(j.rng, RNG_CPU);
    assert_true(j.inpaint.invert && j.inpaint.only_masked && j.inpaint.soft.on);
    assert_int_equal(j.inpaint.blur_x, 8);
    assert_int_equal(j.inpaint.blur_y, 8);
    assert_int_equal(j.inpaint.padding, 48);
    assert_int_equal(j.inpaint.content, CONTENT_LATENT_NOISE);
    assert_true(j.inpaint.mask_weight == 0.5);
    assert_true(j.inpaint.soft.schedule_bias == 1.5 && j.inpaint.soft.difference_contrast == 3);
    assert_true(j.inpaint.soft.preservation_strength == 0.5);
    assert_string_equal(j.model, ""); /* a picture chooses no model */
    assert_int_equal(j.width, 0);     /* and for inpainting no size */
    job_done(&j);
}

static void older_texts(void **state)
{
    (void)state;
    static const struct {
        const char *sampler;
        sampler_kind kind;
        schedule schedule;
    } rows[] = {
        {"DPM++ 2M Karras", SAMPLER_DPMPP_2M, SCHEDULE_KARRAS},
        {"DPM2 a Karras", SAMPLER_DPM2_A, SCHEDULE_KARRAS},
        {"Euler a", SAMPLER_EULER_A, SCHEDULE_AUTOMATIC},
        {"Heun", SAMPLER_HEUN, SCHEDULE_AUTOMATIC},
        {"DDIM", SAMPLER_DDIM, SCHEDULE_AUTOMATIC},
        {"k_euler_a", SAMPLER_EULER_A, SCHEDULE_AUTOMATIC},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[256];
        err notes;
        snprintf(text, sizeof text,
                 "a fox\nSteps: 20, Sampler: %s, CFG scale: 7, Seed: 5, RNG: GPU", rows[i].sampler);
        job j = read_job(TASK_IMG2IMG, text, &notes);
        nothing_noted(&notes);
        assert_int_equal(j.sampler, rows[i].kind);
        assert_int_equal(j.scheduler, rows[i].schedule);
        assert_int_equal(j.rng, RNG_NV);
        job_done(&j);
    }
}

static void size_goes_where_the_input_does_not_decide(void **state)
{
    (void)state;
    static const struct {
        task_kind task;
        bool taken;
    } rows[] = {{TASK_TXT2IMG, true},   {TASK_IMG2IMG, true},   {TASK_LOOPBACK, true},
                {TASK_INPAINT, false},  {TASK_OUTPAINT, false}, {TASK_UPSCALE, false},
                {TASK_SD_UPSCALE, true}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        err notes;
        job j = read_job(rows[i].task, "x\nSteps: 4, Size: 768x320, Seed: 1", &notes);
        nothing_noted(&notes);
        assert_int_equal(j.width, rows[i].taken ? 768 : 0);
        assert_int_equal(j.height, rows[i].taken ? 320 : 0);
        assert_int_equal(j.upscale.width, 0);
        job_done(&j);
    }
}

static void keys_of_other_tasks(void **state)
{
    (void)state;
    err notes;
    job j = read_job(TASK_LOOPBACK,
                     "x\nSteps: 4, Denoising strength: 0.7, Final denoising strength: 0.25, "
                     "Denoising curve: Lazy, Mask blur x: 3, Mask blur y: 0",
                     &notes);
    nothing_noted(&notes);
    assert_true(j.denoising_strength == 0.7 && j.loopback.final_strength == 0.25);
    assert_int_equal(j.loopback.curve, LOOP_LAZY);
    assert_int_equal(j.inpaint.blur_x, 3);
    assert_int_equal(j.inpaint.blur_y, 0);
    job_done(&j);
    const char *upscales =
        "x\nSteps: 4, SD upscale overlap: 96, SD upscale upscaler: R-ESRGAN 4x+, "
        "Postprocess upscaler: Nearest, Postprocess upscale by: 3, Postprocess "
        "upscaler 2: Lanczos, Postprocess upscaler 2 visibility: 0.3";
    j = read_job(TASK_SD_UPSCALE, upscales, &notes);
    nothing_noted(&notes);
    assert_int_equal(j.upscale.tile_overlap, 96);
    assert_string_equal(j.upscale.upscaler, "R-ESRGAN 4x+");
    assert_true(j.upscale.scale == 0);
    job_done(&j);
    j = read_job(TASK_UPSCALE, upscales, &notes);
    assert_string_equal(j.upscale.upscaler, "Nearest");
    assert_string_equal(j.upscale.upscaler_2, "Lanczos");
    assert_true(j.upscale.scale == 3 && j.upscale.visibility_2 == 0.3 && j.upscale.crop);
    job_done(&j);
    j = read_job(TASK_UPSCALE,
                 "Postprocess upscale to: 640x480, Postprocess upscaler: None, Version: x", &notes);
    nothing_noted(&notes);
    assert_int_equal(j.upscale.width, 640);
    assert_int_equal(j.upscale.height, 480);
    assert_true(!j.upscale.crop && j.upscale.scale == 0);
    job_done(&j);
    j = read_job(TASK_UPSCALE,
                 "Postprocess upscale to: 640x480, Postprocess crop to: 640x480, Version: x",
                 &notes);
    nothing_noted(&notes);
    assert_true(j.upscale.crop);
    job_done(&j);
}

static void a_prompt_alone(void **state)
{
    (void)state;
    err notes;
    job plain, j = read_job(TASK_IMG2IMG, "only: words, no: parameters", &notes);
    nothing_noted(&notes);
    assert_string_equal(j.prompt, "only: words, no: parameters");
    job_init(&plain);
    free(j.prompt);
    free(j.negative_prompt);
    j.prompt = j.negative_prompt = NULL;
    assert_memory_equal(&j, &plain, sizeof j);
}

static const struct {
    const char *pair, *noted; /* NULL: ignored without a word */
} nonsense_rows[] = {
    {"Steps: 0", "Steps: \"0\""},
    {"Steps: -5", "Steps"},
    {"Steps: 99999999999999999999", "Steps"},
    {"Steps: twenty", "Steps: \"twenty\""},
    {"Steps: ", "Steps: \"\""},
    {"Steps: 2e1", "Steps"},
    {"Sampler: UniPC", "Sampler: \"UniPC\""},
    {"Sampler: ", "Sampler"},
    {"Schedule type: Polyexponential", "Schedule type"},
    {"CFG scale: nan", "CFG scale"},
    {"CFG scale: -1", "CFG scale"},
    {"CFG scale: 1e400", "CFG scale"},
    {"Seed: 18446744073709551616", "Seed"},
    {"Seed: 0x12", "Seed"},
    {"Size: 512", "Size"},
    {"Size: 512x", "Size"},
    {"Size: x512", "Size"},
    {"Size: 512x512x512", "Size"},
    {"Size: 8x512", "Size"},
    {"Size: 512x100000", "Size"},
    {"Size: 00000000000000000512x512", "Size"},
    {"Denoising strength: 1.5", "Denoising strength"},
    {"Clip skip: 13", "Clip skip"},
    {"RNG: dice", "RNG"},
    {"Mask blur: 65", "Mask blur"},
    {"Mask blur: 4.5", "Mask blur"},
    {"Mask mode: upside down", "Mask mode"},
    {"Inpaint area: half", "Inpaint area"},
    {"Masked area padding: 257", "Masked area padding"},
    {"Masked content: cheese", "Masked content"},
    {"Soft inpainting enabled: maybe", "Soft inpainting enabled"},
    {"Soft inpainting transition contrast boost: 0", "Soft inpainting transition"},
    {"Denoising curve: loop", "Denoising curve"},
    {"Loops: 33", "Loops"},
    {"Outpaint direction: \"left,\"", "Outpaint direction"},
    {"Outpaint direction: \"left,sideways\"", "Outpaint direction"},
    {"Outpaint direction: lef", "Outpaint direction"},
    {"Outpaint direction: ", "Outpaint direction"},
    {"Outpaint method: mk3", "Outpaint method"},
    {"Outpaint pixels: 7", "Outpaint pixels"},
    {"Outpaint mask blur: 65", "Outpaint mask blur"},
    {"Final denoising strength: \"0.5, 0.6\"", "Final denoising strength"},
    {"SD upscale overlap: 999", "SD upscale overlap"},
    {"Hires upscaler: Latent", NULL},
    {"Variation seed: -1", NULL},
    {"Lora hashes: \"a: 1, b: 2\"", NULL},
    {"steps: 0", NULL},                         /* keys have one spelling */
    {"SD upscale upscaler: /etc/passwd", NULL}, /* not of this task */
};

/* What makes no sense leaves the default and is named; the rest of the text still counts. */
static void nonsense(void **state)
{
    (void)state;
    job plain;
    job_init(&plain);
    for (size_t i = 0; i < COUNT(nonsense_rows); i++) {
        char text[256];
        err notes;
        snprintf(text, sizeof text, "p\nVersion: x, User: y, %s, ENSD: 1", nonsense_rows[i].pair);
        job j = read_job(TASK_IMG2IMG, text, &notes);
        if (!nonsense_rows[i].noted)
            nothing_noted(&notes);
        else if (!strstr(notes.text, nonsense_rows[i].noted) || !strstr(notes.text, "is not taken"))
            fail_msg("%s: noted \"%s\"", nonsense_rows[i].pair, notes.text);
        assert_string_equal(j.prompt, "p");
        free(j.prompt);
        free(j.negative_prompt);
        j.prompt = j.negative_prompt = NULL;
        assert_memory_equal(&j, &plain, sizeof j);
    }
}

static void upscalers_are_names(void **state)
{
    (void)state;
    char text[600] = "p\nSteps: 3, Seed: 1, Postprocess upscaler: ";
    err notes;
    const size_t start = strlen(text);
    static const char *const bad[] = {"/etc/passwd", "../x", "a/b"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        strcpy(text + start, bad[i]);
        job j = read_job(TASK_UPSCALE, text, &notes);
        assert_non_null(strstr(notes.text, "Postprocess upscaler"));
        assert_string_equal(j.upscale.upscaler, "Lanczos");
        job_done(&j);
    }
    memset(text + start, 'u', 256);
    text[start + 256] = 0;
    job j = read_job(TASK_UPSCALE, text, &notes);
    assert_non_null(strstr(notes.text, "Postprocess upscaler"));
    job_done(&j);
    text[start + 255] = 0;
    j = read_job(TASK_UPSCALE, text, &notes);
    nothing_noted(&notes);
    assert_int_equal(strlen(j.upscale.upscaler), 255);
    job_done(&j);
}

static void control_characters_do_not_reach_the_notes(void **state)
{
    (void)state;
    err notes;
    job j = read_job(TASK_IMG2IMG, "p\nSteps: \"\\u001b[2J\", Seed: \x1b[31m, RNG: \x07, ENSD: 1",
                     &notes);
    assert_non_null(strstr(notes.text, "Steps"));
    for (const char *c = notes.text; *c; c++)
        assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
    job_done(&j);
}

static void a_prompt_that_is_too_long(void **state)
{
    (void)state;
    char *text = malloc(JOB_TEXT_MAX + 100);
    err notes;
    memset(text, 'a', JOB_TEXT_MAX + 1);
    strcpy(text + JOB_TEXT_MAX + 1, "\nSteps: 3, Seed: 9, ENSD: 1");
    job j = read_job(TASK_IMG2IMG, text, &notes);
    assert_null(j.prompt);
    assert_non_null(strstr(notes.text, "the prompt is not taken"));
    assert_int_equal(j.steps, 3); /* the rest is */
    job_done(&j);
    free(text);
}

static void a_job_out_of_range_is_not_touched(void **state)
{
    (void)state;
    job j;
    infotext t = {0};
    err notes = {0}, e = {0};
    job_init(&j);
    j.steps = 0;
    assert_int_equal(infotext_read(&t, "p\nSteps: 3, Seed: 9, ENSD: 1", &e), 0);
    assert_int_equal(job_from_infotext(&j, &t, &notes, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "steps is 0"));
    assert_null(j.prompt);
    infotext_done(&t);
    job_done(&j);
}

/* Cut anywhere, the text still gives a job within its ranges. */
static void truncated_at_every_byte(void **state)
{
    (void)state;
    static const char text[] =
        "a fox\nNegative prompt: dark\nSteps: 28, Sampler: DPM2 a Karras, CFG "
        "scale: 6.5, Seed: 42, Size: 512x768, Masked content: latent noise, "
        "Soft inpainting schedule bias: 1.5";
    for (size_t length = 0; length < sizeof text; length++) {
        char *cut = strndup(text, length);
        err notes, e = {0};
        job j = read_job(TASK_TXT2IMG, cut, &notes);
        job_id_new(&j.id);
        if (job_check(&j, &e))
            fail_msg("\"%s\": %s", cut, e.text);
        job_done(&j);
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_of_the_web_ui),
        cmocka_unit_test(older_texts),
        cmocka_unit_test(size_goes_where_the_input_does_not_decide),
        cmocka_unit_test(keys_of_other_tasks),
        cmocka_unit_test(a_prompt_alone),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(upscalers_are_names),
        cmocka_unit_test(control_characters_do_not_reach_the_notes),
        cmocka_unit_test(a_prompt_that_is_too_long),
        cmocka_unit_test(a_job_out_of_range_is_not_touched),
        cmocka_unit_test(truncated_at_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
