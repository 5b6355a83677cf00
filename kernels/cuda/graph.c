/* graph: see graph.h. Tensors are written in cuDNN's order n, c, h, w with strides that say NHWC;
 * what flows between two operations is virtual and fp32, so that a result is rounded once. */
#include "kernels/cuda/graph.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "kernels/cuda/why.h"

enum { DIMS = 4, ALIGNMENT = 16, SCALAR_ALIGNMENT = 4 };

/* Virtual tensors: only their own graph knows them. */
enum { BETWEEN_1 = PLAN_OPERANDS + 1, BETWEEN_2 };

typedef cudnnBackendDescriptor_t part;

bool graph_is_memory(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
           status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
}

void graph_blame(char *why, const char *what, cudnnStatus_t status)
{
    char words[512] = "";
    if (why[0])
        return;
    cudnnGetLastErrorString(words, sizeof words);
    snprintf(why, PLAN_WHY_BYTES, "%s%s: %s: %.140s",
             graph_is_memory(status) ? WHY_MEMORY ": " : "", what, cudnnGetErrorString(status),
             words);
}

part graph_part(graph *g, cudnnBackendDescriptorType_t type)
{
    part made = NULL;
    if (g->why[0])
        return NULL;
    cudnnStatus_t status = cudnnBackendCreateDescriptor(type, &made);
    if (status != CUDNN_STATUS_SUCCESS) {
        graph_blame(g->why, "a descriptor", status);
        return NULL;
    }
    assert(g->parts < GRAPH_PARTS);
    g->part[g->parts++] = made;
    return made;
}

void graph_set(graph *g, part p, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
               int64_t count, const void *value)
{
    char what[32];
    if (g->why[0])
        return;
    cudnnStatus_t status = cudnnBackendSetAttribute(p, name, type, count, value);
    if (status == CUDNN_STATUS_SUCCESS)
        return;
    snprintf(what, sizeof what, "attribute %d", (int)name);
    graph_blame(g->why, what, status);
}

void graph_finalize(graph *g, part p, const char *what)
{
    if (g->why[0])
        return;
    cudnnStatus_t status = cudnnBackendFinalize(p);
    if (status != CUDNN_STATUS_SUCCESS)
        graph_blame(g->why, what, status);
}

void graph_done(graph *g)
{
    while (g->parts > 0)
        cudnnBackendDestroyDescriptor(g->part[--g->parts]);
}

static void set_int(graph *g, part p, cudnnBackendAttributeName_t name, int64_t value)
{
    graph_set(g, p, name, CUDNN_TYPE_INT64, 1, &value);
}

