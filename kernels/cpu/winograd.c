/* 3x3 convolution, stride 1, by Winograd's F(4x4,3x3) on channels-last tensors (Lavin and Gray,
 * "Fast algorithms for convolutional neural networks", 2016): a 4x4 block of outputs costs 36
 * products a channel instead of 144.
 *
 * A tile of work takes a group of 4x4 blocks, from anywhere in the batch, through all three stages
 * while they stay in its core's cache: 6x6 inputs -> 36 matrices [blocks][in], 36 products with the
 * transformed filters, 36 matrices [blocks][out] -> outputs. A block's bits depend on its own 6x6
 * inputs alone. */
#include "kernels/cpu/cpu.h"

#include <string.h>

enum { SIDE = 4, WINDOW = 6, GROUP_MOST = 56 };

typedef struct {
    const simd *simd;
    const conv2d_args *a;
    int64_t blocks_y, blocks_x, blocks; /* of one sample; of the batch */
    int64_t chain;
    int64_t groups, panel_tiles;
    const float *zeros; /* the channels of a pixel outside of the picture */
    float *scratch;     /* for every thread: inputs, then products */
    int64_t inputs, products;
} plan;

typedef struct {
    int64_t sample, y, x; /* of its first output pixel */
} block;

static block block_at(const plan *p, int64_t i)
{
    int64_t in_sample = i % (p->blocks_y * p->blocks_x);
    return (block){.sample = i / (p->blocks_y * p->blocks_x),
                   .y = in_sample / p->blocks_x * SIDE,
                   .x = in_sample % p->blocks_x * SIDE};
}

/* Channels from .. from + n of one source tensor, `to` in the first of the 36 matrices. */
static void transform_source(const plan *p, block b, tensor source, int64_t from, int64_t n,
                             float *to, int64_t plane)
{
    int64_t h = source.dim[1], w = source.dim[2], c = source.dim[3];
    const float *in[WINOGRAD_IN], *x = source.data;
    for (int i = 0; i < WINOGRAD_IN; i++) {
        int64_t at_y = b.y + i / WINDOW - 1, at_x = b.x + i % WINDOW - 1;
        bool inside = at_y >= 0 && at_y < h && at_x >= 0 && at_x < w;
        in[i] = inside ? x + ((b.sample * h + at_y) * w + at_x) * c + from : p->zeros;
    }
    p->simd->winograd_in(n, to, plane, in);
}

/* Channels k .. k + n of x ++ x2 for all blocks of a group. */
static void transform_inputs(const plan *p, int64_t first, int64_t end, int64_t k, int64_t n,
                             float *to)
{
    int64_t stride = row_stride(p->chain), plane = (end - first) * stride;
    int64_t c1 = p->a->x.dim[3];
    int64_t n1 = k >= c1 ? 0 : k + n <= c1 ? n : c1 - k;
    for (int64_t i = first; i < end; i++, to += stride) {
        block b = block_at(p, i);
        if (n1 > 0)
            transform_source(p, b, p->a->x, k, n1, to, plane);
        if (n1 < n)
            transform_source(p, b, p->a->x2, k + n1 - c1, n - n1, to + n1, plane);
    }
}

/* The 36 products of a group with channels k .. k + n of the filters of some panels. */
static void multiply(const plan *p, int64_t k, int64_t n, int64_t count, int64_t panel,
                     int64_t panel_end, const float *inputs, float *products)
{
    const weight *w = p->a->w;
    int64_t stride = row_stride(p->chain), width = (panel_end - panel) * PANEL;
    int64_t last = WINOGRAD_IN - 1, panels = panels_of(w->out);
    for (int64_t e = 0; e <= last; e++, inputs += count * stride, products += count * width)
        for (int64_t i = panel; i < panel_end; i++) {
            const float *b = (const float *)w->data + ((e * panels + i) * w->in + k) * PANEL;
            const float *next = NULL;
            if (i + 1 < panel_end)
                next = b + w->in * PANEL;
            else if (e < last)
                next = b + (panels + panel - i) * w->in * PANEL;
            p->simd->gemm(count, n, inputs, stride, b, products + (i - panel) * PANEL, width, k > 0,
                          next);
        }
}

