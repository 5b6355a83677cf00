/* --bench: the best of several calls on warm buffers, and the same machine's matrix product as a
 * ceiling. */
#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/kerncheck/check.h"

enum { CEILING_SIZE = 1536, CALLS_LEAST = 3, CALLS_MOST = 50 };
static const double CEILING_SECONDS = 3, SECONDS = 0.5; /* spent on it, and on one row */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double bench_ceiling(void)
{
    int64_t n = CEILING_SIZE;
    float *x = calloc((size_t)(3 * n * n), sizeof *x);
    double best = 1e9;
    for (int64_t i = 0; i < 2 * n * n; i++)
        x[i] = (float)(i % 17) / 17;
    for (double begin = seconds(); seconds() - begin < CEILING_SECONDS;) {
        double start = seconds();
        dnnl_sgemm('N', 'N', n, n, n, 1, x, n, x + n * n, n, 0, x + 2 * n * n, n);
        double took = seconds() - start;
        best = took < best ? took : best;
    }
    free(x);
    return 2e-9 * (double)(n * n * n) / best;
}

void bench_trial(trial *t)
{
    session *s = t->s;
    dev *d = s->subject[0].real;
    tensor at[SLOTS];
    weight w = t->matrix;
    double moved = 0, best = 1e9, spent = 0;
    for (int i = 0; i < SLOTS; i++) {
        at[i] = t->at[i].t;
        if (at[i].data && (w.k == 0 || i != t->matrix_slot))
            moved += (double)tensor_bytes(at[i]);
    }
    arena_release(&s->weights, 0);
    if (w.k)
        op_pack(d, &w, &s->weights, at[t->matrix_slot].data, at[t->matrix_slot].type,
                t->matrix_stride);
    for (int calls = 0; calls < CALLS_LEAST || (spent < SECONDS && calls < CALLS_MOST); calls++) {
        dev_reset_peak(d);
        double start = seconds();
        t->call(d, t, at, &w, 0);
        double took = seconds() - start;
        spent += took;
        best = took < best ? took : best;
        s->runs++;
    }
    if (t->moved > 0)
        moved = t->moved;
    if (d->status != DEV_OK)
        trial_fail(t, "%s", d->error);
    double rate = d->counters.flops * 1e-9 / best;
    printf("%-18s %-44s %10.1f us %8.2f GB/s %8.1f GFLOP/s %6.1f %%\n", s->kernel, t->shape,
           best * 1e6, (moved + (double)w.bytes) * 1e-9 / best, rate, 100 * rate / s->ceiling);
    fflush(stdout);
    dev_clear(d);
}
