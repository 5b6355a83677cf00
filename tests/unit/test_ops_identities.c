/* What must hold whatever the numbers are: an option of an op equals the same thing done by hand.
 * Together with the golden data this is what the reference itself rests on. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/ops.h"
#include "tests/support/golden.h"

static const char *const backends[] = {"ref", "cpu"};
enum { BACKENDS = sizeof backends / sizeof *backends };

static void setup(dev **d, arena *weights, const char *backend)
{
    char why[256] = "";
    dev_options o = {.backend = backend, .threads = 2, .scratch_bytes = 1 << 28};
    *d = dev_new(&o, why);
    if (!*d)
        fail_msg("%s", why);
    assert_true(arena_init(weights, 1 << 24, false));
}

static void teardown(dev **d, arena *weights)
{
    assert_int_equal((*d)->status, DEV_OK);
    arena_done(weights);
    dev_free(d);
}

/* Some numbers between -1 and 1. */
static tensor numbers(dev *d, int64_t n, int64_t h, int64_t w, int64_t c)
{
    static const uint32_t multiplier = 2654435761u;
    tensor t = dev_tensor(d, F32, n, h, w, c);
    float *x = t.data;
    for (int64_t i = 0; i < tensor_count(t); i++)
        x[i] = (float)(int32_t)((uint32_t)(i + 1) * (uint32_t)(c + h) * multiplier) * 0x1p-31f;
    return t;
}

/* Channels of a and b side by side. */
static tensor side_by_side(dev *d, tensor a, tensor b)
{
    int64_t ca = a.dim[3], cb = b.dim[3], c = ca + cb;
    tensor t = dev_tensor(d, F32, a.dim[0], a.dim[1], a.dim[2], c);
    for (int64_t i = 0; i < tensor_count(t) / c; i++) {
        memcpy((float *)t.data + i * c, (float *)a.data + i * ca, (size_t)ca * sizeof(float));
        memcpy((float *)t.data + i * c + ca, (float *)b.data + i * cb, (size_t)cb * sizeof(float));
    }
    return t;
}

static void expect_near(tensor got, tensor wanted)
{
    assert_true(tensor_same_shape(got, wanted));
    assert_true(golden_distance(got.data, wanted.data, tensor_count(wanted)) <= 1e-6);
}

static void expect_equal(tensor got, tensor wanted)
{
    assert_true(tensor_same_shape(got, wanted));
    assert_memory_equal(got.data, wanted.data, tensor_bytes(wanted));
}

static weight packed(dev *d, arena *to, int64_t out, int64_t in, int k)
{
    weight w = {.out = out, .in = in, .k = k};
    op_pack(d, &w, to, numbers(d, out, in, k, k).data, F32, 1);
    return w;
}

static void test_convolution(void **state)
{
    (void)state;
    for (int i = 0; i < BACKENDS; i++) {
        dev *d;
        arena to;
        setup(&d, &to, backends[i]);
        tensor x = numbers(d, 2, 5, 6, 24), x2 = numbers(d, 2, 5, 6, 10);
        tensor both = side_by_side(d, x, x2);
        weight w = packed(d, &to, 20, 34, 3);
        tensor bias = numbers(d, 1, 1, 1, 20), residual = numbers(d, 2, 5, 6, 20);
        tensor plain = op_conv2d(d, NEW, both, &w, (conv2d_options){0});
        expect_near(op_conv2d(d, NEW, x, &w, (conv2d_options){.x2 = x2}), plain);

        tensor hand = op_add(d, NEW, plain, numbers(d, 1, 5, 6, 20)); /* another addend: differs */
        assert_true(golden_distance(hand.data, plain.data, tensor_count(plain)) > 0.01);
        hand = dev_tensor(d, F32, 2, 5, 6, 20);
        for (int64_t j = 0; j < tensor_count(hand); j++)
            ((float *)hand.data)[j] = ((float *)plain.data)[j] + ((float *)bias.data)[j % 20];
        hand = op_add(d, NEW, op_activate(d, NEW, hand, ACT_SILU), residual);
        conv2d_options all = {.x2 = x2, .bias = bias, .residual = residual, .act = ACT_SILU};
        expect_near(op_conv2d(d, NEW, x, &w, all), hand);
        op_conv2d(d, &residual, x, &w, all); /* in place of the residual */
        expect_near(residual, hand);
        teardown(&d, &to);
    }
}

