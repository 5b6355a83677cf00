/* The numbers of numpy.random.default_rng(seed): PCG64 seeded through SeedSequence. */
#ifndef WORKER_IMAGE_RANDOM_H
#define WORKER_IMAGE_RANDOM_H

#include <stdint.h>

typedef struct {
    unsigned __int128 state, increment;
} random64;

void random64_init(random64 *r, uint32_t seed);
uint64_t random64_next(random64 *r);

/* [0, 1), 53 bits: what Generator.random() gives. */
double random64_unit(random64 *r);

#endif
