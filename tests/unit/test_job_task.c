/* The picture tasks in job_check: each option's range, which inputs a task takes, what belongs
 * together, what is resolved, and how many pictures come of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/job.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const uint8_t bytes[] = "the bytes of a picture";

static void add(job *j, input_role role)
{
    job_picture p = {.role = role, .bytes = bytes, .size = sizeof bytes};
    assert_int_equal(job_add_input(j, p, NULL), 0);
}

/* A job of that task that passes. */
static job good(task_kind task)
{
    job j;
    job_init(&j);
    job_id_new(&j.id);
    j.task = task;
    j.outpaint.left = true;
    add(&j, INPUT_PICTURE);
    return j;
}

static void must_pass(job *j)
{
    err e = {0};
    if (job_check(j, &e))
        fail_msg("refused: %s", e.text);
}

/* Refused with that text; the job ends. */
static void must_refuse(job *j, const char *text)
{
    err e = {0};
    if (job_check(j, &e) != ERR_INVALID || !strstr(e.text, text))
        fail_msg("\"%s\", expected \"%s\"", e.text, text);
    job_done(j);
}

static const task_kind picture_tasks[] = {TASK_IMG2IMG,  TASK_INPAINT, TASK_OUTPAINT,
                                          TASK_LOOPBACK, TASK_UPSCALE, TASK_SD_UPSCALE};

static void defaults_pass_for_every_task(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(picture_tasks); i++) {
        job j = good(picture_tasks[i]);
        must_pass(&j);
        must_pass(&j); /* and what it resolved passes again */
        job_done(&j);
    }
}

/* ---------------------------------------------------------------- ranges */

#define AT(field) #field, offsetof(job, field)

/* Both ends of every whole option pass, the numbers beside them do not, for any task. */
static void whole_options(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        size_t offset;
        int32_t least, most;
    } rows[] = {
        {AT(inpaint.blur_x), 0, 64},        {AT(inpaint.blur_y), 0, 64},
        {AT(inpaint.content), 0, 3},        {AT(inpaint.padding), 0, 256},
        {AT(outpaint.method), 0, 1},        {AT(outpaint.pixels), 8, 256},
        {AT(outpaint.mask_blur), -1, 64},   {AT(outpaint.content), 0, 3},
        {AT(loopback.loops), 1, 32},        {AT(loopback.curve), 0, 2},
        {AT(upscale.width), 0, 16384},      {AT(upscale.height), 0, 16384},
        {AT(upscale.tile_overlap), 0, 256},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const int32_t beyond[] = {rows[i].least - 1, rows[i].most + 1, INT32_MIN, INT32_MAX};
        const int32_t ends[] = {rows[i].least, rows[i].most};
        char found[80];
        for (size_t k = 0; k < COUNT(ends); k++) {
            job j = good(TASK_IMG2IMG);
            memcpy((char *)&j + rows[i].offset, &ends[k], sizeof ends[k]);
            must_pass(&j);
            job_done(&j);
        }
        for (size_t k = 0; k < COUNT(beyond); k++) {
            job j = good(picture_tasks[i % COUNT(picture_tasks)]);
            memcpy((char *)&j + rows[i].offset, &beyond[k], sizeof beyond[k]);
            snprintf(found, sizeof found, "%s is %d, expected ", rows[i].field, beyond[k]);
            must_refuse(&j, found);
        }
    }
}

