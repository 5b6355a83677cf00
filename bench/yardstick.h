/* yardstick: what the machine can do in this run, to which other figures are shares. */
#ifndef BENCH_YARDSTICK_H
#define BENCH_YARDSTICK_H

#include "kernels/dev.h"

/* GFLOP/s of a product of two matrices of side x side random values: by oneDNN with the device's
 * threads where the memory is the host's, else by the device's own operation (a library's, too).
 * Side 0: one that fills the device. 0: there is no oneDNN, or no memory. */
double yardstick_gflops(dev *d, int64_t side);

/* GB/s, bytes read and written, of an addition of two feature maps of so many bytes each; 0 after a
 * device error. */
double yardstick_bandwidth(dev *d, int64_t bytes);

#endif
