/* The body of simd.h over vectors of W floats; included by one file per instruction set, which
 * defines W, vf, vd and the v_* operations (and is the only thing that may include it).
 *
 * Multiplications and additions are fused where v_fma says so and nowhere else. */
#include <string.h>

#define INLINE    static inline __attribute__((always_inline))
#define PRAGMA(x) _Pragma(#x)
#ifdef __clang__
#define UNROLL(n) PRAGMA(clang loop unroll(full))
#else
#define UNROLL(n) PRAGMA(GCC unroll n)
#endif

/* n values, the rest of the vector 0. */
INLINE vf load_n(const float *p, int64_t n)
{
    if (n >= W)
        return v_load(p);
    float part[W] = {0};
    memcpy(part, p, (size_t)n * sizeof *p);
    return v_load(part);
}

INLINE void store_n(float *p, vf v, int64_t n)
{
    if (n >= W) {
        v_store(p, v);
        return;
    }
    float part[W];
    v_store(part, v);
    memcpy(p, part, (size_t)n * sizeof *p);
}

/* ---- functions ---- */

/* 2^x to 1 ulp or so; 0 below -126, at most 2^127; a NaN stays one. Polynomial: Chebyshev fit of
 * 2^f on [-1/2, 1/2], relative error 2.6e-9. */
INLINE vf exp2_v(vf x)
{
    vf c = v_min(v_set(127.0f), v_max(v_set(-126.0f), x));
    vf n = v_round(c);
    vf f = c - n;
    vf p = v_set(0.00015469732f);
    p = v_fma(p, f, v_set(0.00134004327f));
    p = v_fma(p, f, v_set(0.00961802527f));
    p = v_fma(p, f, v_set(0.0555032715f));
    p = v_fma(p, f, v_set(0.240226507f));
    p = v_fma(p, f, v_set(0.693147182f));
    p = v_fma(p, f, v_set(1.0f));
    return v_pick_lt(x, v_set(-126.0f), v_set(0.0f), v_scale2(p, n));
}

/* 1 + erf(x). Below 1 a polynomial in x^2 (error 1.4e-9), above 1 the logarithm of erfc
 * (error 6e-10), beyond 4 the limit: Chebyshev fits. */
INLINE vf one_plus_erf_v(vf x)
{
    vf z = x * x;
    vf p = v_set(7.8824974e-05f);
    p = v_fma(p, z, v_set(-0.000801885501f));
    p = v_fma(p, z, v_set(0.00518931216f));
    p = v_fma(p, z, v_set(-0.0268543288f));
    p = v_fma(p, z, v_set(0.112835974f));
    p = v_fma(p, z, v_set(-0.37612626f));
    p = v_fma(p, z, v_set(1.12837911f));
    vf near = v_fma(p, x, v_set(1.0f));

    vf t = v_abs(x);
    vf u = v_min(v_set(4.0f), t);
    vf q = v_set(2.32859861e-06f);
    q = v_fma(q, u, v_set(-6.57733690e-05f));
    q = v_fma(q, u, v_set(0.000855185674f));
    q = v_fma(q, u, v_set(-0.00683869515f));
    q = v_fma(q, u, v_set(0.0380362459f));
    q = v_fma(q, u, v_set(-0.158665076f));
    q = v_fma(q, u, v_set(-0.9116925f));
    q = v_fma(q, u, v_set(-1.63048589f));
    q = v_fma(q, u, v_set(0.000437443901f));
    vf tail = v_pick_lt(v_set(4.0f), t, v_set(0.0f), exp2_v(q));
    vf far = v_pick_lt(x, v_set(0.0f), tail, v_set(2.0f) - tail);
    return v_pick_lt(t, v_set(1.0f), near, far);
}

INLINE vf gelu_v(vf x)
{
    return v_set(0.5f) * x * one_plus_erf_v(x * v_set(0.707106781f));
}

/* x / (1 + e^(-k x)); `k_log2e` is k / ln 2. */
INLINE vf silu_v(vf x, float k_log2e)
{
    return x / (v_set(1.0f) + exp2_v(x * v_set(-k_log2e)));
}

