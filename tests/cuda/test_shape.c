/* How op_conv2d is taken apart into library calls, the names of shapes, and the rule for choices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cuda/choice.h"
#include "tests/cuda/walk.h"

static conv2d_args conv_args(const weight *w, int64_t c)
{
    return (conv2d_args){.x = {.dim = {2, 16, 24, c}}, .w = w, .stride = 1};
}

static void assert_named(const plan_shape *s, const char *expected)
{
    char name[SHAPE_NAME_BYTES];
    plan_shape_name(s, name);
    assert_string_equal(name, expected);
}

static void assert_product(const product_shape *s, const char *expected)
{
    char name[SHAPE_NAME_BYTES];
    product_shape_name(s, name);
    assert_string_equal(name, expected);
}

static void a_3x3_is_one_convolution(void **state)
{
    (void)state;
    conv_call call[SHAPE_CALLS];
    bool unfinished;
    weight w = {.in = 320, .out = 640, .k = 3};
    conv2d_args a = conv_args(&w, 320);
    assert_int_equal(conv_calls(&a, F16, call, &unfinished), 1);
    assert_false(call[0].is_product || call[0].reads_both || unfinished);
    assert_named(&call[0].plan, "conv f16 16x24 320>640 k3 s1");

    a.bias.dim[0] = 1;
    a.stride = 2;
    a.pad_after = true;
    conv_calls(&a, BF16, call, &unfinished);
    assert_named(&call[0].plan, "conv bf16 16x24 320>640 k3 s2 after +bias");
    assert_int_equal(conv_shape_side(&call[0].plan.conv, SHAPE_CONV, 16), 8);
}

static void a_residual_brings_a_bias(void **state)
{
    (void)state;
    conv_call call[SHAPE_CALLS];
    bool unfinished;
    weight w = {.in = 64, .out = 64, .k = 3};
    conv2d_args a = conv_args(&w, 64);
    a.residual.dim[0] = 1;
    conv_calls(&a, F16, call, &unfinished);
    assert_named(&call[0].plan, "conv f16 16x24 64>64 k3 s1 +residual +bias");
    a.act = ACT_SILU; /* comes before the residual: both are left to do */
    conv_calls(&a, F16, call, &unfinished);
    assert_true(unfinished);
    assert_named(&call[0].plan, "conv f16 16x24 64>64 k3 s1");
}

static void the_ends_are_padded(void **state)
{
    (void)state;
    conv_call call[SHAPE_CALLS];
    bool unfinished;
    weight w = {.in = 3, .out = 9, .k = 3};
    conv2d_args a = conv_args(&w, 3);
    conv_calls(&a, F16, call, &unfinished);
    assert_named(&call[0].plan, "conv f16 16x24 8>16 k3 s1");
}

/* What has no whole vectors is finished by us, its residual too. */
static void a_residual_of_few_channels_is_left(void **state)
{
    (void)state;
    conv_call call[SHAPE_CALLS];
    bool unfinished;
    weight w = {.in = 64, .out = 4, .k = 3};
    conv2d_args a = conv_args(&w, 64);
    a.residual.dim[0] = 1;
    assert_int_equal(conv_calls(&a, F16, call, &unfinished), 1);
    assert_true(unfinished);
    assert_named(&call[0].plan, "conv f16 16x24 64>8 k3 s1");
}

/* Its bias is left, and then so is the rest. */
static void an_upsample_reads_the_small_picture(void **state)
{
    (void)state;
    conv_call call[SHAPE_CALLS];
    bool unfinished;
    weight w = {.in = 60, .out = 32, .k = 3, .doubled = true};
    conv2d_args a = conv_args(&w, 60);
    a.doubled = true;
    assert_int_equal(conv_calls(&a, F16, call, &unfinished), 1);
    assert_false(unfinished || call[0].is_product || call[0].reads_both);
    assert_named(&call[0].plan, "upsample f16 16x24 64>32 k4 s2");
    const plan_shape conv = doubling_of(&call[0].plan), back = upsample_of(&conv);
    assert_named(&conv, "conv f16 32x48 64>32 k3 s1 +bias");
    assert_named(&back, "upsample f16 16x24 64>32 k4 s2");
    a.bias.dim[0] = 1;
    conv_calls(&a, F16, call, &unfinished);
    assert_true(unfinished);
    assert_named(&call[0].plan, "upsample f16 16x24 64>32 k4 s2");
    a.bias.dim[0] = 0;
    a.residual.dim[0] = 1;
    conv_calls(&a, F16, call, &unfinished);
    assert_true(unfinished);
}