static void set_part(graph *g, part p, cudnnBackendAttributeName_t name, part value)
{
    graph_set(g, p, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void set_type(graph *g, part p, cudnnBackendAttributeName_t name, cudnnDataType_t value)
{
    graph_set(g, p, name, CUDNN_TYPE_DATA_TYPE, 1, &value);
}

typedef enum { STORED, BETWEEN, BY_VALUE } tensor_place;

typedef struct {
    int64_t dim[DIMS], stride[DIMS];
} extent;

static part add_tensor(graph *g, int64_t id, cudnnDataType_t type, extent e, tensor_place place)
{
    part t = graph_part(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    bool between = place == BETWEEN, by_value = place == BY_VALUE;
    set_int(g, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
    set_type(g, t, CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    graph_set(g, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, DIMS, e.dim);
    graph_set(g, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, DIMS, e.stride);
    set_int(g, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, by_value ? SCALAR_ALIGNMENT : ALIGNMENT);
    graph_set(g, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &between);
    graph_set(g, t, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    graph_finalize(g, t, "a tensor");
    return t;
}

static extent nhwc(int64_t n, int64_t c, int64_t h, int64_t w)
{
    return (extent){{n, c, h, w}, {h * w * c, 1, w * c, c}};
}

static cudnnDataType_t storage(dtype type)
{
    return type == F16 ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16;
}

static void add_operation(graph *g, part operation, const char *what)
{
    graph_finalize(g, operation, what);
    assert(g->operations < GRAPH_OPERATIONS);
    g->operation[g->operations++] = operation;
}

/* Strides and paddings: before the first and after the last row and column. */
static part add_window(graph *g, int64_t stride, int64_t before, int64_t after)
{
    part c = graph_part(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    set_int(g, c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
    set_type(g, c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    graph_set(g, c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    graph_set(g, c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2,
              (int64_t[]){before, before});
    graph_set(g, c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2,
              (int64_t[]){after, after});
    graph_set(g, c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, (int64_t[]){1, 1});
    graph_set(g, c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2,
              (int64_t[]){stride, stride});
    graph_finalize(g, c, "a convolution");
    return c;
}

static part add_sum(graph *g, part x, part b, part y)
{
    part kind = graph_part(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    graph_set(g, kind, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set_type(g, kind, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    graph_finalize(g, kind, "an addition");
    part sum = graph_part(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_part(g, sum, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind);
    set_part(g, sum, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    set_part(g, sum, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_part(g, sum, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add_operation(g, sum, "an addition");
    return y;
}

static void add_convolution(graph *g, part window, part x, part w, part y)
{
    part c = graph_part(g, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    float alpha = 1, beta = 0;
    set_part(g, c, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, window);
    set_part(g, c, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    set_part(g, c, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    set_part(g, c, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    graph_set(g, c, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha);
    graph_set(g, c, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &beta);
    add_operation(g, c, "a convolution");
}

static void build_conv(graph *g, const plan_shape *s, int64_t rows)
{
    const conv_shape *c = &s->conv;
    const cudnnDataType_t type = storage(s->type);
    const int steps = 1 + c->residual + c->bias;
    const int64_t pad = c->k / 2;
    extent out =
        nhwc(rows, c->out, conv_shape_side(c, s->kind, c->h), conv_shape_side(c, s->kind, c->w));
    part window = add_window(g, c->stride, c->pad_after ? 0 : pad, pad);
    part x = add_tensor(g, PLAN_X, type, nhwc(rows, c->in, c->h, c->w), STORED);
    part w = add_tensor(g, PLAN_W, type, nhwc(c->out, c->in, c->k, c->k), STORED);
    part y = add_tensor(g, PLAN_Y, type, out, STORED);
    part sum = steps == 1 ? y : add_tensor(g, BETWEEN_1, CUDNN_DATA_FLOAT, out, BETWEEN);
    add_convolution(g, window, x, w, sum);
    if (c->residual) {
        part residual = add_tensor(g, PLAN_RESIDUAL, type, out, STORED);
        part to = c->bias ? add_tensor(g, BETWEEN_2, CUDNN_DATA_FLOAT, out, BETWEEN) : y;
        sum = add_sum(g, sum, residual, to);
    }
    if (c->bias)
        add_sum(g, sum, add_tensor(g, PLAN_BIAS, type, nhwc(1, c->out, 1, 1), STORED), y);
}

/* The gradient of a 4x4 convolution of stride 2 with respect to its input takes each small pixel to
 * the 4x4 large ones around it: nearest x2 and a 3x3 convolution, with the nine taps summed into
 * sixteen when the weights are packed. */
static void build_upsample(graph *g, const plan_shape *s, int64_t rows)
{
    const conv_shape *c = &s->conv;
    const cudnnDataType_t type = storage(s->type);
    assert(c->k == 4 && c->stride == 2 && !c->residual && !c->bias && !c->pad_after);
    part window = add_window(g, 2, 1, 1);
    part x = add_tensor(g, PLAN_X, type, nhwc(rows, c->in, c->h, c->w), STORED);
    part w = add_tensor(g, PLAN_W, type, nhwc(c->in, c->out, c->k, c->k), STORED);
    part y = add_tensor(g, PLAN_Y, type, nhwc(rows, c->out, 2 * c->h, 2 * c->w), STORED);
    part d = graph_part(g, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
    float alpha = 1, beta = 0;
    set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, window);
    set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, x);
    set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w);
    set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, y);
    graph_set(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha);
    graph_set(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, &beta);
    add_operation(g, d, "a transposed convolution");
}

/* [rows][tokens][row] as [rows, heads, tokens, d] */
static extent heads_of(int64_t rows, const attention_shape *a, int64_t tokens, int64_t row)
{
    return (extent){{rows, a->heads, tokens, a->d}, {tokens * row, a->d, row, 1}};
}

static void build_attention(graph *g, const plan_shape *s, int64_t rows)
{
    const attention_shape *a = &s->attention;
    const cudnnDataType_t type = storage(s->type);
    const extent one = {{1, 1, 1, 1}, {1, 1, 1, 1}}, counts = {{rows, 1, 1, 1}, {1, 1, 1, 1}};
    extent keys = heads_of(rows, a, a->tk, a->kv_row);
    part q = add_tensor(g, PLAN_Q, type, heads_of(rows, a, a->tq, a->q_row), STORED);
    part k = add_tensor(g, PLAN_K, type, keys, STORED);
    part v = add_tensor(g, PLAN_V, type, keys, STORED);
    part y = add_tensor(g, PLAN_Y, type, heads_of(rows, a, a->tq, a->heads * a->d), STORED);
    part scale = add_tensor(g, PLAN_SCALE, CUDNN_DATA_FLOAT, one, BY_VALUE);
    part o = graph_part(g, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    set_part(g, o, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, q);
    set_part(g, o, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, k);
    set_part(g, o, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, v);
    set_part(g, o, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, y);
    set_part(g, o, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale);
    if (a->counted) {
        part n = add_tensor(g, PLAN_QUERIES, CUDNN_DATA_INT32, counts, STORED);
        set_part(g, o, CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_QDESC, n);
        n = add_tensor(g, PLAN_KEYS, CUDNN_DATA_INT32, counts, STORED);
        set_part(g, o, CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_KVDESC, n);
    }
    add_operation(g, o, "attention");
}

part graph_of(graph *g, cudnnHandle_t handle, const plan_shape *s, int64_t rows)
{
    switch (s->kind) {
    case SHAPE_CONV: build_conv(g, s, rows); break;
    case SHAPE_UPSAMPLE: build_upsample(g, s, rows); break;
    case SHAPE_ATTENTION: build_attention(g, s, rows); break;
    }
    part all = graph_part(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    graph_set(g, all, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->operations,
              g->operation);
    if (handle)
        graph_set(g, all, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    graph_finalize(g, all, "an operation graph");
    return g->why[0] ? NULL : all;
}
