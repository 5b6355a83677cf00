/* For fuzzing: any bytes as the body of a header whose version is right, because luck finds the
 * frame around them too seldom. */
#ifndef TESTS_SUPPORT_BODY_H
#define TESTS_SUPPORT_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

enum { BODY_ROOM = 8 }; /* beside the bytes */

/* Writes at most size + BODY_ROOM bytes; how many. `size` < 2^14. */
size_t body_wrap(uint8_t *to, Overpaint__Header__BodyCase body, const uint8_t *bytes, size_t size);

#endif
