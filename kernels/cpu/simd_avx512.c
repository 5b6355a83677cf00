/* The inner loops with 512-bit vectors: 32 registers hold a 14 x 32 block of a product. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx2,fma,f16c"))),            \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx2,fma,f16c")
#endif
#include <immintrin.h>

#include "kernels/cpu/simd.h"

#define SIMD           simd_avx512
#define SIMD_NAME      "avx512"
#define W              16
#define GEMM_ROWS      14
#define GEMM_VECTORS   2
#define MOMENT_VECTORS 4

typedef __m512 vf;

#define v_load(p)             _mm512_loadu_ps(p)
#define v_store(p, v)         _mm512_storeu_ps(p, v)
#define v_set(x)              _mm512_set1_ps(x)
#define v_fma(a, b, c)        _mm512_fmadd_ps(a, b, c)
#define v_max(a, b)           _mm512_max_ps(a, b)
#define v_min(a, b)           _mm512_min_ps(a, b)
#define v_round(a)            _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_scale2(a, n)        _mm512_scalef_ps(a, n)
#define v_abs(a)              _mm512_abs_ps(a)
#define v_pick_lt(x, y, a, b) /* x < y ? a : b */                                                  \
    _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), a)
#define v_from_half(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p)))
#define v_from_bfloat(p)                                                                           \
    _mm512_castsi512_ps(                                                                           \
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(p))), 16))

typedef __m512d vd;
#define v_low(a)  _mm512_cvtps_pd(_mm512_castps512_ps256(a))
#define v_high(a) _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1))

#include "kernels/cpu/simd_body.h"

#ifdef __clang__
#pragma clang attribute pop
#endif
