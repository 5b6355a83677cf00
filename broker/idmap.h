/* A hash table from job id to a 32-bit value. Open addressing with linear probing; a removed entry
 * is filled by moving its followers back, so nothing degrades with time. */
#ifndef BROKER_IDMAP_H
#define BROKER_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/job.h"

typedef struct {
    job_id id;
    uint32_t value; /* + 1; 0: empty */
} idmap_entry;

typedef struct {
    idmap_entry *entry;
    size_t count, capacity; /* capacity: a power of two, or 0 */
} idmap;

void idmap_done(idmap *m); /* a zeroed idmap is empty and valid */

/* Sets the value of the id, new or not. False without memory. */
bool idmap_set(idmap *m, const job_id *id, uint32_t value);
bool idmap_get(const idmap *m, const job_id *id, uint32_t *value);
void idmap_remove(idmap *m, const job_id *id);

/* 64 bits of any bytes, continuing from `seed`. Not against an adversary: an id is 128 random
 * bits of the client's, and whoever chooses bad ones slows down only by what the bounds allow. */
uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t size);

#endif
