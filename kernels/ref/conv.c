/* conv2d, reference: one dot product over channels per tap. The loop over output channels stands
 * outside the one along a row, so that a filter stays in the nearest cache. */
#include "kernels/ref/ref.h"

/* Sum over the taps of one filter at output pixel (y, x) of one sample. */
static double taps_at(const conv2d_args *a, const float *x1, const float *x2, const float *filter,
                      int64_t y, int64_t x)
{
    int64_t h = a->x.dim[1], w = a->x.dim[2], c1 = a->x.dim[3], c2 = a->x2_channels;
    int k = a->w->k, pad = k == 3 && !a->pad_after;
    double sum = 0;
    for (int ky = 0; ky < k; ky++) {
        int64_t from_y = y * a->stride + ky - pad;
        if (from_y < 0 || from_y >= h)
            continue;
        for (int kx = 0; kx < k; kx++) {
            int64_t from_x = x * a->stride + kx - pad;
            if (from_x < 0 || from_x >= w)
                continue;
            const float *f = filter + (ky * k + kx) * (c1 + c2);
            sum += ref_dot(x1 + (from_y * w + from_x) * c1, f, c1);
            if (x2)
                sum += ref_dot(x2 + (from_y * w + from_x) * a->x2.dim[3], f + c1, c2);
        }
    }
    return sum;
}

static void conv_row(const conv2d_args *a, int64_t i, int64_t y)
{
    int64_t w = a->out.dim[2], c = a->out.dim[3];
    int64_t filter_size = (int64_t)a->w->k * a->w->k * a->w->in;
    const float *x1 = tensor_sample(a->x, i).data;
    const float *x2 = tensor_given(a->x2) ? tensor_sample(a->x2, i).data : NULL;
    const float *bias = a->bias.data, *slope = a->slope.data, *residual = a->residual.data;
    float *out = a->out.data;
    for (int64_t o = 0; o < a->w->out; o++)
        for (int64_t x = 0; x < w; x++) {
            const float *filter = (const float *)a->w->data + o * filter_size;
            int64_t at = ((i * a->out.dim[1] + y) * w + x) * c + a->out_at + o;
            double v = taps_at(a, x1, x2, filter, y, x) + (bias ? bias[o] : 0);
            v = slope && v < 0 ? v * slope[o] : ref_act(v, a->act);
            out[at] = (float)(v + (residual ? residual[at] : 0));
        }
}

void ref_conv2d(dev *d, const conv2d_args *a)
{
    if (d->options.dry)
        return;
    for (int64_t i = 0; i < a->out.dim[0]; i++)
        for (int64_t y = 0; y < a->out.dim[1]; y++)
            conv_row(a, i, y);
}
