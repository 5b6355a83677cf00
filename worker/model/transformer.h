/* The spatial transformer of the UNet: every pixel is a token; self-attention, cross-attention to
 * the text, and a gated feed-forward network. What it asks of a text, keys and values, is the same
 * in every step: the UNet makes it once, for all its blocks in one product (unet_text). */
#ifndef WORKER_MODEL_TRANSFORMER_H
#define WORKER_MODEL_TRANSFORMER_H

#include "worker/model/layers.h"

typedef struct {
    int heads;
    norm norm, norm1, norm2, norm3;
    conv proj_in, proj_out;
    conv qkv, self_out; /* self-attention */
    conv q, cross_out;  /* cross-attention */
    int64_t k_at, v_at; /* where its keys and values begin among those of all blocks */
    conv ff_in, ff_out;
} transformer;

/* heads 0: one per 64 channels. What makes keys and values of a text is noted in `text`. */
void transformer_load(transformer *b, params *p, int heads, const char *prefix, joint *text);

/* x [n,h,w,c] in place; text [n,1,t_max,*] of unet_text, of which sample i uses tokens[i] (host
 * array). */
void transformer_forward(dev *d, const transformer *b, tensor x, tensor text,
                         const int32_t *tokens);

#endif
