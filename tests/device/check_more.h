/* Bodies for what those of tests/kerncheck rarely draw. */
#ifndef TESTS_DEVICE_CHECK_MORE_H
#define TESTS_DEVICE_CHECK_MORE_H

#include "tests/kerncheck/check.h"

enum { CHECK_FLASH_SHAPES = 14 };
void check_flash(session *s);

/* group_norm of so many pixels that its parts are more than a warp. */
void check_tall_norm(session *s);

#endif
