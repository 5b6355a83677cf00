/* Upscalers: networks of an independent implementation, from its own files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "tests/support/picture.h"
#include "worker/model/upscaler.h"
#include "worker/model/upscaler_find.h"

static dev *device(dev_options options)
{
    char why[256];
    dev *d = dev_new(&options, why);
    if (!d)
        fail_msg("%s", why);
    return d;
}

static upscaler *load(dev *d, const char *file)
{
    char path[1024];
    err e = {0};
    snprintf(path, sizeof path, "%s/upscalers/%s", GOLDEN_DIR, file);
    upscaler *u = upscaler_load(d, path, &e);
    if (!u)
        fail_msg("%s", e.text);
    return u;
}

static void golden_network(dev *d, const char *file, const char *name)
{
    checkpoint *golden = golden_open("upscalers/upscalers.safetensors");
    int64_t in[4], out[4];
    float *nchw = golden_floats(golden, in, "x"), *wanted = golden_floats(golden, out, "%s", name);
    float *x = golden_nhwc(nchw, in[0], in[1], in[2], in[3]);
    float *expected = golden_nhwc(wanted, out[0], out[1], out[2], out[3]);
    upscaler *u = load(d, file);
    size_t mark = dev_mark(d);
    tensor t = dev_tensor(d, F32, in[0], in[2], in[3], in[1]);
    dev_upload(d, t, x);
    tensor y = upscaler_forward(d, NEW, u, t);
    assert_int_equal(d->status, DEV_OK);
    assert_int_equal(y.dim[1], out[2]);
    assert_int_equal(y.dim[2], out[3]);
    float *got = malloc(tensor_bytes(y));
    dev_download(d, got, y);
    double distance = golden_distance(got, expected, tensor_count(y));
    print_message("%s %s: %.2e\n", d->class_name, file, distance);
    assert_true(distance <= 2e-5);
    dev_release(d, mark);
    upscaler_free(&u);
    free(got);
    free(expected);
    free(x);
    free(wanted);
    free(nchw);
    checkpoint_free(&golden);
}

static void networks_equal_the_golden_ones(void **state)
{
    (void)state;
    static const dev_options ways[] = {{.backend = "ref", .threads = 1},
                                       {.backend = "cpu", .threads = 1},
                                       {.backend = "cpu", .threads = 2, .isa = "avx2"}};
    static const char *const files[][2] = {{"rrdb-x4.pth", "rrdb-x4"},
                                           {"rrdb-x2.pth", "rrdb-x2"},
                                           {"srvgg-x4.pth", "srvgg-x4"},
                                           {"srvgg-x2.pth", "srvgg-x2"},
                                           {"srvgg-x2-legacy.pth", "srvgg-x2"}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        dev *d = device(ways[i]);
        for (size_t j = 0; j < sizeof files / sizeof *files; j++)
            golden_network(d, files[j][0], files[j][1]);
        dev_free(&d);
    }
}

/* tests/golden/upscalers/real-in.png through a real network as a whole: at most 1 level beside the
 * golden picture, on at most 0.5 % of the values. */
static void golden_picture(dev *d, const char *path, const char *name)
{
    char file[128];
    err e = {0};
    snprintf(file, sizeof file, "upscalers/%s.png", name);
    image in = picture_golden("upscalers/real-in.png"), expected = picture_golden(file);
    upscaler *u = upscaler_load(d, path, &e);
    if (!u)
        fail_msg("%s", e.text);
    size_t mark = dev_mark(d);
    tensor pixels = dev_tensor(d, U8, 1, in.h, in.w, 3);
    dev_upload(d, pixels, in.px);
    tensor y = upscaler_enlarge(d, NEW, u, pixels);
    assert_int_equal(d->status, DEV_OK);
    assert_int_equal(y.dim[1], expected.h);
    assert_int_equal(y.dim[2], expected.w);
    uint8_t *got = malloc(tensor_bytes(y));
    dev_download(d, got, y);
    int64_t off = 0, count = tensor_count(y);
    for (int64_t i = 0; i < count; i++) {
        int difference = abs(got[i] - expected.px[i]);
        assert_in_range(difference, 0, 1);
        off += difference;
    }
    print_message("%s %s: %.4f %% of the values are off by one\n", d->class_name, name,
                  100.0 * (double)off / (double)count);
    assert_true(200 * off <= count);
    dev_release(d, mark);
    free(got);
    upscaler_free(&u);
    image_done(&in);
    image_done(&expected);
}

static void the_shipped_network_gives_the_golden_picture(void **state)
{
    (void)state;
    dev *d = device((dev_options){.backend = "cpu", .threads = 2});
    golden_picture(d, GOLDEN_DIR "/../../deploy/models/animevideov3-x4.safetensors",
                   "real-animevideov3-x4");
    dev_free(&d);
}

/* An empty file of this name in a new folder. */
static void touch(const char *folder, const char *name)
{
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

static void names_find_files(void **state)
{
    (void)state;
    char first[] = "/tmp/test_upscaler.XXXXXX", second[] = "/tmp/test_upscaler.XXXXXX";
    assert_non_null(mkdtemp(first));
    assert_non_null(mkdtemp(second));
    touch(first, "RealESRGAN_x4plus.pth");
    touch(first, "mine.pt");
    touch(second, "mine.safetensors");
    touch(second, "x4plus.safetensors");
    touch(second, "animevideov3-x4.safetensors");
    const char *const folders[] = {first, "", second, NULL};
    static const struct {
        const char *name, *file;
        int folder, code;
    } rows[] = {
        {"mine", "mine.pt", 0, ERR_OK},              /* the first folder wins */
        {"x4plus", "x4plus.safetensors", 2, ERR_OK}, /* its own name before others */
        {"R-ESRGAN 4x+", "RealESRGAN_x4plus.pth", 0, ERR_OK},
        {"R-ESRGAN AnimeVideo", "animevideov3-x4.safetensors", 2, ERR_OK},
        {"realesr-animevideov3-x4", "animevideov3-x4.safetensors", 2, ERR_OK},
        {"R-ESRGAN 2x+", NULL, 0, ERR_NOT_FOUND},
        {"Mine", NULL, 0, ERR_NOT_FOUND},
        {"mine.pt", NULL, 0, ERR_NOT_FOUND},
        {"", NULL, 0, ERR_INVALID},
        {"../mine", NULL, 0, ERR_INVALID},
        {"/mine", NULL, 0, ERR_INVALID},
        {".mine", NULL, 0, ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[UPSCALER_PATH], expected[UPSCALER_PATH];
        err e = {0};
        assert_int_equal(upscaler_find(path, folders, rows[i].name, &e), rows[i].code);
        assert_int_equal(e.code, rows[i].code);
        if (!rows[i].file) {
            assert_true(strlen(e.text) > 0);
            continue;
        }
        snprintf(expected, sizeof expected, "%s/%s", folders[rows[i].folder], rows[i].file);
        assert_string_equal(path, expected);
    }
    char shipped[UPSCALER_PATH], path[UPSCALER_PATH];
    upscaler_shipped(shipped);
    assert_int_equal(
        upscaler_find(path, (const char *const[]){shipped, NULL}, "animevideov3-x4", NULL), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_equal_the_golden_ones),
        cmocka_unit_test(names_find_files),
        cmocka_unit_test(the_shipped_network_gives_the_golden_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
