/* Comparing outputs: against the reference by the size of the row (an error is large or small
 * beside what stands next to it, not beside a value that happens to be near zero), and bit by bit.
 */
#include <math.h>
#include <string.h>

#include "tests/kerncheck/check.h"

static double rms(const float *x, int64_t count)
{
    double squares = 0;
    for (int64_t i = 0; i < count; i++)
        squares += (double)x[i] * x[i];
    return sqrt(squares / (double)count);
}

static bool same_float(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void report_float(const trial *t, const dev *d, int out, int64_t at, float got,
                         float expected, double allowed)
{
    trial_fail(t,
               "%s (%s, %d threads, band %d): output %d value %lld is %.9g, "
               "expected %.9g within %.3g",
               d->name, d->class_name, d->options.threads, d->options.band_rows, out, (long long)at,
               (double)got, (double)expected, allowed);
}

static bool compare_floats(const trial *t, const dev *d, int out, const float *got,
                           const float *expected)
{
    tensor shape = t->at[out].t;
    int64_t count = tensor_count(shape), sample = count / shape.dim[0];
    int64_t row = t->by_sample ? sample : shape.dim[3];
    for (int64_t from = 0; from < count; from += row) {
        double slack = t->at[out].batched ? t->slack[from / sample] : t->slack[0];
        double allowed = t->tolerance * rms(expected + from, row) + slack;
        for (int64_t i = from; i < from + row; i++) {
            if (same_float(got[i], expected[i]) ||
                (t->tolerance > 0 && fabs((double)got[i] - expected[i]) <= allowed))
                continue;
            report_float(t, d, out, i, got[i], expected[i], allowed);
            return false;
        }
    }
    return true;
}

static bool compare_bytes(const trial *t, const dev *d, int out, const uint8_t *got,
                          const uint8_t *expected)
{
    for (int64_t i = 0; i < tensor_count(t->at[out].t); i++) {
        int difference = got[i] - expected[i];
        if (difference >= -t->levels && difference <= t->levels)
            continue;
        trial_fail(t, "%s: output %d value %lld is %d, expected %d within %d", d->name, out,
                   (long long)i, got[i], expected[i], t->levels);
        return false;
    }
    return true;
}

bool compare_values(const trial *t, const dev *d, const outcome *got, const outcome *expected)
{
    for (int i = 0; i < SLOTS; i++) {
        if (!t->at[i].out)
            continue;
        bool good = t->at[i].t.type == F32 ? compare_floats(t, d, i, got->out[i], expected->out[i])
                                           : compare_bytes(t, d, i, got->out[i], expected->out[i]);
        if (!good)
            return false;
    }
    return true;
}

bool compare_bits(const trial *t, const dev *d, const char *what, const outcome *got,
                  const outcome *expected)
{
    for (int i = 0; i < SLOTS; i++) {
        if (!t->at[i].out || !expected->out[i])
            continue;
        if (memcmp(got->out[i], expected->out[i], tensor_bytes(t->at[i].t)) == 0)
            continue;
        trial_fail(t,
                   "%s (%s, %d threads, band %d): output %d is not the same bits "
                   "for %s",
                   d->name, d->class_name, d->options.threads, d->options.band_rows, i, what);
        return false;
    }
    return true;
}
