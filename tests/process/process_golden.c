/* Golden pictures through the real processes, asked for on the command line as a user would; and
 * the same pictures from the other layouts of a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/infotext.h"
#include "tests/support/farm.h"
#include "tests/support/fixture.h"
#include "tests/support/golden.h"
#include "tests/support/picture.h"

/* Of golden/README: at most one level on at most 0.5 % of the values. */
#define SHARE_MAX 0.005
enum { LARGEST_MAX = 1, WORDS_MAX = 40, NUMBER = 32 };

static image decode(const char *path)
{
    size_t size = 0;
    char *bytes = process_read(path, &size);
    image i = {0};
    err e = {0};
    if (!bytes || image_decode(&i, (uint8_t *)bytes, size, &image_default_limits, &e))
        fail_msg("%s: %s", path, bytes ? e.text : "not there");
    free(bytes);
    return i;
}

static char *parameters_of(const char *path)
{
    size_t size = 0;
    char *bytes = process_read(path, &size), *text = NULL;
    err e = {0};
    assert_non_null(bytes);
    if (metadata_parameters(&text, (uint8_t *)bytes, size, &e))
        fail_msg("%s: %s", path, e.text);
    free(bytes);
    return text;
}

/* ---------------------------------------------------------------- a golden job as words */

/* A key of the golden job, the option it is, and the words that the option knows for it. */
typedef struct {
    const char *key, *option;
    const char *const (*words)[2];
} translation;

static const char *const samplers[][2] = {
    {"euler", "Euler"},   {"euler_a", "Euler a"},   {"heun", "Heun"}, {"dpm2", "DPM2"},
    {"dpm2_a", "DPM2 a"}, {"dpmpp_2m", "DPM++ 2M"}, {"ddim", "DDIM"}, {0}};
static const char *const schedules[][2] = {
    {"exponential", "Exponential"}, {"sgm_uniform", "SGM Uniform"}, {"karras", "Karras"}, {0}};
static const char *const resizes[][2] = {{"0", "just"}, {"1", "crop"}, {"2", "fill"}, {0}};
static const char *const rngs[][2] = {{"CPU", "cpu"}, {"NV", "nv"}, {0}};

static const translation table[] = {{"prompt", "--prompt", NULL},
                                    {"negative_prompt", "--negative-prompt", NULL},
                                    {"sampler", "--sampler", samplers},
                                    {"schedule", "--scheduler", schedules},
                                    {"steps", "--steps", NULL},
                                    {"cfg_scale", "--cfg-scale", NULL},
                                    {"denoising_strength", "--denoising-strength", NULL},
                                    {"seed", "--seed", NULL},
                                    {"width", "--width", NULL},
                                    {"height", "--height", NULL},
                                    {"clip_skip", "--clip-skip", NULL},
                                    {"resize_mode", "--resize-mode", resizes},
                                    {"rng", "--rng", rngs},
                                    {0}};

typedef struct {
    const char *word[WORDS_MAX];
    int count;
    char number[sizeof table / sizeof *table][NUMBER], input[1024];
} command_line;

static void add(command_line *c, const char *word)
{
    assert_true(c->count < WORDS_MAX - 1);
    c->word[c->count++] = word;
}

static const char *value_text(const json_t *v, char room[NUMBER])
{
    if (json_is_string(v))
        return json_string_value(v);
    snprintf(room, NUMBER, json_is_integer(v) ? "%.0f" : "%.17g", json_number_value(v));
    return room;
}

static const char *translate(const translation *t, const char *value)
{
    for (int i = 0; t->words && t->words[i][0]; i++)
        if (!strcmp(t->words[i][0], value))
            return t->words[i][1];
    assert_null(t->words); /* a word that the table lacks */
    return value;
}

static void build(command_line *c, const json_t *entry, const char *model, const char *output)
{
    const json_t *asked = json_object_get(entry, "job"), *init = json_object_get(entry, "init");
    char file[256];
    memset(c, 0, sizeof *c);
    add(c, json_string_value(json_object_get(asked, "task")));
    if (json_is_string(init)) {
        snprintf(file, sizeof file, "pictures/%s", json_string_value(init));
        add(c, farm_golden(c->input, file));
    }
    add(c, "--model");
    add(c, model);
    add(c, "--output");
    add(c, output);
    for (int i = 0; table[i].key; i++) {
        const json_t *v = json_object_get(asked, table[i].key);
        if (!v)
            continue;
        add(c, table[i].option);
        add(c, translate(&table[i], value_text(v, c->number[i])));
    }
    if (json_is_true(json_object_get(asked, "fix_steps")))
        add(c, "--fix-steps");
}

