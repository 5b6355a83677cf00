/* Timings: see timing.h. */
#include "bench/timing.h"

#include <stdlib.h>

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

timing timing_of(double *ms, int64_t n)
{
    qsort(ms, (size_t)n, sizeof *ms, ascending);
    return (timing){ms[0], ms[n / 2], ms[n * 99 / 100]};
}

json_t *timing_json(const char *name, timing t)
{
    return json_pack("{s:s, s:f, s:f, s:f}", "name", name, "best_ms", t.best, "median_ms", t.median,
                     "p99_ms", t.p99);
}
