/* The arithmetic that all programs share (steps, sizes) gives the golden answers; names and ids
 * lead back to what they came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/job.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void expect_steps(job *j, const char *name, const json_t *golden)
{
    int steps, t_enc;
    job_steps(j, &steps, &t_enc);
    int64_t steps_golden = json_integer_value(json_object_get(golden, "steps"));
    int64_t t_enc_golden = json_integer_value(json_object_get(golden, "t_enc"));
    if (steps != steps_golden || t_enc != t_enc_golden)
        fail_msg("%s%s: steps %d, t_enc %d, expected %lld, %lld", name,
                 j->fix_steps ? " fix_steps" : "", steps, t_enc, (long long)steps_golden,
                 (long long)t_enc_golden);
    assert_int_equal(t_enc + 1, json_integer_value(json_object_get(golden, "runs")));
}

static void golden_strengths(void **state)
{
    (void)state;
    json_error_t error;
    json_t *root = json_load_file(GOLDEN_DIR "/schedules.json", 0, &error), *golden;
    assert_non_null(root);
    const char *name;
    job j;
    job_init(&j);
    json_object_foreach(json_object_get(root, "strength"), name, golden)
    {
        assert_int_equal(sscanf(name, "%d/%lf", &j.steps, &j.denoising_strength), 2);
        j.fix_steps = false;
        expect_steps(&j, name, json_object_get(golden, "keep"));
        j.fix_steps = true;
        expect_steps(&j, name, json_object_get(golden, "fix"));
    }
    assert_int_equal(json_object_size(json_object_get(root, "strength")), 45);
    json_decref(root);
}

static void strength_zero_and_txt2img(void **state)
{
    (void)state;
    job j;
    int steps, t_enc;
    job_init(&j);
    j.denoising_strength = 0;
    job_steps(&j, &steps, &t_enc);
    assert_int_equal(steps, 20);
    assert_int_equal(t_enc, 0); /* one step at the smallest sigma */
    j.fix_steps = true;
    job_steps(&j, &steps, &t_enc);
    assert_int_equal(steps, 0);
    assert_int_equal(t_enc, 0);
    j.steps = 150;
    j.denoising_strength = 0.001;
    job_steps(&j, &steps, &t_enc);
    assert_int_equal(steps, 150000);
    assert_int_equal(t_enc, 149);
    job_init(&j);
    j.task = TASK_TXT2IMG;
    j.denoising_strength = 0.1;
    j.fix_steps = true;
    job_steps(&j, &steps, &t_enc);
    assert_int_equal(steps, 20);
    assert_int_equal(t_enc, 19);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        int given_width, given_height, w, h, width, height;
    } rows[] = {
        {0, 0, 512, 512, 512, 512},     {0, 0, 1, 1, 512, 512},
        {0, 0, 4000, 3000, 592, 440},   {0, 0, 3000, 4000, 440, 592},
        {0, 0, 1920, 1080, 680, 384},   {0, 0, 300, 200, 624, 416},
        {0, 0, 6000, 100, 3968, 64},    {0, 0, 10000, 100, 4096, 40},
        {0, 0, 10000, 3, 4096, 16},     {0, 0, 1, 65535, 16, 4096},
        {256, 128, 10000, 3, 256, 128}, {768, 0, 4000, 3000, 768, 576},
        {0, 300, 4000, 3000, 400, 300}, {100, 0, 10000, 3, 100, 16},
        {4096, 0, 1, 100, 4096, 4096},  {17, 0, 17, 17, 17, 16},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j;
        job_init(&j);
        j.width = rows[i].given_width;
        j.height = rows[i].given_height;
        int width, height;
        job_size(&j, rows[i].w, rows[i].h, &width, &height);
        if (width != rows[i].width || height != rows[i].height)
            fail_msg("%d x %d (given %d x %d): %d x %d, expected %d x %d", rows[i].w, rows[i].h,
                     rows[i].given_width, rows[i].given_height, width, height, rows[i].width,
                     rows[i].height);
    }
}

