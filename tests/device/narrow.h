/* Kernels whose feature maps are not fp32, through the bodies of tests/kerncheck: which bodies
 * there are and what their results may differ by, inputs rounded to the type of the kernels, and a
 * trial compared with the reference that got the same numbers. Values may differ by what is said in
 * `allowance`; bits must not differ between the ways of a device, nor with the number of samples.
 */
#ifndef TESTS_DEVICE_NARROW_H
#define TESTS_DEVICE_NARROW_H

#include "tests/device/adapter.h"
#include "tests/kerncheck/check.h"

/* Beside what a trial tolerates in fp32, in units of half a step of the result's type: `of_row`
 * times the RMS of its row; the trial's own slack times `slack`. */
typedef struct {
    const char *name;
    void (*check)(session *);
    double of_row, slack;
    unsigned types; /* bits of what a launcher takes; 0: there is none */
    bool clusters;  /* with and without */
    bool copies;    /* asynchronous: late and early differ */
    int times; /* rounds of a whole backend for each that is asked for: many cases, cheap ones */
    unsigned real; /* bits of those real shapes that are small enough for emulation */
} narrow_entry;

extern const narrow_entry narrow_entries[];
extern const int narrow_count;

/* Of the trial's kernel. */
const narrow_entry *narrow_of(const trial *t);

/* Clamped and rounded, so that what the kernels see is finite; norms every other round of values
 * whose variance is about eps; with `sums`, weights so small that no sum of products is too large
 * for fp16 (where a result is put together in several parts, each is rounded). */
void narrow_inputs(trial *t, dtype type, bool sums);

/* Runs a trial in one of the ways of its device, counted from 0; false: something was reported, or
 * there is nothing to compare. */
typedef bool narrow_run(const trial *t, int64_t first, unsigned way, outcome *o);

/* A trial against the reference: way 0 by values, each sample alone and the other `ways` (bits)
 * by bits. *worst: the largest error so far, as a part of what is allowed. */
bool narrow_check(const trial *t, dtype type, narrow_run *run, unsigned ways, double *worst);

/* One kernel: s->rounds random trials and, with s->real, the real shapes of `real`. */
void narrow_kernel(session *s, int which, unsigned real);

/* --seed N --rounds N --kernel NAME --real, and where `device` is not NULL --device NAME; false:
 * something else. */
bool narrow_options(session *s, int argc, char **argv, const char **device);

#endif
