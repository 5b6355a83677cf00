/* profile: where the time of a walk goes, by class of kernel. */
#ifndef BENCH_PROFILE_H
#define BENCH_PROFILE_H

#include "kernels/table.h"

enum { PROFILE_CLASSES = 32 };

typedef struct {
    const char *name;    /* what it is: "3x3 convolution" */
    int64_t calls;       /* as counted: a call may stand for several */
    double ms;           /* of all of them */
    double flops, bytes; /* of all of them: matrix products; tensors and weights, each read or
                            written once */
} profile_class;

/* While it is open, every kernel that the device is asked for is measured where it stands: in a
 * walk of its own that is recorded where the device can, once alone and once with `repeat` more of
 * it, and the difference counts. Inputs that a kernel overwrites are changed by that, so results
 * mean nothing. Not measured: what packs weights, and what answers the host. */
typedef struct {
    kernel_table table; /* what the device calls meanwhile */
    const kernel_table *real;
    int64_t repeat;
    int64_t stands_for; /* how many calls each of the next ones is */
    profile_class of[PROFILE_CLASSES];
    int classes;
} profile;

void profile_open(profile *p, dev *d, int64_t repeat);
void profile_close(profile *p, dev *d);

#endif
