/* SHA-256 (FIPS 180-4). */
#ifndef WORKER_MODEL_SHA256_H
#define WORKER_MODEL_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t state[8];
    uint64_t bytes; /* so far */
    uint8_t block[64];
} sha256;

void sha256_init(sha256 *s);
void sha256_add(sha256 *s, const void *data, size_t size);
/* The digest as 64 lower-case hexadecimal digits; `s` is used up. */
void sha256_hex(sha256 *s, char hex[65]);

#endif