static void transform_outputs(const plan *p, int64_t first, int64_t end, int64_t column,
                              int64_t columns, const float *from, int64_t stride)
{
    const conv2d_args *a = p->a;
    int64_t h = a->out.dim[1], w = a->out.dim[2], c = a->out.dim[3];
    const float *residual = a->residual.data;
    finishing f = finishing_of(a, column);
    float *out = a->out.data;
    int64_t plane = (end - first) * stride;
    for (int64_t i = first; i < end; i++, from += stride) {
        block b = block_at(p, i);
        float *pixel[WINOGRAD_OUT];
        const float *added[WINOGRAD_OUT];
        for (int j = 0; j < WINOGRAD_OUT; j++) {
            int64_t y = b.y + j / SIDE, x = b.x + j % SIDE;
            bool inside = y < h && x < w;
            int64_t at = ((b.sample * h + y) * w + x) * c + a->out_at + column;
            pixel[j] = inside ? out + at : NULL;
            added[j] = inside && residual ? residual + at : NULL;
        }
        p->simd->winograd_out(columns, pixel, from, plane, residual ? added : NULL, f);
    }
}

static void winograd_tile(void *arg, int64_t tile, int thread)
{
    const plan *p = arg;
    const weight *w = p->a->w;
    int64_t group = tile / p->panel_tiles, panel_tile = tile % p->panel_tiles;
    int64_t first = part_begin(p->blocks, p->groups, group);
    int64_t end = part_begin(p->blocks, p->groups, group + 1), count = end - first;
    int64_t panel = part_begin(panels_of(w->out), p->panel_tiles, panel_tile);
    int64_t panel_end = part_begin(panels_of(w->out), p->panel_tiles, panel_tile + 1);
    int64_t width = (panel_end - panel) * PANEL, column = panel * PANEL;
    float *inputs = p->scratch + thread * (p->inputs + p->products);
    float *products = inputs + p->inputs;
    for (int64_t k = 0; k < w->in; k += p->chain) {
        int64_t n = w->in - k < p->chain ? w->in - k : p->chain;
        transform_inputs(p, first, end, k, n, inputs);
        multiply(p, k, n, count, panel, panel_end, inputs, products);
    }
    int64_t columns = column + width < w->out ? width : w->out - column;
    transform_outputs(p, first, end, column, columns, products, width);
}

static int64_t group_of(const dev *d, const plan *p)
{
    int64_t band =
        d->options.band_rows > 0 ? ceil_div(d->options.band_rows, SIDE) * p->blocks_x : GROUP_MOST;
    return band < GROUP_MOST ? band : GROUP_MOST;
}

void winograd_conv2d(dev *d, const conv2d_args *a)
{
    plan p = {.simd = cpu_of(d)->simd,
              .a = a,
              .blocks_y = ceil_div(a->out.dim[1], SIDE),
              .blocks_x = ceil_div(a->out.dim[2], SIDE),
              .chain = chain_of(a->w->in)};
    int64_t group = group_of(d, &p), panels = panels_of(a->w->out);
    p.blocks = a->out.dim[0] * p.blocks_y * p.blocks_x;
    p.groups = ceil_div(p.blocks, group);
    p.panel_tiles = cpu_panel_tiles(d, p.groups, panels);
    p.inputs = WINOGRAD_IN * group * row_stride(p.chain);
    p.products = WINOGRAD_IN * group * ceil_div(panels, p.panel_tiles) * PANEL;
    size_t mark = dev_mark(d);
    size_t zero_bytes = (size_t)a->w->in * sizeof(float);
    float *zeros = dev_scratch(d, zero_bytes);
    if (zeros)
        memset(zeros, 0, zero_bytes);
    p.zeros = zeros;
    p.scratch = cpu_scratch(d, p.inputs + p.products);
    cpu_run(d, p.groups * p.panel_tiles, winograd_tile, &p);
    dev_release(d, mark);
}
