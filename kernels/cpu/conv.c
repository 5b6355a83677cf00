/* conv2d, CPU: linear layers, 1x1 and direct 3x3 convolutions as one matrix product.
 *
 * A row of the product is an output pixel of the batch, its values the channels of x and x2 under
 * every tap of the filter. A tile gathers some rows, CHAIN values at a time, multiplies them with a
 * range of panels and finishes (bias, activation, residual) what it has summed. */
#include "kernels/cpu/cpu.h"

#include <string.h>

enum { ROWS_MOST = 112 };

typedef struct {
    const simd *simd;
    const conv2d_args *a;
    int64_t rows, k, chain; /* output pixels; values of a row; values summed in one go */
    int64_t row_tiles, panel_tiles;
    float *scratch; /* for every thread: gathered rows, then sums */
    int64_t gathered, summed;
} plan;

/* Part of a row: values k0 .. k1 of the output pixel (i, y, x). */
static void gather_row(const plan *p, float *to, int64_t i, int64_t y, int64_t x, int64_t k0,
                       int64_t k1)
{
    const conv2d_args *a = p->a;
    int64_t h = a->x.dim[1], w = a->x.dim[2], c1 = a->x.dim[3], c = a->w->in, n;
    int size = a->w->k, pad = size == 3 && !a->pad_after;
    for (int64_t k = k0; k < k1; k += n, to += n) {
        int64_t tap = k / c, channel = k % c;
        int64_t from_y = y * a->stride + tap / size - pad,
                from_x = x * a->stride + tap % size - pad;
        bool first = channel < c1;
        n = (first ? c1 : c) - channel;
        n = n < k1 - k ? n : k1 - k;
        if (from_y < 0 || from_y >= h || from_x < 0 || from_x >= w) {
            memset(to, 0, (size_t)n * sizeof *to);
            continue;
        }
        int64_t pixel = (i * h + from_y) * w + from_x;
        const float *from = first ? (const float *)a->x.data + pixel * c1 + channel
                                  : (const float *)a->x2.data + pixel * a->x2.dim[3] + channel - c1;
        memcpy(to, from, (size_t)n * sizeof *to);
    }
}

static void gather(const plan *p, float *to, int64_t row, int64_t end, int64_t k0, int64_t k1)
{
    int64_t h = p->a->out.dim[1], w = p->a->out.dim[2], stride = row_stride(p->chain);
    for (; row < end; row++, to += stride)
        gather_row(p, to, row / (h * w), row / w % h, row % w, k0, k1);
}

static void finish_rows(const plan *p, const float *sums, int64_t row, int64_t end, int64_t panel,
                        int64_t panel_end)
{
    const conv2d_args *a = p->a;
    int64_t column = panel * PANEL, stride = (panel_end - panel) * PANEL;
    int64_t end_column = panel_end * PANEL < a->w->out ? panel_end * PANEL : a->w->out;
    finishing f = finishing_of(a, column);
    const float *residual = a->residual.data;
    float *out = a->out.data;
    for (; row < end; row++, sums += stride) {
        int64_t at = row * a->out.dim[3] + a->out_at + column;
        p->simd->finish(end_column - column, out + at, sums, residual ? residual + at : NULL, f);
    }
}

static void conv_tile(void *arg, int64_t tile, int thread)
{
    const plan *p = arg;
    int64_t row_tile = tile / p->panel_tiles, panel_tile = tile % p->panel_tiles;
    int64_t row = part_begin(p->rows, p->row_tiles, row_tile);
    int64_t row_end = part_begin(p->rows, p->row_tiles, row_tile + 1);
    int64_t panels = panels_of(p->a->w->out);
    int64_t panel = part_begin(panels, p->panel_tiles, panel_tile);
    int64_t panel_end = part_begin(panels, p->panel_tiles, panel_tile + 1);
    float *rows = p->scratch + thread * (p->gathered + p->summed), *sums = rows + p->gathered;
    const float *weights = p->a->w->data;
    for (int64_t k = 0; k < p->k; k += p->chain) {
        int64_t n = p->k - k < p->chain ? p->k - k : p->chain;
        gather(p, rows, row, row_end, k, k + n);
        for (int64_t i = panel; i < panel_end; i++) {
            const float *b = weights + (i * p->k + k) * PANEL;
            const float *next =
                i + 1 < panel_end ? b + p->k * PANEL : weights + (panel * p->k + k + n) * PANEL;
            p->simd->gemm(row_end - row, n, rows, row_stride(p->chain), b,
                          sums + (i - panel) * PANEL, (panel_end - panel) * PANEL, k > 0, next);
        }
    }
    finish_rows(p, sums, row, row_end, panel, panel_end);
}

static int64_t rows_of_tile(const dev *d, const conv2d_args *a)
{
    int64_t band = d->options.band_rows * a->out.dim[2];
    return band > 0 && band < ROWS_MOST ? band : ROWS_MOST;
}

void cpu_conv2d(dev *d, const conv2d_args *a)
{
    if (a->w->layout == LAYOUT_WINOGRAD) {
        winograd_conv2d(d, a);
        return;
    }
    plan p = {.simd = cpu_of(d)->simd,
              .a = a,
              .rows = a->out.dim[0] * a->out.dim[1] * a->out.dim[2],
              .k = a->w->k * a->w->k * a->w->in};
    int64_t rows = rows_of_tile(d, a), panels = panels_of(a->w->out);
    p.chain = chain_of(p.k);
    p.row_tiles = ceil_div(p.rows, rows);
    p.panel_tiles = cpu_panel_tiles(d, p.row_tiles, panels);
    p.gathered = rows * row_stride(p.chain);
    p.summed = rows * ceil_div(panels, p.panel_tiles) * PANEL;
    size_t mark = dev_mark(d);
    p.scratch = cpu_scratch(d, p.gathered + p.summed);
    cpu_run(d, p.row_tiles * p.panel_tiles, conv_tile, &p);
    dev_release(d, mark);
}