static void names_of_upsamples_are_told_from_others(void **state)
{
    (void)state;
    assert_true(is_upsample_name("upsample f16 64x96 512>256 k4 s2", F16, 512, 256));
    assert_true(is_upsample_name("upsample bf16 1x1 8>8 k4 s2, rows 16", BF16, 8, 8));
    static const char *const others[] = {"upsample f16 64x96 512>25 k4 s2",
                                         "upsample f16 64x96 51>256 k4 s2",
                                         "upsample bf16 64x96 512>256 k4 s2",
                                         "upsample f16 64 512>256 k4 s2",
                                         "upsample f16 64x96 512>2560 k4 s2",
                                         "conv f16 64x96 512>256 k4 s2",
                                         "upsample",
                                         ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(is_upsample_name(others[i], F16, 512, 256));
}

static void a_1x1_of_two_inputs_is_two_products(void **state)
{
    (void)state;
    conv_call call[SHAPE_CALLS];
    bool unfinished;
    weight w = {.in = 96, .out = 32, .k = 1};
    conv2d_args a = conv_args(&w, 64);
    a.x2 = (tensor){.dim = {2, 16, 24, 32}};
    a.x2_channels = 32;
    a.bias.dim[0] = 1;
    assert_int_equal(conv_calls(&a, F16, call, &unfinished), 2);
    assert_true(call[0].is_product && !call[0].reads_x2 && !call[0].onto);
    assert_true(call[1].is_product && call[1].reads_x2 && call[1].onto);
    assert_product(&call[0].product, "product f16 384 64>32 +bias of 96");
    assert_product(&call[1].product, "product f16 384 32>32 +residual of 96");

    a.x2_channels = 24; /* of wider pixels: side by side first */
    w.in = 88;
    assert_int_equal(conv_calls(&a, F16, call, &unfinished), 1);
    assert_true(call[0].reads_both);
    assert_product(&call[0].product, "product f16 384 88>32 +bias");

    a.x2_channels = 32;
    w.in = 96;
    w.k = 3;
    assert_int_equal(conv_calls(&a, F16, call, &unfinished), 1);
    assert_true(call[0].reads_both);
    assert_named(&call[0].plan, "conv f16 16x24 96>32 k3 s1 +bias");
}

/* Both ways over a small picture of small integers, borders included: the same numbers. */
static void upsampling_is_a_transposed_convolution(void **state)
{
    (void)state;
    enum { H = 3, W = 4 };
    static const float x[H][W] = {{1, -2, 3, 5}, {7, 11, -13, 17}, {-19, 23, 29, 31}};
    static const float w[3][3] = {{1, 10, 100}, {2, 20, 200}, {3, 30, 300}};
    float taps[4][4], transposed[2 * H][2 * W] = {0};
    upsample_taps(w, taps);
    for (int y = 0; y < H; y++)
        for (int c = 0; c < W; c++)
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) {
                    int to = 2 * y - 1 + i, at = 2 * c - 1 + j;
                    if (to >= 0 && to < 2 * H && at >= 0 && at < 2 * W)
                        transposed[to][at] += x[y][c] * taps[i][j];
                }
    for (int y = 0; y < 2 * H; y++)
        for (int c = 0; c < 2 * W; c++) {
            float sum = 0;
            for (int i = -1; i <= 1; i++)
                for (int j = -1; j <= 1; j++)
                    if (y + i >= 0 && y + i < 2 * H && c + j >= 0 && c + j < 2 * W)
                        sum += x[(y + i) / 2][(c + j) / 2] * w[i + 1][j + 1];
            assert_true(sum == transposed[y][c]);
        }
}

static void attention_is_counted(void **state)
{
    (void)state;
    plan_shape s;
    int32_t keys[1] = {77};
    attention_args a = {
        .q = {.dim = {1, 1, 64, 320}}, .k = {.dim = {1, 1, 64, 320}}, .heads = 8, .head = 40};
    assert_true(attention_shape_of(&a, F16, &s));
    assert_named(&s, "attention f16 8x40 64 over 64 q320 kv320");
    a.k.dim[2] = 77;
    a.keys = keys;
    assert_true(attention_shape_of(&a, F16, &s));
    assert_named(&s, "attention f16 8x40 64 over 77 q320 kv320 counted");
    a.k.dim[3] = 640;
    a.q.dim[3] = 960;
    attention_shape_of(&a, F16, &s);
    assert_named(&s, "attention f16 8x40 64 over 77 q960 kv640 counted");
    a.causal = true;
    assert_false(attention_shape_of(&a, F16, &s));
}

