/* The CPU backend: its threads and its instruction set. Every matrix product in it is `simd.gemm`;
 * no library is called, so nothing but this folder decides bits. */
#include "kernels/cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernels/backend.h"

enum { PANELS_MOST = 10, TILES_A_THREAD = 4 };

static bool open_cpu(dev *d, char *why)
{
    const simd *s = simd_choose(d->options.isa);
    if (!s) {
        snprintf(why, WHY_BYTES,
                 "this machine runs neither AVX-512 nor AVX2 with FMA, expected one"
                 " of them (backend \"ref\" runs anywhere)");
        return false;
    }
    cpu *c = calloc(1, sizeof *c);
    if (!c) {
        snprintf(why, WHY_BYTES, "no memory for a CPU device");
        return false;
    }
    c->simd = s;
    if (!d->options.dry && !(c->pool = pool_new(d->options.threads))) {
        snprintf(why, WHY_BYTES, "cannot start %d threads", d->options.threads);
        free(c);
        return false;
    }
    d->impl = c;
    snprintf(d->class_name, sizeof d->class_name, "cpu %s", s->name);
    snprintf(d->hardware, sizeof d->hardware, TELEMETRY_MACHINE);
    return true;
}

static void close_cpu(dev *d)
{
    cpu *c = d->impl;
    pool_free(&c->pool);
    free(c);
    d->impl = NULL;
}

const backend backend_cpu = {.name = "cpu",
                             .version = OVERPAINT_VERSION,
                             .dev_bytes = sizeof(dev),
                             .table_bytes = sizeof(kernel_table),
                             .storage = F32,
                             .by_budget = true,
                             .kernels = &kernel_table_cpu,
                             .open = open_cpu,
                             .close = close_cpu};

float *cpu_scratch(dev *d, int64_t floats)
{
    return dev_scratch(d, (size_t)(floats * d->options.threads) * sizeof(float));
}

int64_t cpu_panel_tiles(const dev *d, int64_t row_tiles, int64_t panels)
{
    int64_t tiles = ceil_div(panels, PANELS_MOST);
    int64_t wanted = ceil_div((int64_t)d->options.threads * TILES_A_THREAD, row_tiles);
    if (tiles < wanted)
        tiles = wanted;
    return tiles < panels ? tiles : panels;
}

void cpu_run(dev *d, int64_t tiles, pool_fn fn, void *arg)
{
    if (!d->options.dry && d->status == DEV_OK)
        pool_run(cpu_of(d)->pool, tiles, fn, arg);
}
