/* How kernels are written and launched. The .cu files of kernels/cuda are compiled twice: by nvcc
 * for a GPU, and by g++ for the emulation of tests/cuemu, which has defined what stands under the
 * #ifdefs before this is included. Only this header and ptx.h know which of the two it is.
 *
 *     static __global__ void BOUNDS(256) k(const k_args p)
 *     {
 *         SHARED(float, sum, 32);     an array of the block
 *         DYN_SHARED(float, part);    the block's dynamic memory
 *     }
 *     return LAUNCH(k, shape, p);     one argument, a plain struct; 0 or a CUDA error
 *
 * Blocks are whole warps, collectives take whole warps, a block's threads all reach its barriers.
 * Global memory is touched through ptx.h only, where the emulation checks. */
#ifndef KERNELS_CUDA_GRID_H
#define KERNELS_CUDA_GRID_H

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_runtime_api.h>

#define SHARED(T, name, count) __shared__ T name[count]
#define DYN_SHARED(T, name)                                                                        \
    extern __shared__ __align__(128) unsigned char dynamic_shared[];                               \
    T *name = reinterpret_cast<T *>(dynamic_shared)
#define LAUNCH(kernel, shape, p) grid_launch(reinterpret_cast<const void *>(kernel), shape, &(p))
/* Before a launch with more than 48 KiB of dynamic memory. */
#define ALLOW_SHARED(kernel, bytes)                                                                \
    ((int)cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),                             \
                               cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes)))
#endif

#define BOUNDS(threads) __launch_bounds__(threads)
#define DEVICE          static __device__ __forceinline__

/* x blocks fastest; cluster: so many blocks along x share one (0 and 1: no clusters). */
typedef struct {
    int64_t x, y;
    unsigned threads, cluster;
    size_t shared;
    struct CUstream_st *stream; /* cudaStream_t */
} grid_shape;

enum { FLAT_THREADS = 256 }; /* of a launch that gives every item a thread */

/* Blocks for so many items, `each` a block. */
static inline int64_t grid_blocks(int64_t items, int64_t each)
{
    return (items + each - 1) / each;
}

/* Numbers of items are 32 bits, which divide several times faster than 64; for more there is no
 * launch: a grid of 0 blocks is refused. */
static inline grid_shape grid_flat(struct CUstream_st *stream, int64_t items)
{
    const int64_t blocks = items <= INT32_MAX ? grid_blocks(items, FLAT_THREADS) : 0;
    const grid_shape shape = {blocks, 1, FLAT_THREADS, 1, 0, stream};
    return shape;
}

#ifdef __CUDACC__
static inline int grid_launch(const void *kernel, grid_shape s, const void *argument)
{
    if (s.x < 1 || s.x > INT32_MAX || s.y < 1 || s.y > 65535)
        return cudaErrorInvalidConfiguration;
    cudaLaunchConfig_t c = {};
    cudaLaunchAttribute cluster = {};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = s.cluster;
    cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
    c.gridDim = dim3((unsigned)s.x, (unsigned)s.y, 1);
    c.blockDim = dim3(s.threads, 1, 1);
    c.dynamicSmemBytes = s.shared;
    c.stream = s.stream;
    c.attrs = &cluster;
    c.numAttrs = s.cluster > 1;
    void *arguments[] = {const_cast<void *>(argument)};
    return cudaLaunchKernelExC(&c, kernel, arguments);
}
#endif

#endif
