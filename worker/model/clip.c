/* CLIP text encoder: see clip.h. Pre-norm transformer, causal, quick GELU. */
#include "worker/model/clip.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker/model/layers.h"

#define TEXT "cond_stage_model.transformer.text_model."

enum { NAME_BYTES = 128 };

static void load_layer(clip_layer *l, params *p, int i)
{
    char prefix[NAME_BYTES];
    l->norm1 = params_norm(p, TEXT "encoder.layers.%d.layer_norm1", i);
    snprintf(prefix, sizeof prefix, TEXT "encoder.layers.%d.self_attn", i);
    l->qkv = layer_load_qkv(p, prefix, (const char *const[]){"q_proj", "k_proj", "v_proj"});
    l->out = params_linear(p, TEXT "encoder.layers.%d.self_attn.out_proj", i);
    l->norm2 = params_norm(p, TEXT "encoder.layers.%d.layer_norm2", i);
    l->fc1 = params_linear(p, TEXT "encoder.layers.%d.mlp.fc1", i);
    l->fc2 = params_linear(p, TEXT "encoder.layers.%d.mlp.fc2", i);
}

int clip_load(clip *c, const model_config *config, params *p)
{
    *c = (clip){.config = config};
    c->layer = calloc((size_t)config->text_layers, sizeof *c->layer);
    if (!c->layer)
        return err_set(p->e, ERR_NO_MEMORY, "no memory for %d text layers", config->text_layers);
    params_piece(p, PART_TEXT, false);
    c->table = params_table(p, false, TEXT "embeddings.token_embedding.weight");
    c->position = params_table(p, true, TEXT "embeddings.position_embedding.weight");
    for (int i = 0; i < config->text_layers; i++)
        load_layer(&c->layer[i], p, i);
    c->final = params_norm(p, TEXT "final_layer_norm");
    return p->e->code;
}

void clip_done(clip *c)
{
    free(c->layer);
    *c = (clip){0};
}

/* x [n,1,t,c] in place */
static void encoder_layer(dev *d, const clip_layer *l, tensor x, int heads)
{
    size_t mark = dev_mark(d);
    tensor a = layer_norm(d, NEW, x, &l->norm1);                      /* [n,1,t,c] */
    layer_attend(d, a, a, &l->qkv, heads, true);                      /* [n,1,t,c] */
    layer_linear(d, &x, a, &l->out, (conv2d_options){.residual = x}); /* [n,1,t,c] */

    layer_norm(d, &a, x, &l->norm2);
    tensor m =
        layer_linear(d, NEW, a, &l->fc1, (conv2d_options){.act = ACT_QUICK_GELU}); /* [n,1,t,4c] */
    layer_linear(d, &x, m, &l->fc2, (conv2d_options){.residual = x});              /* [n,1,t,c] */
    dev_release(d, mark);
}

tensor clip_encode(dev *d, tensor *out, const clip *c, const int32_t *ids, int64_t n, int clip_skip)
{
    assert(n > 0 && clip_skip >= 1);
    int layers = c->config->text_layers - (clip_skip - 1);
    if (layers < 1)
        layers = 1;
    tensor y = layer_result(d, out, n, 1, c->position.dim[2], c->position.dim[3]);
    size_t mark = dev_mark(d);
    tensor x = op_embed(d, NEW, ids, n, c->table, c->position); /* [n,1,t,c] */
    for (int i = 0; i < layers; i++)
        encoder_layer(d, &c->layer[i], x, c->config->text_heads);
    layer_norm(d, &y, x, &c->final); /* [n,1,t,c] */
    dev_release(d, mark);
    return y;
}
