/* The spatial transformer of the UNet: every pixel is a token; self-attention, cross-attention to
 * the text, and a gated feed-forward network. */
#ifndef WORKER_MODEL_TRANSFORMER_H
#define WORKER_MODEL_TRANSFORMER_H

#include "worker/model/layers.h"

typedef struct {
    int heads;
    norm norm, norm1, norm2, norm3;
    conv proj_in, proj_out;
    conv qkv, self_out;      /* self-attention */
    conv q, k, v, cross_out; /* cross-attention to the text */
    conv ff_in, ff_out;
} transformer;

/* heads 0: one per 64 channels. */
void transformer_load(transformer *b, params *p, int heads, const char *prefix);

/* x [n,h,w,c] in place; context [n,1,t_max,e], of which sample i uses tokens[i] (host array). */
void transformer_forward(dev *d, const transformer *b, tensor x, tensor context,
                         const int32_t *tokens);

#endif
