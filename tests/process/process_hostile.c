/* Users who mean harm or are mistaken: each gets an error that says what was found and what was
 * expected, and the next good job is served by the same processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <png.h>

#include "tests/support/farm.h"
#include "tests/support/fixture.h"

enum { ROW_BYTES = 1 << 17, FINDS = 3 };

/* ---------------------------------------------------------------- files */

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* A black PNG that says it has w x h pixels, with so many rows in it. */
static void write_png(const char *path, int side, int depth, int colour, int rows)
{
    FILE *file = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    static const png_byte row[ROW_BYTES];
    assert_true(file && png && info);
    if (setjmp(png_jmpbuf(png)))
        fail_msg("cannot write %s", path);
    png_init_io(png, file);
    png_set_user_limits(png, (png_uint_32)side, (png_uint_32)side);
    png_set_IHDR(png, info, (png_uint_32)side, (png_uint_32)side, depth, colour, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    assert_true(png_get_rowbytes(png, info) <= sizeof row);
    for (int i = 0; i < rows; i++)
        png_write_row(png, row);
    if (rows == side)
        png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    fclose(file);
}

static void write_model(const char *path, const fixture_defect *defect)
{
    err e = {0};
    const fixture x = {
        .config = fixture_config("tiny"), .seed = 1, .type = F16, .defect = defect, .defects = 1};
    if (fixture_write(&x, path, &e))
        fail_msg("%s: %s", path, e.text);
}

static void truncate_model(const char *path)
{
    char model[1024];
    size_t size = 0;
    char *bytes = process_read(fixture_shared("tiny", model), &size);
    assert_non_null(bytes);
    write_file(path, bytes, size / 2);
    free(bytes);
}

static void make_files(const farm *f)
{
    static const char middle[] = "model.diffusion_model.middle_block.1.norm.weight";
    static const char last[] = "model.diffusion_model.out.2.weight";
    const fixture_defect shape = {.name = middle, .dims = 1, .dim = {100}};
    const fixture_defect nan = {.name = last, .dims = 4, .dim = {4, 64, 3, 3}, .nan = true};
    char path[PROCESS_PATH], *text = malloc(300000);
    assert_non_null(text);
    memset(text, 'a', 300000);
    write_file(farm_path(f, path, "long.txt"), text, 300000);
    free(text);
    write_file(farm_path(f, path, "text.png"), "this is no picture", 18);
    write_file(farm_path(f, path, "none.png"), "", 0);
    write_png(farm_path(f, path, "huge.png"), 20000, 1, PNG_COLOR_TYPE_GRAY, 20000);
    write_png(farm_path(f, path, "bomb.png"), 16000, 16, PNG_COLOR_TYPE_RGB_ALPHA, 10);
    write_png(farm_path(f, path, "cut.png"), 64, 8, PNG_COLOR_TYPE_RGB, 20);
    truncate_model(farm_path(f, path, "cut.safetensors"));
    write_model(farm_path(f, path, "shape.safetensors"), &shape);
    write_model(farm_path(f, path, "nan.safetensors"), &nan);
}

/* ---------------------------------------------------------------- what they ask for */

/* "@name" in words is a file of the farm's folder. */
typedef struct {
    const char *words[14];
    int exit;
    const char *finds[FINDS];
} attempt;

#define IMG2IMG(file) "img2img", file, "--prompt", "a fox", "--output", "@out.png"
#define TXT2IMG       "txt2img", "--prompt", "a fox", "--output", "@out.png"

static const attempt attempts[] = {
    {{"txt2img", "--prompt-file", "@long.txt", "--output", "@out.png"}, 2, {"300000", "65536"}},
    {{IMG2IMG("@huge.png")}, 1, {"20000 x 20000", "16384"}},
    {{IMG2IMG("@bomb.png")}, 1, {"16000 x 16000", "67108864"}},
    {{IMG2IMG("@cut.png")}, 1, {"PNG"}},
    {{IMG2IMG("@text.png")}, 1, {"PNG, JPEG or WebP"}},
    {{IMG2IMG("@none.png")}, 2, {"empty"}},
    {{IMG2IMG("@absent.png")}, 5, {"absent.png"}},
    {{TXT2IMG, "--model", "@cut.safetensors"}, 1, {"cut.safetensors"}},
    {{TXT2IMG, "--model", "@shape.safetensors"},
     1,
     {"middle_block.1.norm.weight", "[100]", "[128]"}},
    {{TXT2IMG, "--model", "@nan.safetensors", "--width", "64", "--height", "64"}, 1, {"NaN"}},
    {{TXT2IMG, "--model", "@absent.safetensors"}, 2, {"absent.safetensors"}},
    {{TXT2IMG, "--model", "tiny4"}, 6, {"tiny4", "tiny3"}},
    {{TXT2IMG, "--sampler", "DPM++ 2N"}, 2, {"DPM++ 2N", "DPM++ 2M"}},
    {{TXT2IMG, "--scheduler", "Karas"}, 2, {"Karas", "Karras"}},
    {{TXT2IMG, "--steps", "10000"}, 2, {"10000", "150"}},
    {{TXT2IMG, "--width", "-64", "--height", "64"}, 2, {"-64", "16", "4096"}},
    {{TXT2IMG, "--width", "64", "--height", "100000"}, 2, {"100000", "4096"}},
    {{TXT2IMG, "--batch-size", "0"}, 2, {"0", "1 to 16"}},
    {{TXT2IMG, "--cfg-scale", "nan"}, 2, {"nan"}},
    {{TXT2IMG, "--prompt-file", "@long.txt"}, 2, {"--prompt", "--prompt-file"}},
    {{"txt2img", "--prompt", "<lora:a:1>", "--output", "@out.png"}, 2, {"extra network"}},
    {{"txt2img", "--prompt", "\xff\xfe", "--output", "@out.png"}, 2, {"UTF-8"}},
};

static void run_attempt(farm *f, const attempt *a)
{
    const char *words[14] = {0};
    char path[14][PROCESS_PATH];
    for (int i = 0; a->words[i]; i++)
        words[i] = a->words[i][0] == '@' ? farm_path(f, path[i], a->words[i] + 1) : a->words[i];
    farm_outcome o = farm_command(f, words);
    print_message("%d: %s", o.exit, o.err);
    for (int i = 0; i < FINDS && a->finds[i]; i++)
        farm_expect(&o, a->exit, a->finds[i]);
    assert_null(process_read(farm_path(f, path[0], "out.png"), NULL));
}

static void test_errors_and_the_next_job(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    const pid_t worker = f->worker[0].pid, broker = f->broker.pid;
    make_files(f);
    farm_file expected = farm_make(f, NULL);
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        run_attempt(f, &attempts[i]);
        farm_file next = farm_make(f, NULL);
        farm_same(&expected, &next, "the next job");
        farm_file_done(&next);
    }
    assert_false(process_ended(&f->worker[0]) || process_ended(&f->broker));
    assert_true(worker == f->worker[0].pid && broker == f->broker.pid);
    assert_int_equal(farm_count(f, "workers_lost"), 0);
    assert_int_equal(farm_total(f, "kept"), 0);
    farm_file_done(&expected);
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {farm_test(test_errors_and_the_next_job)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
