/* Kernels for the emulation's own test: right ones, and the same with one mistake. */
#ifndef TESTS_CUEMU_PLANTED_H
#define TESTS_CUEMU_PLANTED_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PLANTED_THREADS = 128, PLANTED_TILES = 5, PLANTED_CLUSTER = 4 };

typedef enum {
    RIGHT,
    NO_BARRIER,      /* reads what another warp has yet to write */
    NO_LOOP_BARRIER, /* overwrites what another warp has yet to read */
    NO_WAIT,         /* reads what a copy has yet to bring */
    NO_LAST_WAIT,    /* ends with a copy on its way */
    NO_CLUSTER_BARRIER,
    ENDS_EARLY,    /* while a peer reads its shared memory */
    UNINITIALISED, /* shared memory that nobody wrote */
    BESIDE_SHARED, /* a subscript beyond a shared array */
    MISALIGNED,    /* 16 bytes at a multiple of 4 */
    LOADS_BEYOND,  /* global memory */
    STORES_BEYOND,
    HALF_A_WARP,    /* at a shuffle */
    TWO_KINDS,      /* of collectives in one warp */
    LOST_AT_BARRIER /* some threads have ended */
} mistake;

/* out[i] = in[reversed within its block]. */
int planted_reverse(mistake m, float *out, const float *in, int blocks);
/* out[i] = sum over tiles t of in[t][neighbour of i], by a ring of two tiles. */
int planted_ring(mistake m, float *out, const float *in);
/* out[rank][i] = sum over the blocks of a cluster of in[rank'][i]. */
int planted_cluster(mistake m, float *out, const float *in);
/* out = a b, a [16][16], b [16][8] in f16; both loaded as matrices, b transposed. */
int planted_product(float *out, const uint16_t *a, const uint16_t *b);
/* A launch of nothing. */
int planted_launch(int64_t x, int64_t y, unsigned threads, unsigned cluster, size_t shared,
                   size_t allowed);

#ifdef __cplusplus
}
#endif

#endif
