/* Allocations that fail on purpose, in programs that the linker sends through failing.c (see
 * tests/CMakeLists.txt): those of our code, not of the libraries. */
#ifndef TESTS_SUPPORT_FAILING_H
#define TESTS_SUPPORT_FAILING_H

#include <stdbool.h>
#include <stdint.h>

/* From now on `count` allocations of all threads succeed, and the one after them fails. */
void failing_after(int64_t count);

/* All succeed again. true: one had failed. */
bool failing_stop(void);

#endif
