/* walk_ops: see walk_ops.h. */
#include "tests/vendor/walk_ops.h"

const input_shape walk_inputs[INPUTS] = {
    [X] = {MAP, WALK_ROWS, SIDE, SIDE, CHANNELS},
    [Y] = {MAP, WALK_ROWS, SIDE, SIDE, CHANNELS},
    [ADDEND] = {MAP, WALK_ROWS, SIDE, SIDE, CHANNELS},
    [TEXT_K] = {MAP, WALK_ROWS, 1, KEYS, CHANNELS},
    [TEXT_V] = {MAP, WALK_ROWS, 1, KEYS, CHANNELS},
    [NARROW] = {MAP, WALK_ROWS, SIDE, SIDE, LATENT},
    [WIDE] = {MAP, WALK_ROWS, 1, PIXELS, 2 * CHANNELS},
    [ADDED] = {MAP, WALK_ROWS, 1, 1, 2 * CHANNELS},
    [BIAS] = {MAP, 1, 1, 1, CHANNELS},
    [NARROW_BIAS] = {MAP, 1, 1, 1, 8},
    [SLOPE] = {REAL, 1, 1, 1, CHANNELS},
    [SCALE] = {REAL, 1, 1, 1, CHANNELS},
    [SHIFT] = {REAL, 1, 1, 1, CHANNELS},
    [SCALE2] = {REAL, 1, 1, 1, 2 * CHANNELS},
    [SHIFT2] = {REAL, 1, 1, 1, 2 * CHANNELS},
    [NOISY] = {REAL, WALK_ROWS, SIDE, SIDE, LATENT},
    [PAST] = {REAL, WALK_ROWS, SIDE, SIDE, LATENT},
    [MASK] = {REAL, WALK_ROWS, SIDE, SIDE, 1},
    [PIXELS_U8] = {BYTE, WALK_ROWS, SIDE, SIDE, 3},
    [TABLE] = {REAL, 1, 1, KEYS, CHANNELS},
    [POSITION] = {REAL, 1, 1, KEYS, CHANNELS},
    [MAYBE] = {MAP, WALK_ROWS, 1, 1, 8},
    [PERHAPS] = {MAP, WALK_ROWS, 1, 1, 8},
};

uint32_t walk_scrambled(int a, int b, int64_t i)
{
    uint32_t v = (uint32_t)(a * 131 + b) * 2654435761u + (uint32_t)i * 2246822519u + 12345;
    v = (v ^ v >> 15) * 2246822519u;
    return v ^ v >> 13;
}

/* Of the rows that take part; what is there once serves all. */
static tensor in(const bench *b, input which)
{
    tensor t = b->in[which];
    if (walk_inputs[which].n == 1)
        return t;
    t = tensor_sample(t, b->first);
    t.dim[0] = b->rows;
    return t;
}

static tensor tokens(const bench *b, input which)
{
    const tensor t = in(b, which);
    return tensor_reshape(t, t.dim[0], 1, t.dim[1] * t.dim[2], t.dim[3]);
}

/* ---------------------------------------------------------------- ops */

static void conv(bench *b, tensor *out)
{
    op_conv2d(b->d, out, in(b, X), &b->weight[THREE], (conv2d_options){.bias = in(b, BIAS)});
}

static void conv_strided(bench *b, tensor *out)
{
    op_conv2d(b->d, out, in(b, X), &b->weight[THREE],
              (conv2d_options){.bias = in(b, BIAS), .stride = 2});
}

static void conv_after(bench *b, tensor *out)
{
    op_conv2d(b->d, out, in(b, X), &b->weight[THREE],
              (conv2d_options){.bias = in(b, BIAS), .stride = 2, .pad_after = true});
}

static void conv_residual(bench *b, tensor *out)
{
    op_conv2d(b->d, out, in(b, X), &b->weight[THREE], (conv2d_options){.residual = in(b, ADDEND)});
}

static void conv_act(bench *b, tensor *out)
{
    op_conv2d(b->d, out, in(b, X), &b->weight[THREE],
              (conv2d_options){.bias = in(b, BIAS), .residual = in(b, ADDEND), .act = ACT_SILU});
}

