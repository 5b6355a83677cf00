/* One call's visit to another device: see adapter.h. */
#ifndef TESTS_DEVICE_VISIT_H
#define TESTS_DEVICE_VISIT_H

#include "tests/device/adapter.h"

enum { HELD_MOST = 128 };

/* A tensor here and there. */
typedef struct {
    tensor host, there;
    char *block; /* its memory there, with what is around it; NULL: the host's, an answer */
    size_t offset, bytes, padding;
    bool back;   /* the result comes back */
    char *first; /* what came back the first time */
} held;

/* What table.h keeps on the host: a copy of its own for each call. */
typedef struct {
    void *field; /* the pointer in the arguments that leads to it */
    const void *host;
    int64_t count;
    size_t size;
    void *copy;
} lent;

typedef struct {
    dev *d;
    adapter *as;
    held held[HELD_MOST];
    lent lent;
    int count;
} visit;

/* false: nothing is computed on a dry device. */
bool visit_begin(visit *v, dev *d);
/* Calls, takes the results back, frees everything; what went wrong is the device's error. */
void visit_end(visit *v, dev_walk *walk, void *args);

/* A tensor as a feature map of the device (bytes stay bytes); one that comes back; one that may be
 * the output itself; one with zeros behind it, as a bias. */
tensor send(visit *v, tensor host);
tensor send_out(visit *v, tensor host);
tensor send_or(visit *v, tensor host, tensor out, tensor sent);
tensor send_padded(visit *v, tensor host);
/* A tensor that stays F32; one that comes back. */
tensor send_f32(visit *v, tensor host);
tensor send_state(visit *v, tensor host);

/* An array of the host's (or NULL), one a call; `field` is the pointer to it in the arguments. */
void lend(visit *v, void *field, const void *host, int64_t count, size_t size);
/* What a call writes into the host's memory. */
void answered(visit *v, void *host, size_t bytes);

/* walk_<name>: a walk of this one kernel; its argument is the kernel's. */
#define KERNEL_WALK(name, cpu)                                                                     \
    static inline void walk_##name(dev *d, void *arg)                                              \
    {                                                                                              \
        d->kernels->name(d, arg);                                                                  \
    }
KERNELS(KERNEL_WALK)
#undef KERNEL_WALK

#endif