/* The real networks, walked dry: counts that the architecture gives. */
static void models_are_walked(void **state)
{
    (void)state;
    walk *w = calloc(1, sizeof *w);
    assert_non_null(w);
    walk_add(w, (walk_picture){"tiny", 64, 64});
    int plans = w->plans, products = w->products;
    assert_in_range(plans, 10, 100);
    walk_add(w, (walk_picture){"tiny", 64, 64});
    assert_int_equal(w->plans, plans);
    assert_int_equal(w->products, products);

    *w = (walk){0};
    walk_add(w, (walk_picture){"sd15", 512, 512});
    int kinds[SHAPE_ATTENTION + 1] = {0};
    for (int i = 0; i < w->plans; i++)
        kinds[w->plan[i].kind]++;
    /* 4 levels with 2 each, 1 of the VAE in each type */
    assert_int_equal(kinds[SHAPE_ATTENTION], 10);
    assert_int_equal(kinds[SHAPE_UPSAMPLE], 9); /* 3 a network, and a type */
    walk_add(w, (walk_picture){"sdxl", 1024, 1024});
    walk_add(w, (walk_picture){"sd21", 768, 512});
    free(w);
}

static choice engine(const char *text)
{
    choice c;
    assert_true(choice_read(&c, text, strlen(text)));
    return c;
}

static void choices_that_depend_on_rows_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool safe;
    } cases[] = {
        {"engine 10 2:4 13:0 14:2", true},
        {"engine 41 2:3 13:1 18:0 25:1 27:1 28:2", true},
        {"engine 41 2:3 13:1 18:0 25:0 27:1 28:2", false},
        {"engine 23 12:4 17:256", true},   /* 5 slices, 4 buffers */
        {"engine 23 12:3 17:256", false},  /* one too few */
        {"engine 23 12:-1 17:256", false}, /* added as they come */
        {"engine 23 17:256", false},
        {"engine 23 12:4", false},
        {"engine 54 17:1 38:0", true},
        {"engine 54 17:1 38:1", false},
        {"engine 54 17:2 38:0", false},
        {"engine 6 19:1", false},
        {"engine 6 0:2", false},
        {"engine 6 39:2", false},
        {"on", false},
    };
    const plan_shape s = {.kind = SHAPE_CONV, .type = F16, .conv = {8, 8, 1280, 1280, 3, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        choice c = engine(cases[i].text);
        if (choice_is_safe(&c, &s) != cases[i].safe)
            fail_msg("%s", cases[i].text);
    }
}

static void workspaces_are_explained(void **state)
{
    (void)state;
    const plan_shape s = {.kind = SHAPE_CONV, .type = F16, .conv = {8, 8, 1280, 1280, 3, 1}};
    choice plain = engine("engine 41 25:1"), split = engine("engine 23 12:4 17:256");
    assert_int_equal(choice_workspace_most(&plain, &s, 16), 256);
    int64_t sixteen = choice_workspace_most(&split, &s, 16);
    assert_true(sixteen >= (int64_t)4 * 16 * 8 * 8 * 1280 * 4);
    assert_true(sixteen < (int64_t)5 * 16 * 8 * 8 * 1280 * 4);
    assert_true(choice_workspace_most(&split, &s, 1) < sixteen);
    const plan_shape wide = {.kind = SHAPE_CONV, .type = F16, .conv = {64, 64, 1280, 1280, 3, 1}};
    assert_int_equal(choice_workspace_most(&split, &wide, 16), 64 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_3x3_is_one_convolution),
        cmocka_unit_test(a_residual_brings_a_bias),
        cmocka_unit_test(the_ends_are_padded),
        cmocka_unit_test(a_residual_of_few_channels_is_left),
        cmocka_unit_test(an_upsample_reads_the_small_picture),
        cmocka_unit_test(names_of_upsamples_are_told_from_others),
        cmocka_unit_test(a_1x1_of_two_inputs_is_two_products),
        cmocka_unit_test(upsampling_is_a_transposed_convolution),
        cmocka_unit_test(attention_is_counted),
        cmocka_unit_test(models_are_walked),
        cmocka_unit_test(choices_that_depend_on_rows_are_refused),
        cmocka_unit_test(workspaces_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
