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
#include "tests/support/asked.h"
#include "tests/support/farm.h"
#include "tests/support/fixture.h"
#include "tests/support/golden.h"
#include "tests/support/picture.h"

enum { IN_FLIGHT = 6, WORDS_MAX = 64 };

typedef struct {
    asked asked;
    process process;
    char output[PROCESS_PATH], input[1024], mask[1024];
} running;

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

typedef struct {
    const char *word[WORDS_MAX];
    int count;
    char option[ASKED_SETTINGS][64];
} command_line;

static void add(command_line *c, const char *option, const char *value)
{
    assert_true(c->count < WORDS_MAX - 2);
    c->word[c->count++] = option;
    if (value)
        c->word[c->count++] = value;
}

/* `model` NULL: the one that the golden job names. */
static void build(command_line *c, running *r, const char *model)
{
    const asked *a = &r->asked;
    memset(c, 0, sizeof *c);
    add(c, a->task, *a->input ? farm_golden(r->input, a->input) : NULL);
    add(c, "--output", r->output);
    if (*a->mask)
        add(c, "--mask", farm_golden(r->mask, a->mask));
    if (a->model)
        add(c, "--model", model ? model : a->model);
    for (int i = 0; i < a->settings; i++) {
        const asked_setting *s = &a->setting[i];
        snprintf(c->option[i], sizeof c->option[i], "--%s", s->name);
        add(c, c->option[i], s->flag ? NULL : s->value);
    }
}

static void start(farm *f, running *r, const char *model)
{
    command_line c;
    char name[ASKED_FILE];
    snprintf(name, sizeof name, "%s-%s.png", r->asked.folder, r->asked.name);
    farm_path(f, r->output, name);
    build(&c, r, model);
    farm_start_command(f, &r->process, name, c.word);
}

/* The path of the picture `index` that the command wrote. */
static const char *written(const running *r, int index, char to[PROCESS_PATH])
{
    const int length = (int)strlen(r->output) - 4; /* without ".png" */
    if (r->asked.pictures == 1)
        return r->output;
    snprintf(to, PROCESS_PATH, "%.*s-%d.png", length, r->output, index + 1);
    return to;
}

/* ---------------------------------------------------------------- pictures */

static const char *value_of(const asked *a, const char *name)
{
    for (int i = 0; i < a->settings; i++)
        if (!strcmp(a->setting[i].name, name))
            return a->setting[i].value;
    return NULL;
}

/* What was asked for stands in the picture; the seed goes on from picture to picture. */
static void compare_metadata(const asked *a, int index, const char *path)
{
    const char *prompt = value_of(a, "prompt");
    if (!prompt)
        return;
    char *text = parameters_of(path), seed[64];
    snprintf(seed, sizeof seed, "Seed: %lld,", atoll(value_of(a, "seed")) + index);
    if (strncmp(text, prompt, strlen(prompt)) || !strstr(text, seed))
        fail_msg("metadata \"%s\", expected \"%s\" first and \"%s\"", text, prompt, seed);
    free(text);
}

static void finish(farm *f, running *r)
{
    char path[PROCESS_PATH];
    const int code = process_wait(&r->process, f->deadline);
    if (code)
        fail_msg("%s/%s: exit code %d", r->asked.folder, r->asked.name, code);
    for (int i = 0; i < r->asked.pictures; i++) {
        const char *file = written(r, i, path);
        image got = picture_file(file);
        asked_compare(&r->asked, i, &got);
        compare_metadata(&r->asked, i, file);
        image_done(&got);
        remove(file);
    }
}

/* Several commands at a time: what the worker does for one does not keep the next from starting. */
static void run_folder(farm *f, const char *folder)
{
    static running all[IN_FLIGHT];
    char list[ASKED_FILE];
    snprintf(list, sizeof list, "%s/%s.json", folder, folder);
    json_t *entries = golden_json(list), *entry;
    const char *name;
    int started = 0, finished = 0;
    memset(all, 0, sizeof all);
    json_object_foreach(entries, name, entry)
    {
        if (started - finished == IN_FLIGHT)
            finish(f, &all[finished++ % IN_FLIGHT]);
        running *r = &all[started++ % IN_FLIGHT];
        *r = (running){0};
        asked_read(&r->asked, folder, name, entry);
        start(f, r, NULL);
    }
    assert_true(started > 0);
    while (finished < started)
        finish(f, &all[finished++ % IN_FLIGHT]);
    json_decref(entries);
}

static void test_golden_pictures(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1, .seconds = 540});
    for (int i = 0; asked_folders[i]; i++)
        run_folder(f, asked_folders[i]);
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

static image run_entry(farm *f, const char *name, const json_t *entry, const char *model)
{
    running r = {0};
    asked_read(&r.asked, "pictures", name, entry);
    start(f, &r, model);
    assert_int_equal(process_wait(&r.process, f->deadline), 0);
    image i = picture_file(r.output);
    remove(r.output);
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
    farm *f = farm_open(state, &(farm_options){.workers = 1, .seconds = 540});
    json_t *all = golden_json("pictures/pictures.json");
    char folder[PROCESS_PATH], name[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const json_t *entry = json_object_get(all, cases[i].entry);
        const char *arch = json_string_value(json_object_get(entry, "model"));
        snprintf(name, sizeof name, "layout-%zu", i);
        make_layout(arch, cases[i].layout, farm_path(f, folder, name));
        image single = run_entry(f, cases[i].entry, entry, arch);
        image other = run_entry(f, cases[i].entry, entry, folder);
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