INLINE vf activate_v(vf x, activation act)
{
    switch (act) {
    case ACT_SILU: return silu_v(x, 1.44269504f);
    case ACT_GELU: return gelu_v(x);
    case ACT_QUICK_GELU: return silu_v(x, 1.702f * 1.44269504f);
    case ACT_LEAKY_RELU: return v_pick_lt(x, v_set(0.0f), x * v_set(0.2f), x);
    default: return x;
    }
}

/* ---- matrix product ---- */

/* A block of `rows` x (GEMM_VECTORS * W): constants after inlining, all sums in registers. Five
 * base pointers, three rows from each, keep the addresses in registers too. */
INLINE void gemm_block(int rows, int64_t k, const float *a, int64_t lda, const float *b, float *c,
                       int64_t ldc, bool add, const char *next, int64_t step)
{
    enum { AHEAD = 512 }; /* floats of the panel fetched ahead of use, from the second cache */
    vf sum[GEMM_ROWS][GEMM_VECTORS];
    const float *base[(GEMM_ROWS + 2) / 3];
    UNROLL(8)
    for (int i = 0; i < (rows + 2) / 3; i++)
        base[i] = a + 3 * i * lda;
    UNROLL(16)
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < GEMM_VECTORS; v++)
            sum[r][v] = v_set(0.0f);
    for (int64_t i = 0; i < k; i++, b += PANEL, next += step) {
        vf column[GEMM_VECTORS];
        _mm_prefetch(next, _MM_HINT_T1);
        UNROLL(2)
        for (int v = 0; v < GEMM_VECTORS; v++) {
            column[v] = v_load(b + v * W);
            _mm_prefetch((const char *)(b + AHEAD + v * W), _MM_HINT_T0);
        }
        UNROLL(16)
        for (int r = 0; r < rows; r++) {
            vf x = v_set(base[r / 3][(r % 3) * lda + i]);
            UNROLL(2)
            for (int v = 0; v < GEMM_VECTORS; v++)
                sum[r][v] = v_fma(x, column[v], sum[r][v]);
        }
    }
    UNROLL(16)
    for (int r = 0; r < rows; r++)
        UNROLL(2)
    for (int v = 0; v < GEMM_VECTORS; v++) {
        float *to = c + r * ldc + v * W;
        if (add)
            sum[r][v] += v_load(to);
        v_store(to, sum[r][v]);
    }
}

typedef void (*gemm_block_fn)(int64_t k, const float *a, int64_t lda, const float *b, float *c,
                              int64_t ldc, bool add, const char *next, int64_t step);
#define GEMM_BLOCK(rows)                                                                           \
    static void gemm_##rows(int64_t k, const float *a, int64_t lda, const float *b, float *c,      \
                            int64_t ldc, bool add, const char *next, int64_t step)                 \
    {                                                                                              \
        gemm_block(rows, k, a, lda, b, c, ldc, add, next, step);                                   \
    }
#define GEMM_NAME(rows) gemm_##rows,
#if GEMM_ROWS == 14
#define GEMM_BLOCKS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#else
#define GEMM_BLOCKS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif
GEMM_BLOCKS(GEMM_BLOCK)
static const gemm_block_fn gemm_blocks[GEMM_ROWS + 1] = {NULL, GEMM_BLOCKS(GEMM_NAME)};

/* Rows are split evenly: 64 as 13+13+13+13+12, not as 4 x 14 + 8. Each block fetches its share of
 * the next panel, so that memory is read at an even rate. */
