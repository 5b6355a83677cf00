/* sums: every sum of products that the stand-ins of cuBLASLt and cuDNN make, in an order that is
 * data. The vendor's kernels differ in nothing else that a test could see, so the order follows
 * from what the vendor calls an algorithm, or an engine and its knobs. One thread; results are the
 * same on every CPU. */
#ifndef TESTS_VENDOR_SUMS_H
#define TESTS_VENDOR_SUMS_H

#include <stdbool.h>

#include "tests/vendor/numbers.h"

/* The sum's terms are taken in tiles, each summed by itself in fp32 and added to its slice, from
 * the first tile or from the last; the slices are then added in order. */
typedef struct {
    int tile;
    bool backward;
    int64_t slices;   /* 0 is 1 */
    number_type kept; /* what a slice is rounded to when there are several: or NUMBER_F32 */
} sum_order;

/* One of the orders without slices. */
sum_order sum_order_of(uint64_t key);
/* Whether sums of so many terms, without slices, are the same to the bit. */
bool sum_order_same(const sum_order *a, const sum_order *b, int64_t length);
/* The slices of a kernel that shares out sums to keep the device busy: the more, the fewer rows. So
 * few bits are kept of them that nobody who relies on such a kernel gets the same bytes by luck. */
void sum_order_share(sum_order *o, int64_t rows, number_type kept);

/* sums[i][j] = sum over l of row(i)[l] * column(j)[l]. */
typedef struct {
    int64_t rows, columns, length;
    void (*row)(const void *from, int64_t i, float *to);
    void (*column)(const void *from, int64_t j, float *to);
    void (*put)(const void *from, int64_t i, const float *sums); /* called once a row, in order */
    const void *from;
    sum_order order;
} sums;

/* How long a GPU might take, in ns: by work, and a little by order, so that somebody who chooses by
 * time chooses differently for every shape. */
uint64_t sums_time(const sums *s);
/* False without memory. */
bool sums_run(const sums *s);

/* Adds bytes to a hash (FNV-1a); start with SUMS_KEY. */
#define SUMS_KEY UINT64_C(0xcbf29ce484222325)
uint64_t sums_key(uint64_t key, const void *bytes, size_t n);

#endif
