/* graph_cases: see graph_cases.h. Strides are written out, not computed. */
#include "tests/cuda/graph_cases.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cuda/survey.h"

#define FORWARD                                                                                    \
    "{\"operation\":\"CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR\",\"mode\":"          \
    "\"CUDNN_CROSS_CORRELATION\",\"mathPrec\":\"CUDNN_DATA_FLOAT\",\"alpha\":1.0,\"beta\":0.0,"
#define BACKWARD                                                                                   \
    "{\"operation\":\"CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR\",\"mode\":"    \
    "\"CUDNN_CROSS_CORRELATION\",\"mathPrec\":\"CUDNN_DATA_FLOAT\",\"alpha\":1.0,\"beta\":0.0,"
#define ADD                                                                                        \
    "{\"operation\":\"CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR\",\"pointwiseMode\":"           \
    "\"CUDNN_POINTWISE_ADD\",\"mathPrec\":\"CUDNN_DATA_FLOAT\",\"alpha1\":1.0,\"alpha2\":1.0,"
#define HALF  "CUDNN_DATA_HALF"
#define BF    "CUDNN_DATA_BFLOAT16"
#define FLOAT "CUDNN_DATA_FLOAT"
#define INT   "CUDNN_DATA_INT32"

const graph_case graphs_ready[GRAPHS_READY] = {
    {.shape = {SHAPE_CONV, F16, .conv = {64, 48, 320, 640, 3, 2, true, false, true}},
     .tensor = {{1, HALF, {4, 320, 64, 48}, {983040, 1, 15360, 320}, GRAPH_STORED},
                {2, HALF, {640, 320, 3, 3}, {2880, 1, 960, 320}, GRAPH_STORED},
                {4, HALF, {1, 640, 1, 1}, {640, 1, 640, 640}, GRAPH_STORED},
                {5, HALF, {4, 640, 32, 24}, {491520, 1, 15360, 640}, GRAPH_STORED},
                {12, FLOAT, {4, 640, 32, 24}, {491520, 1, 15360, 640}, GRAPH_BETWEEN}},
     .node = {FORWARD "\"pad_upper\":[1,1],\"pad_lower\":[0,0],\"stride\":[2,2],\"dilation\":[1,1],"
                      "\"X\":\"1\",\"W\":\"2\",\"Y\":\"12\"}",
              ADD "\"X\":\"12\",\"Y\":\"5\",\"B\":\"4\"}"}},
    {.shape = {SHAPE_CONV, BF16, .conv = {16, 8, 64, 64, 3, 1, false, true, true}},
     .tensor = {{1, BF, {4, 64, 16, 8}, {8192, 1, 512, 64}, GRAPH_STORED},
                {2, BF, {64, 64, 3, 3}, {576, 1, 192, 64}, GRAPH_STORED},
                {3, BF, {4, 64, 16, 8}, {8192, 1, 512, 64}, GRAPH_STORED},
                {4, BF, {1, 64, 1, 1}, {64, 1, 64, 64}, GRAPH_STORED},
                {5, BF, {4, 64, 16, 8}, {8192, 1, 512, 64}, GRAPH_STORED},
                {12, FLOAT, {4, 64, 16, 8}, {8192, 1, 512, 64}, GRAPH_BETWEEN},
                {13, FLOAT, {4, 64, 16, 8}, {8192, 1, 512, 64}, GRAPH_BETWEEN}},
     .node = {FORWARD "\"pad\":[1,1],\"stride\":[1,1],\"dilation\":[1,1],\"X\":\"1\",\"W\":\"2\","
                      "\"Y\":\"12\"}",
              ADD "\"X\":\"12\",\"Y\":\"13\",\"B\":\"3\"}",
              ADD "\"X\":\"13\",\"Y\":\"5\",\"B\":\"4\"}"}},
    {.shape = {SHAPE_UPSAMPLE, F16, .conv = {32, 16, 512, 256, 4, 2, false, false, false}},
     .tensor = {{1, HALF, {4, 512, 32, 16}, {262144, 1, 8192, 512}, GRAPH_STORED},
                {2, HALF, {512, 256, 4, 4}, {4096, 1, 1024, 256}, GRAPH_STORED},
                {5, HALF, {4, 256, 64, 32}, {524288, 1, 8192, 256}, GRAPH_STORED}},
     .node = {BACKWARD "\"pad\":[1,1],\"stride\":[2,2],\"dilation\":[1,1],\"dX\":\"5\",\"W\":\"2\","
                       "\"dY\":\"1\"}"}},
};

