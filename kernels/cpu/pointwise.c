/* Operations element by element, CPU: cut into tiles of a few ten thousand values. The rest of the
 * kernel list (embeddings, steps, pixels: a few ten thousand values in all) stays the reference's.
 */
#include "kernels/cpu/cpu.h"

#include <string.h>

enum { TILE = 16384 };

typedef struct {
    const simd *simd;
    const void *args;
    int64_t count; /* values; rows for geglu */
} plan;

static int64_t tile_size(const plan *p, int64_t tile)
{
    int64_t left = p->count - tile * TILE;
    return left < TILE ? left : TILE;
}

static void activate_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const plan *p = arg;
    const activate_args *a = p->args;
    p->simd->activate(tile_size(p, tile), (float *)a->out.data + tile * TILE,
                      (const float *)a->x.data + tile * TILE, a->act);
}

void cpu_activate(dev *d, const activate_args *a)
{
    plan p = {.simd = cpu_of(d)->simd, .args = a, .count = tensor_count(a->x)};
    cpu_run(d, ceil_div(p.count, TILE), activate_tile, &p);
}

/* A tile of every sample where b is one sample, of the whole otherwise. */
static void add_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const plan *p = arg;
    const add_args *a = p->args;
    const float *b = (const float *)a->b.data + tile * TILE;
    int64_t n = tile_size(p, tile), all = tensor_count(a->a);
    for (int64_t at = tile * TILE; at < all; at += p->count)
        p->simd->add(n, (float *)a->out.data + at, (const float *)a->a.data + at, a->scale, b);
}

void cpu_add(dev *d, const add_args *a)
{
    plan p = {.simd = cpu_of(d)->simd, .args = a, .count = tensor_count(a->b)};
    cpu_run(d, ceil_div(p.count, TILE), add_tile, &p);
}

static void geglu_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const plan *p = arg;
    const geglu_args *a = p->args;
    int64_t c = a->out.dim[3], rows = ceil_div(TILE, c), end = (tile + 1) * rows;
    for (int64_t row = tile * rows; row < end && row < p->count; row++) {
        const float *x = (const float *)a->x.data + row * 2 * c;
        p->simd->geglu(c, (float *)a->out.data + row * c, x, x + c);
    }
}

void cpu_geglu(dev *d, const geglu_args *a)
{
    int64_t c = a->out.dim[3];
    plan p = {.simd = cpu_of(d)->simd, .args = a, .count = tensor_count(a->out) / c};
    cpu_run(d, ceil_div(p.count, ceil_div(TILE, c)), geglu_tile, &p);
}

/* One row of the result. */
static void resize_row(void *arg, int64_t row, int thread)
{
    (void)thread;
    const plan *p = arg;
    const resize_nearest_args *a = p->args;
    int64_t h = a->x.dim[1], w = a->x.dim[2], c = a->x.dim[3];
    int64_t to_h = a->out.dim[1], to_w = a->out.dim[2];
    int64_t from_y = row % to_h * h / to_h;
    const float *from = (const float *)a->x.data + (row / to_h * h + from_y) * w * c;
    float *to = (float *)a->out.data + row * to_w * c;
    for (int64_t x = 0; x < to_w; x++)
        memcpy(to + x * c, from + x * w / to_w * c, (size_t)c * sizeof *to);
}

/* One row of the result. */
static void shuffle_row(void *arg, int64_t row, int thread)
{
    (void)thread;
    const plan *p = arg;
    const pixel_shuffle_args *a = p->args;
    int64_t w = a->x.dim[2], c = a->out.dim[3], r = a->factor;
    const float *x = (const float *)a->x.data + row / r * w * a->x.dim[3] + row % r * r;
    const float *base = a->base.data ? (const float *)a->base.data + row / r * w * c : NULL;
    float *to = (float *)a->out.data + row * w * r * c;
    for (int64_t i = 0; i < w; i++, x += a->x.dim[3])
        for (int64_t j = 0; j < r; j++)
            for (int64_t k = 0; k < c; k++)
                *to++ = base ? x[k * r * r + j] + base[i * c + k] : x[k * r * r + j];
}

void cpu_pixel_shuffle(dev *d, const pixel_shuffle_args *a)
{
    plan p = {.args = a};
    cpu_run(d, a->out.dim[0] * a->out.dim[1], shuffle_row, &p);
}

void cpu_resize_nearest(dev *d, const resize_nearest_args *a)
{
    plan p = {.args = a};
    cpu_run(d, a->out.dim[0] * a->out.dim[1], resize_row, &p);
}