static void real_options(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        size_t offset;
        double least, most;
    } rows[] = {
        {AT(inpaint.mask_weight), 0, 1},
        {AT(inpaint.sketch_transparency), 0, 100},
        {AT(inpaint.soft.schedule_bias), 0, 8},
        {AT(inpaint.soft.preservation_strength), 0, 8},
        {AT(inpaint.soft.transition_contrast_boost), 1, 32},
        {AT(inpaint.soft.mask_influence), 0, 1},
        {AT(inpaint.soft.difference_threshold), 0, 8},
        {AT(inpaint.soft.difference_contrast), 0, 8},
        {AT(outpaint.falloff), 0, 4},
        {AT(outpaint.colour_variation), 0, 1},
        {AT(loopback.final_strength), 0, 1},
        {AT(upscale.visibility_2), 0, 1},
        {AT(upscale.scale), 1, 8},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const double beyond[] = {rows[i].least - 0.01, rows[i].most + 0.01, NAN, INFINITY,
                                 -INFINITY};
        const double ends[] = {rows[i].least, rows[i].most};
        char found[80];
        for (size_t k = 0; k < COUNT(ends); k++) {
            job j = good(TASK_INPAINT);
            memcpy((char *)&j + rows[i].offset, &ends[k], sizeof ends[k]);
            must_pass(&j);
            job_done(&j);
        }
        for (size_t k = 0; k < COUNT(beyond); k++) {
            job j = good(picture_tasks[i % COUNT(picture_tasks)]);
            memcpy((char *)&j + rows[i].offset, &beyond[k], sizeof beyond[k]);
            snprintf(found, sizeof found, "%s is ", rows[i].field);
            must_refuse(&j, found);
        }
    }
}

/* ---------------------------------------------------------------- inputs */

