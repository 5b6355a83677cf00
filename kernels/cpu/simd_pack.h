/* Part of simd_body.h: matrices of a model file -> lines of PANEL output channels. */

enum { PACK_AHEAD = 256 }; /* bytes of a row fetched ahead of use */

INLINE vf v_from(const char *from, dtype type)
{
    switch (type) {
    case F16: return v_from_half(from);
    case BF16: return v_from_bfloat(from);
    default: return v_load((const float *)from);
    }
}

/* v[i][j] <-> v[j][i]: single elements and pairs inside of the 128-bit parts, then the parts. */
INLINE void transpose(vf v[W])
{
    vf u[W];
    UNROLL(4)
    for (int i = 0; i < W; i += 4) {
        vf low0 = v_zip_low(v[i], v[i + 1]), low1 = v_zip_low(v[i + 2], v[i + 3]);
        vf high0 = v_zip_high(v[i], v[i + 1]), high1 = v_zip_high(v[i + 2], v[i + 3]);
        u[i] = v_zip_pairs_low(low0, low1);
        u[i + 1] = v_zip_pairs_high(low0, low1);
        u[i + 2] = v_zip_pairs_low(high0, high1);
        u[i + 3] = v_zip_pairs_high(high0, high1);
    }
    UNROLL(4)
    for (int i = 0; i < 4; i++)
        v_collect_parts(v + i, u + i);
}

/* W elements of PANEL rows `stride` bytes apart -> W lines of PANEL values. */
INLINE void lines_block(float *to, const char *from, int64_t stride, dtype type)
{
    for (int first = 0; first < PANEL; first += W) {
        vf v[W];
        UNROLL(16)
        for (int j = 0; j < W; j++, from += stride) {
            _mm_prefetch(from + PACK_AHEAD, _MM_HINT_T0);
            v[j] = v_from(from, type);
        }
        transpose(v);
        UNROLL(16)
        for (int j = 0; j < W; j++)
            v_store(to + j * PANEL + first, v[j]);
    }
}

INLINE void lines_of(int64_t n, float *to, const char *from, int64_t stride, int rows, dtype type)
{
    const int64_t size = (int64_t)dtype_bytes(type);
    int64_t i = 0;
    for (; rows == PANEL && i + W <= n; i += W)
        lines_block(to + i * PANEL, from + i * size, stride * size, type);
    for (; i < n; i += W) { /* what is missing is 0 */
        char whole[PANEL * W * sizeof(float)] = {0};
        float line[W * PANEL];
        size_t count = n - i < W ? (size_t)(n - i) : W;
        for (int j = 0; j < rows; j++)
            memcpy(whole + j * W * size, from + (j * stride + i) * size, count * (size_t)size);
        lines_block(line, whole, W * size, type);
        memcpy(to + i * PANEL, line, count * PANEL * sizeof *line);
    }
}

/* The type is a constant inside of each call. */
static void lines(int64_t n, float *to, const void *from, int64_t stride, int rows, dtype type)
{
    switch (type) {
    case F16: lines_of(n, to, from, stride, rows, F16); break;
    case BF16: lines_of(n, to, from, stride, rows, BF16); break;
    default: lines_of(n, to, from, stride, rows, F32); break;
    }
}

/* ((a x + b y) + c z) in double: a row of G with a column. */
INLINE vd weigh(const double g[3], vd x, vd y, vd z)
{
    return x * g[0] + y * g[1] + z * g[2];
}

static void winograd_filter(int64_t channels, float *to, int64_t plane, const float *taps,
                            const double g[6][3])
{
    for (int64_t i = 0; i < channels; i++, to += PANEL, taps += 9 * PANEL)
        for (int lane = 0; lane < PANEL; lane += W) {
            vd half[6][3][2]; /* G g, low and high lanes */
            UNROLL(3)
            for (int x = 0; x < 3; x++) {
                vf f[3] = {v_load(taps + x * PANEL + lane), v_load(taps + (3 + x) * PANEL + lane),
                           v_load(taps + (6 + x) * PANEL + lane)};
                UNROLL(6)
                for (int y = 0; y < 6; y++) {
                    half[y][x][0] = weigh(g[y], v_low(f[0]), v_low(f[1]), v_low(f[2]));
                    half[y][x][1] = weigh(g[y], v_high(f[0]), v_high(f[1]), v_high(f[2]));
                }
            }
            for (int y = 0; y < 6; y++)
                UNROLL(6)
            for (int x = 0; x < 6; x++)
                v_store(to + (y * 6 + x) * plane + lane,
                        v_narrow(weigh(g[x], half[y][0][0], half[y][1][0], half[y][2][0]),
                                 weigh(g[x], half[y][0][1], half[y][1][1], half[y][2][1])));
        }
}
