/* Yardsticks: see yardstick.h. Everything is done through the device's own operations, in walks of
 * several calls, so that launching them costs nothing. oneDNN is loaded, not linked: a machine
 * without it measures everything else. */
#include "bench/yardstick.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "bench/values.h"
#include "kernels/ops.h"
#include "proto/clock.h"

enum { TRIES = 5, CALLS = 10, SIDE_HOST = 2048, SIDE_DEVICE = 8192 };

/* ---- the host's library ---- */

typedef int sgemm(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                  int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
typedef void set_threads(int n);

static double host_gflops(int64_t side, int threads)
{
    void *library = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
    sgemm *multiply = library ? (sgemm *)dlsym(library, "dnnl_sgemm") : NULL;
    set_threads *set = library ? (set_threads *)dlsym(library, "omp_set_num_threads") : NULL;
    float *a = multiply ? values_random(3 * side * side) : NULL;
    double best = 0;
    if (set)
        set(threads);
    for (int i = 0; a && i < TRIES; i++) {
        const double start = clock_seconds();
        multiply('N', 'N', side, side, side, 1, a, side, a + side * side, side, 0,
                 a + 2 * side * side, side);
        const double rate = 2e-9 * (double)(side * side * side) / (clock_seconds() - start);
        if (rate > best)
            best = rate;
    }
    free(a);
    return best;
}

/* ---- the device's operations ---- */

typedef struct {
    tensor x, y, out;
    weight w;
    bool finite;
} operands;

/* What is asked of the device is there when a walk is done: nothing is left to wait for. */
static void ask(dev *d, operands *o)
{
    op_finite(d, tensor_reshape(o->out, 1, 1, 1, 8), &o->finite);
}

static void multiply(dev *d, void *arg)
{
    operands *o = arg;
    for (int i = 0; i < CALLS; i++)
        op_linear(d, &o->out, o->x, &o->w, (conv2d_options){0});
    ask(d, o);
}

static void add(dev *d, void *arg)
{
    operands *o = arg;
    for (int i = 0; i < CALLS; i++)
        op_add(d, &o->out, o->x, o->y);
    ask(d, o);
}

/* The best time of one of the calls of a walk, in seconds; what a walk does at first (plans,
 * recording) is not counted. */
static double best_seconds(dev *d, dev_walk *walk, operands *o)
{
    enum { WARM_UP = 3 };
    double best = 0;
    for (int i = 0; i < WARM_UP + TRIES; i++) {
        const double start = clock_seconds();
        dev_run(d, walk, o);
        const double seconds = (clock_seconds() - start) / CALLS;
        if (i == WARM_UP || (i > WARM_UP && seconds < best))
            best = seconds;
    }
    return d->status == DEV_OK ? best : 0;
}

static double device_gflops(dev *d, int64_t side)
{
    double best = 0;
    arena weights;
    operands o = {.w = {.out = side, .in = side, .k = 1}};
    const size_t mark = dev_mark(d);
    float *values = values_random(side * side);
    if (!values || !dev_arena(d, &weights, (size_t)(side * side) * sizeof *values + ARENA_STEP))
        goto out;
    op_pack(d, &o.w, &weights, values, F32, 1);
    o.x = dev_tensor(d, d->storage, 1, 1, side, side);
    o.out = dev_tensor(d, d->storage, 1, 1, side, side);
    dev_upload_floats(d, o.x, values);
    best = best_seconds(d, multiply, &o);
    arena_done(&weights);
out:
    dev_release(d, mark);
    free(values);
    return best > 0 ? 2e-9 * (double)(side * side * side) / best : 0;
}

double yardstick_gflops(dev *d, int64_t side)
{
    if (!d->own_memory)
        return host_gflops(side ? side : SIDE_HOST, d->options.threads);
    return device_gflops(d, side ? side : SIDE_DEVICE);
}

double yardstick_bandwidth(dev *d, int64_t bytes)
{
    enum { WIDTH = 1024, READ_AND_WRITTEN = 3 };
    const int64_t count = bytes / (int64_t)dtype_bytes(d->storage) / WIDTH * WIDTH;
    const size_t mark = dev_mark(d);
    float *values = values_random(count);
    double best = 0;
    if (values) {
        operands o = {.x = dev_tensor(d, d->storage, 1, 1, count / WIDTH, WIDTH),
                      .y = dev_tensor(d, d->storage, 1, 1, count / WIDTH, WIDTH),
                      .out = dev_tensor(d, d->storage, 1, 1, count / WIDTH, WIDTH)};
        dev_upload_floats(d, o.x, values);
        dev_upload_floats(d, o.y, values);
        best = best_seconds(d, add, &o);
    }
    dev_release(d, mark);
    free(values);
    return best > 0
               ? 1e-9 * READ_AND_WRITTEN * (double)(count * (int64_t)dtype_bytes(d->storage)) / best
               : 0;
}
