/* shape: see shape.h. */
#include "kernels/cuda/shape.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CHANNELS_A_VECTOR = 8 };

const int64_t bucket_rows[BUCKETS] = {1, 2, 4, 8, 16};

static const char *type_name(dtype type)
{
    assert(type == F16 || type == BF16);
    return type == F16 ? "f16" : "bf16";
}

static void conv_name(const plan_shape *s, char name[SHAPE_NAME_BYTES])
{
    const conv_shape *c = &s->conv;
    int n = snprintf(name, SHAPE_NAME_BYTES,
                     "%s %s %" PRId64 "x%" PRId64 " %" PRId64 ">%" PRId64 " k%d s%d%s%s%s",
                     s->kind == SHAPE_CONV ? "conv" : "upsample", type_name(s->type), c->h, c->w,
                     c->in, c->out, c->k, c->stride, c->pad_after ? " after" : "",
                     c->residual ? " +residual" : "", c->bias ? " +bias" : "");
    assert(n > 0 && n < SHAPE_NAME_BYTES);
}

static void attention_name(const plan_shape *s, char name[SHAPE_NAME_BYTES])
{
    const attention_shape *a = &s->attention;
    int n = snprintf(name, SHAPE_NAME_BYTES,
                     "attention %s %" PRId64 "x%" PRId64 " %" PRId64 " over %" PRId64 " q%" PRId64
                     " kv%" PRId64 "%s",
                     type_name(s->type), a->heads, a->d, a->tq, a->tk, a->q_row, a->kv_row,
                     a->counted ? " counted" : "");
    assert(n > 0 && n < SHAPE_NAME_BYTES);
}

void plan_shape_name(const plan_shape *s, char name[SHAPE_NAME_BYTES])
{
    if (s->kind == SHAPE_ATTENTION)
        attention_name(s, name);
    else
        conv_name(s, name);
}

void product_shape_name(const product_shape *s, char name[SHAPE_NAME_BYTES])
{
    int n = snprintf(name, SHAPE_NAME_BYTES, "product %s %" PRId64 " %" PRId64 ">%" PRId64 "%s%s",
                     type_name(s->type), s->tokens, s->in, s->out, s->residual ? " +residual" : "",
                     s->bias ? " +bias" : "");
    if (s->w_row != s->in)
        n += snprintf(name + n, SHAPE_NAME_BYTES - (size_t)n, " of %" PRId64, s->w_row);
    assert(n > 0 && n < SHAPE_NAME_BYTES);
}

int64_t conv_shape_side(const conv_shape *c, shape_kind kind, int64_t side)
{
    if (kind == SHAPE_UPSAMPLE)
        return 2 * side;
    int64_t padding = c->k == 1 ? 0 : c->pad_after ? 1 : 2;
    return (side + padding - c->k) / c->stride + 1;
}

int64_t whole_vectors(int64_t channels)
{
    return (channels + CHANNELS_A_VECTOR - 1) / CHANNELS_A_VECTOR * CHANNELS_A_VECTOR;
}

static conv_call product_call(const conv2d_args *a, dtype type, int64_t in)
{
    return (conv_call){.is_product = true,
                       .product = {.type = type,
                                   .tokens = a->x.dim[1] * a->x.dim[2],
                                   .in = whole_vectors(in),
                                   .w_row = whole_vectors(a->w->in),
                                   .out = whole_vectors(a->w->out)}};
}

static conv_call plan_call(const conv2d_args *a, dtype type)
{
    return (conv_call){.plan = {.kind = SHAPE_CONV,
                                .type = type,
                                .conv = {.h = a->x.dim[1],
                                         .w = a->x.dim[2],
                                         .in = whole_vectors(a->w->in),
                                         .out = whole_vectors(a->w->out),
                                         .k = a->w->k,
                                         .stride = a->stride,
                                         .pad_after = a->pad_after}},
                       .reads_both = a->x2_channels > 0};
}

/* Bias, activation and residual are left: with any of them it would have no ready kernel. */
static int upsample_call(const conv2d_args *a, dtype type, conv_call *call, bool *unfinished)
{
    *call = plan_call(a, type);
    call->plan.conv.h *= 2;
    call->plan.conv.w *= 2;
    call->plan = upsample_of(&call->plan);
    *unfinished |= tensor_given(a->bias) || tensor_given(a->residual);
    return 1;
}

