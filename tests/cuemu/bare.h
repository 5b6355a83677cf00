/* The kernels of kernels/cuda as a device of kernels/dev.h: memory of the emulated device, and for
 * each op the launcher of launch.h, without the backend that calls it in the product. For
 * kerncheck: any type of feature maps, with and without clusters. */
#ifndef TESTS_CUEMU_BARE_H
#define TESTS_CUEMU_BARE_H

#include "kernels/dev.h"

/* What dev.impl points to. */
typedef struct {
    bool clusters; /* as compute capability 9.0 */
    bool beyond;   /* set by a call with sums that the type cannot hold: nothing to compare */
} bare;

/* dev.storage may be changed between calls. NULL with why. */
dev *bare_dev(bare *impl, char *why);

#endif
