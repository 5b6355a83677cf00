/* The reference backend: scalar C, double accumulation, one rounding at the end. It defines what
 * every kernel means; it needs no state. */
#include "kernels/ref/ref.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "kernels/backend.h"

static bool open_ref(dev *d, char *why)
{
    (void)why;
    snprintf(d->class_name, sizeof d->class_name, "ref");
    return true;
}

static void close_ref(dev *d)
{
    (void)d;
}

const backend backend_ref = {.name = "ref",
                             .version = OVERPAINT_VERSION,
                             .dev_bytes = sizeof(dev),
                             .table_bytes = sizeof(kernel_table),
                             .storage = F32,
                             .kernels = &kernel_table_ref,
                             .open = open_ref,
                             .close = close_ref};

/* Hendrycks and Gimpel 2016, the exact form. */
double ref_gelu(double v)
{
    return v * 0.5 * (1 + erf(v * 0.70710678118654752440));
}

double ref_act(double v, activation act)
{
    switch (act) {
    case ACT_NONE: return v;
    case ACT_SILU: return v / (1 + exp(-v));
    case ACT_GELU: return ref_gelu(v);
    case ACT_QUICK_GELU: return v / (1 + exp(-1.702 * v));
    case ACT_LEAKY_RELU: return v < 0 ? 0.2 * v : v;
    case ACT_COUNT: break;
    }
    assert(!"activation");
    return v;
}

double ref_dot(const float *a, const float *b, int64_t n)
{
    enum { LANES = 8 };
    double lane[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] += (double)a[i + j] * b[i + j];
    for (int j = 0; j < LANES; j++)
        sum += lane[j];
    for (; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}
