/* Upscalers: networks of an independent implementation, from its own files. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "tests/support/picture.h"
#include "worker/model/upscaler.h"
#include "worker/upscalers.h"

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
    tensor y = upscaler_enlarge(d, NEW, u, pixels, NULL);
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

/* ---- names ---- */

static char folder[] = "/tmp/test_upscaler.XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void names_find_files(void **state)
{
    (void)state;
    static const char *const files[] = {"upscalers/RealESRGAN_x4plus.pth",
                                        "upscalers/x4plus.safetensors", "upscalers/mine.pt"};
    static const struct {
        const char *name, *file;
    } rows[] = {
        {"mine", "mine.pt"},
        {"x4plus", "x4plus.safetensors"}, /* its own name before others */
        {"realesrgan-x4plus", "RealESRGAN_x4plus.pth"},
        {"R-ESRGAN 4x+", "RealESRGAN_x4plus.pth"},
        {"animevideov3-x4", "animevideov3-x4.safetensors"}, /* comes with the program */
        {"R-ESRGAN AnimeVideo", "animevideov3-x4.safetensors"},
        {"realesr-animevideov3", "animevideov3-x4.safetensors"},
        {"R-ESRGAN 2x+", NULL},
        {"Mine", NULL},
        {"mine.pt", NULL},
        {"", NULL},
    };
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mkdir(in_folder("upscalers"), 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_int_equal(close(open(in_folder(files[i]), O_CREAT | O_WRONLY, 0600)), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        model_file found = {0};
        err e = {0};
        int rc = upscalers_find(folder, rows[i].name, &found, &e);
        if (rows[i].file && (rc || !strstr(found.path, rows[i].file)))
            fail_msg("%s finds %s%s", rows[i].name, found.path, e.text);
        if (!rows[i].file)
            assert_int_equal(rc, ERR_NOT_FOUND);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_int_equal(unlink(in_folder(files[i])), 0);
    assert_int_equal(rmdir(in_folder("upscalers")), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- configurations ---- */

/* What is wrong with one tensor: left out, or with `more` outputs. */
typedef struct {
    const char *name;
    int more; /* 0: left out */
} defect;

typedef struct {
    FILE *to;
    const defect *defect;
    size_t at; /* offset of the next tensor; then bytes of all */
    char header[1 << 16];
    size_t used;
} writing;

static void write_tensor(writing *w, const char *layer, const char *part, int out, int in)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", layer, part);
    if (w->defect && strcmp(w->defect->name, name) == 0) {
        if (!w->defect->more)
            return;
        out += w->defect->more;
    }
    size_t bytes = 2 * (size_t)out * (size_t)(in ? in * 9 : 1);
    char shape[64];
    snprintf(shape, sizeof shape, in ? "[%d,%d,3,3]" : "[%d]", out, in);
    w->used +=
        (size_t)snprintf(w->header + w->used, sizeof w->header - w->used,
                         "%s\"%s\":{\"dtype\":\"F16\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                         w->used ? "," : "{", name, shape, w->at, w->at + bytes);
    w->at += bytes;
}

/* A network of zeros. */
static const char *write_network(const upscaler_config *c, const defect *wrong)
{
    static char path[] = "/tmp/test_upscaler.safetensors.XXXXXX";
    writing *w = calloc(1, sizeof *w);
    w->defect = wrong;
    for (int i = 0; i < upscaler_layers(c); i++) {
        upscaler_layer l = upscaler_layer_at(c, i);
        write_tensor(w, l.name, ".weight", l.out, l.in);
        write_tensor(w, l.name, ".bias", l.out, 0);
        if (*l.slope)
            write_tensor(w, l.slope, "", l.out, 0);
    }
    w->used += (size_t)sprintf(w->header + w->used, "}");
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int file = mkstemp(path);
    uint64_t length = w->used;
    assert_true(file >= 0);
    assert_int_equal(write(file, &length, 8), 8);
    assert_int_equal(write(file, w->header, w->used), w->used);
    assert_int_equal(ftruncate(file, (off_t)(8 + w->used + w->at)), 0);
    close(file);
    free(w);
    return path;
}

static int read_network(upscaler_config *c, const upscaler_config *from, const defect *wrong,
                        err *e)
{
    const char *path = write_network(from, wrong);
    checkpoint *file = checkpoint_open(path, e);
    int rc = file ? upscaler_config_read(c, file, e) : e->code;
    checkpoint_free(&file);
    unlink(path);
    return rc;
}

static const upscaler_config networks[] = {
    {UPSCALER_RRDB, 0, "", 16, 8, 2, 1, 2, 4},
    {UPSCALER_RRDB, 0, "", 16, 8, 2, 2, 2, 2},
    {UPSCALER_RRDB, 0, "", 16, 8, 2, 4, 2, 1},
    {UPSCALER_RRDB, 0, "params_ema.", 8, 4, 1, 1, 3, 8},
    {UPSCALER_RRDB, 1, "", 16, 8, 3, 1, 2, 4},
    {UPSCALER_RRDB, 1, "module.", 16, 8, 1, 1, 1, 2},
    {UPSCALER_RRDB, 2, "", 16, 8, 2, 1, 2, 4},
    {UPSCALER_RRDB, 2, "", 16, 8, 1, 1, 0, 1},
    {UPSCALER_RRDB, 2, "", 16, 8, 1, 1, 1, 2},
    {UPSCALER_RRDB, 2, "", 16, 8, 1, 1, 3, 8},
    {UPSCALER_SRVGG, 0, "", 16, 0, 3, 1, 0, 4},
    {UPSCALER_SRVGG, 0, "", 16, 0, 1, 1, 0, 1},
    {UPSCALER_SRVGG, 0, "params.", 8, 0, 2, 1, 0, 8},
};

/* Every family of names, prefix and scale; and they run. */
static void configurations_are_read_back(void **state)
{
    (void)state;
    dev *d = device((dev_options){.backend = "cpu", .threads = 1});
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        upscaler_config c;
        err e = {0};
        if (read_network(&c, &networks[i], NULL, &e))
            fail_msg("network %zu: %s", i, e.text);
        assert_memory_equal(&c, &networks[i], sizeof c);
        const char *path = write_network(&c, NULL);
        upscaler *u = upscaler_load(d, path, &e);
        assert_non_null(u);
        unlink(path);
        size_t mark = dev_mark(d);
        uint8_t bytes[5 * 7 * 3] = {0}; /* no multiple of an unshuffled block */
        tensor x = dev_tensor(d, U8, 1, 5, 7, 3);
        dev_upload(d, x, bytes);
        tensor y = upscaler_enlarge(d, NEW, u, x, NULL);
        assert_int_equal(d->status, DEV_OK);
        assert_int_equal(y.dim[1], 5 * c.scale);
        assert_int_equal(y.dim[2], 7 * c.scale);
        dev_release(d, mark);
        upscaler_free(&u);
    }
    dev_free(&d);
}

static void wrong_networks_are_refused_in_one_message(void **state)
{
    (void)state;
    static const struct {
        int network;
        defect wrong;
        const char *words;
    } rows[] = {
        {0, {"conv_body.weight", 0}, "conv_body.weight is missing"},
        {0, {"conv_up1.bias", 3}, "conv_up1.bias is [19], expected [16]"},
        {0,
         {"body.1.rdb2.conv3.weight", 1},
         "body.1.rdb2.conv3.weight is [9,32,3,3], expected [8,"},
        {0, {"conv_first.bias", 1}, "conv_first.weight is [16,3,3,3], expected [17,3,3,3]; "},
        {4, {"upconv1.weight", 0}, "upconv1.weight is missing"},
        {6, {"model.1.sub.2.weight", 0}, "model.1.sub.2.weight is missing"},
        {6, {"model.8.bias", 0}, "model.8.bias is missing"},
        {10, {"body.1.weight", 0}, "body.1.weight is missing"},
        {10, {"body.8.weight", 1}, "not supported"},
        {10, {"body.8.bias", 1}, "body.8.bias is [49], expected [48]"},
        {10, {"body.0.weight", 0}, "no upscaler that is known here"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        upscaler_config c;
        err e = {0};
        int rc = read_network(&c, &networks[rows[i].network], &rows[i].wrong, &e);
        if (rc != ERR_INVALID || !strstr(e.text, rows[i].words))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, e.text, rows[i].words);
    }
    err e = {0};
    upscaler_config c;
    checkpoint *other = golden_open("ops.safetensors");
    assert_int_equal(upscaler_config_read(&c, other, &e), ERR_INVALID);
    checkpoint_free(&other);
}

/* Weights and scratch are known to the byte before anything is loaded. */
static void a_dry_walk_knows_scratch_and_weights(void **state)
{
    (void)state;
    static const char *const files[] = {"rrdb-x4.pth", "rrdb-x2.pth", "srvgg-x4.pth"};
    dev *real = device((dev_options){.backend = "cpu", .threads = 2});
    dev *dry = device((dev_options){.backend = "cpu", .threads = 2, .dry = true});
    for (int i = 0; i < 3; i++) {
        upscaler *u = load(real, files[i]), *planned = load(dry, files[i]);
        assert_int_equal(planned->weights.peak, u->weights.used);
        model_cost cost = upscaler_measure(dry, planned, 37, 21);
        uint8_t *bytes = calloc(37 * 21, 3);
        size_t mark = dev_mark(real);
        dev_reset_peak(real);
        tensor x = dev_tensor(real, U8, 1, 21, 37, 3);
        dev_upload(real, x, bytes);
        bool finite;
        upscaler_enlarge(real, NEW, u, x, &finite);
        assert_int_equal(real->status, DEV_OK);
        assert_int_equal(cost.scratch, real->counters.scratch_peak);
        assert_true(cost.flops > 0 && cost.flops == real->counters.flops);
        dev_release(real, mark);
        free(bytes);
        upscaler_free(&planned);
        upscaler_free(&u);
    }
    dev_free(&dry);
    dev_free(&real);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_equal_the_golden_ones),
        cmocka_unit_test(names_find_files),
        cmocka_unit_test(configurations_are_read_back),
        cmocka_unit_test(wrong_networks_are_refused_in_one_message),
        cmocka_unit_test(a_dry_walk_knows_scratch_and_weights),
        cmocka_unit_test(the_shipped_network_gives_the_golden_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
