/* Devices: the scratch stack and its peak, the dry walk, the sticky error, the stop callback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/half.h"
#include "kernels/ops.h"

static const char *const backends[] = {"ref", "cpu"};
enum { BACKENDS = sizeof backends / sizeof *backends };

static dev *open_dev(const char *backend, size_t scratch_bytes, bool dry)
{
    char why[256] = "";
    dev_options o = {.backend = backend, .threads = 1, .scratch_bytes = scratch_bytes, .dry = dry};
    dev *d = dev_new(&o, why);
    if (!d)
        fail_msg("%s", why);
    return d;
}

static void test_arena(void **state)
{
    (void)state;
    arena a;
    bool ok;
    assert_true(arena_init(&a, 1000, false));
    char *first = arena_take(&a, 1, &ok);
    assert_true(ok && (uintptr_t)first % ARENA_ALIGN == 0);
    char *second = arena_take(&a, 65, &ok);
    assert_true(ok);
    assert_int_equal(second - first, ARENA_ALIGN);
    assert_int_equal(a.used, 3 * ARENA_ALIGN);
    assert_null(arena_take(&a, 1000 - 3 * ARENA_ALIGN, &ok)); /* would need the rounding, too */
    assert_false(ok);
    assert_null(arena_take(&a, SIZE_MAX - 10, &ok)); /* must not wrap round */
    assert_false(ok);
    assert_int_equal(a.used, 3 * ARENA_ALIGN);
    arena_release(&a, ARENA_ALIGN);
    assert_ptr_equal(arena_take(&a, 10, &ok), second);
    assert_int_equal(a.peak, 3 * ARENA_ALIGN);
    arena_done(&a);
    assert_null(a.base);
}

static void test_dry_arena(void **state)
{
    (void)state;
    arena a;
    bool ok;
    assert_true(arena_init(&a, 10, true));
    assert_null(arena_take(&a, (size_t)1 << 45, &ok)); /* counts past any capacity */
    assert_true(ok);
    assert_int_equal(a.peak, (size_t)1 << 45);
    arena_done(&a);
}

static void test_bad_options(void **state)
{
    (void)state;
    char why[256] = "";
    assert_null(dev_new(&(dev_options){.backend = "gpu"}, why));
    assert_string_equal(why, "backend is \"gpu\", expected \"cpu\", \"cuda\" or \"ref\"");
    setenv("OVERPAINT_MODULES", "/nowhere", 1);
    assert_null(dev_new(&(dev_options){.backend = "cuda"}, why));
    assert_non_null(strstr(why, "there is no /nowhere/overpaint-cuda.so"));
    assert_int_equal(dev_count("cuda", why), -1);
    unsetenv("OVERPAINT_MODULES");
    if (dev_count("cuda", why) < 0) /* no module, or the real one without a driver */
        assert_true(strstr(why, "there is no ") || strstr(why, "no CUDA device can be used: "));
    assert_int_equal(dev_count("cpu", why), 0);
    assert_null(dev_new(&(dev_options){.backend = "cpu", .threads = -1}, why));
    assert_string_equal(why, "threads is -1, expected 0 to 1024");
    dev *none = NULL;
    dev_free(&none);
}

static void test_names(void **state)
{
    (void)state;
    dev *d = dev_new(&(dev_options){.backend = "ref", .ordinal = 3}, NULL);
    assert_string_equal(d->name, "ref:3");
    assert_string_equal(d->class_name, "ref");
    assert_true(d->options.threads >= 1);
    assert_true(d->options.scratch_bytes > 0);
    dev_free(&d);
    assert_null(d);
}

