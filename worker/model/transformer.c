/* Spatial transformer: see transformer.h. */
#include "worker/model/transformer.h"

#include <stdio.h>

enum { CHANNELS_A_HEAD = 64, NAME_BYTES = 160 };

void transformer_load(transformer *b, params *p, int heads, const char *prefix, joint *text)
{
    char self[NAME_BYTES];
    *b = (transformer){0};
    snprintf(self, sizeof self, "%s.transformer_blocks.0.attn1", prefix);
    b->norm = params_norm(p, "%s.norm", prefix);
    b->proj_in = params_linear(p, "%s.proj_in", prefix);
    b->norm1 = params_norm(p, "%s.transformer_blocks.0.norm1", prefix);
    b->qkv = layer_load_qkv(p, self, (const char *const[]){"to_q", "to_k", "to_v"});
    b->self_out = params_linear(p, "%s.to_out.0", self);
    b->norm2 = params_norm(p, "%s.transformer_blocks.0.norm2", prefix);
    b->q = params_linear(p, "%s.transformer_blocks.0.attn2.to_q", prefix);
    b->k_at = params_beside(p, text, "%s.transformer_blocks.0.attn2.to_k", prefix);
    b->v_at = params_beside(p, text, "%s.transformer_blocks.0.attn2.to_v", prefix);
    b->cross_out = params_linear(p, "%s.transformer_blocks.0.attn2.to_out.0", prefix);
    b->norm3 = params_norm(p, "%s.transformer_blocks.0.norm3", prefix);
    b->ff_in = params_linear(p, "%s.transformer_blocks.0.ff.net.0.proj", prefix);
    b->ff_out = params_linear(p, "%s.transformer_blocks.0.ff.net.2", prefix);
    b->proj_out = params_linear(p, "%s.proj_out", prefix);
    b->heads = heads ? heads : (int)(b->proj_in.w.out / CHANNELS_A_HEAD);
}

/* y += cross_out(attention(q(a), keys, values)); a is used up. */
static void attend_to_text(dev *d, const transformer *b, tensor y, tensor a, tensor text,
                           const int32_t *tokens)
{
    size_t mark = dev_mark(d);
    tensor q = layer_linear(d, NEW, a, &b->q, (conv2d_options){0}); /* [n,1,t,c] */
    op_attend(d, &a,
              (attention_args){.q = q,
                               .k = text,
                               .v = text,
                               .k_at = b->k_at,
                               .v_at = b->v_at,
                               .heads = b->heads,
                               .head = (int)(q.dim[3] / b->heads),
                               .keys = tokens}); /* [n,1,t,c] */
    layer_linear(d, &y, a, &b->cross_out, (conv2d_options){.residual = y});
    dev_release(d, mark);
}

/* y += ff_out(geglu(ff_in(a))) */
static void feed_forward(dev *d, const transformer *b, tensor y, tensor a)
{
    size_t mark = dev_mark(d);
    tensor wide = layer_linear(d, NEW, a, &b->ff_in, (conv2d_options){0}); /* [n,1,t,8c] */
    tensor gated = op_geglu(d, NEW, wide);                                 /* [n,1,t,4c] */
    layer_linear(d, &y, gated, &b->ff_out, (conv2d_options){.residual = y});
    dev_release(d, mark);
}

void transformer_forward(dev *d, const transformer *b, tensor x, tensor text, const int32_t *tokens)
{
    int64_t n = x.dim[0], h = x.dim[1], w = x.dim[2], c = x.dim[3], t = h * w;
    size_t mark = dev_mark(d);
    tensor y = dev_tensor(d, d->storage, n, 1, t, c);
    tensor a = dev_tensor(d, d->storage, n, 1, t, c);
    tensor pixels = tensor_reshape(a, n, h, w, c), xt = tensor_reshape(x, n, 1, t, c);

    layer_group_norm(d, &pixels, x, &b->norm, (group_norm_options){.eps = 1e-6}); /* [n,h,w,c] */
    layer_linear(d, &y, a, &b->proj_in, (conv2d_options){0});                     /* [n,1,t,c] */
    layer_norm(d, &a, y, &b->norm1);
    layer_attend(d, a, a, &b->qkv, b->heads, false); /* [n,1,t,c] */
    layer_linear(d, &y, a, &b->self_out, (conv2d_options){.residual = y});
    layer_norm(d, &a, y, &b->norm2);
    attend_to_text(d, b, y, a, text, tokens);
    layer_norm(d, &a, y, &b->norm3);
    feed_forward(d, b, y, a);
    layer_linear(d, &xt, y, &b->proj_out, (conv2d_options){.residual = xt}); /* [n,1,t,c] */
    dev_release(d, mark);
}