static void gemm(int64_t rows, int64_t k, const float *a, int64_t lda, const float *panel, float *c,
                 int64_t ldc, bool add, const float *next)
{
    int64_t blocks = (rows + GEMM_ROWS - 1) / GEMM_ROWS;
    int64_t calls = blocks * (PANEL / (GEMM_VECTORS * W)), call = 0;
    int64_t step = PANEL * (int64_t)sizeof *next / calls;
    const char *fetch = (const char *)(next ? next : panel);
    for (int column = 0; column < PANEL; column += GEMM_VECTORS * W)
        for (int64_t i = 0; i < blocks; i++) {
            int64_t from = i * rows / blocks, to = (i + 1) * rows / blocks;
            gemm_blocks[to - from](k, a + from * lda, lda, panel + column, c + from * ldc + column,
                                   ldc, add, fetch + call++ * k * step, step);
        }
}

/* The sums of channels i .. i + n. */
INLINE vf finish_v(vf sum, int64_t i, int64_t n, const float *residual, const finishing *f)
{
    if (f->bias)
        sum += load_n(f->bias + i, n);
    if (f->slope)
        sum = v_pick_lt(sum, v_set(0.0f), sum * load_n(f->slope + i, n), sum);
    else
        sum = activate_v(sum, f->act);
    if (residual)
        sum += load_n(residual + i, n);
    return sum;
}

static void finish(int64_t n, float *out, const float *sum, const float *residual, finishing f)
{
    for (int64_t i = 0; i < n; i += W)
        store_n(out + i, finish_v(load_n(sum + i, n - i), i, n - i, residual, &f), n - i);
}

/* ---- Winograd: interpolation points 0, +-A, +-B and infinity ---- */

#define A1  ((float)WINOGRAD_A)
#define B1  ((float)WINOGRAD_B)
#define A2  ((float)(WINOGRAD_A * WINOGRAD_A))
#define B2  ((float)(WINOGRAD_B * WINOGRAD_B))
#define A3  ((float)(WINOGRAD_A * WINOGRAD_A * WINOGRAD_A))
#define B3  ((float)(WINOGRAD_B * WINOGRAD_B * WINOGRAD_B))
#define AB  ((float)(WINOGRAD_A * WINOGRAD_A * WINOGRAD_B * WINOGRAD_B))
#define SUM ((float)(WINOGRAD_A * WINOGRAD_A + WINOGRAD_B * WINOGRAD_B))

/* d[0..5] -> B^T d, in place. */
INLINE void transform_in(vf d[6])
{
    vf even_a = v_fma(v_set(-B2), d[2], d[4]), odd_a = v_fma(v_set(-B2), d[1], d[3]);
    vf even_b = v_fma(v_set(-A2), d[2], d[4]), odd_b = v_fma(v_set(-A2), d[1], d[3]);
    d[0] = v_fma(v_set(AB), d[0], v_fma(v_set(-SUM), d[2], d[4]));
    d[5] = v_fma(v_set(AB), d[1], v_fma(v_set(-SUM), d[3], d[5]));
    d[1] = v_fma(v_set(A1), odd_a, even_a);
    d[2] = v_fma(v_set(-A1), odd_a, even_a);
    d[3] = v_fma(v_set(B1), odd_b, even_b);
    d[4] = v_fma(v_set(-B1), odd_b, even_b);
}

/* m[0..5] -> A^T m in m[0..3]. */
INLINE void transform_out(vf m[6])
{
    vf sum_a = m[1] + m[2], diff_a = m[1] - m[2];
    vf sum_b = m[3] + m[4], diff_b = m[3] - m[4];
    m[0] = m[0] + sum_a + sum_b;
    m[1] = v_fma(v_set(A1), diff_a, v_set(B1) * diff_b);
    m[2] = v_fma(v_set(A2), sum_a, v_set(B2) * sum_b);
    m[3] = v_fma(v_set(A3), diff_a, v_fma(v_set(B3), diff_b, m[5]));
}

