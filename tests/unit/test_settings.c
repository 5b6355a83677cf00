/* The table of settings: what each name means for each task, and that what --help says is what
 * job_check does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/settings.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const task_kind tasks[] = {TASK_TXT2IMG,  TASK_IMG2IMG, TASK_INPAINT,   TASK_OUTPAINT,
                                  TASK_LOOPBACK, TASK_UPSCALE, TASK_SD_UPSCALE};

static uint8_t *some_bytes(void)
{
    return (uint8_t *)strdup("a picture");
}

/* A job as overpaint_job_new makes it, with its picture. */
static job fresh(task_kind task)
{
    job j;
    err e = {0};
    job_init(&j);
    job_id_new(&j.id);
    j.owns_bytes = true;
    j.task = task;
    if (settings_defaults(&j, &e))
        fail_msg("%s: %s", task_name(task), e.text);
    if (task != TASK_TXT2IMG)
        assert_int_equal(setting_input(&j, (job_picture){.bytes = some_bytes(), .size = 9}, &e), 0);
    return j;
}

static void must_set(job *j, const char *name, const char *value)
{
    err e = {0};
    if (setting_set(j, name, value, &e))
        fail_msg("%s %s: %s", task_name(j->task), name, e.text);
}

static void must_refuse(job *j, const char *name, const char *value, const char *says)
{
    err e = {0};
    int rc = setting_set(j, name, value, &e);
    if (!rc || rc != (int)e.code || !strstr(e.text, says))
        fail_msg("%s = %s: %d \"%s\", expected \"%s\"", name, value, rc, e.text, says);
}

/* ---------------------------------------------------------------- the table itself */

static void defaults_are_those_of_the_job(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(tasks); i++) {
        job j = fresh(tasks[i]), plain;
        err e = {0};
        if (job_check(&j, &e))
            fail_msg("%s: %s", task_name(tasks[i]), e.text);
        job_done(&j);
        j = fresh(tasks[i]);
        job_init(&plain);
        plain.id = j.id;
        plain.task = tasks[i];
        plain.owns_bytes = true;
        plain.input = j.input;
        plain.inputs = j.inputs;
        if (tasks[i] == TASK_OUTPAINT) { /* the one recipe */
            plain.outpaint.left = plain.outpaint.right = true;
            plain.outpaint.up = plain.outpaint.down = true;
            plain.steps = 80;
            plain.sampler = SAMPLER_EULER_A;
            plain.cfg_scale = 10;
            plain.denoising_strength = 0.8;
        }
        assert_memory_equal(&j, &plain, sizeof j);
        job_done(&j);
    }
}

/* Both bounds pass job_check, a little beyond does not. */
static void bounds_are_those_of_job_check(void **state)
{
    (void)state;
    int seen = 0;
    for (const setting *s = settings; s->name; s++) {
        for (size_t i = 0; i < COUNT(tasks) && s->least < s->most; i++) {
            const double at[] = {s->least, s->most, s->least - 1, s->most + 1};
            if (!setting_belongs(s, tasks[i]) || !strcmp(s->name, "deadline-ms"))
                continue;
            for (int k = 0; k < 4; k++) {
                job j = fresh(tasks[i]);
                err e = {0};
                char value[40];
                snprintf(value, sizeof value, "%.0f", at[k]);
                must_set(&j, s->name, value);
                if (!strcmp(s->name, "quality"))
                    j.format = FORMAT_WEBP;
                if (!strcmp(s->name, "width") || !strcmp(s->name, "height")) {
                    j.upscale.tile_overlap = 0; /* small tiles allow nothing else */
                    j.outpaint.method = OUTPAINT_MK2;
                    j.upscale.width = j.upscale.height = j.upscale.width + j.upscale.height;
                }
                /* 0 and -1 may stand for "not given" */
                const bool refused = job_check(&j, &e) != 0;
                const bool none = !strcmp(value, "0") || !strcmp(value, "-1");
                if (refused != (k > 1) && !(none && k == 2))
                    fail_msg("%s --%s %s: \"%s\"", task_name(tasks[i]), s->name, value, e.text);
                job_done(&j);
                seen++;
            }
        }
    }
    assert_true(seen > 200);
}

/* No task sees a name twice, and every name says what it is for. */
static void names_are_unique_for_a_task(void **state)
{
    (void)state;
    for (const setting *s = settings; s->name; s++) {
        assert_true(s->help && *s->help);
        assert_true(!s->choices || s->argument);
        for (const setting *t = s + 1; t->name; t++)
            if (!strcmp(s->name, t->name))
                assert_int_equal(s->tasks & t->tasks, 0);
    }
}

/* ---------------------------------------------------------------- one name, several tasks */

