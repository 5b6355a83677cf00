/* single: the least that the stand-ins of cuBLASLt and cuDNN need under them, for their own tests:
 * one device whose streams run at once. */
#ifndef TESTS_VENDOR_SINGLE_H
#define TESTS_VENDOR_SINGLE_H

#include <stdbool.h>
#include <stddef.h>

/* Device memory at a multiple of 256. */
void *single_take(size_t bytes);
void single_give(void *p);
/* Whether streams are captured: then nothing runs. */
void single_capture(bool on);
/* The n-th call from now on that may fail does; 0: none. */
void single_fail(int n);

#endif
