/* Upscalers: networks of an independent implementation, from its own files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "worker/model/upscaler.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_equal_the_golden_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
