/* group_norm and layer_norm, CPU. Sums are taken in double: per channel down a row of pixels, the
 * channels of a group in order, the rows of a sample in order. */
#include "kernels/cpu/cpu.h"

#include <math.h>

typedef struct {
    const simd *simd;
    const group_norm_args *a;
    int64_t h, w, c1, c;
    double *partial;  /* [n][h][groups][2]: sum, sum of squares */
    double *channels; /* for every thread: [2][c] */
    /* [n][c]: result = (x - mean) * scale + shift. The mean is that of x, before `add`; what fp32
     * cannot hold of it is in the shift. */
    float *mean, *scale, *shift;
} plan;

/* Both sources of a row; the second may be missing. */
static const float *row_of(const plan *p, tensor t, int64_t row)
{
    return tensor_given(t) ? (const float *)t.data + row * p->w * t.dim[3] : NULL;
}

/* What is added to the channels of a sample; NULL: nothing. */
static const float *added(const group_norm_args *a, int64_t sample)
{
    const float *add = a->add.data;
    return add ? add + sample * a->add.dim[3] + a->add_at : NULL;
}

static void sum_row(void *arg, int64_t row, int thread)
{
    const plan *p = arg;
    const group_norm_args *a = p->a;
    double *sum = p->channels + thread * 2 * p->c, *squares = sum + p->c;
    const float *add = added(a, row / p->h), *x2 = row_of(p, a->x2, row);
    p->simd->moments(p->c1, p->w, p->c1, row_of(p, a->x, row), add, sum, squares);
    if (x2)
        p->simd->moments(p->c - p->c1, p->w, p->c - p->c1, x2, add ? add + p->c1 : NULL,
                         sum + p->c1, squares + p->c1);
    int64_t size = p->c / a->groups;
    double *to = p->partial + row * a->groups * 2;
    for (int64_t g = 0; g < a->groups; g++, to += 2) {
        to[0] = to[1] = 0;
        for (int64_t i = g * size; i < (g + 1) * size; i++) {
            to[0] += sum[i];
            to[1] += squares[i];
        }
    }
}

/* Mean and factor of every channel of one sample. */
static void settle_sample(void *arg, int64_t sample, int thread)
{
    (void)thread;
    const plan *p = arg;
    const group_norm_args *a = p->a;
    const float *scale = a->scale.data, *shift = a->shift.data, *add = added(a, sample);
    int64_t size = p->c / a->groups;
    double count = (double)(size * p->h * p->w);
    for (int64_t g = 0; g < a->groups; g++) {
        double sum = 0, squares = 0;
        for (int64_t y = 0; y < p->h; y++) {
            const double *from = p->partial + ((sample * p->h + y) * a->groups + g) * 2;
            sum += from[0];
            squares += from[1];
        }
        double mean = sum / count, variance = squares / count - mean * mean;
        double factor = 1 / sqrt((variance < 0 ? 0 : variance) + a->eps);
        for (int64_t i = g * size; i < (g + 1) * size; i++) {
            int64_t at = sample * p->c + i;
            double middle = mean - (add ? (double)add[i] : 0), slope = factor * (double)scale[i];
            p->mean[at] = (float)middle;
            p->scale[at] = (float)slope;
            p->shift[at] = (float)((double)shift[i] - (middle - (double)p->mean[at]) * slope);
        }
    }
}

static void apply_row(void *arg, int64_t row, int thread)
{
    (void)thread;
    const plan *p = arg;
    const group_norm_args *a = p->a;
    const float *x = row_of(p, a->x, row), *x2 = row_of(p, a->x2, row);
    const float *mean = p->mean + row / p->h * p->c, *scale = p->scale + row / p->h * p->c;
    const float *shift = p->shift + row / p->h * p->c;
    float *out = (float *)a->out.data + row * p->w * p->c;
    int64_t c1 = p->c1, c2 = p->c - c1;
    for (int64_t i = 0; i < p->w; i++, out += p->c) {
        p->simd->normalise(c1, out, x + i * c1, mean, scale, shift, a->act);
        if (x2)
            p->simd->normalise(c2, out + c1, x2 + i * c2, mean + c1, scale + c1, shift + c1,
                               a->act);
    }
}

void cpu_group_norm(dev *d, const group_norm_args *a)
{
    int64_t n = a->out.dim[0];
    plan p = {.simd = cpu_of(d)->simd,
              .a = a,
              .h = a->out.dim[1],
              .w = a->out.dim[2],
              .c1 = a->x.dim[3],
              .c = a->out.dim[3]};
    size_t mark = dev_mark(d);
    p.partial = dev_scratch(d, (size_t)(n * p.h * a->groups * 2) * sizeof *p.partial);
    p.channels = dev_scratch(d, (size_t)(d->options.threads * 2 * p.c) * sizeof *p.channels);
    p.mean = dev_scratch(d, (size_t)(n * p.c) * sizeof *p.mean);
    p.scale = dev_scratch(d, (size_t)(n * p.c) * sizeof *p.scale);
    p.shift = dev_scratch(d, (size_t)(n * p.c) * sizeof *p.shift);
    cpu_run(d, n * p.h, sum_row, &p);
    cpu_run(d, n, settle_sample, &p);
    cpu_run(d, n * p.h, apply_row, &p);
    dev_release(d, mark);
}

enum { ROWS_A_TILE = 16 };

typedef struct {
    const simd *simd;
    const layer_norm_args *a;
    int64_t rows;
} layer_plan;

static void layer_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const layer_plan *p = arg;
    int64_t c = p->a->x.dim[3], end = (tile + 1) * ROWS_A_TILE;
    for (int64_t row = tile * ROWS_A_TILE; row < end && row < p->rows; row++)
        p->simd->layer_norm(c, (float *)p->a->out.data + row * c,
                            (const float *)p->a->x.data + row * c, p->a->scale.data,
                            p->a->shift.data, p->a->eps);
}

void cpu_layer_norm(dev *d, const layer_norm_args *a)
{
    layer_plan p = {.simd = cpu_of(d)->simd, .a = a, .rows = tensor_count(a->x) / a->x.dim[3]};
    cpu_run(d, ceil_div(p.rows, ROWS_A_TILE), layer_tile, &p);
}
