/* Settings travel with pictures, there and back: what the metadata of a job's results say makes the
 * same job again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/draft.h"
#include "client/file.h"
#include "proto/wire.h"
#include "tests/support/picture.h"
#include "worker/task/task.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define IN(file)    GOLDEN_DIR "/" file
#define MASK        "mask", IN("inpaint/whole-fill-mask.png")

/* Settings that no task has as default; without a mask those of masks are nobody's. */
static const struct {
    const char *task, *words[32];
} rows[] = {
    {"txt2img", {"steps", "7", "sampler", "DDIM", "width", "64", "height", "96", "rng", "cpu"}},
    {"img2img",
     {"denoising-strength", "0.35", "width", "64", "height", "48", "cfg-scale", "3", "clip-skip",
      "2", "sampler", "Euler a"}},
    {"inpaint",
     {MASK, "mask-mode", "not-masked", "mask-blur", "0", "inpaint-area", "only-masked", "padding",
      "16", "masked-content", "latent-noise"}},
    {"inpaint",
     {MASK, "mask-blur-x", "0", "mask-blur-y", "9", "soft-inpainting", "true", "soft-schedule-bias",
      "2", "soft-mask-influence", "0.25", "soft-transition-contrast", "8"}},
    {"outpaint",
     {"method", "poor-mans", "direction", "right,up", "pixels", "24", "mask-blur", "2",
      "masked-content", "original"}},
    {"outpaint",
     {"method", "mk2", "direction", "down", "pixels", "40", "mask-blur", "0", "falloff", "1.5",
      "color-variation", "0.25", "denoising-strength", "0.9"}},
    {"loopback",
     {"loops", "3", "final-denoising-strength", "0.25", "curve", "aggressive", "width", "64",
      "height", "48"}},
    {"sd-upscale",
     {"scale", "3", "tile-overlap", "16", "upscaler", "Nearest", "width", "64", "height", "128"}},
    {"upscale",
     {"scale", "2.5", "upscaler", "Nearest", "upscaler-2", "Lanczos", "upscaler-2-visibility",
      "0.25"}},
    {"upscale", {"width", "120", "height", "90", "upscaler", "Nearest", "no-crop", "true"}},
};

/* A job of the task with its input, and a seed. */
static overpaint_job *fresh(const char *kind)
{
    overpaint_job *d = overpaint_job_new(kind);
    assert_non_null(d);
    if (strcmp(kind, "txt2img") != 0)
        assert_int_equal(overpaint_job_add_file(d, IN("inpaint/whole-fill-in.png")), 0);
    return d;
}

static void must_set(overpaint_job *d, const char *name, const char *value)
{
    if (overpaint_job_set(d, name, value))
        fail_msg("%s: %s", name, overpaint_job_error(d));
}

static void must_take(overpaint_job *d, const char *path)
{
    if (overpaint_job_from(d, path))
        fail_msg("%s", overpaint_job_error(d));
    assert_string_equal(overpaint_job_notes(d), "");
}

/* The parameters text of the first result. The job is resolved, as the broker would. */
static char *infotext_of(job *j)
{
    task t = {0};
    err e = {0};
    char *text;
    int scene = 0;
    tokenizer *words = tokenizer_new(&e);
    job_id_new(&j->id);
    if (job_check(j, &e) || task_prepare(&t, j, words, &e))
        fail_msg("%s", e.text);
    while (t.samples && !t.scene[scene].width) /* it is enlarged first */
        scene++;
    if (task_infotext(&text, &t, j, scene, 0, "m", "", &e))
        fail_msg("%s", e.text);
    task_done(&t);
    tokenizer_free(&words);
    return text;
}

/* Every setting of a job but id, texts and inputs, as it travels. */
static size_t settings_of(const job *j, uint8_t room[1024])
{
    wire_job m;
    wire_job_options options;
    overpaint__job__init(&m);
    wire_job_settings(&m, &options, j);
    assert_in_range(overpaint__job__get_packed_size(&m), 1, 1024);
    return overpaint__job__pack(&m, room);
}