static void conv_slope(bench *b, tensor *out)
{
    op_conv2d(b->d, out, in(b, X), &b->weight[THREE], (conv2d_options){.slope = in(b, SLOPE)});
}

static void conv_narrow(bench *b, tensor *out)
{
    tensor bias = in(b, NARROW_BIAS);
    bias.dim[3] = LATENT;
    op_conv2d(b->d, out, in(b, NARROW), &b->weight[IN_OUT], (conv2d_options){.bias = bias});
}

static void linear(bench *b, tensor *out)
{
    op_linear(b->d, out, tokens(b, X), &b->weight[ONE], (conv2d_options){0});
}

static void linear_bias(bench *b, tensor *out)
{
    op_linear(b->d, out, tokens(b, X), &b->weight[ONE], (conv2d_options){.bias = in(b, BIAS)});
}

static void linear_residual(bench *b, tensor *out)
{
    op_linear(b->d, out, tokens(b, X), &b->weight[ONE],
              (conv2d_options){.bias = in(b, BIAS), .residual = tokens(b, ADDEND)});
}

static void linear_act(bench *b, tensor *out)
{
    op_linear(b->d, out, tokens(b, X), &b->weight[ONE],
              (conv2d_options){
                  .bias = in(b, BIAS), .residual = tokens(b, ADDEND), .act = ACT_QUICK_GELU});
}

static void linear_onto(bench *b, tensor *out)
{
    op_add(b->d, out, tokens(b, ADDEND), tokens(b, ADDEND));
    op_linear(b->d, out, tokens(b, X), &b->weight[ONE], (conv2d_options){.residual = *out});
}

static void two_inputs(bench *b, tensor *out)
{
    op_conv2d(b->d, out, in(b, X), &b->weight[BOTH],
              (conv2d_options){.x2 = in(b, Y), .bias = in(b, BIAS)});
}

static void attention(bench *b, tensor *out)
{
    op_attention(b->d, out, tokens(b, X), tokens(b, Y), tokens(b, X), HEADS, false, NULL);
}

static void attention_text(bench *b, tensor *out)
{
    int32_t keys[WALK_ROWS];
    for (int i = 0; i < b->rows; i++)
        keys[i] = 1 + (3 * (b->first + i) + 2 * seed_of(b)) % KEYS;
    op_attention(b->d, out, tokens(b, X), in(b, TEXT_K), in(b, TEXT_V), HEADS, false, keys);
}

static void attention_causal(bench *b, tensor *out)
{
    op_attention(b->d, out, tokens(b, X), tokens(b, Y), tokens(b, X), HEADS, true, NULL);
}

static void group_norm(bench *b, tensor *out)
{
    op_group_norm(
        b->d, out, in(b, X), in(b, SCALE2), in(b, SHIFT2),
        (group_norm_options){.x2 = in(b, Y), .add = in(b, ADDED), .groups = 4, .act = ACT_SILU});
}

static void layer_norm(bench *b, tensor *out)
{
    op_layer_norm(b->d, out, tokens(b, X), in(b, SCALE), in(b, SHIFT), 1e-5);
}

static void geglu(bench *b, tensor *out)
{
    op_geglu(b->d, out, in(b, WIDE));
}

static void activate(bench *b, tensor *out)
{
    op_activate(b->d, out, in(b, X), ACT_GELU);
}

static void add(bench *b, tensor *out)
{
    op_add_scaled(b->d, out, in(b, X), 0.5f, in(b, Y));
}

static void shuffle(bench *b, tensor *out)
{
    const tensor none = {0};
    op_pixel_shuffle(b->d, out, in(b, X), 2, none);
}

static void unshuffle(bench *b, tensor *out)
{
    op_pixel_unshuffle(b->d, out, in(b, X), 2);
}

static void resize(bench *b, tensor *out)
{
    op_resize_nearest(b->d, out, in(b, X), 3, 2 * SIDE);
}

static void timesteps(bench *b, tensor *out)
{
    double t[WALK_ROWS];
    for (int i = 0; i < b->rows; i++)
        t[i] = 100 + 7 * (b->first + i) + 50 * seed_of(b);
    op_timestep_embedding(b->d, out, t, b->rows, CHANNELS);
}