static void masks_and_sketches(void **state)
{
    (void)state;
    static const struct {
        task_kind task;
        input_role more[2];
        const char *refused; /* NULL: passes */
    } rows[] = {
        {TASK_INPAINT, {INPUT_MASK, INPUT_COUNT}, NULL},
        {TASK_INPAINT, {INPUT_SKETCH, INPUT_COUNT}, NULL},
        {TASK_LOOPBACK, {INPUT_MASK, INPUT_COUNT}, NULL},
        {TASK_INPAINT, {INPUT_MASK, INPUT_SKETCH}, "a mask and a sketch, expected one"},
        {TASK_INPAINT, {INPUT_MASK, INPUT_MASK}, "2 masks, expected at most 1"},
        {TASK_INPAINT, {INPUT_PICTURE, INPUT_COUNT}, "2 input pictures, expected 1"},
        {TASK_LOOPBACK, {INPUT_SKETCH, INPUT_COUNT}, "1 sketches, expected 0"},
        {TASK_IMG2IMG, {INPUT_MASK, INPUT_COUNT}, "1 masks, expected 0"},
        {TASK_OUTPAINT, {INPUT_MASK, INPUT_COUNT}, "1 masks, expected 0"},
        {TASK_SD_UPSCALE, {INPUT_MASK, INPUT_COUNT}, "1 masks, expected 0"},
        {TASK_UPSCALE, {INPUT_SKETCH, INPUT_COUNT}, "1 sketches, expected 0"},
        {TASK_TXT2IMG, {INPUT_COUNT}, "1 input pictures, expected 0"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j = good(rows[i].task);
        for (int k = 0; k < 2 && rows[i].more[k] != INPUT_COUNT; k++)
            add(&j, rows[i].more[k]);
        if (rows[i].refused) {
            must_refuse(&j, rows[i].refused);
            continue;
        }
        must_pass(&j);
        assert_ptr_equal(job_find_input(&j, INPUT_PICTURE), &j.input[0]);
        assert_ptr_equal(job_find_input(&j, rows[i].more[0]), &j.input[1]);
        job_done(&j);
    }
    job j = good(TASK_INPAINT);
    j.input[0].role = (input_role)-1;
    must_refuse(&j, "input 0 has role -1");
    j = good(TASK_INPAINT);
    j.input[0].role = INPUT_MASK;
    must_refuse(&j, "0 input pictures, expected 1");
}

/* ---------------------------------------------------------------- what belongs together */

static void one_direction_at_least(void **state)
{
    (void)state;
    job j = good(TASK_OUTPAINT);
    j.outpaint.left = false;
    must_refuse(&j, "no direction");
    j = good(TASK_OUTPAINT);
    j.outpaint.left = false;
    j.outpaint.down = true;
    must_pass(&j);
    job_done(&j);
}

static void tiles_move_on(void **state)
{
    (void)state;
    static const struct {
        task_kind task;
        outpaint_method method;
        int32_t overlap, width, height;
        bool passes;
    } rows[] = {
        {TASK_SD_UPSCALE, 0, 63, 64, 64, true},
        {TASK_SD_UPSCALE, 0, 64, 64, 512, false},
        {TASK_SD_UPSCALE, 0, 64, 512, 64, false},
        {TASK_SD_UPSCALE, 0, 256, 0, 256, false},
        {TASK_SD_UPSCALE, 0, 256, 0, 0, true}, /* tiles of 512 */
        {TASK_OUTPAINT, OUTPAINT_POOR_MANS, 128, 128, 0, false},
        {TASK_OUTPAINT, OUTPAINT_POOR_MANS, 120, 128, 0, true},
        {TASK_OUTPAINT, OUTPAINT_MK2, 128, 128, 64, true},
        {TASK_IMG2IMG, 0, 256, 64, 64, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j = good(rows[i].task);
        j.outpaint.method = rows[i].method;
        j.width = rows[i].width;
        j.height = rows[i].height;
        j.upscale.tile_overlap = j.outpaint.pixels = rows[i].overlap;
        if (!rows[i].passes) {
            must_refuse(&j, "expected less than the tile's");
            continue;
        }
        must_pass(&j);
        job_done(&j);
    }
}

static void upscales(void **state)
{
    (void)state;
    job j = good(TASK_UPSCALE);
    j.upscale.width = 640;
    must_refuse(&j, "upscale.width is 640 and upscale.height 0");
    j = good(TASK_UPSCALE);
    j.upscale.width = j.upscale.height = 640;
    j.upscale.scale = 2;
    must_refuse(&j, "upscale.scale is 2 with a size of 640x640");
    j = good(TASK_UPSCALE);
    j.upscale.upscaler[0] = 0;
    must_refuse(&j, "upscale.upscaler is empty");
    j = good(TASK_SD_UPSCALE);
    j.upscale.upscaler[0] = 0;
    must_refuse(&j, "upscale.upscaler is empty");
    j = good(TASK_SD_UPSCALE);
    j.upscale.scale = 4.01;
    must_refuse(&j, "upscale.scale is 4.01, expected 1 to 4");
    j = good(TASK_UPSCALE);
    strcpy(j.upscale.upscaler, "../secret");
    must_refuse(&j, "upscale.upscaler is a path");
    j = good(TASK_IMG2IMG);
    strcpy(j.img2img_upscaler, "/net.pth");
    must_refuse(&j, "img2img_upscaler is a path");
    j = good(TASK_IMG2IMG);
    strcpy(j.img2img_upscaler, "/net.pth");
    j.paths_allowed = true;
    must_pass(&j);
    job_done(&j);
}

static void what_is_resolved(void **state)
{
    (void)state;
    static const struct {
        task_kind task;
        outpaint_method method;
        double scale;
        int32_t side, mask_blur;
    } rows[] = {
        {TASK_UPSCALE, 0, 4, 0, -1},
        {TASK_SD_UPSCALE, 0, 2, 512, -1},
        {TASK_OUTPAINT, OUTPAINT_POOR_MANS, 0, 512, 4},
        {TASK_OUTPAINT, OUTPAINT_MK2, 0, 512, 8},
        {TASK_INPAINT, 0, 0, 0, -1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j = good(rows[i].task);
        j.outpaint.method = rows[i].method;
        must_pass(&j);
        assert_true(j.upscale.scale == rows[i].scale);
        assert_int_equal(j.width, rows[i].side);
        assert_int_equal(j.height, rows[i].side);
        assert_int_equal(j.outpaint.mask_blur, rows[i].mask_blur);
        job_done(&j);
    }
    job j = good(TASK_UPSCALE); /* what is given stays */
    j.upscale.width = j.upscale.height = 99;
    must_pass(&j);
    assert_true(j.upscale.scale == 0);
    j.upscale.width = j.upscale.height = 0;
    j.upscale.scale = 1.5;
    must_pass(&j);
    assert_true(j.upscale.scale == 1.5);
    job_done(&j);
    j = good(TASK_OUTPAINT);
    j.outpaint.mask_blur = 0;
    must_pass(&j);
    assert_int_equal(j.outpaint.mask_blur, 0);
    job_done(&j);
}

/* ---------------------------------------------------------------- pictures and seeds */

static void pictures_of_a_job(void **state)
{
    (void)state;
    static const struct {
        task_kind task;
        int32_t method, batch, n_iter, loops;
        bool masked, mask, composite;
        int pictures;
    } rows[] = {
        {TASK_IMG2IMG, 0, 4, 3, 9, false, true, true, 12},
        {TASK_INPAINT, 0, 4, 3, 9, false, false, false, 12},
        {TASK_INPAINT, 0, 4, 3, 9, true, true, false, 24},
        {TASK_INPAINT, 0, 4, 3, 9, false, true, true, 36},
        {TASK_LOOPBACK, 0, 4, 1, 9, false, true, true, 9},
        {TASK_LOOPBACK, 0, 4, 3, 9, false, false, false, 3},
        {TASK_LOOPBACK, 0, 4, 1, 9, true, false, true, 18},
        {TASK_OUTPAINT, OUTPAINT_POOR_MANS, 4, 3, 9, false, true, true, 1},
        {TASK_OUTPAINT, OUTPAINT_MK2, 4, 3, 9, false, false, false, 12},
        {TASK_SD_UPSCALE, 0, 4, 3, 9, false, false, false, 3},
        {TASK_UPSCALE, 0, 4, 3, 9, false, false, false, 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j = good(rows[i].task);
        j.outpaint.method = (outpaint_method)rows[i].method;
        j.batch_size = rows[i].batch;
        j.n_iter = rows[i].n_iter;
        j.loopback.loops = rows[i].loops;
        j.inpaint.give_mask = rows[i].mask;
        j.inpaint.give_composite = rows[i].composite;
        if (rows[i].masked)
            add(&j, INPUT_MASK);
        must_pass(&j);
        if (job_pictures(&j) != rows[i].pictures)
            fail_msg("row %zu: %d pictures, expected %d", i, job_pictures(&j), rows[i].pictures);
        job_done(&j);
    }
    job j = good(TASK_INPAINT);
    j.batch_size = 16;
    j.n_iter = 2;
    j.inpaint.give_mask = j.inpaint.give_composite = true;
    must_refuse(&j, "96 pictures with masks and composites, expected at most 64");
    j = good(TASK_LOOPBACK);
    j.n_iter = 1;
    j.loopback.loops = 32;
    j.inpaint.give_mask = j.inpaint.give_composite = true;
    add(&j, INPUT_MASK);
    must_refuse(&j, "96 pictures with masks");
}

static void every_round_and_tile_has_a_seed(void **state)
{
    (void)state;
    static const struct {
        task_kind task;
        int64_t room; /* seeds a job of one picture counts up to */
    } rows[] = {{TASK_INPAINT, 1}, {TASK_LOOPBACK, 4}, {TASK_SD_UPSCALE, 16448}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j = good(rows[i].task);
        j.seed = INT64_MAX - (rows[i].room - 1);
        must_pass(&j);
        if (j.seed == INT64_MAX) {
            job_done(&j);
            continue;
        }
        j.seed++;
        must_refuse(&j, "seed is 9223372036854");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_pass_for_every_task),
        cmocka_unit_test(whole_options),
        cmocka_unit_test(real_options),
        cmocka_unit_test(masks_and_sketches),
        cmocka_unit_test(one_direction_at_least),
        cmocka_unit_test(tiles_move_on),
        cmocka_unit_test(upscales),
        cmocka_unit_test(what_is_resolved),
        cmocka_unit_test(pictures_of_a_job),
        cmocka_unit_test(every_round_and_tile_has_a_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
