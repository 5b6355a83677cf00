/* Elements of tensors: 16-bit floats in memory, fp32 in registers, one or eight at a time. */
#ifndef KERNELS_CUDA_ELEMENT_H
#define KERNELS_CUDA_ELEMENT_H

#include <math.h>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"

/* In a launch by grid_flat. */
DEVICE uint32_t item_of_thread()
{
    return blockIdx.x * FLAT_THREADS + threadIdx.x;
}

typedef struct {
    uint16_t bits;
} f16;

typedef struct {
    uint16_t bits;
} bf16;

DEVICE float widen(f16 v)
{
    return unpack_f16(v.bits);
}

DEVICE float widen(bf16 v)
{
    return bits_float((uint32_t)v.bits << 16);
}

DEVICE float widen(float v)
{
    return v;
}

DEVICE void narrow(f16 *to, float v)
{
    to->bits = (uint16_t)pack_f16(v, 0);
}

DEVICE void narrow(bf16 *to, float v)
{
    to->bits = (uint16_t)pack_bf16(v, 0);
}

DEVICE void narrow(float *to, float v)
{
    *to = v;
}

/* The type is that of the unused pointer. */
DEVICE void widen8(float (&v)[8], uint4 w, const f16 *)
{
    const uint32_t word[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int i = 0; i < 8; i++)
        v[i] = unpack_f16(word[i / 2] >> i % 2 * 16 & 0xffff);
}

DEVICE void widen8(float (&v)[8], uint4 w, const bf16 *)
{
    const uint32_t word[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int i = 0; i < 8; i++)
        v[i] = bits_float(i % 2 ? word[i / 2] & 0xffff0000 : word[i / 2] << 16);
}

DEVICE uint4 narrow8(const float (&v)[8], const f16 *)
{
    return make_uint4(pack_f16(v[0], v[1]), pack_f16(v[2], v[3]), pack_f16(v[4], v[5]),
                      pack_f16(v[6], v[7]));
}

DEVICE uint4 narrow8(const float (&v)[8], const bf16 *)
{
    return make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]),
                      pack_bf16(v[6], v[7]));
}

/* Global memory to registers and back. */
template <class E> DEVICE void read(float (&v)[1], const E *p)
{
    v[0] = widen(load(p));
}

template <class E> DEVICE void read(float (&v)[8], const E *p)
{
    widen8(v, load16(p), p);
}

DEVICE void read(float (&v)[8], const float *p)
{
#pragma unroll
    for (int i = 0; i < 8; i += 4) {
        const uint4 w = load16(p + i);
        v[i] = bits_float(w.x);
        v[i + 1] = bits_float(w.y);
        v[i + 2] = bits_float(w.z);
        v[i + 3] = bits_float(w.w);
    }
}

template <class E> DEVICE void write(E *p, const float (&v)[1])
{
    E e;
    narrow(&e, v[0]);
    store(p, e);
}

template <class E> DEVICE void write(E *p, const float (&v)[8])
{
    store16(p, narrow8(v, p));
}

DEVICE void write(float *p, const float (&v)[8])
{
#pragma unroll
    for (int i = 0; i < 8; i += 4)
        store16(p + i, make_uint4(float_bits(v[i]), float_bits(v[i + 1]), float_bits(v[i + 2]),
                                  float_bits(v[i + 3])));
}

/* One element of a tensor whose type is known when it runs. */
DEVICE float read_any(const void *p, dtype type, int64_t i)
{
    switch (type) {
    case F32: return load((const float *)p + i);
    case F16: return widen(load((const f16 *)p + i));
    case BF16: return widen(load((const bf16 *)p + i));
    default: return 0;
    }
}

DEVICE void write_any(void *p, dtype type, int64_t i, float v)
{
    const float one[1] = {v};
    switch (type) {
    case F32: write((float *)p + i, one); break;
    case F16: write((f16 *)p + i, one); break;
    case BF16: write((bf16 *)p + i, one); break;
    default: break;
    }
}

/* erf: the exact form of GELU (Hendrycks and Gimpel 2016). */
DEVICE float gelu(float v)
{
    return v * 0.5f * (1 + erff(v * 0.70710678f));
}

/* v / (1 + exp(-times v)) */
DEVICE float swish(float v, float times)
{
    return v * fast_reciprocal(1 + fast_exp2(-1.44269504f * times * v));
}

DEVICE float apply(float v, activation act)
{
    switch (act) {
    case ACT_SILU: return swish(v, 1);
    case ACT_GELU: return gelu(v);
    case ACT_QUICK_GELU: return swish(v, 1.702f);
    case ACT_LEAKY_RELU: return v < 0 ? 0.2f * v : v;
    default: return v;
    }
}

/* Sum over a warp, the same in every lane: each pair adds two numbers, and a + b is b + a. */
template <class T> DEVICE T warp_sum(T v)
{
#pragma unroll
    for (unsigned m = 16; m; m /= 2)
        v += shuffle_xor(v, m);
    return v;
}

/* Whether eight at a time will do. */
static inline bool is_wide(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

static inline bool is_tensor_wide(tensor t)
{
    return is_wide(t.data) && t.dim[3] % 8 == 0;
}

/* function<element type, elements at a time>(...), by a tensor's type. */
#define BY_TYPE_16(type, wide, function, ...)                                                      \
    ((type) == F16    ? ((wide) ? function<f16, 8>(__VA_ARGS__) : function<f16, 1>(__VA_ARGS__))   \
     : (type) == BF16 ? ((wide) ? function<bf16, 8>(__VA_ARGS__) : function<bf16, 1>(__VA_ARGS__)) \
                      : LAUNCH_REFUSED)
#define BY_TYPE(type, wide, function, ...)                                                         \
    ((type) == F32 ? ((wide) ? function<float, 8>(__VA_ARGS__) : function<float, 1>(__VA_ARGS__))  \
                   : BY_TYPE_16(type, wide, function, __VA_ARGS__))

#endif