static void embed(bench *b, tensor *out)
{
    int32_t ids[WALK_ROWS * KEYS];
    const int seed = seed_of(b);
    for (int i = 0; i < b->rows * KEYS; i++)
        ids[i] = (int32_t)(walk_scrambled(1, seed, i + b->first * KEYS) % KEYS);
    op_embed(b->d, out, ids, b->rows, in(b, TABLE), in(b, POSITION));
}

/* Each row is a text of its own. */
static void emphasis(bench *b, tensor *out)
{
    double factors[PIXELS];
    op_add(b->d, out, tokens(b, X), tokens(b, Y));
    for (int i = 0; i < b->rows; i++) {
        for (int j = 0; j < PIXELS; j++)
            factors[j] = 1 + 0.1 * ((j + i + b->first) % 3);
        op_emphasis(b->d, tensor_sample(*out, i), factors);
    }
}

/* Rows from other places each time. */
static void gather(bench *b, tensor *out)
{
    tensor source[WALK_ROWS];
    for (int i = 0; i < b->rows; i++)
        source[i] = tensor_sample(b->in[X], (b->first + i + seed_of(b) / 2) % WALK_ROWS);
    op_gather(b->d, out, source, b->rows, CHANNELS, 0.25f);
}

static step_row row_of(const bench *b, tensor x, int i)
{
    step_row r = {.x = tensor_sample(x, i),
                  .prediction = {tensor_sample(in(b, NARROW), i)},
                  .history = {tensor_sample(in(b, PAST), i)},
                  .mask = tensor_sample(in(b, MASK), i),
                  .init = tensor_sample(in(b, PAST), i),
                  .input_scale = 0.5f};
    const float some = 0.25f * (float)(1 + b->first + i + seed_of(b));
    r.coef_x[STEP_X] = some;
    r.coef_x[STEP_PREDICTION] = 1 - some;
    r.coef_x[STEP_PAST] = 0.125f;
    r.hold[STEP_HOLD_X] = (step_hold){.on = true, .init = 1, .exponent = 1};
    return r;
}

static void step(bench *b, tensor *out)
{
    tensor source[WALK_ROWS];
    step_row row[WALK_ROWS];
    for (int i = 0; i < b->rows; i++) {
        source[i] = tensor_sample(in(b, NOISY), i);
        row[i] = row_of(b, *out, i);
    }
    op_gather(b->d, out, source, b->rows, LATENT, 1);
    op_step(b->d, b->rows, row);
}

static void pixels_in(bench *b, tensor *out)
{
    op_pixels_in(b->d, out, in(b, PIXELS_U8));
}

static void pixels_out(bench *b, tensor *out)
{
    const size_t mark = dev_mark(b->d);
    op_pixels_out(b->d, out, op_pixels_in(b->d, NEW, in(b, PIXELS_U8)));
    dev_release(b->d, mark);
}

static void preview(bench *b, tensor *out)
{
    static const float matrix[LATENT][3] = {{.3f, .1f, .2f}, {.1f, .3f, 0}, {0, .2f, .1f}, {.2f}};
    for (int i = 0; i < b->rows; i++) {
        tensor to = tensor_sample(*out, i);
        op_preview(b->d, &to, tensor_sample(in(b, NOISY), i), matrix);
    }
}

static void ask_finite(bench *b, input which)
{
    op_finite(b->d, in(b, which), b->next);
    b->next += WALK_ROWS;
}

static void all_finite(bench *b, tensor *out)
{
    (void)out;
    ask_finite(b, MAYBE);
}

static void also_finite(bench *b, tensor *out)
{
    (void)out;
    ask_finite(b, PERHAPS);
}

/* ---------------------------------------------------------------- walks */

#define MADE(type, h, w, c)                                                                        \
    {                                                                                              \
        type, WALK_ROWS, h, w, c                                                                   \
    }
#define NONE                                                                                       \
    {                                                                                              \
        MAP, 0, 0, 0, 0                                                                            \
    }

