/* Every backend's operations against an independent implementation (tests/golden, PyTorch). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/ops.h"
#include "tests/support/golden.h"

static const double TOLERANCE = 2e-6;
/* PyTorch's vectorised exp is one unit in the last place off at 2 of the 160 frequencies, which
 * t = 999 makes 3e-6 of the whole (and the formula without rounding is 5.6e-6 away). */
static const double TIMESTEP_TOLERANCE = 4e-6;

/* One device, the file, and where weights go. */
typedef struct {
    dev *d;
    checkpoint *file;
    arena weights;
} bench;

static bench bench_open(dev_options o)
{
    bench b = {.file = golden_open("ops.safetensors")};
    char why[256] = "";
    o.threads = 2;
    o.scratch_bytes = 1 << 28;
    b.d = dev_new(&o, why);
    if (!b.d)
        fail_msg("%s", why);
    assert_true(arena_init(&b.weights, 1 << 26, false));
    return b;
}

static void bench_close(bench *b)
{
    assert_int_equal(b->d->status, DEV_OK);
    arena_done(&b->weights);
    dev_free(&b->d);
    checkpoint_free(&b->file);
}

/* "<name>/<part>" as the file has it: dim[] in its order. */
static float *part(const bench *b, const char *name, const char *which, int64_t dim[4])
{
    return golden_floats(b->file, dim, "%s/%s", name, which);
}

static tensor scratch_copy(bench *b, const float *x, int64_t n, int64_t h, int64_t w, int64_t c)
{
    tensor t = dev_tensor(b->d, F32, n, h, w, c);
    dev_upload(b->d, t, x);
    return t;
}

/* NCHW part as a tensor [n,h,w,c]. */
static tensor picture(bench *b, const char *name, const char *which)
{
    int64_t dim[4];
    float *x = part(b, name, which, dim);
    float *y = golden_nhwc(x, dim[0], dim[1], dim[2], dim[3]);
    tensor t = scratch_copy(b, y, dim[0], dim[2], dim[3], dim[1]);
    free(x);
    free(y);
    return t;
}

/* A part of one or two dimensions as rows [1,1,rows,c]. */
static tensor rows(bench *b, const char *name, const char *which)
{
    int64_t dim[4];
    float *x = part(b, name, which, dim);
    tensor t = dim[1] == 1 ? scratch_copy(b, x, 1, 1, 1, dim[0])
                           : scratch_copy(b, x, 1, 1, dim[0], dim[1]);
    free(x);
    return t;
}

/* Attention's [n,heads,t,d] as [n,1,t,heads*d]: heads are channels there, t*d the pixels. */
static tensor heads(bench *b, const char *name, const char *which, int *count)
{
    int64_t dim[4];
    float *x = part(b, name, which, dim);
    tensor t = dev_tensor(b->d, F32, dim[0], 1, dim[2], dim[1] * dim[3]);
    float *to = t.data;
    for (int64_t n = 0; n < dim[0]; n++)
        for (int64_t h = 0; h < dim[1]; h++)
            for (int64_t i = 0; i < dim[2]; i++)
                memcpy(to + ((n * dim[2] + i) * dim[1] + h) * dim[3],
                       x + ((n * dim[1] + h) * dim[2] + i) * dim[3], (size_t)dim[3] * sizeof *x);
    *count = (int)dim[1];
    free(x);
    return t;
}

static void expect_within(const bench *b, const char *name, tensor got, tensor wanted,
                          double tolerance)
{
    assert_true(tensor_same_shape(got, wanted));
    double distance = golden_distance(got.data, wanted.data, tensor_count(wanted));
    if (!(distance <= tolerance))
        fail_msg("%s on %s: relative L2 %.3g, expected at most %.3g", name, b->d->class_name,
                 distance, tolerance);
}

static void expect(const bench *b, const char *name, tensor got, tensor wanted)
{
    expect_within(b, name, got, wanted, TOLERANCE);
}

/* The weight "<name>/weight", packed. */
static weight matrix(bench *b, const char *name, int stride)
{
    int64_t dim[4];
    float *x = part(b, name, "weight", dim);
    weight w = {.out = dim[0], .in = dim[1], .k = (int)dim[2]};
    op_pack(b->d, &w, &b->weights, x, F32, stride);
    free(x);
    return w;
}