/* Of an enlarged picture: as if it had been enlarged before. */
static void test_doubled_convolution(void **state)
{
    (void)state;
    for (int i = 0; i < BACKENDS; i++) {
        dev *d;
        arena to;
        setup(&d, &to, backends[i]);
        tensor x = numbers(d, 2, 5, 3, 24), bias = numbers(d, 1, 1, 1, 20);
        weight w = packed(d, &to, 20, 24, 3);
        conv2d_options o = {.bias = bias, .act = ACT_LEAKY_RELU};
        tensor wanted = op_conv2d(d, NEW, op_resize_nearest(d, NEW, x, 10, 6), &w, o);
        const size_t used = dev_mark(d);
        o.doubled = true;
        tensor got = op_conv2d(d, NEW, x, &w, o);
        expect_equal(got, wanted);
        assert_true(dev_mark(d) - used < 2 * tensor_bytes(got)); /* nothing else is kept */
        teardown(&d, &to);
    }
}

/* A pixel of a 3x3 convolution sees its neighbours the right way round. */
static void test_filter_orientation(void **state)
{
    (void)state;
    for (int i = 0; i < BACKENDS; i++) {
        dev *d;
        arena to;
        setup(&d, &to, backends[i]);
        float up_left[9] = {1};
        weight w = {.out = 1, .in = 1, .k = 3};
        op_pack(d, &w, &to, up_left, F32, 1);
        tensor x = numbers(d, 1, 4, 3, 1);
        tensor y = op_conv2d(d, NEW, x, &w, (conv2d_options){0});
        for (int64_t at = 0; at < 12; at++) {
            int64_t row = at / 3, column = at % 3;
            float wanted = row && column ? ((float *)x.data)[at - 4] : 0;
            assert_true(((float *)y.data)[at] == wanted);
        }
        teardown(&d, &to);
    }
}

static void test_group_norm(void **state)
{
    (void)state;
    for (int i = 0; i < BACKENDS; i++) {
        dev *d;
        arena to;
        setup(&d, &to, backends[i]);
        tensor x = numbers(d, 2, 5, 6, 40), x2 = numbers(d, 2, 5, 6, 24);
        tensor scale = numbers(d, 1, 1, 1, 64), shift = numbers(d, 1, 1, 1, 64);
        tensor add = numbers(d, 2, 1, 1, 64);
        tensor both = side_by_side(d, x, x2);
        group_norm_options o = {.x2 = x2};
        expect_near(op_group_norm(d, NEW, x, scale, shift, o),
                    op_group_norm(d, NEW, both, scale, shift, (group_norm_options){0}));
        o = (group_norm_options){.x2 = x2, .add = add, .act = ACT_SILU, .groups = 8};
        tensor got = op_group_norm(d, NEW, x, scale, shift, o);
        for (int64_t j = 0; j < tensor_count(both); j++)
            ((float *)both.data)[j] += ((float *)add.data)[j / (30 * 64) * 64 + j % 64];
        o = (group_norm_options){.groups = 8};
        tensor hand = op_group_norm(d, NEW, both, scale, shift, o);
        expect_near(got, op_activate(d, NEW, hand, ACT_SILU));
        teardown(&d, &to);
    }
}

static tensor first_tokens(dev *d, tensor x, int64_t t)
{
    tensor y = dev_tensor(d, F32, x.dim[0], 1, t, x.dim[3]);
    for (int64_t i = 0; i < x.dim[0]; i++)
        memcpy(tensor_sample(y, i).data, tensor_sample(x, i).data, tensor_bytes(y) / x.dim[0]);
    return y;
}

