/* A layer with its parameters applied, and where a chain of layers keeps its results. The networks
 * are written in these and in op_*. */
#ifndef WORKER_MODEL_LAYERS_H
#define WORKER_MODEL_LAYERS_H

#include "worker/model/params.h"

/* *out, or a new tensor of the scratch stack. Networks take their result first and release
 * everything above it when they are done. */
tensor layer_result(dev *d, tensor *out, int64_t n, int64_t h, int64_t w, int64_t c);

/* op_conv2d, op_linear, op_group_norm, op_layer_norm with the layer's own weights, bias, stride. */
tensor layer_conv(dev *d, tensor *out, tensor x, const conv *c, conv2d_options o);
tensor layer_linear(dev *d, tensor *out, tensor x, const conv *c, conv2d_options o);
tensor layer_group_norm(dev *d, tensor *out, tensor x, const norm *n, group_norm_options o);
tensor layer_norm(dev *d, tensor *out, tensor x, const norm *n); /* eps 1e-5 */

/* Queries, keys and values of self-attention as one layer: "<prefix>.<name[i]>" side by side. */
conv layer_load_qkv(params *p, const char *prefix, const char *const name[3]);
/* out [n,1,t,c] = self-attention of x [n,1,t,c]; out may be x. */
void layer_attend(dev *d, tensor out, tensor x, const conv *qkv, int heads, bool causal);

/* nearest x2, then the convolution: [n,h,w,c] -> [n,2h,2w,o] */
tensor layer_upsample(dev *d, tensor *out, tensor x, const conv *c);

/* Two places that the results of a chain of layers use in turn: layer i reads one and writes the
 * other, so that a long chain holds two tensors and not all of them. First every result is
 * announced, in order (pair_want); after pair_open they are handed out in the same order. */
typedef struct {
    tensor slot[2];
    int64_t most[2]; /* values */
    int turn;
} pair;

void pair_want(pair *p, int64_t count);
void pair_open(dev *d, pair *p);
tensor pair_next(pair *p, int64_t n, int64_t h, int64_t w, int64_t c);

#endif
