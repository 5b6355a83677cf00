/* What a user does all day with a real service: Ctrl-C, cancel, detach, previews, JSON, several
 * pictures, other formats, no sizes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/farm.h"
#include "tests/support/picture.h"
#include "worker/image/image.h"

/* Words of a small job; more may follow. */
#define SMALL "txt2img", "--model", "tiny", "--prompt", "a fox", "--width", "64", "--height", "64"
/* The most steps there are: seconds, unless it is ended. */
#define ENDLESS SMALL, "--steps", "150", "--n-iter", "16"

static void expect_size(const char *path, int w, int h)
{
    image i = picture_file(path);
    assert_int_equal(i.w, w);
    assert_int_equal(i.h, h);
    image_done(&i);
}

static void first_id(farm *f, char id[37])
{
    json_t *s = farm_status(f);
    const json_t *j = json_array_get(json_object_get(s, "jobs"), 0);
    snprintf(id, 37, "%s", json_string_value(json_object_get(j, "id")));
    json_decref(s);
}

static void test_interrupt_cancels(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    process client = {0};
    char out[PROCESS_PATH], id[37];
    farm_start_command(f, &client, "client",
                       WORDS(ENDLESS, "--output", farm_path(f, out, "never.png")));
    FARM_UNTIL(f, farm_runs(f, 0, NULL, 2));
    first_id(f, id);
    process_signal(&client, SIGINT);
    assert_int_equal(process_wait(&client, f->deadline), 130);
    char *said = process_read(client.err, NULL);
    assert_non_null(said);
    assert_non_null(strstr(said, id));
    assert_non_null(strstr(said, "cancelled"));
    free(said);
    assert_int_equal(farm_count(f, "cancelled"), 1);
    FARM_UNTIL(f, farm_total(f, "running") == 0);
    f->passed = true;
}

static void test_cancel_command(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    char out[PROCESS_PATH];
    farm_outcome submitted = farm_command(f, WORDS(ENDLESS, "--detach")), o;
    farm_expect(&submitted, 0, "");
    submitted.out[strcspn(submitted.out, "\n")] = 0;
    overpaint_id id;
    assert_int_equal(overpaint_id_parse(submitted.out, &id), 0);
    FARM_UNTIL(f, farm_runs(f, 0, &id, 2));
    o = farm_command(f, WORDS("cancel", submitted.out));
    farm_expect(&o, 0, "");
    FARM_UNTIL(f, !strcmp(farm_job_state(f, &id, NULL), "cancelled"));
    o = farm_command(f, WORDS("status", submitted.out));
    assert_non_null(strstr(o.out, "cancelled"));
    o = farm_command(f, WORDS("result", submitted.out, "--output", farm_path(f, out, "no.png")));
    farm_expect(&o, 130, "cancelled");
    f->passed = true;
}

/* The preview is a PNG before the picture is there. */
static void test_preview(void **state)
{
    static const char magic[] = "\x89PNG\r\n\x1a\n";
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    process client = {0};
    char out[PROCESS_PATH], preview[PROCESS_PATH], *bytes = NULL, *early;
    farm_path(f, out, "out.png");
    farm_path(f, preview, "preview.png");
    farm_start_command(f, &client, "client",
                       WORDS(SMALL, "--steps", "150", "--output", out, "--preview", preview));
    FARM_UNTIL(f, (bytes = process_read(preview, NULL)));
    early = process_read(out, NULL);
    assert_null(early);
    assert_memory_equal(bytes, magic, 8);
    free(bytes);
    image small = picture_file(preview);
    assert_true(small.w > 0 && small.w == small.h);
    image_done(&small);
    assert_int_equal(process_wait(&client, f->deadline), 0);
    expect_size(out, 64, 64);
    f->passed = true;
}

/* FILE-1, FILE-2 …; the second of them is the picture of seed + 1. */
static void test_several_pictures_and_json(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    char out[PROCESS_PATH], path[PROCESS_PATH], single[PROCESS_PATH];
    farm_path(f, out, "many.png");
    farm_outcome o = farm_command(f, WORDS(SMALL, "--steps", "3", "--seed", "100", "--batch-size",
                                           "2", "--n-iter", "2", "--json", "--output", out));
    farm_expect(&o, 0, "");
    assert_string_equal(o.err, "");
    json_error_t where;
    json_t *r = json_loads(o.out, 0, &where), *p;
    if (!r)
        fail_msg("%s: %s", where.text, o.out);
    const json_t *pictures = json_object_get(r, "pictures");
    size_t i;
    assert_int_equal(json_array_size(pictures), 4);
    json_array_foreach(pictures, i, p)
    {
        char name[32], seed[32];
        snprintf(name, sizeof name, "many-%zu.png", i + 1);
        snprintf(seed, sizeof seed, "Seed: %zu,", 100 + i);
        assert_string_equal(json_string_value(json_object_get(p, "path")),
                            farm_path(f, path, name));
        assert_int_equal(json_integer_value(json_object_get(p, "seed")), 100 + i);
        assert_non_null(strstr(json_string_value(json_object_get(p, "info")), seed));
        expect_size(path, 64, 64);
    }
    json_decref(r);
    o = farm_command(f, WORDS(SMALL, "--steps", "3", "--seed", "101", "--output",
                              farm_path(f, single, "single.png")));
    farm_expect(&o, 0, "");
    image a = picture_file(farm_path(f, path, "many-2.png")), b = picture_file(single);
    assert_memory_equal(a.px, b.px, 64 * 64 * 3);
    image_done(&a);
    image_done(&b);
    f->passed = true;
}