static void winograd_in(int64_t channels, float *to, int64_t plane, const float *const *in)
{
    for (int64_t c = 0; c < channels; c += W) {
        vf t[6][6]; /* by column */
        UNROLL(6)
        for (int x = 0; x < 6; x++) {
            UNROLL(6)
            for (int y = 0; y < 6; y++)
                t[x][y] = load_n(in[y * 6 + x] + c, channels - c);
            transform_in(t[x]);
        }
        UNROLL(6)
        for (int y = 0; y < 6; y++) {
            vf row[6] = {t[0][y], t[1][y], t[2][y], t[3][y], t[4][y], t[5][y]};
            transform_in(row);
            UNROLL(6)
            for (int x = 0; x < 6; x++)
                store_n(to + (y * 6 + x) * plane + c, row[x], channels - c);
        }
    }
}

static void winograd_out(int64_t channels, float *const *out, const float *from, int64_t plane,
                         const float *const *residual, finishing f)
{
    for (int64_t c = 0; c < channels; c += W) {
        int64_t n = channels - c;
        vf t[6][6]; /* by column */
        UNROLL(6)
        for (int x = 0; x < 6; x++) {
            UNROLL(6)
            for (int y = 0; y < 6; y++)
                t[x][y] = load_n(from + (y * 6 + x) * plane + c, n);
            transform_out(t[x]);
        }
        UNROLL(4)
        for (int y = 0; y < 4; y++) {
            vf row[6] = {t[0][y], t[1][y], t[2][y], t[3][y], t[4][y], t[5][y]};
            transform_out(row);
            for (int x = 0; x < 4; x++)
                if (out[y * 4 + x])
                    store_n(out[y * 4 + x] + c,
                            finish_v(row[x], c, n, residual ? residual[y * 4 + x] : NULL, &f), n);
        }
    }
}

/* ---- attention ---- */

static void softmax(int64_t keys, float *scores, softmax_state *s, int64_t d, float *sums)
{
    for (int lane = 0; lane < PANEL; lane += 2 * W) {
        vf old0 = v_load(s->most + lane), old1 = v_load(s->most + lane + W);
        vf most0 = old0, most1 = old1;
        for (int64_t i = 0; i < keys; i++) {
            most0 = v_max(v_load(scores + i * PANEL + lane), most0);
            most1 = v_max(v_load(scores + i * PANEL + lane + W), most1);
        }
        vf shrink0 = exp2_v(old0 - most0), shrink1 = exp2_v(old1 - most1);
        vf sum0 = v_load(s->sum + lane) * shrink0, sum1 = v_load(s->sum + lane + W) * shrink1;
        for (int64_t i = 0; i < keys; i++) {
            float *at = scores + i * PANEL + lane;
            vf e0 = exp2_v(v_load(at) - most0), e1 = exp2_v(v_load(at + W) - most1);
            v_store(at, e0);
            v_store(at + W, e1);
            sum0 += e0;
            sum1 += e1;
        }
        for (int64_t i = 0; i < d; i++) {
            float *at = sums + i * PANEL + lane;
            v_store(at, v_load(at) * shrink0);
            v_store(at + W, v_load(at + W) * shrink1);
        }
        v_store(s->most + lane, most0);
        v_store(s->most + lane + W, most1);
        v_store(s->sum + lane, sum0);
        v_store(s->sum + lane + W, sum1);
    }
}

/* ---- norms ---- */

/* `vectors` vectors of channels side by side: a constant after inlining, all sums in registers. */
INLINE void moments_block(int vectors, int64_t channels, int64_t pixels, int64_t stride,
                          const float *x, const float *add, double *sum, double *squares)
{
    vd s[MOMENT_VECTORS][2] = {0}, q[MOMENT_VECTORS][2] = {0};
    vf offset[MOMENT_VECTORS];
    UNROLL(4)
    for (int v = 0; v < vectors; v++)
        offset[v] = add ? load_n(add + v * W, channels - v * W) : v_set(0.0f);
    for (int64_t i = 0; i < pixels; i++, x += stride)
        UNROLL(4)
    for (int v = 0; v < vectors; v++) {
        vf value = load_n(x + v * W, channels - v * W) + offset[v];
        vd low = v_low(value), high = v_high(value);
        s[v][0] += low;
        s[v][1] += high;
        q[v][0] += low * low;
        q[v][1] += high * high;
    }
    for (int64_t i = 0; i < vectors * W && i < channels; i++) {
        sum[i] = s[i / W][i % W / (W / 2)][i % (W / 2)];
        squares[i] = q[i / W][i % W / (W / 2)][i % (W / 2)];
    }
}