static void must_be_same(const job *a, const job *b)
{
    uint8_t first[1024], second[1024];
    const size_t size = settings_of(a, first);
    assert_int_equal(settings_of(b, second), size);
    assert_memory_equal(first, second, size);
    assert_string_equal(a->prompt ? a->prompt : "", b->prompt);
}

/* Into a picture file of its own. */
static void save_with(const char *text, char path[64])
{
    image picture = picture_pattern(8, 8, 3);
    uint8_t *bytes;
    size_t size;
    err e = {0};
    snprintf(path, 64, "/tmp/overpaint-from-%d.png", (int)getpid());
    if (image_encode(&bytes, &size, &picture, FORMAT_PNG, 90, text, &e) ||
        file_write(path, bytes, size, &e))
        fail_msg("%s", e.text);
    free(bytes);
    image_done(&picture);
}

static void there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        overpaint_job *d = fresh(rows[i].task), *again = fresh(rows[i].task);
        char path[64];
        if (strcmp(rows[i].task, "upscale") != 0) {
            must_set(d, "seed", "77");
            must_set(d, "scheduler", "Simple"); /* Automatic would come back as what it means */
            must_set(d, "prompt", "a fox, red: \"quoted\"");
        }
        for (size_t k = 0; rows[i].words[k]; k += 2)
            must_set(d, rows[i].words[k], rows[i].words[k + 1]);
        char *first = infotext_of(&d->job);
        save_with(first, path);
        if (!strcmp(rows[i].task, "inpaint"))
            must_set(again, "mask", rows[i].words[1]);
        must_take(again, path);
        char *second = infotext_of(&again->job);
        assert_string_equal(first, second);
        if (d->job.task == TASK_OUTPAINT) /* which says of masks what it does itself */
            again->job.inpaint = d->job.inpaint;
        must_be_same(&d->job, &again->job);
        free(first);
        free(second);
        overpaint_job_free(&d);
        overpaint_job_free(&again);
        remove(path);
    }
}

/* A factor and a size exclude each other, but what was set takes the place of what a picture said.
 */
static void a_goal_of_ones_own(void **state)
{
    (void)state;
    static const struct {
        const char *said, *words[8];
        double scale;
        int width, height; /* 0: refused, where there is no scale */
    } goals[] = {
        {"Postprocess upscale by: 3", {"width", "64", "height", "32"}, 0, 64, 32},
        {"Postprocess upscale to: 640x480", {"scale", "2"}, 2, 0, 0},
        {"Postprocess upscale to: 640x480", {"width", "64"}, 0, 64, 480},
        {"Postprocess upscale by: 3", {"width", "64", "height", "32", "scale", "2"}, 0, 0, 0},
        {"Postprocess upscale by: 3", {"width", "64"}, 0, 0, 0},
        {"Postprocess upscale by: 3", {"upscaler", "None"}, 3, 0, 0},
    };
    for (size_t i = 0; i < COUNT(goals); i++) {
        overpaint_job *d = fresh("upscale");
        char path[64], text[128];
        snprintf(text, sizeof text, "%s, Postprocess upscaler: Nearest, Version: x", goals[i].said);
        save_with(text, path);
        must_take(d, path);
        for (size_t k = 0; goals[i].words[k]; k += 2)
            must_set(d, goals[i].words[k], goals[i].words[k + 1]);
        const int rc = overpaint_job_check(d);
        const upscale_options *u = &d->job.upscale;
        if (goals[i].scale == 0 && !goals[i].width) {
            assert_int_equal(rc, ERR_INVALID);
        } else {
            assert_int_equal(rc, 0);
            assert_true(u->scale == goals[i].scale);
            assert_int_equal(u->width, goals[i].width);
            assert_int_equal(u->height, goals[i].height);
        }
        overpaint_job_free(&d);
        remove(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(a_goal_of_ones_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