static void test_marks_and_peak(void **state)
{
    (void)state;
    dev *d = open_dev("ref", 1 << 20, false);
    tensor a = dev_tensor(d, F32, 1, 1, 1, 16);
    size_t mark = dev_mark(d);
    tensor b = dev_tensor(d, U8, 1, 2, 3, 5);
    assert_true((uintptr_t)a.data % ARENA_ALIGN == 0 && (uintptr_t)b.data % ARENA_ALIGN == 0);
    assert_int_equal(d->counters.scratch_peak, 128);
    dev_release(d, mark);
    tensor c = dev_tensor(d, F32, 1, 1, 1, 1);
    assert_ptr_equal(b.data, c.data);
    assert_int_equal(d->counters.scratch_peak, 128);
    dev_release(d, mark);
    dev_reset_peak(d);
    assert_int_equal(d->counters.scratch_peak, 64);
    dev_free(&d);
}

static void test_keep(void **state)
{
    (void)state;
    for (int dry = 0; dry <= 1; dry++) {
        dev *d = open_dev("ref", 64, dry);
        tensor t = dev_keep(d, F32, 2, 3, 4, 5);
        assert_int_equal(tensor_count(t), 120);
        assert_int_equal(d->counters.scratch_peak, 0);
        float in[120], out[120] = {0};
        for (int i = 0; i < 120; i++)
            in[i] = (float)i;
        if (!dry) {
            assert_int_equal((uintptr_t)t.data % ARENA_ALIGN, 0);
            assert_memory_equal(t.data, out, sizeof out);
        }
        dev_upload(d, t, in);
        dev_download(d, out, t);
        assert_true(out[119] == (dry ? 0 : 119));
        dev_drop(d, &t);
        assert_false(tensor_given(t));
        dev_drop(d, &t);
        dev_free(&d);
    }
}

/* A small network with every op that takes scratch. */
static tensor walk(dev *d, arena *weights)
{
    static const float ones[64 * 64 * 9];
    bool dry = d->options.dry;
    weight w3 = {.out = 32, .in = 64, .k = 3}, w1 = {.out = 64, .in = 32, .k = 1};
    op_pack(d, &w3, weights, dry ? NULL : ones, F32, 1);
    op_pack(d, &w1, weights, dry ? NULL : ones, F32, 1);
    size_t mark = dev_mark(d);
    tensor x = dev_tensor(d, F32, 2, 7, 9, 64), scale = dev_tensor(d, F32, 1, 1, 1, 64);
    if (x.data && scale.data) {
        memset(x.data, 0, tensor_bytes(x));
        memset(scale.data, 0, tensor_bytes(scale));
    }
    tensor h = op_group_norm(d, NEW, x, scale, scale, (group_norm_options){.act = ACT_SILU});
    h = op_conv2d(d, NEW, h, &w3, (conv2d_options){0});
    h = op_linear(d, NEW, h, &w1, (conv2d_options){.residual = x, .act = ACT_GELU});
    tensor t = tensor_reshape(h, 2, 1, 63, 64);
    h = op_attention(d, NEW, t, t, t, 2, false, NULL);
    h = op_geglu(d, NEW, h);
    dev_release(d, mark);
    return h;
}

static void test_dry_peak_is_the_real_one(void **state)
{
    (void)state;
    for (int i = 0; i < BACKENDS; i++) {
        size_t peak[2], bytes[2];
        double flops[2];
        for (int dry = 0; dry <= 1; dry++) {
            dev *d = open_dev(backends[i], 1 << 28, dry);
            arena weights;
            assert_true(arena_init(&weights, 1 << 24, dry));
            tensor y = walk(d, &weights);
            assert_int_equal(d->status, DEV_OK);
            assert_int_equal(tensor_count(y), 2 * 63 * 32);
            assert_true((y.data == NULL) == dry);
            assert_int_equal(d->counters.ops, 7);
            peak[dry] = d->counters.scratch_peak;
            flops[dry] = d->counters.flops;
            bytes[dry] = weights.peak;
            arena_done(&weights);
            dev_free(&d);
        }
        assert_int_equal(peak[0], peak[1]);
        assert_int_equal(bytes[0], bytes[1]);
        double conv = 2.0 * 126 * 32 * 64 * 9 + 2.0 * 126 * 64 * 32, products = 4.0 * 2 * 63 * 63;
        assert_true(flops[0] == flops[1] && flops[0] == conv + products * 64);
    }
}

