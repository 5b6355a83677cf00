/* The picture tasks of the command `overpaint`: what each command line sends to the broker, with
 * masks, sketches and settings from other pictures' metadata. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/command/command.h"
#include "tests/support/farm.h"
#include "tests/support/on_fake.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define RUN(...)    farm_command(t, WORDS(__VA_ARGS__))

/* A picture whose metadata the reference web UI could have written. */
#define FROM GOLDEN_DIR "/formats/parameters.png"

/* The job of the last SUBMIT, which is then done: its texts and pictures copied. */
typedef struct {
    job job;
    char input[64], mask[64], sketch[64], refused[400];
} submitted;

static void copy_input(char to[64], const job *j, input_role role)
{
    const job_picture *p = job_find_input(j, role);
    snprintf(to, 64, "%.*s", p ? (int)p->size : 0, p ? (const char *)p->bytes : "");
}

static void keep_job(fake_broker *f, wire_message *m)
{
    submitted *s = f->arg;
    const job_id id = fake_id(m);
    err e = {0};
    if (m->header->body_case != OVERPAINT__HEADER__BODY_SUBMIT)
        return;
    job_done(&s->job);
    int rc = wire_job_unpack(&s->job, m->header->submit->job, m, &e);
    s->job.paths_allowed = true;
    if (!rc)
        rc = job_check(&s->job, &e);
    snprintf(s->refused, sizeof s->refused, "%.*s", rc ? 399 : 0, e.text);
    copy_input(s->input, &s->job, INPUT_PICTURE);
    copy_input(s->mask, &s->job, INPUT_MASK);
    copy_input(s->sketch, &s->job, INPUT_SKETCH);
    fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 77);
    fake_result(f, NULL, &id, on_fake_two_pictures);
}

/* A farm without workers and a fake broker that keeps what it gets. */
typedef struct {
    farm *farm;
    fake_broker broker;
    submitted got;
    char input[PROCESS_PATH], mask[PROCESS_PATH], output[PROCESS_PATH];
    char said[1000]; /* on standard error */
} scene;

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static scene *begin(void **state)
{
    static scene s;
    memset(&s, 0, sizeof s);
    s.farm = farm_open(state, &(farm_options){.workers = -1});
    farm_path(s.farm, s.input, "in.png");
    farm_path(s.farm, s.mask, "mask.png");
    farm_path(s.farm, s.output, "out.png");
    write_file(s.input, "the input");
    write_file(s.mask, "the mask");
    fake_start(&s.broker, keep_job, &s.got);
    return &s;
}

static void end(scene *s)
{
    fake_stop(&s->broker);
    job_done(&s->got.job);
    s->farm->passed = true;
}

/* Runs the command, which must succeed and save two pictures; its job is s->got.job then. */
static const job *send(scene *s, const char *const *words)
{
    const char *all[40] = {0};
    size_t n = 0;
    for (; words[n]; n++)
        all[n] = words[n];
    const char *more[] = {"--output", s->output, "--endpoint", s->broker.endpoint};
    memcpy(all + n, more, sizeof more);
    farm_outcome p = farm_command(s->farm, all);
    if (p.exit)
        fail_msg("%s: exit %d: %s", words[0], p.exit, p.err);
    on_fake_says(p.out, "out-1.png\n");
    on_fake_says(p.out, "out-2.png\n");
    assert_string_equal(s->got.refused, "");
    snprintf(s->said, sizeof s->said, "%.999s", p.err);
    return &s->got.job;
}