static void a_name_means_what_the_task_makes_of_it(void **state)
{
    (void)state;
    job j = fresh(TASK_INPAINT);
    must_set(&j, "mask_blur", "9");
    must_set(&j, "masked_content", "latent-noise");
    must_set(&j, "width", "640");
    assert_int_equal(j.inpaint.blur_x, 9);
    assert_int_equal(j.inpaint.blur_y, 9);
    assert_int_equal(j.inpaint.content, CONTENT_LATENT_NOISE);
    assert_int_equal(j.outpaint.mask_blur, -1);
    assert_int_equal(j.width, 640);
    job_done(&j);
    j = fresh(TASK_OUTPAINT);
    must_set(&j, "mask-blur", "9");
    must_set(&j, "masked-content", "latent-nothing");
    assert_int_equal(j.inpaint.blur_x, 4);
    assert_int_equal(j.outpaint.mask_blur, 9);
    assert_int_equal(j.outpaint.content, CONTENT_LATENT_NOTHING);
    assert_int_equal(j.inpaint.content, CONTENT_ORIGINAL);
    job_done(&j);
    j = fresh(TASK_UPSCALE);
    must_set(&j, "width", "640");
    assert_int_equal(j.width, 0);
    assert_int_equal(j.upscale.width, 640);
    job_done(&j);
}

static void every_inpaint_setting(void **state)
{
    (void)state;
    static const char *const values[][2] = {
        {"mask-mode", "not-masked"},
        {"mask-blur", "5"},
        {"mask-blur-y", "7"},
        {"masked-content", "fill"},
        {"inpaint-area", "only-masked"},
        {"padding", "11"},
        {"mask-weight", "0.25"},
        {"color-correction", "true"},
        {"give-mask", "true"},
        {"give-composite", "yes"},
        {"sketch-transparency", "12.5"},
        {"soft-inpainting", "1"},
        {"soft-schedule-bias", "1.5"},
        {"soft-preservation-strength", "2.5"},
        {"soft-transition-contrast", "3.5"},
        {"soft-mask-influence", "0.5"},
        {"soft-difference-threshold", "5.5"},
        {"soft-difference-contrast", "6.5"},
        {"img2img-upscaler", "Nearest"},
    };
    static const inpaint_options expected = {.invert = true,
                                             .blur_x = 5,
                                             .blur_y = 7,
                                             .content = CONTENT_FILL,
                                             .only_masked = true,
                                             .padding = 11,
                                             .mask_weight = 0.25,
                                             .colour_correction = true,
                                             .give_mask = true,
                                             .give_composite = true,
                                             .sketch_transparency = 12.5,
                                             .soft = {true, 1.5, 2.5, 3.5, 0.5, 5.5, 6.5}};
    job j = fresh(TASK_INPAINT);
    for (size_t i = 0; i < COUNT(values); i++)
        must_set(&j, values[i][0], values[i][1]);
    assert_true(j.inpaint.soft.on);
    assert_memory_equal(&j.inpaint.soft.schedule_bias, &expected.soft.schedule_bias,
                        6 * sizeof(double));
    assert_int_equal(j.inpaint.invert, expected.invert);
    assert_int_equal(j.inpaint.blur_x, expected.blur_x);
    assert_int_equal(j.inpaint.blur_y, expected.blur_y);
    assert_int_equal(j.inpaint.content, expected.content);
    assert_int_equal(j.inpaint.only_masked, expected.only_masked);
    assert_int_equal(j.inpaint.padding, expected.padding);
    assert_true(j.inpaint.mask_weight == expected.mask_weight);
    assert_true(j.inpaint.colour_correction && j.inpaint.give_mask && j.inpaint.give_composite);
    assert_true(j.inpaint.sketch_transparency == expected.sketch_transparency);
    assert_string_equal(j.img2img_upscaler, "Nearest");
    must_set(&j, "mask-mode", "masked"); /* and back */
    must_set(&j, "inpaint-area", "whole");
    must_set(&j, "soft-inpainting", "false");
    assert_false(j.inpaint.invert || j.inpaint.only_masked || j.inpaint.soft.on);
    job_done(&j);
}

