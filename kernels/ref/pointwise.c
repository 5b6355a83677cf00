/* Element by element, reference: activate, add, geglu, pixel_shuffle, pixel_unshuffle,
 * resize_nearest, timestep_embedding, gather, finite. */
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

void ref_activate(dev *d, const activate_args *a)
{
    if (d->options.dry)
        return;
    const float *x = a->x.data;
    float *out = a->out.data;
    for (int64_t i = 0; i < tensor_count(a->x); i++)
        out[i] = (float)ref_act(x[i], a->act);
}

void ref_add(dev *d, const add_args *a)
{
    if (d->options.dry)
        return;
    const float *x = a->a.data, *y = a->b.data;
    float *out = a->out.data;
    int64_t period = tensor_count(a->b);
    for (int64_t i = 0; i < tensor_count(a->a); i++)
        out[i] = fmaf(a->scale, x[i], y[i % period]);
}

void ref_geglu(dev *d, const geglu_args *a)
{
    if (d->options.dry)
        return;
    int64_t c = a->out.dim[3], rows = tensor_count(a->out) / c;
    const float *x = a->x.data;
    float *out = a->out.data;
    for (int64_t r = 0; r < rows; r++, x += 2 * c, out += c)
        for (int64_t i = 0; i < c; i++)
            out[i] = (float)(x[i] * ref_gelu(x[c + i]));
}

void ref_pixel_shuffle(dev *d, const pixel_shuffle_args *a)
{
    if (d->options.dry)
        return;
    int64_t h = a->out.dim[1], w = a->out.dim[2], c = a->out.dim[3], r = a->factor;
    const float *x = a->x.data, *base = a->base.data;
    float *to = a->out.data;
    for (int64_t row = 0; row < a->out.dim[0] * h; row++)
        for (int64_t column = 0; column < w; column++)
            for (int64_t k = 0; k < c; k++, to++) {
                int64_t pixel = row / r * (w / r) + column / r;
                *to = x[((pixel * c + k) * r + row % r) * r + column % r];
                if (base)
                    *to += base[pixel * c + k];
            }
}

/* Where index i of a row or column of `size` comes from. */
static int64_t mirrored(int64_t i, int64_t size)
{
    int64_t period = 2 * (size - 1);
    if (period == 0)
        return 0;
    i %= period;
    return i < size ? i : period - i;
}

void ref_pixel_unshuffle(dev *d, const pixel_unshuffle_args *a)
{
    if (d->options.dry)
        return;
    int64_t h = a->out.dim[1], w = a->out.dim[2], c = a->x.dim[3], r = a->factor;
    float *to = a->out.data;
    for (int64_t row = 0; row < a->out.dim[0] * h; row++)
        for (int64_t column = 0; column < w; column++)
            for (int64_t k = 0; k < c * r * r; k++) {
                int64_t y = mirrored(row % h * r + k / r % r, a->x.dim[1]);
                int64_t x = mirrored(column * r + k % r, a->x.dim[2]);
                const float *sample = tensor_sample(a->x, row / h).data;
                *to++ = sample[(y * a->x.dim[2] + x) * c + k / r / r];
            }
}

void ref_resize_nearest(dev *d, const resize_nearest_args *a)
{
    if (d->options.dry)
        return;
    int64_t h = a->x.dim[1], w = a->x.dim[2], c = a->x.dim[3];
    int64_t out_h = a->out.dim[1], out_w = a->out.dim[2];
    float *to = a->out.data;
    for (int64_t i = 0; i < a->out.dim[0]; i++)
        for (int64_t y = 0; y < out_h; y++)
            for (int64_t x = 0; x < out_w; x++, to += c) {
                const float *from = a->x.data;
                from += ((i * h + y * h / out_h) * w + x * w / out_w) * c;
                memcpy(to, from, (size_t)c * sizeof *to);
            }
}

/* Ho et al. 2020, after Vaswani et al. 2017. The angle is rounded to float at each step, because
 * the models were
 * trained so: at t = 999 the exact angle differs by 6e-5. */
void ref_timestep_embedding(dev *d, const timestep_embedding_args *a)
{
    if (d->options.dry)
        return;
    int64_t n = a->out.dim[0], c = a->out.dim[3], half = c / 2;
    float *out = a->out.data;
    for (int64_t j = 0; j < half; j++) {
        float exponent = -9.21034037197618f * (float)j / (float)half; /* log(10000) */
        float frequency = (float)exp(exponent);
        for (int64_t i = 0; i < n; i++) {
            float angle = (float)a->t[i] * frequency;
            out[i * c + j] = (float)cos(angle);
            out[i * c + half + j] = (float)sin(angle);
        }
    }
}

void ref_gather(dev *d, const gather_args *a)
{
    if (d->options.dry)
        return;
    int64_t n = a->out.dim[0], width = a->out.dim[3], pixels = a->out.dim[1] * a->out.dim[2];
    float *to = (float *)a->out.data + a->first;
    for (int64_t i = 0; i < n; i++) {
        const float *from = a->source[i].data;
        for (int64_t p = 0; p < pixels; p++, from += a->source[i].dim[3], to += width)
            for (int64_t j = 0; j < a->c; j++)
                to[j] = a->scale * from[j];
    }
}

void ref_finite(dev *d, const finite_args *a)
{
    if (d->options.dry)
        return;
    int64_t n = a->x.dim[0], size = tensor_count(a->x) / n;
    const float *x = a->x.data;
    for (int64_t i = 0; i < n; i++) {
        a->flag[i] = true;
        for (int64_t j = 0; j < size; j++)
            a->flag[i] &= isfinite(x[i * size + j]) != 0;
    }
}