/* Every shape up to 4:1 keeps its ratio and area as well as multiples of 8 allow. */
static void sizes_keep_shape_and_area(void **state)
{
    (void)state;
    job j;
    job_init(&j);
    for (int w = 1; w < 1200; w += 7)
        for (int h = (w + 3) / 4; h <= 4 * w; h += 13) {
            int width, height;
            job_size(&j, w, h, &width, &height);
            double ideal_width = 512 * sqrt((double)w / h),
                   ideal_height = 512 * sqrt((double)h / w);
            assert_int_equal(width % 8, 0);
            assert_int_equal(height % 8, 0);
            assert_true(fabs(width - ideal_width) <= 4.001);
            assert_true(fabs(height - ideal_height) <= 4.001);
        }
}

static void task_names_lead_back(void **state)
{
    (void)state;
    for (int i = 0; i < TASK_COUNT; i++) {
        task_kind found = TASK_COUNT;
        assert_true(task_find(task_name((task_kind)i), &found));
        assert_int_equal(found, i);
    }
    task_kind found = TASK_COUNT;
    assert_false(task_find("IMG2IMG", &found));
    assert_false(task_find("", &found));
    assert_int_equal(found, TASK_COUNT);
    assert_string_equal(task_name(TASK_COUNT), "unknown");
    assert_string_equal(task_name((task_kind)-1), "unknown");
}

static void ids_and_their_text(void **state)
{
    (void)state;
    static const char canonical[] = "00112233-4455-6677-8899-aabbccddeeff";
    job_id id, other;
    char text[JOB_ID_TEXT];
    assert_true(job_id_parse(canonical, &id));
    for (int i = 0; i < JOB_ID_BYTES; i++)
        assert_int_equal(id.byte[i], 0x11 * i);
    job_id_text(&id, text);
    assert_string_equal(text, canonical);
    assert_true(job_id_parse("00112233-4455-6677-8899-AABBCCDDEEFF", &other));
    assert_true(job_id_equal(&id, &other));

    static const char *const bad[] = {
        "00112233-4455-6677-8899-aabbccddeeff0", "00112233445566778899aabbccddeeff",
        "00112233-4455-6677-8899_aabbccddeeff",  "0011223g-4455-6677-8899-aabbccddeeff",
        " 0112233-4455-6677-8899-aabbccddeeff",  "{0112233-4455-6677-8899-aabbccddeeff}"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(job_id_parse(bad[i], &other));
    for (size_t size = 0; size < sizeof canonical - 1; size++) { /* cut anywhere; ASan watches */
        char *cut = strndup(canonical, size);
        assert_false(job_id_parse(cut, &other));
        free(cut);
    }
    assert_true(job_id_equal(&id, &other)); /* untouched by all of these */
}

static void new_ids_are_random(void **state)
{
    (void)state;
    enum { IDS = 256 };
    job_id ids[IDS], ones = {{0}}, zeros = {{0}};
    for (int i = 0; i < IDS; i++) {
        job_id_new(&ids[i]);
        for (int k = 0; k < i; k++)
            assert_false(job_id_equal(&ids[i], &ids[k]));
        for (int b = 0; b < JOB_ID_BYTES; b++) {
            ones.byte[b] |= ids[i].byte[b];
            zeros.byte[b] |= (uint8_t)~ids[i].byte[b];
        }
    }
    for (int b = 0; b < JOB_ID_BYTES; b++) { /* each bit has been 1 and 0: chance 1 - 2^-248 */
        assert_int_equal(ones.byte[b], 0xff);
        assert_int_equal(zeros.byte[b], 0xff);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_strengths),
        cmocka_unit_test(strength_zero_and_txt2img),
        cmocka_unit_test(sizes),
        cmocka_unit_test(sizes_keep_shape_and_area),
        cmocka_unit_test(task_names_lead_back),
        cmocka_unit_test(ids_and_their_text),
        cmocka_unit_test(new_ids_are_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
