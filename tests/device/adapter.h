/* A device of kernels/dev.h with fp32 tensors on the host, each of whose ops is done by *another*
 * device: the tensors of a call are put into that device's memory, in the types that table.h and
 * its storage ask for, the call is made there, and the results come back. So the bodies of
 * kerncheck serve any backend.
 *
 * With `played` a call is made four times: as it is, and three times in dev_run, which listens to
 * it, records it with what the host hands over in another order, and plays the record with the
 * right order. All must give the same bytes. */
#ifndef TESTS_DEVICE_ADAPTER_H
#define TESTS_DEVICE_ADAPTER_H

#include "kernels/backend.h"

/* What dev.impl points to. */
typedef struct {
    dev *to;       /* the device that works */
    dev *dry;      /* its dry twin, which must take as much scratch; or NULL */
    arena weights; /* of `to` */
    bool played;   /* see above */
    size_t offset; /* of feature maps from multiples of 256 bytes */
    size_t guard;  /* bytes around each tensor that must stay as they are */
} adapter;

/* A device that works through `a`; dry: the twin that the bodies want. NULL with why. */
dev *adapter_dev(adapter *a, bool dry, char *why);

/* The nearest value of a type. */
float rounded_to(float v, dtype type);

#endif