/* Two inputs that are whole vectors each: what a product can take one after the other. */
static bool are_apart(const conv2d_args *a)
{
    return a->x2_channels > 0 && a->x.dim[3] % CHANNELS_A_VECTOR == 0 &&
           a->x2_channels % CHANNELS_A_VECTOR == 0 && a->x2.dim[3] == a->x2_channels;
}

int conv_calls(const conv2d_args *a, dtype type, conv_call call[SHAPE_CALLS], bool *unfinished)
{
    bool residual = tensor_given(a->residual), bias = tensor_given(a->bias);
    *unfinished = a->act != ACT_NONE || tensor_given(a->slope) ||
                  (residual && a->w->out % CHANNELS_A_VECTOR != 0);
    if (a->doubled)
        return upsample_call(a, type, call, unfinished);
    residual = residual && !*unfinished;
    if (a->w->k != 1) {
        call[0] = plan_call(a, type);
        call[0].plan.conv.residual = residual;
        call[0].plan.conv.bias = bias || residual;
        return 1;
    }
    call[0] = product_call(a, type, are_apart(a) ? a->x.dim[3] : a->w->in);
    call[0].reads_both = a->x2_channels > 0 && !are_apart(a);
    call[0].product.residual = residual;
    call[0].product.bias = bias;
    if (!are_apart(a))
        return 1;
    call[1] = product_call(a, type, a->x2_channels);
    call[1].product.residual = call[1].reads_x2 = call[1].onto = true;
    return 2;
}

plan_shape upsample_of(const plan_shape *conv)
{
    plan_shape up = *conv;
    assert(conv->kind == SHAPE_CONV && conv->conv.k == 3 && conv->conv.stride == 1);
    up.kind = SHAPE_UPSAMPLE;
    up.conv.h /= 2;
    up.conv.w /= 2;
    up.conv.k = UPSAMPLE_SIDE;
    up.conv.stride = 2;
    up.conv.residual = up.conv.bias = false;
    return up;
}

plan_shape doubling_of(const plan_shape *upsample)
{
    plan_shape conv = *upsample;
    assert(upsample->kind == SHAPE_UPSAMPLE);
    conv.kind = SHAPE_CONV;
    conv.conv.h *= 2;
    conv.conv.w *= 2;
    conv.conv.k = 3;
    conv.conv.stride = 1;
    conv.conv.bias = true;
    return conv;
}

bool is_upsample_name(const char *name, dtype type, int64_t in, int64_t out)
{
    char own[SHAPE_NAME_BYTES];
    plan_shape s = {SHAPE_UPSAMPLE, type,
                    .conv = {.in = in, .out = out, .k = UPSAMPLE_SIDE, .stride = 2}};
    if (sscanf(name, "upsample %*s %" SCNd64 "x%" SCNd64, &s.conv.h, &s.conv.w) != 2)
        return false;
    plan_shape_name(&s, own);
    return strncmp(name, own, strlen(own)) == 0;
}

void upsample_taps(const float from[3][3], float to[UPSAMPLE_SIDE][UPSAMPLE_SIDE])
{
    static const float seen[UPSAMPLE_SIDE][3] = {{0, 0, 1}, {0, 1, 1}, {1, 1, 0}, {1, 0, 0}};
    for (int i = 0; i < UPSAMPLE_SIDE; i++)
        for (int j = 0; j < UPSAMPLE_SIDE; j++) {
            to[i][j] = 0;
            for (int k = 0; k < 3; k++)
                for (int l = 0; l < 3; l++)
                    to[i][j] += seen[i][k] * seen[j][l] * from[k][l];
        }
}

plan_shape product_as_conv(const product_shape *p)
{
    return (plan_shape){.kind = SHAPE_CONV,
                        .type = p->type,
                        .conv = {.h = 1,
                                 .w = p->tokens,
                                 .in = p->in,
                                 .out = p->out,
                                 .k = 1,
                                 .stride = 1,
                                 .residual = p->residual,
                                 .bias = p->bias || p->residual}};
}

bool attention_shape_of(const attention_args *a, dtype type, plan_shape *s)
{
    int64_t tq = a->q.dim[2], tk = a->k.dim[2];
    *s = (plan_shape){.kind = SHAPE_ATTENTION,
                      .type = type,
                      .attention = {.heads = a->heads,
                                    .d = a->head,
                                    .tq = tq,
                                    .tk = tk,
                                    .q_row = a->q.dim[3],
                                    .kv_row = a->k.dim[3],
                                    .counted = a->keys || tq != tk}};
    return !a->causal;
}