static void convolutions(bench *b)
{
    static const struct {
        const char *name;
        int stride;
        bool pad_after;
    } cases[] = {
        {"conv2d/3x3", 1, false},     {"conv2d/1x1", 1, false},
        {"conv2d/stride2", 2, false}, {"conv2d/stride2-pad-right-bottom", 2, true},
        {"conv2d/in4", 1, false},     {"conv2d/out3", 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *name = cases[i].name;
        weight w = matrix(b, name, cases[i].stride);
        conv2d_options o = {.bias = rows(b, name, "bias"),
                            .stride = cases[i].stride,
                            .pad_after = cases[i].pad_after};
        tensor y = op_conv2d(b->d, NEW, picture(b, name, "x"), &w, o);
        expect(b, name, y, picture(b, name, "y"));
    }
    weight w = matrix(b, "linear", 1);
    conv2d_options o = {.bias = rows(b, "linear", "bias")};
    expect(b, "linear", op_linear(b->d, NEW, rows(b, "linear", "x"), &w, o),
           rows(b, "linear", "y"));
}

static void norms(bench *b)
{
    static const struct {
        const char *name;
        double eps;
        activation act;
    } cases[] = {
        {"group_norm/64", 1e-5, ACT_NONE},
        {"group_norm/96-eps6", 1e-6, ACT_NONE},
        {"group_norm_silu/64", 1e-5, ACT_SILU},
        {"group_norm_silu/96-eps6", 1e-6, ACT_SILU},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *name = cases[i].name;
        group_norm_options o = {.eps = cases[i].eps, .act = cases[i].act};
        tensor y = op_group_norm(b->d, NEW, picture(b, name, "x"), rows(b, name, "weight"),
                                 rows(b, name, "bias"), o);
        expect(b, name, y, picture(b, name, "y"));
    }
    tensor y = op_layer_norm(b->d, NEW, rows(b, "layer_norm", "x"), rows(b, "layer_norm", "weight"),
                             rows(b, "layer_norm", "bias"), 1e-5);
    expect(b, "layer_norm", y, rows(b, "layer_norm", "y"));
}

static void attentions(bench *b)
{
    static const char *const names[] = {"attention/self", "attention/cross", "attention/causal",
                                        "attention/wide"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int count;
        tensor q = heads(b, names[i], "q", &count), k = heads(b, names[i], "k", &count);
        tensor v = heads(b, names[i], "v", &count), wanted = heads(b, names[i], "y", &count);
        bool causal = strcmp(names[i], "attention/causal") == 0;
        expect(b, names[i], op_attention(b->d, NEW, q, k, v, count, causal, NULL), wanted);
    }
}

static void pointwise(bench *b)
{
    static const struct {
        const char *name;
        activation act;
    } cases[] = {{"silu", ACT_SILU}, {"gelu_erf", ACT_GELU}, {"quick_gelu", ACT_QUICK_GELU}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tensor y = op_activate(b->d, NEW, rows(b, cases[i].name, "x"), cases[i].act);
        expect(b, cases[i].name, y, rows(b, cases[i].name, "y"));
    }
    expect(b, "geglu", op_geglu(b->d, NEW, rows(b, "geglu", "x")), rows(b, "geglu", "y"));
    static const char *const sizes[] = {"upsample2", "resize_nearest"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        tensor wanted = picture(b, sizes[i], "y");
        tensor y =
            op_resize_nearest(b->d, NEW, picture(b, sizes[i], "x"), wanted.dim[1], wanted.dim[2]);
        expect(b, sizes[i], y, wanted);
    }
}

static void timesteps(bench *b)
{
    int64_t dim[4];
    float *t = part(b, "timestep_embedding", "t", dim);
    double timestep[16];
    assert_true(dim[0] <= 16);
    for (int64_t i = 0; i < dim[0]; i++)
        timestep[i] = t[i];
    tensor wanted = rows(b, "timestep_embedding", "y");
    tensor y = op_timestep_embedding(b->d, NEW, timestep, dim[0], wanted.dim[3]);
    expect_within(b, "timestep_embedding", tensor_reshape(y, 1, 1, dim[0], wanted.dim[3]), wanted,
                  TIMESTEP_TOLERANCE);
    free(t);
}

static void all_against_golden(dev_options o)
{
    static void (*const families[])(bench *) = {convolutions, norms, attentions, pointwise,
                                                timesteps};
    bench b = bench_open(o);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        size_t mark = dev_mark(b.d);
        families[i](&b);
        dev_release(b.d, mark);
    }
    bench_close(&b);
}

static void test_ref(void **state)
{
    (void)state;
    all_against_golden((dev_options){.backend = "ref"});
}

static void test_cpu(void **state)
{
    (void)state;
    all_against_golden((dev_options){.backend = "cpu"});
    all_against_golden((dev_options){.backend = "cpu", .isa = "avx2"});
}

static void test_cpu_winograd(void **state)
{
    (void)state;
    all_against_golden((dev_options){.backend = "cpu", .winograd_most = 1 << 20});
    all_against_golden((dev_options){.backend = "cpu", .winograd_most = 1 << 20, .isa = "avx2"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ref), cmocka_unit_test(test_cpu),
                                       cmocka_unit_test(test_cpu_winograd)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
