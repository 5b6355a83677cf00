/* What the kernels of the CPU backend share. */
#ifndef KERNELS_CPU_CPU_H
#define KERNELS_CPU_CPU_H

#include "kernels/cpu/pool.h"
#include "kernels/cpu/simd.h"

/* dev.impl of a CPU device. */
typedef struct {
    pool *pool; /* NULL on a dry device */
    const simd *simd;
} cpu;

static inline const cpu *cpu_of(const dev *d)
{
    return d->impl;
}

/* weight.layout */
enum {
    LAYOUT_PANELS,  /* [panel of out][k * k * in][PANEL], a tap's channels together */
    LAYOUT_WINOGRAD /* [WINOGRAD_IN][panel of out][in][PANEL] */
};

/* The longest chain of products summed in one go; a longer one is cut into equal blocks whose sums
 * are added in order. Keeps a panel near the first cache, and rounding errors small. */
enum { CHAIN = 320 };

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t panels_of(int64_t columns)
{
    return ceil_div(columns, PANEL);
}

static inline int64_t chain_of(int64_t k)
{
    return ceil_div(k, ceil_div(k, CHAIN));
}

/* Floats from one row to the next of a block of rows with k values each: an odd number of cache
 * lines, so that rows do not fall on top of each other in the first cache. */
static inline int64_t row_stride(int64_t k)
{
    return (ceil_div(k, 16) | 1) * 16;
}

/* Where part i of `parts` nearly equal parts of `count` begins. */
static inline int64_t part_begin(int64_t count, int64_t parts, int64_t i)
{
    return count * i / parts;
}

/* What a convolution does to its sums from channel `column` on. */
static inline finishing finishing_of(const conv2d_args *a, int64_t column)
{
    const float *bias = a->bias.data, *slope = a->slope.data;
    return (finishing){
        .bias = bias ? bias + column : NULL, .slope = slope ? slope + column : NULL, .act = a->act};
}

/* Private scratch of `floats` for every thread, one behind the other; NULL when dry or failed. */
float *cpu_scratch(dev *d, int64_t floats);

/* How many panels one tile computes: many, so that its rows are gathered once, but not so many that
 * threads go idle. Decides no bit. */
int64_t cpu_panel_tiles(const dev *d, int64_t row_tiles, int64_t panels);

/* Runs fn over the tiles unless the device is dry or has failed. */
void cpu_run(dev *d, int64_t tiles, pool_fn fn, void *arg);

/* 3x3 convolution with a weight in LAYOUT_WINOGRAD. */
void winograd_conv2d(dev *d, const conv2d_args *a);

#endif
