/* Everything of a GPU that is not C: loads and stores, conversions, warp and cluster instructions.
 * Each function is one or a few instructions; the emulation (tests/cuemu/cuda.h) has the same
 * functions, lane by lane, with checks of alignment and bounds.
 *
 * Matrix fragments are those of mma.m16n8k16: PTX ISA, "Warp-level matrix instructions". */
#ifndef KERNELS_CUDA_PTX_H
#define KERNELS_CUDA_PTX_H

#include "kernels/cuda/grid.h"

#ifdef __CUDACC__

/* Global memory: one element, or 16 bytes at a multiple of 16. */
template <class T> DEVICE T load(const T *p)
{
    return *p;
}

template <class T> DEVICE void store(T *p, T v)
{
    *p = v;
}

DEVICE uint4 load16(const void *p)
{
    return *static_cast<const uint4 *>(p);
}

DEVICE void store16(void *p, uint4 v)
{
    *static_cast<uint4 *>(p) = v;
}

/* Shared memory of this block, 16 bytes. */
DEVICE uint4 shared_load16(const void *p)
{
    return *static_cast<const uint4 *>(p);
}

DEVICE void shared_store16(void *p, uint4 v)
{
    *static_cast<uint4 *>(p) = v;
}

/* Two 16-bit floats in a word, the first in its low half. Rounded to the nearest even. */
DEVICE uint32_t pack_f16(float low, float high)
{
    uint32_t r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

DEVICE uint32_t pack_bf16(float low, float high)
{
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

/* The low half. */
DEVICE float unpack_f16(uint32_t bits)
{
    float r;
    asm("{.reg .b16 h; cvt.u16.u32 h, %1; cvt.f32.f16 %0, h;}" : "=f"(r) : "r"(bits));
    return r;
}

DEVICE float bits_float(uint32_t bits)
{
    return __uint_as_float(bits);
}

DEVICE uint32_t float_bits(float v)
{
    return __float_as_uint(v);
}

/* 2^x and 1/x to about 2 units in the last place; subnormal results are 0. */
DEVICE float fast_exp2(float x)
{
    float r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}

DEVICE float fast_reciprocal(float x)
{
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}

/* The threads of a block; the lanes of a warp. */
DEVICE void sync_block()
{
    __syncthreads();
}

DEVICE void sync_warp()
{
    __syncwarp();
}

DEVICE bool all_of_block(bool v)
{
    return __syncthreads_and(v);
}

template <class T> DEVICE T shuffle_xor(T v, unsigned mask)
{
    return __shfl_xor_sync(~0u, v, mask);
}

/* Clusters: the rank of this block, a barrier of all of their threads (shared memory written before
 * it is seen after it), a peer's variable that lies where `local` lies here. Without them a block
 * is alone. */
DEVICE unsigned cluster_rank()
{
#if __CUDA_ARCH__ >= 900
    unsigned r;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
    return r;
#else
    return 0;
#endif
}

DEVICE void sync_cluster()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
    __syncthreads();
#endif
}

DEVICE float cluster_load(const float *local, unsigned rank)
{
#if __CUDA_ARCH__ >= 900
    float r;
    uint32_t at = (uint32_t)__cvta_generic_to_shared(local);
    asm volatile("{.reg .b32 a; mapa.shared::cluster.u32 a, %1, %2; "
                 "ld.shared::cluster.f32 %0, [a];}"
                 : "=f"(r)
                 : "r"(at), "r"(rank)
                 : "memory");
    return r;
#else
    (void)rank;
    return *local;
#endif
}

/* 16 bytes from global to shared memory in the background; zeros when not `given`. Copies belong to
 * the group that the next copy_commit closes; copy_wait<n> waits for all but the newest n groups of
 * this thread. Other threads see them after a barrier. */
DEVICE void copy16(void *to, const void *from, bool given)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(to);
    int bytes = given ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes)
                 : "memory");
}

DEVICE void copy_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int groups> DEVICE void copy_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}

/* Four 8x8 matrices of 16-bit values; lane i points to row i % 8 of matrix i / 8. */
DEVICE void load_matrix(uint32_t (&r)[4], const void *row)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

DEVICE void load_matrix_transposed(uint32_t (&r)[4], const void *row)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/* c += a b: a of 16 rows and 16 columns, b of 16 and 8, f16; c fp32. */
DEVICE void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif
#endif
