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
#define v_narrow(low, high)                                                                        \
    _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1)

/* Stages of a transposition. */
#define v_zip_low(a, b)           _mm512_unpacklo_ps(a, b)
#define v_zip_high(a, b)          _mm512_unpackhi_ps(a, b)
#define v_zip_pairs_low(a, b)     _mm512_shuffle_ps(a, b, 0x44)
#define v_zip_pairs_high(a, b)    _mm512_shuffle_ps(a, b, 0xee)
#define v_collect_parts(to, from) /* every fourth vector: to[i] = part i of all */                 \
    do {                                                                                           \
        vf even0 = _mm512_shuffle_f32x4((from)[0], (from)[4], 0x88);                               \
        vf even1 = _mm512_shuffle_f32x4((from)[8], (from)[12], 0x88);                              \
        vf odd0 = _mm512_shuffle_f32x4((from)[0], (from)[4], 0xdd);                                \
        vf odd1 = _mm512_shuffle_f32x4((from)[8], (from)[12], 0xdd);                               \
        (to)[0] = _mm512_shuffle_f32x4(even0, even1, 0x88);                                        \
        (to)[4] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);                                          \
        (to)[8] = _mm512_shuffle_f32x4(even0, even1, 0xdd);                                        \
        (to)[12] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);                                         \
    } while (0)

#include "kernels/cpu/simd_body.h"

#ifdef __clang__
#pragma clang attribute pop
#endif
