/* cuemu: a CUDA device on the CPU, for tests of kernels/cuda without a GPU. This is what tests see
 * of it; cuda.h is what kernels see.
 *
 * One fiber per CUDA thread. Shared and device memory begin as NaN; every access of a kernel to
 * global memory must lie in a live allocation and be aligned; launches that a GPU refuses are
 * refused. A kernel that breaks a rule is stopped and the first reason kept. Everything belongs to
 * the calling thread: two threads have two devices. */
#ifndef TESTS_CUEMU_CUEMU_H
#define TESTS_CUEMU_CUEMU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Two orders in which the threads run (a warp goes on until it must wait; the first warp, lane and
 * block first, or the last), and asynchronous copies as late as allowed, when they are waited for,
 * or at once. A right kernel gives the same bytes under every combination. */
enum { CUEMU_BACKWARDS = 1, CUEMU_EARLY_COPIES = 2, CUEMU_SCHEDULES = 4 };
void cuemu_schedule(unsigned bits);

/* Device memory: 256-byte aligned, NaN, between guards that cuemu_free checks. */
void *cuemu_malloc(size_t bytes);
void cuemu_free(void *p);

/* What went wrong first since the last call, or NULL. The text lives until the next error. */
const char *cuemu_error(void);

/* Launches so far. */
uint64_t cuemu_launches(void);

/* To 16 bits, to the nearest, halves to even; what is too large becomes infinite. */
uint16_t cuemu_round_f16(float v);
uint16_t cuemu_round_bf16(float v);

#ifdef __cplusplus
}
#endif

#endif
