/* Tasks by themselves, without a service or a model: what their masks become, and what a failure
 * among their pictures does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/support/failing.h"
#include "worker/image/encode.h"
#include "worker/task/task.h"

enum { SIDE = 64 };

/* A picture of one value, with a square of another in its middle. */
static image square(int channels, int side, uint8_t ground, uint8_t value)
{
    image i;
    assert_int_equal(image_new(&i, SIDE, SIDE, channels, NULL), 0);
    memset(i.px, ground, (size_t)SIDE * SIDE * (size_t)channels);
    for (int y = (SIDE - side) / 2; y < (SIDE + side) / 2; y++)
        memset(i.px + ((size_t)y * SIDE + (SIDE - (size_t)side) / 2) * (size_t)channels, value,
               (size_t)side * (size_t)channels);
    return i;
}

/* Adds the picture, which is given up. */
static void add_input(job *j, input_role role, image *i)
{
    job_picture p = {.role = role};
    uint8_t *bytes;
    assert_int_equal(image_encode(&bytes, &p.size, i, FORMAT_PNG, 0, NULL, NULL), 0);
    p.bytes = bytes;
    j->owns_bytes = true;
    assert_int_equal(job_add_input(j, p, NULL), 0);
    image_done(i);
}

static job new_job(task_kind kind)
{
    job j;
    image picture = square(3, 0, 90, 0);
    job_init(&j);
    job_id_new(&j.id);
    j.task = kind;
    j.width = j.height = SIDE;
    j.seed = 1;
    assert_int_equal(job_set_text(&j.prompt, "x", 1, NULL), 0);
    add_input(&j, INPUT_PICTURE, &picture);
    return j;
}

static int prepare(task *t, job *j, err *e)
{
    tokenizer *words = tokenizer_new(NULL);
    assert_non_null(words);
    err why = {0};
    if (job_check(j, &why))
        fail_msg("%s", why.text);
    int rc = task_prepare(t, j, words, e);
    tokenizer_free(&words);
    return rc;
}

/* ---------------------------------------------------------------- masks */

static void transparency_of_a_sketch_is_percent(void **state)
{
    (void)state;
    static const struct {
        double percent;
        int most;
    } rows[] = {{0, 255}, {50, 127}, {90, 25}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        task t;
        scene_input input;
        job j = new_job(TASK_INPAINT);
        image sketch = square(3, 32, 90, 200);
        add_input(&j, INPUT_SKETCH, &sketch);
        j.inpaint.sketch_transparency = rows[i].percent;
        j.inpaint.blur_x = j.inpaint.blur_y = 0;
        assert_int_equal(prepare(&t, &j, NULL), 0);
        assert_int_equal(task_scene(&t, &j, 0, &input, NULL), 0);
        assert_int_equal(input.mask.px[SIDE / 2 * SIDE + SIDE / 2], rows[i].most);
        assert_int_equal(input.mask.px[0], 0);
        scene_input_done(&input);
        task_done(&t);
        job_done(&j);
    }
    task t;
    err e = {0};
    job j = new_job(TASK_INPAINT);
    image sketch = square(3, 32, 90, 200);
    add_input(&j, INPUT_SKETCH, &sketch);
    j.inpaint.sketch_transparency = 100;
    assert_int_equal(prepare(&t, &j, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "nothing is to be repainted"));
    job_done(&j);
}

static void nothing_left_of_a_mask(void **state)
{
    (void)state;
    for (int only_masked = 0; only_masked < 2; only_masked++) {
        task t;
        scene_input input;
        err e = {0};
        job j = new_job(TASK_INPAINT);
        image mask = square(1, 2, 0, 255);
        add_input(&j, INPUT_MASK, &mask);
        j.inpaint.blur_x = j.inpaint.blur_y = 64;
        j.inpaint.only_masked = only_masked;
        assert_int_equal(prepare(&t, &j, NULL), 0);
        assert_int_equal(task_scene(&t, &j, 0, &input, &e), ERR_INVALID);
        assert_non_null(strstr(e.text, "nothing of the mask is left"));
        task_done(&t);
        job_done(&j);
    }
}

/* ---------------------------------------------------------------- rounds */

/* No curve stops the worker: 1 - cos(pi / 2) is not 1, and a final strength may be any. */
static void curves_end_at_nothing(void **state)
{
    (void)state;
    static const struct {
        loop_curve curve;
        double final;
        int steps; /* of the last round's schedule, with fix_steps */
    } rows[] = {{LOOP_LINEAR, 0, 0},         {LOOP_LAZY, 0, 0},          {LOOP_AGGRESSIVE, 0, 0},
                {LOOP_LAZY, 1e-9, 0},        {LOOP_AGGRESSIVE, 1e-9, 0}, {LOOP_LINEAR, 0.5, 300},
                {LOOP_AGGRESSIVE, 0.5, 300}, {LOOP_LAZY, 0.5, 300}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        task t;
        job j = new_job(TASK_LOOPBACK);
        j.fix_steps = true;
        j.steps = 150;
        j.loopback.loops = 32;
        j.loopback.curve = rows[i].curve;
        j.loopback.final_strength = rows[i].final;
        assert_int_equal(prepare(&t, &j, NULL), 0);
        assert_int_equal(t.scenes, 32);
        assert_int_equal(t.scene[0].steps, 200);
        assert_int_equal(t.scene[31].steps, rows[i].steps);
        task_done(&t);
        job_done(&j);
    }
}

/* ---------------------------------------------------------------- failures */

/* Gives the scene's picture back as it was. */
static int take_untouched(task *t, const job *j, int scene, task_outputs *out, err *e)
{
    scene_input input;
    scene_result same = {0};
    assert_int_equal(task_scene(t, j, scene, &input, NULL), 0);
    same.picture = input.init;
    input.init = (image){0};
    scene_input_done(&input);
    if (scene == 0)
        failing_after(0);
    int rc = task_take(t, j, scene, 0, &same, out, e);
    failing_stop();
    return rc;
}

/* What is made of all pictures is not made when one is missing, whichever is taken last. */
static void nothing_is_finished_without_a_picture(void **state)
{
    (void)state;
    task t;
    task_outputs out;
    err e = {0};
    job j = new_job(TASK_OUTPAINT);
    j.outpaint.left = j.outpaint.right = true;
    j.outpaint.pixels = 32;
    j.outpaint.mask_blur = 0;
    assert_int_equal(prepare(&t, &j, NULL), 0);
    assert_int_equal(t.results, 1);
    for (int i = 0; i < t.scenes; i++) {
        assert_int_equal(take_untouched(&t, &j, i, &out, &e), i ? 0 : ERR_NO_MEMORY);
        assert_int_equal(out.count, 0);
        task_outputs_done(&out);
    }
    assert_true(t.scenes > 1);
    task_done(&t);
    job_done(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transparency_of_a_sketch_is_percent),
        cmocka_unit_test(nothing_left_of_a_mask),
        cmocka_unit_test(curves_end_at_nothing),
        cmocka_unit_test(nothing_is_finished_without_a_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
