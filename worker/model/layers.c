/* Layers: see layers.h. */
#include "worker/model/layers.h"

#include <assert.h>

tensor layer_result(dev *d, tensor *out, int64_t n, int64_t h, int64_t w, int64_t c)
{
    return out ? *out : dev_tensor(d, d->storage, n, h, w, c);
}

tensor layer_conv(dev *d, tensor *out, tensor x, const conv *c, conv2d_options o)
{
    o.bias = c->bias;
    o.stride = c->stride;
    return op_conv2d(d, out, x, &c->w, o);
}

tensor layer_linear(dev *d, tensor *out, tensor x, const conv *c, conv2d_options o)
{
    o.bias = c->bias;
    return op_linear(d, out, x, &c->w, o);
}

tensor layer_group_norm(dev *d, tensor *out, tensor x, const norm *n, group_norm_options o)
{
    return op_group_norm(d, out, x, n->scale, n->shift, o);
}

tensor layer_norm(dev *d, tensor *out, tensor x, const norm *n)
{
    return op_layer_norm(d, out, x, n->scale, n->shift, 1e-5);
}

conv layer_load_qkv(params *p, const char *prefix, const char *const name[3])
{
    joint all = {0};
    for (int i = 0; i < 3; i++)
        params_beside(p, &all, "%s.%s", prefix, name[i]);
    return params_join(p, &all);
}

void layer_attend(dev *d, tensor out, tensor x, const conv *qkv, int heads, bool causal)
{
    const int64_t c = out.dim[3];
    const size_t mark = dev_mark(d);
    tensor all = layer_linear(d, NEW, x, qkv, (conv2d_options){0}); /* [n,1,t,3c] */
    assert(qkv->w.out == 3 * c && c % heads == 0);
    op_attend(d, &out,
              (attention_args){.q = all,
                               .k = all,
                               .v = all,
                               .k_at = c,
                               .v_at = 2 * c,
                               .heads = heads,
                               .head = (int)(c / heads),
                               .causal = causal});
    dev_release(d, mark);
}

tensor layer_upsample(dev *d, tensor *out, tensor x, const conv *c)
{
    return layer_conv(d, out, x, c, (conv2d_options){.doubled = true});
}

void pair_want(pair *p, int64_t count)
{
    if (count > p->most[p->turn])
        p->most[p->turn] = count;
    p->turn ^= 1;
}

void pair_open(dev *d, pair *p)
{
    for (int i = 0; i < 2; i++)
        if (p->most[i])
            p->slot[i] = dev_tensor(d, d->storage, 1, 1, 1, p->most[i]);
    p->turn = 0;
}

tensor pair_next(pair *p, int64_t n, int64_t h, int64_t w, int64_t c)
{
    int i = p->turn;
    p->turn ^= 1;
    assert(n * h * w * c <= p->most[i]);
    return tensor_reshape(p->slot[i], n, h, w, c);
}