static const op convolutions[] = {
    {"3x3 with bias", conv, MADE(MAP, SIDE, SIDE, CHANNELS)},
    {"3x3, stride 2", conv_strided, MADE(MAP, SIDE / 2, SIDE / 2, CHANNELS)},
    {"3x3, stride 2, padded behind", conv_after, MADE(MAP, SIDE / 2, SIDE / 2, CHANNELS)},
    {"3x3 with residual", conv_residual, MADE(MAP, SIDE, SIDE, CHANNELS)},
    {"3x3 with activation", conv_act, MADE(MAP, SIDE, SIDE, CHANNELS)},
    {"3x3 with slope", conv_slope, MADE(MAP, SIDE, SIDE, CHANNELS)},
    {"3x3 of 4 channels", conv_narrow, MADE(MAP, SIDE, SIDE, LATENT)},
    {"finite", all_finite, NONE},
    {0},
};
static const op products[] = {
    {"linear", linear, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"linear with bias", linear_bias, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"linear with residual", linear_residual, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"linear with activation", linear_act, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"linear onto itself", linear_onto, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"1x1 over two inputs", two_inputs, MADE(MAP, SIDE, SIDE, CHANNELS)},
    {"finite", all_finite, NONE},
    {0},
};
static const op attentions[] = {
    {"self attention", attention, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"cross attention", attention_text, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"causal attention", attention_causal, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"finite", all_finite, NONE},
    {0},
};
static const op kernels[] = {
    {"group norm", group_norm, MADE(MAP, SIDE, SIDE, 2 * CHANNELS)},
    {"layer norm", layer_norm, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"geglu", geglu, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"activation", activate, MADE(MAP, SIDE, SIDE, CHANNELS)},
    {"sum", add, MADE(MAP, SIDE, SIDE, CHANNELS)},
    {"shuffle", shuffle, MADE(MAP, 2 * SIDE, 2 * SIDE, CHANNELS / 4)},
    {"unshuffle", unshuffle, MADE(MAP, SIDE / 2, SIDE / 2, 4 * CHANNELS)},
    {"resize", resize, MADE(MAP, 3, 2 * SIDE, CHANNELS)},
    {"timesteps", timesteps, MADE(MAP, 1, 1, CHANNELS)},
    {"embed", embed, MADE(MAP, 1, KEYS, CHANNELS)},
    {"emphasis", emphasis, MADE(MAP, 1, PIXELS, CHANNELS)},
    {"gather", gather, MADE(MAP, SIDE, SIDE, CHANNELS)},
    {"step", step, MADE(REAL, SIDE, SIDE, LATENT)},
    {"pixels in", pixels_in, MADE(MAP, SIDE, SIDE, 3)},
    {"pixels out", pixels_out, MADE(BYTE, SIDE, SIDE, 3)},
    {"preview", preview, MADE(BYTE, SIDE, SIDE, 3)},
    {"finite", all_finite, NONE},
    {"finite too", also_finite, NONE},
    {0},
};

const walk_of_ops walk_table[WALKS] = {
    [WALK_CONVOLUTIONS] = {"convolutions", convolutions,
                           BIT(X) | BIT(Y) | BIT(ADDEND) | BIT(BIAS) | BIT(SLOPE) | BIT(NARROW) |
                               BIT(NARROW_BIAS) | BIT(MAYBE),
                           BIT(THREE) | BIT(IN_OUT)},
    [WALK_PRODUCTS] = {"products", products, BIT(X) | BIT(Y) | BIT(ADDEND) | BIT(BIAS) | BIT(MAYBE),
                       BIT(ONE) | BIT(BOTH)},
    [WALK_ATTENTION] = {"attention", attentions,
                        BIT(X) | BIT(Y) | BIT(TEXT_K) | BIT(TEXT_V) | BIT(MAYBE), 0},
    [WALK_KERNELS] = {"kernels", kernels,
                      BIT(X) | BIT(Y) | BIT(NARROW) | BIT(WIDE) | BIT(ADDED) | BIT(SCALE) |
                          BIT(SHIFT) | BIT(SCALE2) | BIT(SHIFT2) | BIT(NOISY) | BIT(PAST) |
                          BIT(MASK) | BIT(PIXELS_U8) | BIT(TABLE) | BIT(POSITION) | BIT(MAYBE) |
                          BIT(PERHAPS),
                      0},
};
