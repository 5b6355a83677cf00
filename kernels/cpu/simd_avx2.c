/* The inner loops with 256-bit vectors: 16 registers hold a 6 x 16 block of a product. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif
#include <immintrin.h>

#include "kernels/cpu/simd.h"

#define SIMD           simd_avx2
#define SIMD_NAME      "avx2"
#define W              8
#define GEMM_ROWS      6
#define GEMM_VECTORS   2
#define MOMENT_VECTORS 2

typedef __m256 vf;

#define v_load(p)      _mm256_loadu_ps(p)
#define v_store(p, v)  _mm256_storeu_ps(p, v)
#define v_set(x)       _mm256_set1_ps(x)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_max(a, b)    _mm256_max_ps(a, b)
#define v_min(a, b)    _mm256_min_ps(a, b)
#define v_round(a)     _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_scale2(a, n) /* n: whole, -126..127 */                                                   \
    ((a)*_mm256_castsi256_ps(                                                                      \
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23)))
#define v_abs(a)              _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a)
#define v_pick_lt(x, y, a, b) /* x < y ? a : b */                                                  \
    _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_LT_OQ))
#define v_from_half(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p)))
#define v_from_bfloat(p)                                                                           \
    _mm256_castsi256_ps(                                                                           \
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p))), 16))

typedef __m256d vd;
#define v_low(a)            _mm256_cvtps_pd(_mm256_castps256_ps128(a))
#define v_high(a)           _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))
#define v_narrow(low, high) _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low))

/* Stages of a transposition. */
#define v_zip_low(a, b)           _mm256_unpacklo_ps(a, b)
#define v_zip_high(a, b)          _mm256_unpackhi_ps(a, b)
#define v_zip_pairs_low(a, b)     _mm256_shuffle_ps(a, b, 0x44)
#define v_zip_pairs_high(a, b)    _mm256_shuffle_ps(a, b, 0xee)
#define v_collect_parts(to, from) /* every fourth vector: to[i] = part i of all */                 \
    do {                                                                                           \
        (to)[0] = _mm256_permute2f128_ps((from)[0], (from)[4], 0x20);                              \
        (to)[4] = _mm256_permute2f128_ps((from)[0], (from)[4], 0x31);                              \
    } while (0)

#include "kernels/cpu/simd_body.h"

#ifdef __clang__
#pragma clang attribute pop
#endif