static void test_attention(void **state)
{
    (void)state;
    for (int i = 0; i < BACKENDS; i++) {
        dev *d;
        arena to;
        setup(&d, &to, backends[i]);
        tensor q = numbers(d, 2, 1, 9, 48), k = numbers(d, 2, 1, 20, 48);
        tensor v = op_activate(d, NEW, k, ACT_GELU);
        int32_t keys[] = {13, 13}, one[] = {1, 1};
        tensor limited = op_attention(d, NEW, q, k, v, 3, false, keys);
        expect_near(limited, op_attention(d, NEW, q, first_tokens(d, k, 13), first_tokens(d, v, 13),
                                          3, false, NULL));
        /* One key: its value, whatever the query. */
        tensor y = op_attention(d, NEW, q, k, v, 3, false, one);
        for (int64_t t = 0; t < 9; t++)
            assert_memory_equal((float *)y.data + t * 48, v.data, 48 * sizeof(float));
        /* Causal: query j is query j over its first j + 1 keys. */
        tensor causal = op_attention(d, NEW, q, k, v, 3, true, NULL);
        for (int32_t t = 0; t < 9; t++) {
            int32_t seen[] = {t + 1, t + 1};
            tensor some = op_attention(d, NEW, q, k, v, 3, false, seen);
            double off =
                golden_distance((float *)causal.data + t * 48, (float *)some.data + t * 48, 48);
            assert_true(off <= 1e-6);
        }
        teardown(&d, &to);
    }
}

static void test_text(void **state)
{
    (void)state;
    dev *d;
    arena to;
    setup(&d, &to, "ref");
    static const uint16_t half[] = {0x3c00, 0xc000, 0x3800, 0x0000, 0x4200, 0x3400}; /* 3 rows */
    float position[] = {10, 20, 30, 40};
    const int32_t ids[] = {2, 0, 1, 2};
    tensor table = tensor_of((void *)half, F16, 1, 1, 3, 2);
    tensor y = op_embed(d, NEW, ids, 2, table, tensor_of(position, F32, 1, 1, 2, 2));
    static const float wanted[] = {13, 20.25f, 31, 38, 10.5f, 20, 33, 40.25f};
    expect_equal(y, tensor_of((void *)wanted, F32, 2, 1, 2, 2));

    double weights[] = {1, 1, 1, 1};
    op_emphasis(d, y, weights);
    expect_equal(y, tensor_of((void *)wanted, F32, 2, 1, 2, 2));
    weights[1] = 3;
    double before = 0, after = 0;
    for (int i = 0; i < 8; i++)
        before += wanted[i];
    op_emphasis(d, y, weights);
    const float *x = y.data;
    for (int i = 0; i < 8; i++)
        after += x[i];
    assert_float_equal(after, before, 1e-4);
    assert_float_equal(x[2] / x[0], 3 * wanted[2] / wanted[0], 1e-5);
    memset(weights, 0, sizeof weights);
    op_emphasis(d, y, weights);
    for (int i = 0; i < 8; i++)
        assert_true(x[i] == 0); /* not NaN */
    teardown(&d, &to);
}

/* One Euler step with guidance 7, by hand; the UNet's next input; the part under a mask. */
static void test_step(void **state)
{
    (void)state;
    dev *d;
    arena to;
    setup(&d, &to, "ref");
    float x[] = {1, 2}, cond[] = {3, -1}, uncond[] = {2, 1}, past[] = {5, 6}, init[] = {100, 200};
    float mask[] = {0, 0.5f}, denoised[2], input[2];
    step_row r = {
        .x = tensor_of(x, F32, 1, 1, 2, 1),
        .prediction = {tensor_of(cond, F32, 1, 1, 2, 1), tensor_of(uncond, F32, 1, 1, 2, 1)},
        .history = {tensor_of(past, F32, 1, 1, 2, 1)},
        .init = tensor_of(init, F32, 1, 1, 2, 1),
        .mask = tensor_of(mask, F32, 1, 1, 2, 1),
        .denoised = tensor_of(denoised, F32, 1, 1, 2, 1),
        .input = tensor_of(input, F32, 1, 1, 2, 1),
        .coef_x = {[STEP_X] = 1, [STEP_PREDICTION] = 7, [STEP_PREDICTION + 1] = -6},
        .coef_history = {{[STEP_X] = 1, [STEP_PAST] = 2}},
        .coef_denoised = {[STEP_PAST] = 1, [STEP_INIT] = 0.5f},
        .stored = {true},
        .input_scale = 2,
        .hold = {[STEP_HOLD_X] = {.on = true, .init = 1, .exponent = 1}}};
    op_step(d, 1, &r);
    /* x' = 1 + 21 - 12 = 10 and 2 - 7 - 6 = -11; then 100 where the mask is 0, half way at 0.5 */
    assert_true(x[0] == 100 && x[1] == 200 + 0.5f * (-11 - 200));
    assert_true(past[0] == 1 + 10 && past[1] == 2 + 12); /* from the old x and the old history */
    assert_true(denoised[0] == 5 + 50 && denoised[1] == 6 + 100);
    assert_true(input[0] == 200 && input[1] == 2 * x[1]);
    teardown(&d, &to);
}