static void inpaint(void **state)
{
    scene *s = begin(state);
    const job *j =
        send(s, WORDS("inpaint", s->input, "--mask", s->mask, "--prompt", "a fox", "--mask-mode",
                      "not-masked", "--mask-blur", "6", "--mask-blur-x", "2", "--masked-content",
                      "latent-nothing", "--inpaint-area", "only-masked", "--padding", "16",
                      "--mask-weight", "0.4", "--color-correction", "--soft-inpainting",
                      "--soft-mask-influence", "0.5", "--give-mask", "--img2img-upscaler",
                      "Nearest", "--batch-size", "2"));
    assert_int_equal(j->task, TASK_INPAINT);
    assert_string_equal(s->got.input, "the input");
    assert_string_equal(s->got.mask, "the mask");
    assert_string_equal(s->got.sketch, "");
    assert_true(j->inpaint.invert && j->inpaint.only_masked && j->inpaint.colour_correction);
    assert_true(j->inpaint.soft.on && j->inpaint.soft.mask_influence == 0.5);
    assert_int_equal(j->inpaint.blur_x, 2);
    assert_int_equal(j->inpaint.blur_y, 6);
    assert_int_equal(j->inpaint.content, CONTENT_LATENT_NOTHING);
    assert_int_equal(j->inpaint.padding, 16);
    assert_true(j->inpaint.mask_weight == 0.4);
    assert_string_equal(j->img2img_upscaler, "Nearest");
    assert_int_equal(job_pictures(j), 4);

    j = send(s, WORDS("inpaint", s->input, "--sketch", s->mask, "--sketch-transparency", "30",
                      "--prompt", "a fox"));
    assert_string_equal(s->got.mask, "");
    assert_string_equal(s->got.sketch, "the mask");
    assert_true(j->inpaint.sketch_transparency == 30);
    assert_int_equal(j->inpaint.blur_x, 4);
    assert_int_equal(j->inpaint.content, CONTENT_ORIGINAL);
    j = send(s, WORDS("inpaint", s->input, "--prompt", "a fox")); /* the input's transparency */
    assert_int_equal(j->inputs, 1);
    end(s);
}

static void outpaint(void **state)
{
    scene *s = begin(state);
    const job *j = send(s, WORDS("outpaint", s->input, "--prompt", "a fox"));
    assert_int_equal(j->task, TASK_OUTPAINT);
    assert_int_equal(j->outpaint.method, OUTPAINT_POOR_MANS);
    assert_true(j->outpaint.left && j->outpaint.right && j->outpaint.up && j->outpaint.down);
    assert_int_equal(j->outpaint.pixels, 128);
    assert_int_equal(j->outpaint.mask_blur, 4);
    assert_int_equal(j->outpaint.content, CONTENT_FILL);
    assert_int_equal(j->steps, 80); /* the recipe */
    assert_int_equal(j->sampler, SAMPLER_EULER_A);
    assert_true(j->denoising_strength == 0.8 && j->cfg_scale == 10);
    j = send(s, WORDS("outpaint", s->input, "--prompt", "a fox", "--method", "mk2", "--direction",
                      "right,down", "--pixels", "64", "--mask-blur", "2", "--falloff", "1.5",
                      "--color-variation", "0.2", "--masked-content", "original", "--steps", "8",
                      "--width", "128"));
    assert_int_equal(j->outpaint.method, OUTPAINT_MK2);
    assert_true(!j->outpaint.left && j->outpaint.right && !j->outpaint.up && j->outpaint.down);
    assert_int_equal(j->outpaint.pixels, 64);
    assert_int_equal(j->outpaint.mask_blur, 2);
    assert_int_equal(j->outpaint.content, CONTENT_ORIGINAL);
    assert_true(j->outpaint.falloff == 1.5 && j->outpaint.colour_variation == 0.2);
    assert_int_equal(j->steps, 8);
    assert_int_equal(j->width, 128);
    assert_int_equal(j->height, 512);
    end(s);
}

static void loopback(void **state)
{
    scene *s = begin(state);
    const job *j = send(s, WORDS("loopback", s->input, "--prompt", "a fox", "--loops", "3",
                                 "--final-denoising-strength", "0.3", "--curve", "aggressive",
                                 "--mask", s->mask, "--masked-content", "latent-noise"));
    assert_int_equal(j->task, TASK_LOOPBACK);
    assert_int_equal(j->loopback.loops, 3);
    assert_true(j->loopback.final_strength == 0.3);
    assert_int_equal(j->loopback.curve, LOOP_AGGRESSIVE);
    assert_string_equal(s->got.mask, "the mask");
    assert_int_equal(j->inpaint.content, CONTENT_LATENT_NOISE);
    end(s);
}

