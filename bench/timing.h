/* timing: many measurements of one thing, and what is told of them. */
#ifndef BENCH_TIMING_H
#define BENCH_TIMING_H

#include <jansson.h>
#include <stdint.h>

typedef struct {
    double best, median, p99;
} timing;

/* Sorts them; n > 0. Of fewer than a hundred the 99th percentile is the slowest. */
timing timing_of(double *ms, int64_t n);

/* The three as members best_ms, median_ms and p99_ms of a new object, which has "name" first. */
json_t *timing_json(const char *name, timing t);

#endif
