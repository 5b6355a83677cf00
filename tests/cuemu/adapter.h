/* The kernels of kernels/cuda as the backend of a device of kernels/dev.h whose tensors are fp32
 * and on the host: each call copies its tensors to the emulated device, in the type that is asked
 * for, launches, and copies them back. For kerncheck; the real backend keeps everything there. */
#ifndef TESTS_CUEMU_ADAPTER_H
#define TESTS_CUEMU_ADAPTER_H

#include "kernels/table.h"

/* What dev.impl points to. */
typedef struct {
    dtype type;        /* of feature maps */
    bool clusters;     /* as compute capability 9.0 */
    bool askew;        /* feature maps at no multiple of 16 bytes */
    unsigned schedule; /* of cuemu.h; for messages */
    bool beyond;       /* set by a call with sums that the type cannot hold: nothing to compare */
} adapter;

kernel_table adapter_table(void);

/* The nearest value of a type. */
float rounded_to(float v, dtype type);

#endif