static void upscales(void **state)
{
    scene *s = begin(state);
    const job *j = send(s, WORDS("sd-upscale", s->input, "--prompt", "a fox", "--scale", "1.5",
                                 "--tile-overlap", "16", "--upscaler", "None", "--width", "64",
                                 "--height", "64", "--denoising-strength", "0.3"));
    assert_int_equal(j->task, TASK_SD_UPSCALE);
    assert_true(j->upscale.scale == 1.5);
    assert_int_equal(j->upscale.tile_overlap, 16);
    assert_string_equal(j->upscale.upscaler, "None");
    assert_int_equal(j->width, 64);
    j = send(s, WORDS("upscale", s->input, "--upscaler", "animevideov3-x4"));
    assert_int_equal(j->task, TASK_UPSCALE);
    assert_string_equal(j->upscale.upscaler, "animevideov3-x4");
    assert_true(j->upscale.scale == 4 && j->upscale.crop);
    j = send(s, WORDS("upscale", s->input, "--width", "640", "--height", "480", "--no-crop",
                      "--upscaler-2", "Nearest", "--upscaler-2-visibility", "0.5"));
    assert_true(j->upscale.scale == 0 && !j->upscale.crop);
    assert_int_equal(j->upscale.width, 640);
    assert_int_equal(j->upscale.height, 480);
    assert_string_equal(j->upscale.upscaler_2, "Nearest");
    assert_true(j->upscale.visibility_2 == 0.5);
    end(s);
}

/* --from gives every setting, options win, and what is not taken is said. */
static void settings_of_a_picture(void **state)
{
    scene *s = begin(state);
    const job *j = send(s, WORDS("img2img", s->input, "--from", FROM, "--steps", "9"));
    assert_string_equal(j->prompt, "a red fox in the snow");
    assert_string_equal(j->negative_prompt, "blurry");
    assert_int_equal(j->steps, 9);
    assert_int_equal(j->sampler, SAMPLER_DPMPP_2M);
    assert_int_equal(j->scheduler, SCHEDULE_KARRAS);
    assert_true(j->cfg_scale == 6.5 && j->denoising_strength == 0.4);
    assert_true(j->seed == 1234);
    assert_int_equal(j->width, 768);
    on_fake_says(s->said, "Mask blur: \"99\" is not taken");
    j = send(s, WORDS("inpaint", s->input, "--from", FROM, "--prompt", "a crow", "--seed", "7"));
    assert_string_equal(j->prompt, "a crow");
    assert_true(j->seed == 7);
    assert_int_equal(j->steps, 28);
    assert_int_equal(j->width, 0);
    end(s);
}

static void refusals(void **state)
{
    scene *s = begin(state);
    const struct {
        const char *words[16], *says;
        int exit;
    } rows[] = {
        {{"inpaint", s->input, "--prompt", "x", "--mask", s->mask, "--sketch", s->mask},
         "a mask and a sketch",
         EXIT_BAD},
        {{"inpaint", s->input, "--prompt", "x", "--mask", "/no/mask.png"},
         "/no/mask.png",
         EXIT_FILE},
        {{"inpaint", "--prompt", "x"}, "a word is missing", EXIT_BAD},
        {{"inpaint", s->input}, "--prompt TEXT or --prompt-file", EXIT_BAD},
        {{"outpaint", s->input, "--prompt", "x", "--direction", "sideways"},
         "left,right,up,down",
         EXIT_BAD},
        {{"outpaint", s->input, "--prompt", "x", "--mask", s->mask},
         "unknown option \"--mask\"",
         EXIT_BAD},
        {{"loopback", s->input, "--prompt", "x", "--loops", "0"},
         "loops is 0, expected 1 to 32",
         EXIT_BAD},
        {{"sd-upscale", s->input, "--prompt", "x", "--width", "64", "--tile-overlap", "64"},
         "expected less than the tile's 64x512",
         EXIT_BAD},
        {{"upscale", s->input, "--width", "64"}, "expected both or neither", EXIT_BAD},
        {{"upscale", s->input, "--prompt", "x"}, "unknown option \"--prompt\"", EXIT_BAD},
        {{"img2img", s->input, "--from", s->input}, "in.png: ", EXIT_BAD},
        {{"img2img", s->input, "--from", "/no/such.png"}, "/no/such.png", EXIT_FILE},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *words[20];
        size_t n = 0;
        for (; rows[i].words[n]; n++)
            words[n] = rows[i].words[n];
        words[n] = "--output";
        words[n + 1] = s->output;
        words[n + 2] = NULL;
        farm_outcome p = farm_command(s->farm, words);
        on_fake_says(p.err, rows[i].says);
        assert_int_equal(p.exit, rows[i].exit);
    }
    assert_int_equal(on_fake_seen(&s->broker, OVERPAINT__HEADER__BODY_SUBMIT), 0);
    end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(inpaint),  farm_test(outpaint), farm_test(loopback),
        farm_test(upscales), farm_test(refusals), farm_test(settings_of_a_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