static void moments(int64_t channels, int64_t pixels, int64_t stride, const float *x,
                    const float *add, double *sum, double *squares)
{
    int64_t c = 0;
    for (; c + MOMENT_VECTORS * W <= channels; c += MOMENT_VECTORS * W)
        moments_block(MOMENT_VECTORS, MOMENT_VECTORS * W, pixels, stride, x + c,
                      add ? add + c : NULL, sum + c, squares + c);
    for (; c < channels; c += W)
        moments_block(1, channels - c, pixels, stride, x + c, add ? add + c : NULL, sum + c,
                      squares + c);
}

static void normalise(int64_t n, float *out, const float *x, const float *mean, const float *scale,
                      const float *shift, activation act)
{
    for (int64_t i = 0; i < n; i += W) {
        vf v = load_n(x + i, n - i) - load_n(mean + i, n - i);
        v = v_fma(v, load_n(scale + i, n - i), load_n(shift + i, n - i));
        store_n(out + i, activate_v(v, act), n - i);
    }
}

INLINE double total(vd v)
{
    double t = 0;
    for (int i = 0; i < W / 2; i++)
        t += v[i];
    return t;
}

static void layer_norm(int64_t n, float *out, const float *x, const float *scale,
                       const float *shift, double eps)
{
    vd s0 = {0}, s1 = {0};
    for (int64_t i = 0; i < n; i += W) {
        vf v = load_n(x + i, n - i);
        s0 += v_low(v);
        s1 += v_high(v);
    }
    double mean = total(s0 + s1) / (double)n;
    double squares = 0;
    s0 = s1 = (vd){0};
    int64_t whole = n - n % W;
    for (int64_t i = 0; i < whole; i += W) {
        vf v = v_load(x + i);
        vd low = v_low(v) - mean, high = v_high(v) - mean;
        s0 += low * low;
        s1 += high * high;
    }
    for (int64_t i = whole; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    squares += total(s0 + s1);
    double scaling = 1.0 / __builtin_sqrt(squares / (double)n + eps);
    float middle = (float)mean; /* and what it lacks is subtracted after scaling */
    vf factor = v_set((float)scaling), rest = v_set((float)((middle - mean) * scaling));
    for (int64_t i = 0; i < n; i += W) {
        vf v = v_fma(load_n(x + i, n - i) - v_set(middle), factor, rest);
        store_n(out + i, v_fma(v, load_n(scale + i, n - i), load_n(shift + i, n - i)), n - i);
    }
}

/* ---- element by element ---- */

static void geglu(int64_t n, float *out, const float *a, const float *b)
{
    for (int64_t i = 0; i < n; i += W)
        store_n(out + i, load_n(a + i, n - i) * gelu_v(load_n(b + i, n - i)), n - i);
}

static void activate(int64_t n, float *out, const float *x, activation act)
{
    for (int64_t i = 0; i < n; i += W)
        store_n(out + i, activate_v(load_n(x + i, n - i), act), n - i);
}

static void add(int64_t n, float *out, const float *a, float scale, const float *b)
{
    for (int64_t i = 0; i < n; i += W)
        store_n(out + i, v_fma(v_set(scale), load_n(a + i, n - i), load_n(b + i, n - i)), n - i);
}

/* ---- weights ---- */

#include "kernels/cpu/simd_pack.h"

const simd SIMD = {
    .name = SIMD_NAME,
    .gemm = gemm,
    .finish = finish,
    .winograd_in = winograd_in,
    .winograd_out = winograd_out,
    .softmax = softmax,
    .moments = moments,
    .normalise = normalise,
    .layer_norm = layer_norm,
    .geglu = geglu,
    .activate = activate,
    .add = add,
    .lines = lines,
    .winograd_filter = winograd_filter,
};
