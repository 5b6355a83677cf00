/* cudnn_program: reading. What is not understood is refused: a wrong guess would pass for a result.
 */
#include "tests/vendor/cudnn_program.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKSPACE_ASIDE = 256 }; /* that plans take for things other than sums */

#define PREFIX "CUDNN_BACKEND_OPERATION_"

typedef struct {
    program *p;
    char *why;
} reader;

static bool refuse(const reader *r, const char *what, const char *found)
{
    snprintf(r->why, PROGRAM_WHY_BYTES, "a plan with %s %.100s", what, found ? found : "nothing");
    return false;
}

static const char *text_of(const json_t *from, const char *name)
{
    const char *text = json_string_value(json_object_get(from, name));
    return text ? text : "";
}

static bool read_type(const reader *r, const char *name, number_type *to)
{
    static const char *const names[NUMBER_TYPES] = {"CUDNN_DATA_HALF", "CUDNN_DATA_BFLOAT16",
                                                    "CUDNN_DATA_FLOAT", "CUDNN_DATA_INT32"};
    for (int i = 0; i < NUMBER_TYPES; i++)
        if (strcmp(name, names[i]) == 0) {
            *to = (number_type)i;
            return true;
        }
    return refuse(r, "numbers of type", name);
}

static bool read_numbers(const json_t *from, int64_t *to, size_t n)
{
    if (json_array_size(from) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        to[i] = json_integer_value(json_array_get(from, i));
    return true;
}

static bool read_tensor(const reader *r, const json_t *from)
{
    const char *name = text_of(from, "name");
    if (r->p->tensors == PROGRAM_TENSORS)
        return refuse(r, "more tensors before", name);
    program_tensor *t = &r->p->tensor[r->p->tensors++];
    t->id = strtoll(name, NULL, 10);
    t->alignment = json_integer_value(json_object_get(from, "ptrAlignment"));
    t->between = json_is_true(json_object_get(from, "isVirtual"));
    t->by_value = json_is_true(json_object_get(from, "isByValue"));
    if (!read_numbers(json_object_get(from, "dim"), t->dim, PROGRAM_DIMS) ||
        !read_numbers(json_object_get(from, "stride"), t->stride, PROGRAM_DIMS) ||
        json_integer_value(json_object_get(from, "vectCount")) != 1)
        return refuse(r, "other dimensions of tensor", name);
    return read_type(r, text_of(from, "dataType"), &t->type);
}

/* The tensor an operation names; -1 where it names none. */
static int operand(const reader *r, const json_t *node, const char *name)
{
    const char *id = json_string_value(json_object_get(node, name));
    for (int i = 0; id && i < r->p->tensors; i++)
        if (r->p->tensor[i].id == strtoll(id, NULL, 10))
            return i;
    return -1;
}

static bool is_number(const json_t *node, const char *name, double expected)
{
    const json_t *value = json_object_get(node, name);
    return json_is_number(value) && json_number_value(value) == expected;
}

/* Paddings are one list, or one for either side: "lower" is before the first row. */
static bool read_window(const reader *r, const json_t *node)
{
    const json_t *pad = json_object_get(node, "pad");
    program *p = r->p;
    return read_numbers(pad ? pad : json_object_get(node, "pad_lower"), p->before, 2) &&
           read_numbers(json_object_get(node, "stride"), p->stride, 2) &&
           read_numbers(json_object_get(node, "dilation"), p->dilation, 2) &&
           is_number(node, "alpha", 1) && is_number(node, "beta", 0) &&
           strcmp(text_of(node, "mode"), "CUDNN_CROSS_CORRELATION") == 0 &&
           strcmp(text_of(node, "mathPrec"), "CUDNN_DATA_FLOAT") == 0;
}

static bool read_convolution(const reader *r, const json_t *node, program_kind kind)
{
    bool forward = kind == PROGRAM_CONVOLUTION;
    r->p->kind = kind;
    r->p->in = operand(r, node, forward ? "X" : "dY");
    r->p->weights = operand(r, node, "W");
    r->p->sum = r->p->out = operand(r, node, forward ? "Y" : "dX");
    return (read_window(r, node) && r->p->in >= 0 && r->p->weights >= 0 && r->p->out >= 0) ||
           refuse(r, "an operation that is not a plain", text_of(node, "operation"));
}

/* So many numbers, one for each row; or there is no such tensor. */
static bool is_list(const reader *r, int tensor, int64_t n)
{
    const int64_t *dim = r->p->tensor[tensor < 0 ? 0 : tensor].dim;
    return tensor < 0 || (dim[0] == n && dim[1] == 1 && dim[2] == 1 && dim[3] == 1);
}

static bool read_attention(const reader *r, const json_t *node)
{
    program *p = r->p;
    p->kind = PROGRAM_ATTENTION;
    p->q = operand(r, node, "Q");
    p->k = operand(r, node, "K");
    p->v = operand(r, node, "V");
    p->out = operand(r, node, "O");
    p->scale = operand(r, node, "scale");
    p->queries = operand(r, node, "seqLenQ");
    p->keys = operand(r, node, "seqLenKV");
    return (p->q >= 0 && p->k >= 0 && p->v >= 0 && p->out >= 0 && p->scale >= 0 &&
            p->tensor[p->scale].by_value && p->tensor[p->scale].type == NUMBER_F32 &&
            is_list(r, p->scale, 1) && is_list(r, p->queries, p->tensor[p->q].dim[0]) &&
            is_list(r, p->keys, p->tensor[p->q].dim[0])) ||
           refuse(r, "an operation that is not a plain", text_of(node, "operation"));
}

/* An addition to what the operation before it made. */
static bool read_addition(const reader *r, const json_t *node)
{
    program *p = r->p;
    int x = operand(r, node, "X"), other = operand(r, node, "B"), to = operand(r, node, "Y");
    if (p->additions == PROGRAM_ADDITIONS || p->kind == PROGRAM_ATTENTION || x != p->out ||
        !p->tensor[x].between || other < 0 || p->tensor[other].between || to < 0 ||
        strcmp(text_of(node, "pointwiseMode"), "CUDNN_POINTWISE_ADD") != 0 ||
        strcmp(text_of(node, "mathPrec"), "CUDNN_DATA_FLOAT") != 0)
        return refuse(r, "a pointwise operation that is not a plain addition:",
                      text_of(node, "pointwiseMode"));
    p->addition[p->additions++] = (program_addition){
        .other = other,
        .to = to,
        .of_sum = (float)json_number_value(json_object_get(node, "alpha1")),
        .of_other = (float)json_number_value(json_object_get(node, "alpha2")),
    };
    p->out = to;
    return true;
}

static bool read_node(const reader *r, const json_t *node, bool first)
{
    const char *name = text_of(node, "operation");
    if (first && strcmp(name, PREFIX "CONVOLUTION_FORWARD_DESCRIPTOR") == 0)
        return read_convolution(r, node, PROGRAM_CONVOLUTION);
    if (first && strcmp(name, PREFIX "CONVOLUTION_BACKWARD_DATA_DESCRIPTOR") == 0)
        return read_convolution(r, node, PROGRAM_GRADIENT);
    if (first && strcmp(name, PREFIX "SDPA_FWD_DESCRIPTOR") == 0)
        return read_attention(r, node);
    if (!first && strcmp(name, PREFIX "POINTWISE_DESCRIPTOR") == 0)
        return read_addition(r, node);
    return refuse(r, first ? "first the operation" : "then the operation", name);
}

/* What lies nowhere is laid out as the result, so that its kernel has one place for both. */
static bool is_like_result(const reader *r, const program_tensor *t)
{
    const program_tensor *out = &r->p->tensor[r->p->out];
    return memcmp(t->dim, out->dim, sizeof t->dim) == 0 &&
           memcmp(t->stride, out->stride, sizeof t->stride) == 0;
}

static bool read_graph(const reader *r, const json_t *graph)
{
    const json_t *tensors = json_object_get(graph, "tensors"),
                 *nodes = json_object_get(graph, "nodes");
    for (size_t i = 0; i < json_array_size(tensors); i++)
        if (!read_tensor(r, json_array_get(tensors, i)))
            return false;
    for (size_t i = 0; i < json_array_size(nodes); i++)
        if (!read_node(r, json_array_get(nodes, i), i == 0))
            return false;
    for (int i = 0; i < r->p->tensors && json_array_size(nodes) > 0; i++)
        if (r->p->tensor[i].between && !is_like_result(r, &r->p->tensor[i]))
            return refuse(r, "a tensor between that is not laid out", "as the result");
    return (json_array_size(nodes) > 0 && !r->p->tensor[r->p->out].between) ||
           refuse(r, "a result that is stored", "nowhere");
}

static int64_t knob(const json_t *knobs, const char *name, int64_t missing)
{
    char whole[64];
    snprintf(whole, sizeof whole, "CUDNN_KNOB_TYPE_%s", name);
    const json_t *value = json_object_get(knobs, whole);
    return value ? json_integer_value(value) : missing;
}

static bool splits(const json_t *knobs)
{
    static const char *const names[] = {"SPLIT_K", "CHUNK_K",  "SPLIT_H",  "CTA_SPLIT_K_MODE",
                                        "SLICED",  "SPLIT_RS", "STREAM_K", "SPLIT_P_SLC"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (knob(knobs, names[i], 0) != 0)
            return true;
    return false;
}

/* Slices with a buffer each are added in order. Whatever else splits sums, and a workspace that
 * nothing explains, is taken for an engine that fills the device as it likes. */
static void split(program *p, const json_t *knobs, int64_t workspace)
{
    int64_t channels = p->tensor[p->in].dim[1], slice = knob(knobs, "SPLIT_K_SLC", 0);
    bool counts = knob(knobs, "STREAM_K", -1) >= 0; /* slices, not the channels of one */
    int64_t slices = counts ? slice : slice > 0 ? (channels + slice - 1) / slice : slice;
    bool buffered = !counts && knob(knobs, "SPLIT_K_BUF", 0) >= slices - 1;
    if (slices > 1 && buffered)
        p->order.slices = slices;
    else if (slices > 1 || slices < 0 || splits(knobs) || knob(knobs, "WORKSPACE", 1) != 1 ||
             workspace > WORKSPACE_ASIDE)
        sum_order_share(&p->order, p->tensor[p->out].dim[0], p->tensor[p->out].type);
}

/* The order of sums follows from the engine, its knobs and the names of kernels it was compiled
 * into. */
static bool read_engine(const reader *r, json_t *engine, int64_t workspace)
{
    json_t *knobs = json_object_get(engine, "knobChoices"), *value;
    const json_t *kernels = json_object_get(json_object_get(engine, "payload"), "kernels");
    int64_t id = json_integer_value(json_object_get(engine, "engineId"));
    uint64_t key = sums_key(SUMS_KEY, &id, sizeof id);
    const char *name;
    if (!json_is_object(engine))
        return refuse(r, "the engine", "missing");
    json_object_foreach(knobs, name, value) /* in whatever order */
    {
        int64_t number = json_integer_value(value);
        key += sums_key(sums_key(SUMS_KEY, name, strlen(name)), &number, sizeof number);
    }
    for (size_t i = 0; i < json_array_size(kernels); i++) {
        name = text_of(json_array_get(kernels, i), "kernelName");
        key = sums_key(key, name, strlen(name));
    }
    r->p->order = sum_order_of(key);
    if (r->p->kind != PROGRAM_ATTENTION)
        split(r->p, knobs, workspace);
    return true;
}

bool program_read(program *p, const char *text, int64_t workspace, char why[PROGRAM_WHY_BYTES])
{
    const reader r = {p, why};
    json_error_t error;
    json_t *plan = json_loads(text, 0, &error);
    *p = (program){.out = -1};
    if (!plan)
        return refuse(&r, "a text that is not JSON:", error.text);
    bool good = read_graph(&r, json_object_get(plan, "operationGraph")) &&
                read_engine(&r, json_object_get(plan, "engine"), workspace);
    json_decref(plan);
    return good;
}
