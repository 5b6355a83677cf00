#include "kernels/cuda/ptx.h"
#include "tests/cuemu/planted.h"

typedef struct {
    mistake m;
    float *out;
    const float *in;
} planted_args;

static __global__ void BOUNDS(PLANTED_THREADS) reverse(const planted_args p)
{
    SHARED(float, tile, PLANTED_THREADS);
    const int i = threadIdx.x, from = blockIdx.x * PLANTED_THREADS;
    if (p.m == LOST_AT_BARRIER && i >= 96)
        return;
    if (p.m == LOADS_BEYOND)
        tile[i] = load(p.in + from + i + PLANTED_THREADS * gridDim.x);
    else if (p.m == MISALIGNED)
        tile[i] = bits_float(load16(p.in + from + i).x);
    else if (p.m != UNINITIALISED || i != 7)
        tile[i + (p.m == BESIDE_SHARED)] = load(p.in + from + i);
    if (p.m != NO_BARRIER)
        sync_block();
    float v = tile[PLANTED_THREADS - 1 - i];
    if (p.m == HALF_A_WARP && i % 32 < 16)
        v = shuffle_xor(v, 0);
    if (p.m == TWO_KINDS && i % 32 < 16)
        v = shuffle_xor(v, 0);
    else if (p.m == TWO_KINDS)
        sync_warp();
    store(p.out + from + i + (p.m == STORES_BEYOND), v);
}

DEVICE void ring_fetch(float *tile, const planted_args &p, int t)
{
    const int i = threadIdx.x;
    if (t < PLANTED_TILES && i < PLANTED_THREADS / 4)
        copy16(tile + t % 2 * PLANTED_THREADS + 4 * i, p.in + t * PLANTED_THREADS + 4 * i, true);
    copy_commit();
}

static __global__ void BOUNDS(PLANTED_THREADS) ring(const planted_args p)
{
    DYN_SHARED(float, tile);
    const int i = threadIdx.x, neighbour = (i + 37) % PLANTED_THREADS;
    float sum = 0;
    ring_fetch(tile, p, 0);
    for (int t = 0; t < PLANTED_TILES; t++) {
        ring_fetch(tile, p, t + 1);
        if (p.m != NO_WAIT)
            copy_wait<1>();
        sync_block();
        sum += tile[t % 2 * PLANTED_THREADS + neighbour];
        if (p.m != NO_LOOP_BARRIER)
            sync_block();
    }
    if (p.m != NO_LAST_WAIT)
        copy_wait<0>();
    store(p.out + i, sum);
}

static __global__ void BOUNDS(PLANTED_THREADS) cluster_sum(const planted_args p)
{
    SHARED(float, mine, PLANTED_THREADS);
    const int i = threadIdx.x, rank = (int)cluster_rank();
    float sum = 0;
    mine[i] = load(p.in + rank * PLANTED_THREADS + i);
    if (p.m != NO_CLUSTER_BARRIER)
        sync_cluster();
    for (unsigned r = 0; r < PLANTED_CLUSTER; r++)
        sum += cluster_load(&mine[i], r);
    store(p.out + rank * PLANTED_THREADS + i, sum);
    if (p.m != ENDS_EARLY)
        sync_cluster();
}

typedef struct {
    float *out;
    const uint16_t *a, *b;
} product_args;

static __global__ void BOUNDS(32) product(const product_args p)
{
    SHARED(uint4, a, 32); /* [16][16] of 16 bits */
    SHARED(uint4, b, 16); /* [16][8] */
    const int lane = threadIdx.x;
    uint32_t fa[4], fb[4];
    float c[4] = {0, 0, 0, 0};
    a[lane] = load16(p.a + 8 * lane);
    if (lane < 16)
        b[lane] = load16(p.b + 8 * lane);
    sync_warp();
    load_matrix(fa, &a[2 * (lane % 16) + lane / 16]);
    load_matrix_transposed(fb, &b[lane % 16]);
    multiply_add(c, fa, fb[0], fb[1]);
    for (int i = 0; i < 4; i++)
        store(p.out + (lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2, c[i]);
}

typedef struct {
    int unused;
} nothing_args;

static __global__ void nothing(const nothing_args p)
{
    (void)p;
}

int planted_reverse(mistake m, float *out, const float *in, int blocks)
{
    const planted_args p = {m, out, in};
    const grid_shape shape = {blocks, 1, PLANTED_THREADS, 1, 0, NULL};
    return LAUNCH(reverse, shape, p);
}

int planted_ring(mistake m, float *out, const float *in)
{
    const planted_args p = {m, out, in};
    const grid_shape shape = {1, 1, PLANTED_THREADS, 1, 2 * PLANTED_THREADS * sizeof(float), NULL};
    return LAUNCH(ring, shape, p);
}

int planted_cluster(mistake m, float *out, const float *in)
{
    const planted_args p = {m, out, in};
    const grid_shape shape = {PLANTED_CLUSTER, 1, PLANTED_THREADS, PLANTED_CLUSTER, 0, NULL};
    return LAUNCH(cluster_sum, shape, p);
}

int planted_product(float *out, const uint16_t *a, const uint16_t *b)
{
    const product_args p = {out, a, b};
    const grid_shape shape = {1, 1, 32, 1, 0, NULL};
    return LAUNCH(product, shape, p);
}

int planted_launch(int64_t x, int64_t y, unsigned threads, unsigned cluster, size_t shared,
                   size_t allowed)
{
    const nothing_args p = {0};
    const grid_shape shape = {x, y, threads, cluster, shared, NULL};
    const int status = allowed ? ALLOW_SHARED(nothing, allowed) : 0;
    return status ? status : LAUNCH(nothing, shape, p);
}
