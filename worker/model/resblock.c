/* Residual blocks: see resblock.h. The result's own memory holds the middle of the block, so that
 * besides x and the result only one more tensor of their size is alive. */
#include "worker/model/resblock.h"

#include <math.h>

const resblock_form resblock_of_unet = {
    .norm1 = "in_layers.0",
    .conv1 = "in_layers.2",
    .time = "emb_layers.1",
    .norm2 = "out_layers.0",
    .conv2 = "out_layers.3",
    .skip = "skip_connection",
    .eps = 1e-5,
};

const resblock_form resblock_of_vae = {
    .norm1 = "norm1",
    .conv1 = "conv1",
    .norm2 = "norm2",
    .conv2 = "conv2",
    .skip = "nin_shortcut",
    .eps = 1e-6,
};

void resblock_load(resblock *b, params *p, const resblock_form *form, int stream,
                   const char *prefix, joint *times)
{
    *b = (resblock){.eps = ldexp(form->eps, 2 * stream)};
    p->scaling = (scaling){.out = stream};
    b->norm1 = params_norm(p, "%s.%s", prefix, form->norm1);
    b->conv1 = params_conv(p, 1, "%s.%s", prefix, form->conv1);
    b->timed = form->time != NULL;
    if (b->timed) /* added to what conv1 leaves */
        b->time_at = params_beside(p, times, "%s.%s", prefix, form->time);
    b->norm2 = params_norm(p, "%s.%s", prefix, form->norm2);
    b->conv2 = params_conv(p, 1, "%s.%s", prefix, form->conv2);
    p->scaling.in = stream;
    if (b->conv1.w.in != b->conv1.w.out)
        b->skip = params_conv(p, 1, "%s.%s", prefix, form->skip);
    p->scaling = (scaling){0};
}

tensor resblock_forward(dev *d, tensor *out, const resblock *b, tensor x, tensor x2, tensor time)
{
    int64_t n = x.dim[0], h = x.dim[1], w = x.dim[2];
    tensor y = layer_result(d, out, n, h, w, b->conv2.w.out);
    size_t mark = dev_mark(d);

    tensor a = layer_group_norm(
        d, NEW, x, &b->norm1,
        (group_norm_options){.x2 = x2, .act = ACT_SILU, .eps = b->eps}); /* [n,h,w,i+i2] */
    layer_conv(d, &y, a, &b->conv1, (conv2d_options){0});                /* [n,h,w,o] */
    dev_release(d, mark);

    group_norm_options second = {.act = ACT_SILU, .eps = b->eps};
    if (b->timed) {
        second.add = time;
        second.add_at = b->time_at;
    }
    a = layer_group_norm(d, NEW, y, &b->norm2, second); /* [n,h,w,o] */
    if (b->skip.w.out)
        layer_conv(d, &y, x, &b->skip, (conv2d_options){.x2 = x2}); /* [n,h,w,o] */
    layer_conv(d, &y, a, &b->conv2, (conv2d_options){.residual = b->skip.w.out ? y : x});
    dev_release(d, mark);
    return y;
}
