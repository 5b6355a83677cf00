/* What the sampler is given where a tile or a canvas is larger than the picture: never the black
 * that lies beyond it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/picture.h"
#include "worker/task/task.h"

/* Above everything that a bright picture becomes when it is softened or resized. */
enum { DARK = 60 };

/* A bright picture as a PNG file. */
static job_picture bright_file(int w, int h)
{
    image picture = picture_pattern(w, h, 3);
    uint8_t *bytes;
    size_t size;
    err e = {0};
    for (size_t i = 0; i < 3 * (size_t)w * (size_t)h; i++)
        picture.px[i] = (uint8_t)(128 + picture.px[i] / 2);
    assert_int_equal(image_encode(&bytes, &size, &picture, FORMAT_PNG, 90, NULL, &e), 0);
    image_done(&picture);
    return (job_picture){.role = INPUT_PICTURE, .bytes = bytes, .size = size};
}

static job make_job(task_kind kind, int w, int h)
{
    job j;
    err e = {0};
    job_init(&j);
    job_id_new(&j.id);
    j.task = kind;
    j.seed = 1;
    j.owns_bytes = true;
    assert_int_equal(job_set_text(&j.prompt, "a fox", strlen("a fox"), &e), 0);
    assert_int_equal(job_add_input(&j, bright_file(w, h), &e), 0);
    return j;
}

static int darkest(const image *i)
{
    int least = 255;
    for (size_t k = 0; k < 3 * (size_t)i->w * (size_t)i->h; k++)
        least = i->px[k] < least ? i->px[k] : least;
    return least;
}

static void check_scene(task *t, const job *j, int index, int w, int h)
{
    scene_input input = {0};
    err e = {0};
    assert_int_equal(task_scene(t, j, index, &input, &e), 0);
    assert_int_equal(input.init.w, t->scene[index].width);
    assert_int_equal(input.init.h, t->scene[index].height);
    assert_true(input.init.w <= w && input.init.h <= h);
    assert_true(darkest(&input.init) >= DARK);
    scene_input_done(&input);
}

/* A scene in which no network has anything to do. */
static void pass_enlarging(task *t, const job *j, int index)
{
    scene_input input = {0};
    scene_result nothing = {0};
    task_outputs out = {0};
    err e = {0};
    assert_int_equal(task_scene(t, j, index, &input, &e), 0);
    assert_null(input.init.px);
    assert_int_equal(task_take(t, j, index, 0, &nothing, &out, &e), 0);
    assert_int_equal(out.count, 0);
}

/* Every sampled scene of the job is at most w x h and has nothing dark in it. The job is done with.
 */
static void check_scenes(job *j, int w, int h)
{
    task t = {0};
    err e = {0};
    int sampled = 0;
    tokenizer *words = tokenizer_new(&e);
    assert_int_equal(job_check(j, &e), 0);
    if (task_prepare(&t, j, words, &e))
        fail_msg("%s", e.text);
    for (int i = 0; i < t.scenes; i++) {
        if (!t.scene[i].width) {
            pass_enlarging(&t, j, i);
            continue;
        }
        check_scene(&t, j, i, w, h);
        sampled++;
    }
    assert_true(sampled > 0);
    task_done(&t);
    tokenizer_free(&words);
    job_done(j);
}

static void tiles_larger_than_the_canvas(void **state)
{
    (void)state;
    job j = make_job(TASK_OUTPAINT, 448, 296);
    j.outpaint.pixels = 64;
    j.outpaint.left = j.outpaint.right = j.outpaint.up = j.outpaint.down = true;
    check_scenes(&j, 512, 448);
}

static void a_canvas_that_is_rounded_up(void **state)
{
    (void)state;
    job j = make_job(TASK_OUTPAINT, 100, 70);
    j.outpaint.pixels = 64;
    j.outpaint.left = true;
    j.outpaint.right = j.outpaint.up = j.outpaint.down = false;
    check_scenes(&j, 192, 128);
}

static void tiles_larger_than_an_upscaled_picture(void **state)
{
    (void)state;
    job j = make_job(TASK_SD_UPSCALE, 99, 61);
    strcpy(j.upscale.upscaler, "None");
    check_scenes(&j, 104, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_larger_than_the_canvas),
        cmocka_unit_test(a_canvas_that_is_rounded_up),
        cmocka_unit_test(tiles_larger_than_an_upscaled_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