static void test_sticky_error(void **state)
{
    (void)state;
    for (int i = 0; i < BACKENDS; i++) {
        dev *d = open_dev(backends[i], 1 << 16, false); /* too little */
        arena weights;
        assert_true(arena_init(&weights, 1 << 24, false));
        tensor y = walk(d, &weights);
        assert_int_equal(d->status, DEV_NO_MEMORY);
        assert_non_null(strstr(d->error, "do not fit into 65536"));
        assert_null(y.data);
        assert_int_equal(tensor_count(y), 2 * 63 * 32); /* shapes go on, so callers need no tests */
        assert_int_equal(d->scratch.used, 0);
        char first[256];
        memcpy(first, d->error, sizeof first);
        dev_fail(d, DEV_BROKEN, "later");
        assert_string_equal(d->error, first);
        uint64_t ops = d->counters.ops;
        op_activate(d, NEW, dev_tensor(d, F32, 1, 1, 1, 1), ACT_SILU);
        assert_int_equal(d->counters.ops, ops);
        dev_clear(d);
        tensor z = dev_tensor(d, F32, 1, 1, 1, 1);
        assert_non_null(z.data);
        assert_int_equal(d->status, DEV_OK);
        arena_done(&weights);
        dev_free(&d);
    }
}

static void test_weights_beyond_their_arena(void **state)
{
    (void)state;
    for (int i = 0; i < BACKENDS; i++) {
        dev *d = open_dev(backends[i], 1 << 28, false);
        arena weights;
        assert_true(arena_init(&weights, 4096, false));
        walk(d, &weights);
        assert_int_equal(d->status, DEV_NO_MEMORY);
        assert_non_null(strstr(d->error, "weights"));
        arena_done(&weights);
        dev_free(&d);
    }
}

static bool stop_at_zero(void *left)
{
    return (*(int *)left)-- == 0;
}

static void test_stop(void **state)
{
    (void)state;
    dev *d = open_dev("ref", 1 << 28, false);
    arena weights;
    assert_true(arena_init(&weights, 1 << 24, false));
    int left = 3;
    d->stop = stop_at_zero;
    d->stop_arg = &left;
    walk(d, &weights);
    assert_int_equal(d->status, DEV_STOPPED);
    assert_int_equal(d->counters.ops, 3);
    assert_int_equal(left, -1); /* not asked again */
    arena_done(&weights);
    dev_free(&d);
}

static void test_half(void **state)
{
    (void)state;
    static const struct {
        uint16_t bits;
        float f16, bf16;
    } rows[] = {
        {0x0000, 0, 0},
        {0x0001, 0x1p-24f, 0x1p-133f},
        {0x03ff, 0x3ffp-24f, 0x1.fep-120f},
        {0x3c00, 1, 0x1p-7f},
        {0xc000, -2, -2},
        {0x7bff, 65504, 0x1.fep120f},
        {0x8001, -0x1p-24f, -0x1p-133f},
        {0x3555, 0x1.554p-2f, 0x1.aap-21f},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(f16_to_float(rows[i].bits) == rows[i].f16);
        assert_true(bf16_to_float(rows[i].bits) == rows[i].bf16);
    }
    assert_true(f16_to_float(0x7c00) == __builtin_inff());
    assert_true(f16_to_float(0xfc00) == -__builtin_inff());
    assert_true(f16_to_float(0x7e01) != f16_to_float(0x7e01));
    assert_true(bf16_to_float(0x7f80) == __builtin_inff());
    unsigned char odd[9] = {0, 0, 0, 0x80, 0xbf, 0x00, 0xc0, 0x3f, 0x3c};
    assert_true(load_float(odd + 1, F32, 0) == -1);
    assert_true(load_float(odd + 1, F16, 1) == f16_to_float(0xbf80));
    assert_true(load_float(odd + 3, BF16, 1) == bf16_to_float(0xc000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_dry_arena),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_marks_and_peak),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_dry_peak_is_the_real_one),
        cmocka_unit_test(test_sticky_error),
        cmocka_unit_test(test_weights_beyond_their_arena),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
