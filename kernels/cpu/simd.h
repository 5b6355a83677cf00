/* simd: the inner loops of the CPU backend, written once over vectors of W floats (simd_body.h) and
 * compiled once per instruction set (simd_avx2.c, simd_avx512.c).
 *
 * Every result is a function of its own operands in a fixed order: a row of gemm does not know how
 * many rows it was computed with, a channel does not know its neighbours. That is where "same bits
 * for every batch, tile and thread count" comes from; nothing above this line has to care. */
#ifndef KERNELS_CPU_SIMD_H
#define KERNELS_CPU_SIMD_H

#include "kernels/table.h"

/* Columns of a panel: a matrix [k][columns] is stored as panels [k][PANEL], the last one padded
 * with zeros. */
enum { PANEL = 32 };

/* Winograd F(4x4,3x3): 6x6 inputs, 4x4 outputs, 36 products. */
enum { WINOGRAD_IN = 36, WINOGRAD_OUT = 16 };

/* Its interpolation points are 0, +-A, +-B and infinity. Among a dozen pairs tried these had the
 * smallest error (1.6e-6 relative L2 on white noise; the usual 1 and 2: 3.5e-6), and all powers
 * that occur are exact in fp32. */
#define WINOGRAD_A 0.625
#define WINOGRAD_B 1.375

/* What a group of 32 queries carries from one block of keys to the next. */
typedef struct {
    float most[PANEL], sum[PANEL];
} softmax_state;

/* What happens to a sum on its way out: + bias, then PReLU with `slope` or act. Pointers may be
 * NULL; they begin at the same channel as the sums. */
typedef struct {
    const float *bias, *slope;
    activation act;
} finishing;

typedef struct simd {
    const char *name;

    /* c[rows][PANEL] (+)= a[rows][k] * panel[k][PANEL]: one chain of fused multiply-adds over k for
     * each element. `next`: the panel that comes after this one, to be fetched into the second
     * cache meanwhile; may be NULL. */
    void (*gemm)(int64_t rows, int64_t k, const float *a, int64_t lda, const float *panel, float *c,
                 int64_t ldc, bool add, const float *next);

    /* out = finished sum + residual, which may be NULL or out. */
    void (*finish)(int64_t n, float *out, const float *sum, const float *residual, finishing f);

    /* Transform of one 6x6 tile: in[i] points at the channels of pixel i, to[e * plane + channel].
     */
    void (*winograd_in)(int64_t channels, float *to, int64_t plane, const float *const *in);
    /* Back: from[e * plane + channel] -> 4x4 pixels, each finished as above; out[i] NULL: outside
     * of the picture. residual may be NULL. */
    void (*winograd_out)(int64_t channels, float *const *out, const float *from, int64_t plane,
                         const float *const *residual, finishing f);

    /* scores [keys][PANEL], powers of two -> their exponentials against the running maximum; the
     * sums in `s` and what was gathered so far in sums [d][PANEL] are rescaled to it. */
    void (*softmax)(int64_t keys, float *scores, softmax_state *s, int64_t d, float *sums);

    /* Per channel: sum and sum of squares of x + add over `pixels` pixels `stride` floats apart. */
    void (*moments)(int64_t channels, int64_t pixels, int64_t stride, const float *x,
                    const float *add, double *sum, double *squares);
    /* out = act((x - mean) * scale + shift), per channel. */
    void (*normalise)(int64_t n, float *out, const float *x, const float *mean, const float *scale,
                      const float *shift, activation act);
    /* One row of a layer norm. */
    void (*layer_norm)(int64_t n, float *out, const float *x, const float *scale,
                       const float *shift, double eps);

    void (*geglu)(int64_t n, float *out, const float *a, const float *b);
    void (*activate)(int64_t n, float *out, const float *x, activation act);
    void (*add)(int64_t n, float *out, const float *a, float scale, const float *b);

    /* Packing: elements 0 .. n of `rows` rows of a file, at most PANEL and `stride` elements apart,
     * F32, F16 or BF16, unaligned -> to[n][PANEL], lanes without a row 0. */
    void (*lines)(int64_t n, float *to, const void *from, int64_t stride, int rows, dtype type);
    /* 3x3 filters taps[channel][9][PANEL] -> G g G^T in double, to[e * plane + channel * PANEL]. */
    void (*winograd_filter)(int64_t channels, float *to, int64_t plane, const float *taps,
                            const double g[6][3]);
} simd;

extern const simd simd_avx2, simd_avx512;

/* The best this processor and operating system can run, no better than `most` ("avx2"; NULL: any).
 * NULL: none. */
const simd *simd_choose(const char *most);

#endif