enum { HELD = 3 * 4 }; /* 3 pixels of 4 channels */

typedef struct {
    float x[HELD], eps[HELD], past[HELD], init[HELD], noise[HELD], denoised[HELD], input[HELD];
} held_values;

/* Random values, the same for the same seed; past, denoised and input are results too. */
static held_values some_held(uint32_t seed)
{
    held_values v;
    float *at[] = {v.x, v.eps, v.past, v.init, v.noise, v.denoised, v.input};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        for (int k = 0; k < HELD; k++) {
            seed = seed * 1664525 + 1013904223;
            at[i][k] = (float)(seed >> 8) / (1 << 22) - 2;
        }
    return v;
}

/* An Euler step from sigma 3 to 2 that stores its x0 prediction, with holds. */
static void step_held(dev *d, held_values *v, float *mask, const step_hold hold[STEP_HOLDS])
{
    step_row r = {.x = tensor_of(v->x, F32, 1, 1, 3, 4),
                  .prediction = {tensor_of(v->eps, F32, 1, 1, 3, 4)},
                  .history = {tensor_of(v->past, F32, 1, 1, 3, 4)},
                  .init = tensor_of(v->init, F32, 1, 1, 3, 4),
                  .noise = tensor_of(v->noise, F32, 1, 1, 3, 4),
                  .mask = tensor_of(mask, F32, 1, 1, 3, 1),
                  .denoised = tensor_of(v->denoised, F32, 1, 1, 3, 4),
                  .input = tensor_of(v->input, F32, 1, 1, 3, 4),
                  .coef_x = {[STEP_X] = 1, [STEP_PREDICTION] = -1},
                  .coef_history = {{[STEP_X] = 1, [STEP_PREDICTION] = -3}},
                  .coef_denoised = {[STEP_X] = 1, [STEP_PREDICTION] = -3},
                  .stored = {true},
                  .input_scale = 0.25f};
    memcpy(r.hold, hold, sizeof r.hold);
    if (hold[STEP_HOLD_DENOISED].on) {
        r.coef_x[STEP_CHANGE] = (float)(-1.0 / -3);
        r.coef_history[0][STEP_CHANGE] = 1;
    }
    op_step(d, 1, &r);
}

/* Where everything is repainted, holds change no bit. */
static void test_step_all_repainted(void **state)
{
    (void)state;
    dev *d;
    arena to;
    setup(&d, &to, "ref");
    const step_hold none[STEP_HOLDS] = {0};
    const step_hold all[STEP_HOLDS] = {{.on = true, .init = 1, .exponent = 3},
                                       {.on = true, .init = 1, .exponent = 1},
                                       {.on = true, .init = 0.5f, .noise = 2, .exponent = 0.3}};
    float ones[] = {1, 1, 1};
    for (uint32_t seed = 0; seed < 100; seed++) {
        held_values free_one = some_held(seed), held = some_held(seed);
        step_held(d, &free_one, ones, none);
        step_held(d, &held, ones, all);
        assert_memory_equal(&held, &free_one, sizeof held);
    }
    teardown(&d, &to);
}

/* One hold at a time, by its definition, under masks of 0, 0.25 (made 0.5 by the exponent), 1. */
static void test_step_holds(void **state)
{
    (void)state;
    dev *d;
    arena to;
    setup(&d, &to, "ref");
    float mask[] = {0, 0.25f, 1};
    for (int target = 0; target < STEP_HOLDS; target++) {
        step_hold hold[STEP_HOLDS] = {0};
        held_values was = some_held(7), v = was;
        hold[target] = (step_hold){.on = true, .init = 0.5f, .noise = 2, .exponent = 0.5};
        step_held(d, &v, mask, hold);
        for (int i = 0; i < HELD; i++) {
            const double m = sqrt(mask[i / 4]), known = 0.5 * was.init[i] + 2 * was.noise[i];
            double denoised = was.x[i] - 3.0 * was.eps[i], eps = was.eps[i];
            if (target == STEP_HOLD_DENOISED) {
                denoised = (1 - m) * known + m * denoised;
                eps = (was.x[i] - denoised) / 3;
            }
            double x = was.x[i] - eps;
            if (target == STEP_HOLD_X)
                x = (1 - m) * known + m * x;
            double input = x * 0.25;
            if (target == STEP_HOLD_INPUT)
                input = (1 - m) * known + m * input;
            assert_float_equal(v.x[i], x, 2e-6);
            assert_float_equal(v.past[i], denoised, 2e-6);
            assert_float_equal(v.denoised[i], denoised, 2e-6);
            assert_float_equal(v.input[i], input, 2e-6);
        }
    }
    teardown(&d, &to);
}

