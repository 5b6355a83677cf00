/* Little-endian numbers at any address, as every model format stores them. */
#ifndef WORKER_MODEL_LITTLE_H
#define WORKER_MODEL_LITTLE_H

#include <stdint.h>

static inline uint64_t little(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

#endif
