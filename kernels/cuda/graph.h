/* graph: a shape as a cuDNN operation graph, in C through the backend API. For kernels/cuda only.
 */
#ifndef KERNELS_CUDA_GRAPH_H
#define KERNELS_CUDA_GRAPH_H

#include <cudnn.h>
#include <stdbool.h>

#include "kernels/cuda/plan.h"

enum { GRAPH_PARTS = 48, GRAPH_OPERATIONS = 3 };

/* Descriptors and the first thing that went wrong; after that every call does nothing. */
typedef struct {
    cudnnBackendDescriptor_t part[GRAPH_PARTS], operation[GRAPH_OPERATIONS];
    int parts, operations;
    char *why; /* PLAN_WHY_BYTES, empty as long as all is well */
} graph;

/* A descriptor that graph_done frees; NULL after a failure. */
cudnnBackendDescriptor_t graph_part(graph *g, cudnnBackendDescriptorType_t type);
void graph_set(graph *g, cudnnBackendDescriptor_t part, cudnnBackendAttributeName_t name,
               cudnnBackendAttributeType_t type, int64_t count, const void *value);
void graph_finalize(graph *g, cudnnBackendDescriptor_t part, const char *what);
void graph_done(graph *g);

/* The operation graph of `rows` rows of a shape; NULL with g->why. */
cudnnBackendDescriptor_t graph_of(graph *g, cudnnHandle_t handle, const plan_shape *s,
                                  int64_t rows);

/* Whether the status says that memory was missing, and nothing of what was asked for. */
bool graph_is_memory(cudnnStatus_t status);

/* Writes "what: cuDNN's status and its own words" to why (see why.h) unless something is there
 * already. */
void graph_blame(char *why, const char *what, cudnnStatus_t status);

#endif