/* A hold to the init with contrast: the direction of the mix, a length between the two. */
static void test_step_contrast(void **state)
{
    (void)state;
    static const double contrasts[] = {1, 4, 32};
    dev *d;
    arena to;
    setup(&d, &to, "ref");
    float mask[] = {0, 0.25f, 1};
    for (int i = 0; i < 3; i++) {
        const double p = contrasts[i];
        step_hold hold[STEP_HOLDS] = {0};
        held_values was = some_held(11), v = was;
        hold[STEP_HOLD_X] = (step_hold){.on = true, .init = 1, .exponent = 0.5, .contrast = p};
        step_held(d, &v, mask, hold);
        for (int pixel = 0; pixel < 3; pixel++) {
            const double m = sqrt(mask[pixel]);
            double mix[4], lengths[3] = {0}; /* of the mix, the init, x' */
            for (int k = 0; k < 4; k++) {
                const double init = was.init[4 * pixel + k];
                const double x = was.x[4 * pixel + k] - (double)was.eps[4 * pixel + k];
                mix[k] = init + m * (x - init);
                lengths[0] += mix[k] * mix[k];
                lengths[1] += init * init;
                lengths[2] += x * x;
            }
            const double wanted =
                pow((1 - m) * pow(lengths[1], p / 2) + m * pow(lengths[2], p / 2), 1 / p) /
                (sqrt(lengths[0]) + 1e-5);
            for (int k = 0; k < 4; k++)
                assert_float_equal(v.x[4 * pixel + k], mix[k] * wanted, 1e-5);
        }
    }
    teardown(&d, &to);
}

static void test_pixels(void **state)
{
    (void)state;
    dev *d;
    arena to;
    setup(&d, &to, "ref");
    uint8_t byte[256 * 3];
    for (int i = 0; i < 256 * 3; i++)
        byte[i] = (uint8_t)(i / 3);
    tensor x = op_pixels_in(d, NEW, tensor_of(byte, U8, 1, 16, 16, 3));
    assert_true(((float *)x.data)[0] == -1 && ((float *)x.data)[256 * 3 - 1] == 1);
    tensor y = op_pixels_out(d, NEW, x);
    for (int i = 0; i < 256 * 3; i++) /* truncation may cost a level, never more */
        assert_in_range(byte[i] - ((uint8_t *)y.data)[i], 0, 1);
    float odd[] = {-5, 5, __builtin_nanf(""), 0, 1e38f, 0.9999999f};
    static const uint8_t wanted[] = {0, 255, 0, 127, 255, 254};
    tensor z = op_pixels_out(d, NEW, tensor_of(odd, F32, 1, 1, 2, 3));
    assert_memory_equal(z.data, wanted, sizeof wanted);

    static const float matrix[4][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0.5f, 0, -1}};
    float latent[] = {0.25f, -1, 2, 0.5f};
    static const uint8_t preview[] = {191, 0, 255};
    z = op_preview(d, NEW, tensor_of(latent, F32, 1, 1, 1, 4), matrix);
    assert_memory_equal(z.data, preview, sizeof preview);
    teardown(&d, &to);
}

