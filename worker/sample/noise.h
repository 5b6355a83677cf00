/* Normal noise that depends on a seed alone: one stream per picture, the same values on every
 * device. Sources: "NV" (Philox 4x32-10, what PyTorch gives on CUDA) and "CPU" (MT19937, what
 * PyTorch gives on a CPU). A draw is one latent; draw k of a stream does not depend on the sizes
 * drawn before (NV). */
#ifndef WORKER_SAMPLE_NOISE_H
#define WORKER_SAMPLE_NOISE_H

#include <stdint.h>

#include "proto/job.h"

typedef struct {
    rng_source source;
    uint64_t seed;
    uint32_t draws;     /* draws made so far */
    uint32_t word[624]; /* MT19937 state; not used by NV */
    int used;           /* words of it already taken */
} noise;

void noise_init(noise *n, rng_source source, uint64_t seed);

/* The next draw: out[h][w][c] (channels last), values generated in the order c, h, w.
 * c*h*w >= 16 (the CPU source has another rule below). */
void noise_draw(noise *n, float *out, int c, int h, int w);

/* One Philox 4x32-10 block: the generator itself, also used for test weights. */
void noise_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