static void the_other_tasks_settings(void **state)
{
    (void)state;
    job j = fresh(TASK_OUTPAINT);
    must_set(&j, "method", "mk2");
    must_set(&j, "pixels", "64");
    must_set(&j, "falloff", "1.5");
    must_set(&j, "color-variation", "0.2");
    assert_int_equal(j.outpaint.method, OUTPAINT_MK2);
    assert_int_equal(j.outpaint.pixels, 64);
    assert_true(j.outpaint.falloff == 1.5 && j.outpaint.colour_variation == 0.2);
    job_done(&j);
    j = fresh(TASK_LOOPBACK);
    must_set(&j, "loops", "3");
    must_set(&j, "final-denoising-strength", "0.3");
    must_set(&j, "curve", "aggressive");
    assert_int_equal(j.loopback.loops, 3);
    assert_true(j.loopback.final_strength == 0.3);
    assert_int_equal(j.loopback.curve, LOOP_AGGRESSIVE);
    job_done(&j);
    j = fresh(TASK_UPSCALE);
    must_set(&j, "upscaler", "R-ESRGAN 4x+");
    must_set(&j, "upscaler-2", "Nearest");
    must_set(&j, "upscaler-2-visibility", "0.4");
    must_set(&j, "no-crop", "true");
    assert_string_equal(j.upscale.upscaler, "R-ESRGAN 4x+");
    assert_string_equal(j.upscale.upscaler_2, "Nearest");
    assert_true(j.upscale.visibility_2 == 0.4 && !j.upscale.crop);
    must_set(&j, "no-crop", "false");
    assert_true(j.upscale.crop);
    job_done(&j);
    j = fresh(TASK_SD_UPSCALE);
    must_set(&j, "scale", "1.5");
    must_set(&j, "tile-overlap", "16");
    assert_true(j.upscale.scale == 1.5);
    assert_int_equal(j.upscale.tile_overlap, 16);
    job_done(&j);
}

/* ---------------------------------------------------------------- values */

static void directions(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool left, right, up, down;
    } good[] = {{"left", true, false, false, false},
                {"down,up", false, false, true, true},
                {"right,right", false, true, false, false},
                {"down,up,right,left", true, true, true, true}};
    static const char *const bad[] = {"",    ",",          "left,",    ",left", "left,,up", "lefty",
                                      "lef", "left right", "left, up", "all",   "LEFT"};
    job j = fresh(TASK_OUTPAINT);
    for (size_t i = 0; i < COUNT(good); i++) {
        must_set(&j, "direction", good[i].value);
        assert_int_equal(j.outpaint.left, good[i].left);
        assert_int_equal(j.outpaint.right, good[i].right);
        assert_int_equal(j.outpaint.up, good[i].up);
        assert_int_equal(j.outpaint.down, good[i].down);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        must_refuse(&j, "direction", bad[i], "left,right,up,down");
    assert_true(j.outpaint.left && j.outpaint.down); /* a refused value changes nothing */
    job_done(&j);
}

static void values_that_do_not_parse(void **state)
{
    (void)state;
    static const struct {
        task_kind task;
        const char *name, *value, *says;
    } rows[] = {
        {TASK_INPAINT, "mask-blur", "soft", "whole number"},
        {TASK_INPAINT, "mask-blur", "99999999999", "smaller number"},
        {TASK_INPAINT, "mask-mode", "inverted", "masked|not-masked"},
        {TASK_INPAINT, "masked-content", "latent_noise", "nearest is latent-noise"},
        {TASK_INPAINT, "inpaint-area", "", "whole|only-masked"},
        {TASK_INPAINT, "give-mask", "2", "true or false"},
        {TASK_INPAINT, "mask", "/no/such/mask.png", "/no/such/mask.png"},
        {TASK_INPAINT, "sketch", "/", "/"},
        {TASK_OUTPAINT, "method", "mk3", "nearest is mk2"},
        {TASK_OUTPAINT, "falloff", "nan", "a number"},
        {TASK_LOOPBACK, "curve", "steep", "linear|aggressive|lazy"},
        {TASK_UPSCALE, "no-crop", "", "true or false"},
        {TASK_UPSCALE, "upscaler", "./no-such-network.pth", "no file or folder"},
        {TASK_UPSCALE, "upscalr", "x", "nearest is upscaler"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j = fresh(rows[i].task);
        must_refuse(&j, rows[i].name, rows[i].value, rows[i].says);
        job_done(&j);
    }
}

static void a_mask_is_read_at_once_and_replaced(void **state)
{
    (void)state;
    char path[] = "/tmp/overpaint-mask-XXXXXX";
    int file = mkstemp(path);
    assert_int_equal(write(file, "white", 5), 5);
    close(file);
    job j = fresh(TASK_INPAINT);
    must_set(&j, "mask", path);
    unlink(path);
    assert_int_equal(j.inputs, 2);
    assert_memory_equal(job_find_input(&j, INPUT_MASK)->bytes, "white", 5);
    job_picture other = {.role = INPUT_MASK, .bytes = some_bytes(), .size = 9};
    assert_int_equal(setting_input(&j, other, NULL), 0);
    assert_int_equal(j.inputs, 2);
    assert_memory_equal(job_find_input(&j, INPUT_MASK)->bytes, "a picture", 9);
    job_done(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_job),
        cmocka_unit_test(bounds_are_those_of_job_check),
        cmocka_unit_test(names_are_unique_for_a_task),
        cmocka_unit_test(a_name_means_what_the_task_makes_of_it),
        cmocka_unit_test(every_inpaint_setting),
        cmocka_unit_test(the_other_tasks_settings),
        cmocka_unit_test(directions),
        cmocka_unit_test(values_that_do_not_parse),
        cmocka_unit_test(a_mask_is_read_at_once_and_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
