/* The CUDA language for g++: included before a .cu file, so that grid.h and ptx.h of kernels/cuda
 * find here what nvcc would give them. Same functions, same meaning, lane by lane; see cuemu.h. */
#ifndef TESTS_CUEMU_CUDA_H
#define TESTS_CUEMU_CUDA_H

#include <cmath>
#include <cstring>

#include "tests/cuemu/cuemu.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(threads)

struct dim3 {
    unsigned x, y, z;
};

struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};

static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w)
{
    return uint4{x, y, z, w};
}

struct CUstream_st;

namespace cuemu {
/* Where the running thread is. */
struct place {
    dim3 thread, block, block_size, grid_size;
    unsigned lane, rank;
};
const place &here();

/* Stops the kernel. */
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What an access needs. */
void need_global(const void *p, size_t bytes, size_t align, bool writes);
void need_shared(const void *p, size_t bytes, size_t align);

void barrier_block();
void barrier_cluster();
/* Ends when all lanes of the warp have come with the same `kind`; the last one calls `run` with
 * what each gave. */
typedef void collective(void *const *lane);
void warp(collective *kind, void *mine);

void *static_shared(const void *site, size_t bytes, size_t align);
void *dynamic_shared();
const void *peer_shared(const void *local, unsigned rank, size_t bytes);

void copy(void *to, const void *from, bool given);
void copy_commit();
void copy_wait(int groups);

struct launch_config {
    const char *name;
    int64_t x, y;
    unsigned threads, cluster;
    size_t shared;
    CUstream_st *stream;
    size_t argument_bytes;
};
int allow(const void *kernel, size_t bytes);
/* 0, or the number of the CUDA error; `run` with `argument` is what a thread does. It runs at once,
 * or when a stream comes to it (runtime.h). */
int launch(const void *kernel, const launch_config &c, void (*run)(const void *),
           const void *argument);

template <auto kernel> struct argument_of;
template <class P, void (*kernel)(P)> struct argument_of<kernel> {
    static const size_t bytes = sizeof(P);
    static void run(const void *p)
    {
        kernel(*static_cast<const P *>(p));
    }
    static_assert(sizeof(P) <= 4096, "a kernel takes at most 4 KiB of arguments");
};

/* An array in shared memory whose subscripts are checked. */
template <class T> class shared_array {
    T *base;
    size_t count;

  public:
    shared_array(void *p, size_t n) : base(static_cast<T *>(p)), count(n)
    {
    }
    template <class I> T &operator[](I i) const
    {
        if ((size_t)i >= count)
            fail("subscript %lld of a shared array of %zu", (long long)i, count);
        return base[i];
    }
    operator T *() const
    {
        return base;
    }
};
} // namespace cuemu

#define threadIdx (cuemu::here().thread)
#define blockIdx  (cuemu::here().block)
#define blockDim  (cuemu::here().block_size)
#define gridDim   (cuemu::here().grid_size)

#define SHARED(T, name, count)                                                                     \
    static const char name##_site = 0;                                                             \
    const cuemu::shared_array<T> name(                                                             \
        cuemu::static_shared(&name##_site, sizeof(T) * (count), alignof(T)), count)
#define DYN_SHARED(T, name)         T *name = static_cast<T *>(cuemu::dynamic_shared())
#define ALLOW_SHARED(kernel, bytes) cuemu::allow(reinterpret_cast<const void *>(kernel), bytes)
#define LAUNCH(kernel, shape, p)                                                                   \
    cuemu::launch(reinterpret_cast<const void *>(kernel),                                          \
                  cuemu::launch_config{#kernel, (shape).x, (shape).y, (shape).threads,             \
                                       (shape).cluster, (shape).shared, (shape).stream,            \
                                       cuemu::argument_of<kernel>::bytes},                         \
                  cuemu::argument_of<kernel>::run, &(p))

template <class T> static inline T load(const T *p)
{
    cuemu::need_global(p, sizeof *p, alignof(T), false);
    return *p;
}

template <class T> static inline void store(T *p, T v)
{
    cuemu::need_global(p, sizeof *p, alignof(T), true);
    *p = v;
}

static inline uint4 load16(const void *p)
{
    cuemu::need_global(p, 16, 16, false);
    return *static_cast<const uint4 *>(p);
}

static inline void store16(void *p, uint4 v)
{
    cuemu::need_global(p, 16, 16, true);
    *static_cast<uint4 *>(p) = v;
}

static inline uint4 shared_load16(const void *p)
{
    cuemu::need_shared(p, 16, 16);
    return *static_cast<const uint4 *>(p);
}

static inline void shared_store16(void *p, uint4 v)
{
    cuemu::need_shared(p, 16, 16);
    *static_cast<uint4 *>(p) = v;
}

namespace cuemu {
float widen_f16(uint16_t bits);
} // namespace cuemu

static inline uint32_t pack_f16(float low, float high)
{
    return cuemu_round_f16(low) | (uint32_t)cuemu_round_f16(high) << 16;
}

static inline uint32_t pack_bf16(float low, float high)
{
    return cuemu_round_bf16(low) | (uint32_t)cuemu_round_bf16(high) << 16;
}

static inline float unpack_f16(uint32_t bits)
{
    return cuemu::widen_f16((uint16_t)bits);
}

static inline float bits_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t float_bits(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline float fast_exp2(float x)
{
    return exp2f(x);
}

static inline float fast_reciprocal(float x)
{
    return 1 / x;
}

static inline void sync_block()
{
    cuemu::barrier_block();
}

static inline void sync_warp()
{
    cuemu::warp([](void *const *) {}, nullptr);
}

namespace cuemu {
template <class T> struct exchange {
    T give, get;
    unsigned from;
};

template <class T> static inline T shuffle(T v, unsigned from)
{
    exchange<T> mine = {v, v, from};
    warp(
        [](void *const *lane) {
            for (int i = 0; i < 32; i++) {
                exchange<T> *e = static_cast<exchange<T> *>(lane[i]);
                e->get = static_cast<exchange<T> *>(lane[e->from & 31])->give;
            }
        },
        &mine);
    return mine.get;
}
} // namespace cuemu

template <class T> static inline T shuffle_xor(T v, unsigned mask)
{
    return cuemu::shuffle(v, cuemu::here().lane ^ mask);
}

static inline bool all_of_block(bool v)
{
    SHARED(int, voted, 1);
    sync_block();
    voted[0] = 1;
    sync_block();
    if (!v)
        voted[0] = 0;
    sync_block();
    return voted[0];
}

static inline unsigned cluster_rank()
{
    return cuemu::here().rank;
}

static inline void sync_cluster()
{
    cuemu::barrier_cluster();
}

static inline float cluster_load(const float *local, unsigned rank)
{
    return *static_cast<const float *>(cuemu::peer_shared(local, rank, sizeof(float)));
}

static inline void copy16(void *to, const void *from, bool given)
{
    cuemu::copy(to, from, given);
}

static inline void copy_commit()
{
    cuemu::copy_commit();
}

template <int groups> static inline void copy_wait()
{
    cuemu::copy_wait(groups);
}

void load_matrix(uint32_t (&r)[4], const void *row);
void load_matrix_transposed(uint32_t (&r)[4], const void *row);
void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

#endif