static void test_gather_and_finite(void **state)
{
    (void)state;
    dev *d;
    arena to;
    setup(&d, &to, "ref");
    float a[] = {1, 2, 3, 4, 5, 6}, b[] = {7, 8, 9, 10};
    const tensor source[] = {tensor_of(a, F32, 1, 1, 2, 3), tensor_of(b, F32, 1, 1, 2, 2)};
    static const float wanted[] = {0.5f, 1, 2, 2.5f, 3.5f, 4, 4.5f, 5};
    tensor y = op_gather(d, NEW, source, 2, 2, 0.5f);
    expect_equal(y, tensor_of((void *)wanted, F32, 2, 1, 2, 2));
    float wide[] = {0, 0, 9, 0, 0, 9, 0, 0, 9, 0, 0, 9};
    static const float placed[] = {0, 2, 9, 0, 8, 9, 0, 14, 9, 0, 18, 9};
    op_place(d, tensor_of(wide, F32, 2, 1, 2, 3), 1, source, 1, 2);
    assert_memory_equal(wide, placed, sizeof placed);
    bool flag[2] = {false, true};
    ((float *)y.data)[7] = __builtin_inff();
    op_finite(d, y, flag);
    assert_true(flag[0] && !flag[1]);
    teardown(&d, &to);
}

/* Every op that mixes values, on x; whatever it makes of a NaN, the result must not be finite, for
 * that is how broken weights are noticed. */
static tensor mixed(dev *d, const weight *w, tensor x, int which)
{
    tensor ones = numbers(d, 1, 1, 1, 32);
    tensor tokens = tensor_reshape(x, 1, 1, 63, 32), fine = numbers(d, 1, 1, 63, 32);
    switch (which) {
    case 0: return op_conv2d(d, NEW, x, &w[0], (conv2d_options){0});
    case 1: return op_linear(d, NEW, x, &w[1], (conv2d_options){0});
    case 2: return op_group_norm(d, NEW, x, ones, ones, (group_norm_options){.groups = 8});
    case 3: return op_layer_norm(d, NEW, x, ones, ones, 1e-5);
    case 4: return op_attention(d, NEW, tokens, fine, fine, 2, false, NULL);
    case 5: return op_attention(d, NEW, fine, tokens, fine, 2, false, NULL);
    case 6: return op_attention(d, NEW, fine, fine, tokens, 2, false, NULL);
    case 7: return op_geglu(d, NEW, x);
    case 8: return op_add(d, NEW, x, x);
    default: return op_activate(d, NEW, x, (activation)(which - 9));
    }
}

static void not_finite_stays(const char *backend, const char *isa, int winograd_most)
{
    static const float bad[] = {__builtin_nanf(""), __builtin_inff()};
    static const int places[] = {0, 31, 32 * 31 + 17, 32 * 63 - 1};
    char why[256] = "";
    dev_options o = {.backend = backend, .isa = isa, .threads = 2, .winograd_most = winograd_most};
    arena to;
    dev *d = dev_new(&o, why);
    if (!d)
        fail_msg("%s", why);
    assert_true(arena_init(&to, 1 << 24, false));
    const weight w[] = {packed(d, &to, 32, 32, 3), packed(d, &to, 32, 32, 1)};
    for (int which = 0; which < 9 + ACT_COUNT; which++)
        for (int i = 0; i < 8; i++) {
            bool infinite = i % 2, flag = true;
            if (infinite && which >= 2) /* an infinite score or value may well come out finite */
                continue;
            size_t mark = dev_mark(d);
            tensor x = numbers(d, 1, 7, 9, 32);
            ((float *)x.data)[places[i / 2]] = bad[i % 2];
            op_finite(d, mixed(d, w, x, which), &flag);
            if (flag)
                fail_msg("%s, %s: op %d makes a finite result of %f at %d", backend, d->class_name,
                         which, (double)bad[i % 2], places[i / 2]);
            dev_release(d, mark);
        }
    teardown(&d, &to);
}

static void test_not_finite_stays(void **state)
{
    (void)state;
    not_finite_stays("ref", NULL, 0);
    not_finite_stays("cpu", NULL, 0);
    not_finite_stays("cpu", NULL, 1 << 20);
    not_finite_stays("cpu", "avx2", 0);
    not_finite_stays("cpu", "avx2", 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_doubled_convolution),
        cmocka_unit_test(test_filter_orientation),
        cmocka_unit_test(test_group_norm),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_step_all_repainted),
        cmocka_unit_test(test_step_holds),
        cmocka_unit_test(test_step_contrast),
        cmocka_unit_test(test_pixels),
        cmocka_unit_test(test_gather_and_finite),
        cmocka_unit_test(test_not_finite_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