/* ---------------------------------------------------------------- pictures */

static void compare_picture(const char *folder, const char *name, const char *path)
{
    char file[256];
    snprintf(file, sizeof file, "%s/%s.png", folder, name);
    image want = picture_golden(file), got = decode(path);
    if (want.w != got.w || want.h != got.h || want.channels != got.channels)
        fail_msg("%s: %dx%d in %d channels, expected %dx%d in %d", name, got.w, got.h, got.channels,
                 want.w, want.h, want.channels);
    const size_t count = (size_t)want.w * (size_t)want.h * (size_t)want.channels;
    size_t differing = 0;
    for (size_t i = 0; i < count; i++)
        differing += want.px[i] != got.px[i];
    const int largest = picture_difference(&want, &got);
    print_message("%s: %.4f %% differ, by at most %d\n", name,
                  100 * (double)differing / (double)count, largest);
    assert_in_range(largest, 0, LARGEST_MAX);
    assert_true((double)differing <= SHARE_MAX * (double)count);
    image_done(&want);
    image_done(&got);
}

static void compare_metadata(const json_t *entry, const char *path)
{
    const json_t *asked = json_object_get(entry, "job");
    const char *prompt = json_string_value(json_object_get(asked, "prompt"));
    char *text = parameters_of(path), seed[64];
    snprintf(seed, sizeof seed, "Seed: %.0f,", json_number_value(json_object_get(asked, "seed")));
    if (strncmp(text, prompt, strlen(prompt)) || !strstr(text, seed))
        fail_msg("metadata \"%s\", expected \"%s\" first and \"%s\"", text, prompt, seed);
    free(text);
}

static void run_folder(farm *f, const char *folder, const char *list, size_t count)
{
    json_t *all = golden_json(list), *entry;
    const char *name;
    command_line c;
    char output[PROCESS_PATH];
    assert_int_equal(json_object_size(all), count);
    json_object_foreach(all, name, entry)
    {
        farm_path(f, output, "out.png");
        build(&c, entry, json_string_value(json_object_get(entry, "model")), output);
        farm_outcome o = farm_command(f, c.word);
        farm_expect(&o, 0, "");
        compare_picture(folder, name, output);
        compare_metadata(entry, output);
        remove(output);
    }
    json_decref(all);
}

static void test_golden_pictures(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    run_folder(f, "pictures", "pictures/pictures.json", 13);
    run_folder(f, "grammar", "grammar/grammar.json", 9);
    f->passed = true;
}

/* ---------------------------------------------------------------- layouts */

static void make_layout(const char *arch, fixture_layout layout, const char *path)
{
    err e = {0};
    const fixture x = {.config = fixture_config(arch), .seed = 1, .type = F16, .layout = layout};
    if (fixture_write(&x, path, &e))
        fail_msg("%s: %s", path, e.text);
}

static image run_entry(farm *f, const json_t *entry, const char *model)
{
    char output[PROCESS_PATH];
    command_line c;
    build(&c, entry, model, farm_path(f, output, "layout.png"));
    farm_outcome o = farm_command(f, c.word);
    farm_expect(&o, 0, "");
    image i = decode(output);
    remove(output);
    return i;
}

/* Both generations of the folder, by path and by name: the pixels of the single file. */
static void test_folders_give_the_same_pictures(void **state)
{
    static const struct {
        const char *entry;
        fixture_layout layout;
    } cases[] = {{"01-euler_a", FIXTURE_FOLDER_OLD},
                 {"07-txt2img-dpmpp_2m-exp", FIXTURE_FOLDER_NEW},
                 {"12-three-levels", FIXTURE_FOLDER_OLD},
                 {"13-no-negative", FIXTURE_FOLDER_NEW}};
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    json_t *all = golden_json("pictures/pictures.json");
    char folder[PROCESS_PATH], name[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const json_t *entry = json_object_get(all, cases[i].entry);
        const char *arch = json_string_value(json_object_get(entry, "model"));
        snprintf(name, sizeof name, "layout-%zu", i);
        make_layout(arch, cases[i].layout, farm_path(f, folder, name));
        image single = run_entry(f, entry, arch), other = run_entry(f, entry, folder);
        assert_int_equal(picture_difference(&single, &other), 0);
        image_done(&single);
        image_done(&other);
    }
    json_decref(all);
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(test_golden_pictures),
        farm_test(test_folders_give_the_same_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
