#ifndef TESTS_CUEMU_CHECK_FLASH_H
#define TESTS_CUEMU_CHECK_FLASH_H

#include "tests/kerncheck/check.h"

enum { CHECK_FLASH_SHAPES = 14 };
void check_flash(session *s);

#endif
