/* A protobuf header by hand: see body.h. */
#include "tests/support/body.h"

#include <assert.h>
#include <string.h>

enum { VERSION_TAG = 1 << 3, LENGTH_DELIMITED = 2 };

static uint8_t *put(uint8_t *to, unsigned value)
{
    for (; value >= 128; value >>= 7)
        *to++ = (uint8_t)(value | 128);
    *to++ = (uint8_t)value;
    return to;
}

size_t body_wrap(uint8_t *to, Overpaint__Header__BodyCase body, const uint8_t *bytes, size_t size)
{
    uint8_t *at = to;
    assert(size < 1 << 14);
    at = put(at, VERSION_TAG);
    at = put(at, WIRE_VERSION);
    at = put(at, (unsigned)body << 3 | LENGTH_DELIMITED);
    at = put(at, (unsigned)size);
    if (size)
        memcpy(at, bytes, size);
    return (size_t)(at - to) + size;
}