/* The file is what its name says, and `info` reads it. */
static void test_formats(void **state)
{
    static const struct {
        const char *name, *magic;
        size_t at;
    } cases[] = {{"out.png", "PNG", 1},
                 {"out.jpg", "\xff\xd8\xff", 0},
                 {"out.jpeg", "\xff\xd8\xff", 0},
                 {"out.webp", "WEBP", 8}};
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    char out[PROCESS_PATH];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        farm_path(f, out, cases[i].name);
        farm_outcome o = farm_command(
            f, WORDS(SMALL, "--steps", "2", "--seed", "8", "--sampler", "Euler", "--output", out));
        farm_expect(&o, 0, "");
        expect_size(out, 64, 64);
        char *bytes = process_read(out, NULL);
        assert_memory_equal(bytes + cases[i].at, cases[i].magic, strlen(cases[i].magic));
        free(bytes);
        o = farm_command(f, WORDS("info", out, "--json"));
        farm_expect(&o, 0, "");
        json_t *info = json_loads(o.out, 0, NULL);
        const json_t *parameters = json_object_get(info, "parameters");
        assert_string_equal(json_string_value(json_object_get(info, "prompt")), "a fox");
        assert_string_equal(json_string_value(json_object_get(parameters, "Seed")), "8");
        assert_string_equal(json_string_value(json_object_get(parameters, "Sampler")), "Euler");
        json_decref(info);
    }
    f->passed = true;
}

/* img2img without sizes: the input's shape near 512x512, sides a multiple of 8; and a random seed
 * that the metadata tell, with which the same picture comes again. */
static void test_no_sizes_no_seed(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    char input[1024], out[PROCESS_PATH], again[PROCESS_PATH], seed[32];
    farm_golden(input, "pictures/tall.png");
    farm_path(f, out, "out.png");
    farm_path(f, again, "again.png");
    farm_outcome o =
        farm_command(f, WORDS("img2img", input, "--prompt", "a fox", "--steps", "2", "--model",
                              "tiny", "--denoising-strength", "0.5", "--json", "--output", out));
    farm_expect(&o, 0, "");
    image in = picture_file(input), got = picture_file(out);
    const double area = (double)got.w * got.h / (512.0 * 512), want = (double)in.w / in.h;
    print_message("%dx%d from %dx%d\n", got.w, got.h, in.w, in.h);
    assert_true(got.w % 8 == 0 && got.h % 8 == 0 && area > 0.85 && area < 1.15);
    assert_true((double)got.w / got.h > want * 0.95 && (double)got.w / got.h < want * 1.05);
    json_t *r = json_loads(o.out, 0, NULL);
    const json_t *picture = json_array_get(json_object_get(r, "pictures"), 0);
    const json_int_t drawn = json_integer_value(json_object_get(picture, "seed"));
    json_decref(r);
    assert_true(drawn >= 0 && drawn <= UINT32_MAX);
    snprintf(seed, sizeof seed, "%lld", (long long)drawn);
    o = farm_command(f,
                     WORDS("img2img", input, "--prompt", "a fox", "--steps", "2", "--model", "tiny",
                           "--denoising-strength", "0.5", "--seed", seed, "--output", again));
    farm_expect(&o, 0, "");
    farm_file a = {0}, b = {0};
    a.bytes = (unsigned char *)process_read(out, &a.size);
    b.bytes = (unsigned char *)process_read(again, &b.size);
    farm_same(&a, &b, "the seed that was drawn");
    farm_file_done(&a);
    farm_file_done(&b);
    image_done(&in);
    image_done(&got);
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(test_interrupt_cancels), farm_test(test_cancel_command),
        farm_test(test_preview),           farm_test(test_several_pictures_and_json),
        farm_test(test_formats),           farm_test(test_no_sizes_no_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
