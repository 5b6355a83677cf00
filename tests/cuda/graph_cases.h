/* What some shapes' graphs have to be, by hand, compared with cuDNN's own text of their plans. */
#ifndef TESTS_CUDA_GRAPH_CASES_H
#define TESTS_CUDA_GRAPH_CASES_H

#include "kernels/cuda/plan.h"

enum { GRAPH_ROWS = 4, GRAPH_TENSORS = 7, GRAPH_NODES = 3, GRAPH_MISSING_BYTES = 512 };

typedef enum { GRAPH_STORED, GRAPH_BETWEEN, GRAPH_BY_VALUE } graph_place;

typedef struct {
    int id; /* plan_operand, or one above them all */
    const char *type;
    int64_t dim[4], stride[4];
    graph_place place;
} graph_tensor;

typedef struct {
    plan_shape shape;
    graph_tensor tensor[GRAPH_TENSORS]; /* up to id 0 */
    const char *node[GRAPH_NODES];      /* in order, up to NULL */
} graph_case;

enum { GRAPHS_READY = 3, GRAPHS_COMPILED = 2 };
extern const graph_case graphs_ready[GRAPHS_READY];       /* convolutions: plans cost nothing */
extern const graph_case graphs_compiled[GRAPHS_COMPILED]; /* attention: a second each */

/* Whether the text of a plan for GRAPH_ROWS rows has all of the case, and as many tensors; else
 * what is missing. */
bool graph_case_holds(const graph_case *c, const char *text, char missing[GRAPH_MISSING_BYTES]);

/* Fails the test unless the case holds for what its shape gets. */
void graph_case_assert(const graph_case *c);

#endif
