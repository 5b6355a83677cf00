/* group_norm and layer_norm, reference: mean first, then the variance around it. */
#include <math.h>

#include "kernels/ref/ref.h"

/* v = (x ++ x2) + add of one sample, by pixel and channel. */
typedef struct {
    const float *x, *x2, *add;
    int64_t c1, c2;
} joined;

static joined joined_sample(const group_norm_args *a, int64_t i)
{
    bool two = tensor_given(a->x2);
    const float *add = tensor_given(a->add) ? tensor_sample(a->add, i).data : NULL;
    return (joined){.x = tensor_sample(a->x, i).data,
                    .x2 = two ? tensor_sample(a->x2, i).data : NULL,
                    .add = add ? add + a->add_at : NULL,
                    .c1 = a->x.dim[3],
                    .c2 = two ? a->x2.dim[3] : 0};
}

static double joined_at(const joined *v, int64_t pixel, int64_t c)
{
    double x = c < v->c1 ? v->x[pixel * v->c1 + c] : v->x2[pixel * v->c2 + c - v->c1];
    return v->add ? x + v->add[c] : x;
}

/* One group of one sample: channels from..to. */
static void norm_group(const group_norm_args *a, int64_t i, int64_t from, int64_t to)
{
    joined v = joined_sample(a, i);
    int64_t pixels = a->x.dim[1] * a->x.dim[2];
    double sum = 0, squares = 0, count = (double)(pixels * (to - from));
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = from; c < to; c++)
            sum += joined_at(&v, p, c);
    double mean = sum / count;
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = from; c < to; c++)
            squares += (joined_at(&v, p, c) - mean) * (joined_at(&v, p, c) - mean);
    double factor = 1 / sqrt(squares / count + a->eps);
    const float *scale = a->scale.data, *shift = a->shift.data;
    float *out = tensor_sample(a->out, i).data;
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = from; c < to; c++) {
            double y = (joined_at(&v, p, c) - mean) * factor * scale[c] + shift[c];
            out[p * (v.c1 + v.c2) + c] = (float)ref_act(y, a->act);
        }
}

void ref_group_norm(dev *d, const group_norm_args *a)
{
    if (d->options.dry)
        return;
    int64_t c = a->out.dim[3], size = c / a->groups;
    for (int64_t i = 0; i < a->x.dim[0]; i++)
        for (int64_t from = 0; from < c; from += size)
            norm_group(a, i, from, from + size);
}

void ref_layer_norm(dev *d, const layer_norm_args *a)
{
    if (d->options.dry)
        return;
    int64_t c = a->x.dim[3], rows = tensor_count(a->x) / c;
    const float *x = a->x.data, *scale = a->scale.data, *shift = a->shift.data;
    float *out = a->out.data;
    for (int64_t r = 0; r < rows; r++, x += c, out += c) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < c; i++)
            sum += x[i];
        double mean = sum / (double)c;
        for (int64_t i = 0; i < c; i++)
            squares += (x[i] - mean) * (x[i] - mean);
        double factor = 1 / sqrt(squares / (double)c + a->eps);
        for (int64_t i = 0; i < c; i++)
            out[i] = (float)((x[i] - mean) * factor * scale[i] + shift[i]);
    }
}