#define ATTENTION                                                                                  \
    "{\"operation\":\"CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR\",\"Q\":\"6\",\"K\":\"7\","      \
    "\"V\":\"8\",\"O\":\"5\",\"scale\":\"9\""

const graph_case graphs_compiled[GRAPHS_COMPILED] = {
    {.shape = {SHAPE_ATTENTION, F16, .attention = {8, 40, 64, 77, 320, 640, true}},
     .tensor = {{5, HALF, {4, 8, 64, 40}, {20480, 40, 320, 1}, GRAPH_STORED},
                {6, HALF, {4, 8, 64, 40}, {20480, 40, 320, 1}, GRAPH_STORED},
                {7, HALF, {4, 8, 77, 40}, {49280, 40, 640, 1}, GRAPH_STORED},
                {8, HALF, {4, 8, 77, 40}, {49280, 40, 640, 1}, GRAPH_STORED},
                {9, FLOAT, {1, 1, 1, 1}, {1, 1, 1, 1}, GRAPH_BY_VALUE},
                {10, INT, {4, 1, 1, 1}, {1, 1, 1, 1}, GRAPH_STORED},
                {11, INT, {4, 1, 1, 1}, {1, 1, 1, 1}, GRAPH_STORED}},
     .node = {ATTENTION ",\"seqLenQ\":\"10\",\"seqLenKV\":\"11\"}"}},
    {.shape = {SHAPE_ATTENTION, F16, .attention = {8, 40, 64, 64, 960, 960, false}},
     .tensor = {{5, HALF, {4, 8, 64, 40}, {20480, 40, 320, 1}, GRAPH_STORED},
                {6, HALF, {4, 8, 64, 40}, {61440, 40, 960, 1}, GRAPH_STORED},
                {7, HALF, {4, 8, 64, 40}, {61440, 40, 960, 1}, GRAPH_STORED},
                {8, HALF, {4, 8, 64, 40}, {61440, 40, 960, 1}, GRAPH_STORED},
                {9, FLOAT, {1, 1, 1, 1}, {1, 1, 1, 1}, GRAPH_BY_VALUE}},
     .node = {ATTENTION "}"}},
};

static void write_tensor(const graph_tensor *t, char *to)
{
    const int64_t *d = t->dim, *s = t->stride;
    snprintf(to, GRAPH_MISSING_BYTES,
             "{\"name\":\"%d\",\"dataType\":\"%s\",\"dim\":[%" PRId64 ",%" PRId64 ",%" PRId64
             ",%" PRId64 "],\"stride\":[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
             "],\"isVirtual\":%s,\"isByValue\":%s,\"vectCount\":1,\"vectDim\":-1,"
             "\"ptrAlignment\":%d,",
             t->id, t->type, d[0], d[1], d[2], d[3], s[0], s[1], s[2], s[3],
             t->place == GRAPH_BETWEEN ? "true" : "false",
             t->place == GRAPH_BY_VALUE ? "true" : "false", t->place == GRAPH_BY_VALUE ? 4 : 16);
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        n++;
    return n;
}

bool graph_case_holds(const graph_case *c, const char *text, char missing[GRAPH_MISSING_BYTES])
{
    int tensors = 0, nodes = 0;
    for (; tensors < GRAPH_TENSORS && c->tensor[tensors].id; tensors++) {
        write_tensor(&c->tensor[tensors], missing);
        if (!strstr(text, missing))
            return false;
    }
    for (const char *at = text; nodes < GRAPH_NODES && c->node[nodes]; nodes++) {
        snprintf(missing, GRAPH_MISSING_BYTES, "%s", c->node[nodes]);
        at = strstr(at, missing);
        if (!at)
            return false;
    }
    snprintf(missing, GRAPH_MISSING_BYTES, "%d tensors and %d operations alone", tensors, nodes);
    return count(text, "\"isVirtual\"") == tensors && count(text, "\"operation\":") == nodes;
}

void graph_case_assert(const graph_case *c)
{
    plan_pick pick;
    char why[PLAN_WHY_BYTES], missing[GRAPH_MISSING_BYTES];
    size_t bytes;
    planner *p = survey_planner("h200");
    bool chosen = plan_choose(p, &c->shape, EVERY_ROWS, &pick, why);
    plan *built = chosen ? plan_build(p, &c->shape, GRAPH_ROWS, &pick.choice, why) : NULL;
    char *text = built ? plan_text(built, &bytes, why) : NULL;
    if (!text)
        fail_msg("%s", why);
    assert_int_equal(strlen(text), bytes);
    if (!graph_case_holds(c, text, missing))
        fail_msg("no %s in %.4000s", missing, text);
    free(text);
    plan_free(&built);
    planner_free(&p);
}
