/* bench_pictures: what a picture task costs beside the sampling, in milliseconds of processor time:
 * everything the crew does for an inpainting of 300 pixels in a large photograph ("only masked"),
 * and the slow parts of other tasks on 2048x2048. The best of --repeat; one line of JSON. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/option.h"
#include "tests/support/process.h"
#include "worker/image/compose.h"
#include "worker/image/match.h"
#include "worker/image/outpaint.h"
#include "worker/task/task.h"

enum { MASKED = 300, SAMPLED = 512, LARGE = 2048, GRAIN = 4 };

typedef struct {
    uint8_t *bytes;
    size_t size;
} file;

typedef struct {
    image photo, large, hole; /* hole: a mask of large's size, white in the middle */
    file png, jpeg, mask;     /* photo twice, and a mask for it, white in the middle */
    job j;
    tokenizer *words;
    task task;
    task_outputs whole;
} bench;

static double cpu_ms(void)
{
    return 1000.0 * (double)clock() / CLOCKS_PER_SEC;
}

/* ---------------------------------------------------------------- inputs */

/* A photograph enlarged, with the grain that a camera would have given it. */
static int enlarge(image *out, const image *in, int w, int h, err *e)
{
    int rc = image_resize(out, in, w, h, e);
    uint32_t state = 1;
    for (size_t i = 0; !rc && i < 3 * (size_t)w * (size_t)h; i++) {
        state = state * 1664525 + 1013904223;
        int value = out->px[i] + (int)(state >> 24) % (2 * GRAIN + 1) - GRAIN;
        out->px[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
    return rc;
}

static int middle_mask(image *out, int w, int h, int white, err *e)
{
    int rc = image_new(out, w, h, 1, e);
    for (int y = (h - white) / 2; !rc && y < (h + white) / 2; y++)
        memset(out->px + (size_t)y * (size_t)w + (w - white) / 2, 255, (size_t)white);
    return rc;
}

static int encode(file *f, const image *in, picture_format format, err *e)
{
    return image_encode(&f->bytes, &f->size, in, format, 90, NULL, e);
}

static int make_job(bench *b, err *e)
{
    job *j = &b->j;
    job_init(j);
    job_id_new(&j->id);
    j->task = TASK_INPAINT;
    j->seed = 1;
    j->width = j->height = SAMPLED;
    j->inpaint.only_masked = true;
    int rc = job_set_text(&j->prompt, "a red fox", strlen("a red fox"), e);
    const job_picture inputs[] = {{INPUT_PICTURE, b->png.bytes, b->png.size, ""},
                                  {INPUT_MASK, b->mask.bytes, b->mask.size, ""}};
    for (int i = 0; i < 2 && !rc; i++)
        rc = job_add_input(j, inputs[i], e);
    return rc ? rc : job_check(j, e);
}

static int make_inputs(bench *b, const char *path, int w, int h, err *e)
{
    image small = {0}, mask = {0};
    size_t size;
    char *bytes = process_read(path, &size);
    int rc = bytes ? image_decode(&small, (uint8_t *)bytes, size, &image_default_limits, e)
                   : err_set(e, ERR_IO, "%s cannot be read", path);
    if (!rc)
        rc = enlarge(&b->photo, &small, w, h, e);
    if (!rc)
        rc = enlarge(&b->large, &small, LARGE, LARGE, e);
    if (!rc)
        rc = middle_mask(&b->hole, LARGE, LARGE, LARGE / 2, e);
    if (!rc)
        rc = middle_mask(&mask, w, h, MASKED, e);
    if (!rc)
        rc = encode(&b->png, &b->photo, FORMAT_PNG, e);
    if (!rc)
        rc = encode(&b->jpeg, &b->photo, FORMAT_JPEG, e);
    if (!rc)
        rc = encode(&b->mask, &mask, FORMAT_PNG, e);
    if (!rc && !(b->words = tokenizer_new(e)))
        rc = e->code;
    free(bytes);
    image_done(&small);
    image_done(&mask);
    return rc ? rc : make_job(b, e);
}

static void bench_done(bench *b)
{
    image_done(&b->photo);
    image_done(&b->large);
    image_done(&b->hole);
    free(b->png.bytes);
    free(b->jpeg.bytes);
    free(b->mask.bytes);
    tokenizer_free(&b->words);
    task_done(&b->task);
    task_outputs_done(&b->whole);
    job_done(&b->j);
}

/* ---------------------------------------------------------------- one file */

static double decode_file(const file *f, err *e)
{
    image out = {0};
    const double start = cpu_ms();
    image_decode(&out, f->bytes, f->size, &image_default_limits, e);
    const double ms = cpu_ms() - start;
    image_done(&out);
    return ms;
}

static double decode_png_file(bench *b, err *e)
{
    return decode_file(&b->png, e);
}

static double decode_jpeg_file(bench *b, err *e)
{
    return decode_file(&b->jpeg, e);
}

static double encode_as(const bench *b, picture_format format, err *e)
{
    file f = {0};
    const double start = cpu_ms();
    encode(&f, &b->photo, format, e);
    const double ms = cpu_ms() - start;
    free(f.bytes);
    return ms;
}

static double encode_as_png(bench *b, err *e)
{
    return encode_as(b, FORMAT_PNG, e);
}

static double encode_as_jpeg(bench *b, err *e)
{
    return encode_as(b, FORMAT_JPEG, e);
}

/* ---------------------------------------------------------------- the job, part by part */

static double prepare(bench *b, err *e)
{
    task_done(&b->task);
    const double start = cpu_ms();
    task_prepare(&b->task, &b->j, b->words, e);
    return cpu_ms() - start;
}

static double make_scene(bench *b, err *e)
{
    scene_input input = {0};
    prepare(b, e);
    const double start = cpu_ms();
    if (!e->code)
        task_scene(&b->task, &b->j, 0, &input, e);
    const double ms = cpu_ms() - start;
    scene_input_done(&input);
    return ms;
}

static double take(bench *b, err *e)
{
    scene_result sampled = {0};
    make_scene(b, e);
    task_outputs_done(&b->whole);
    if (!e->code)
        image_new(&sampled.picture, SAMPLED, SAMPLED, 3, e);
    const double start = cpu_ms();
    if (!e->code)
        task_take(&b->task, &b->j, 0, 0, &sampled, &b->whole, e);
    const double ms = cpu_ms() - start;
    scene_result_done(&sampled);
    return ms;
}

static double compose(bench *b, err *e)
{
    take(b, e);
    const double start = cpu_ms();
    if (!e->code)
        task_compose(&b->task, &b->j, &b->whole.at[0], "model", "", e);
    return cpu_ms() - start;
}

/* ---------------------------------------------------------------- parts of other tasks */

static double fill(bench *b, err *e)
{
    image picture = {0};
    image_copy(&picture, &b->large, e);
    const double start = cpu_ms();
    if (!e->code)
        image_fill_masked(&picture, &b->hole, e);
    const double ms = cpu_ms() - start;
    image_done(&picture);
    return ms;
}

static double match(bench *b, err *e)
{
    image picture = {0};
    image_copy(&picture, &b->large, e);
    const double start = cpu_ms();
    if (!e->code)
        image_match_colours(&picture, &b->photo, e);
    const double ms = cpu_ms() - start;
    image_done(&picture);
    return ms;
}

static double noise(bench *b, err *e)
{
    image picture = {0};
    image_copy(&picture, &b->large, e);
    const double start = cpu_ms();
    if (!e->code)
        outpaint_fill(&picture, &b->hole, 1, 0.05, e);
    const double ms = cpu_ms() - start;
    image_done(&picture);
    return ms;
}

/* ---------------------------------------------------------------- */

static const struct {
    const char *name;
    double (*run)(bench *b, err *e); /* one measurement, with what must come before it */
} parts[] = {
    {"decode_png_ms", decode_png_file},
    {"decode_jpeg_ms", decode_jpeg_file},
    {"prepare_ms", prepare}, /* picture and mask decoded, scenes listed */
    {"scene_ms", make_scene},
    {"take_ms", take},
    {"compose_ms", compose}, /* to a PNG file */
    {"encode_png_ms", encode_as_png},
    {"encode_jpeg_ms", encode_as_jpeg},
    {"fill_2048_ms", fill},
    {"colours_2048_ms", match},
    {"noise_2048_ms", noise},
};

static json_t *measure(bench *b, int64_t repeat, err *e)
{
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !e->code; i++) {
        double best = parts[i].run(b, e);
        for (int64_t again = 1; again < repeat && !e->code; again++) {
            const double ms = parts[i].run(b, e);
            best = ms < best ? ms : best;
        }
        json_object_set_new(out, parts[i].name, json_real(best));
    }
    json_object_set_new(out, "png_bytes", json_integer((json_int_t)b->png.size));
    return out;
}

int main(int argc, char **argv)
{
    int64_t width, height, repeat;
    const char *path;
    const option table[] = {
        {"picture", OPTION_TEXT, &path, .argument = "FILE", .fallback = "examples/coffee.png",
         .help = "a photograph; it is enlarged"},
        {"width", OPTION_INT, &width, "3000", 512, 8192, .help = "pixels"},
        {"height", OPTION_INT, &height, "2000", 512, 8192, .help = "pixels"},
        {"repeat", OPTION_INT, &repeat, "5", 1, 1000, .help = "measurements of each part"},
        {0}};
    err e = {0};
    option_result words;
    bench b = {0};
    json_t *figures = NULL;
    int rc = option_parse(table, argc, argv, &words, &e);
    if (!rc && words.help) {
        option_help(stdout, "bench_pictures [options]", table);
        return 0;
    }
    if (!rc && !make_inputs(&b, path, (int)width, (int)height, &e))
        figures = measure(&b, repeat, &e);
    if (!e.code && !json_dumpf(figures, stdout, JSON_COMPACT | JSON_REAL_PRECISION(4)))
        puts("");
    if (e.code)
        fprintf(stderr, "bench_pictures: %s\n", e.text);
    json_decref(figures);
    bench_done(&b);
    return e.code ? 1 : 0;
}
