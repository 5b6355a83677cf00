/* The CLIP text encoder (Radford et al. 2021, text tower as in OpenAI's ViT-L/14). */
#ifndef WORKER_MODEL_CLIP_H
#define WORKER_MODEL_CLIP_H

#include "worker/model/params.h"

typedef struct {
    norm norm1, norm2;
    conv qkv, out, fc1, fc2;
} clip_layer;

typedef struct {
    const model_config *config;
    tensor table, position;
    clip_layer *layer; /* config->text_layers */
    norm final;
} clip;

int clip_load(clip *c, const model_config *config, params *p);
void clip_done(clip *c);

/* ids [n][77] (host) -> [n,1,77,width]. clip_skip 1: the last layer; k: layer k from the end, at
 * most the first one; then the final layer norm. On a dry device ids may be NULL. */
tensor clip_encode(dev *d, tensor *out, const clip *c, const int32_t *ids, int64_t n,
                   int clip_skip);

#endif
