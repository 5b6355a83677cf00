/* attention where the library has none: a causal mask, or as the fallback.
 *
 * flash_kernel (Dao 2023, FlashAttention-2): a block of four warps has 64 queries of one head, a
 * warp 16 of them. Keys and values come in tiles of 64 through a ring of two in shared memory, the
 * next while this one is used. Scores stay in the registers of the matrix instruction, whose result
 * layout is that of its left operand; sums are rescaled when the largest score grows. Heads are
 * padded with zeros to a multiple of 16 there.
 *
 * plain_kernel: a warp a query, any head up to 512 channels, any type. */
#include "kernels/cuda/element.h"

enum {
    WARPS = 4,
    THREADS = WARPS * 32,
    QUERIES = WARPS * 16,
    KEYS = 64,
    STAGES = 2,
    PAD = 8, /* of a row, in halves */
    HEAD_MOST = 512
};

/* Instead of -infinity, so that the difference of two of them is a number. */
static const float MASKED = -1e30f;

typedef struct {
    void *out;
    const void *q, *k, *v;
    const int32_t *keys;
    int64_t tq, tk;
    int64_t q_row, kv_row, out_row; /* elements from one token to the next */
    int heads, head;
    bool causal;
    float scale; /* of scores, for powers of 2 */
} attention_plan;

/* Of a block: which sample and head, and how many keys it has. */
typedef struct {
    int64_t sample;
    int64_t from; /* first channel of the head */
    int limit;
} head_place;

DEVICE head_place place_of_block(const attention_plan &p)
{
    head_place h;
    h.sample = blockIdx.y / p.heads;
    h.from = (int64_t)(blockIdx.y % p.heads) * p.head;
    h.limit = p.keys ? load(p.keys + h.sample) : (int)p.tk;
    return h;
}

/* Halves from one row of a tile to the next: rows begin in different banks. */
template <int D> struct pitch {
    enum { HALVES = D + PAD };
};

/* `rows` rows of a head, from token `first` on, to shared memory; zeros beyond `end`. */
template <int D>
DEVICE void fetch_rows(f16 *to, const f16 *head, int64_t row, int channels, int first, int rows,
                       int end)
{
    for (int i = (int)threadIdx.x; i < rows * (D / 8); i += THREADS) {
        const int token = first + i / (D / 8), c = i % (D / 8) * 8;
        const bool given = token < end && c < channels;
        const f16 *from = given ? head + token * row + c : head;
        copy16(to + i / (D / 8) * pitch<D>::HALVES + c, from, given);
    }
}

/* What a warp knows of its 16 queries: a thread has parts of rows lane / 4 and lane / 4 + 8. */
template <int D> struct flash_rows {
    uint32_t q[D / 16][4];
    float out[D / 8][4];
    float most[2], total[2];
};

/* Scores of the 16 queries with a tile of keys. */
template <int D>
DEVICE void score_tile(float (&s)[KEYS / 8][4], const flash_rows<D> &w, const f16 *keys)
{
    const int lane = (int)threadIdx.x % 32;
    const f16 *row = keys + (lane % 8 + lane / 16 * 8) * pitch<D>::HALVES + lane / 8 % 2 * 8;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
        s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
#pragma unroll
    for (int k = 0; k < D / 16; k++)
#pragma unroll
        for (int n = 0; n < KEYS / 8; n += 2) {
            uint32_t b[4];
            load_matrix(b, row + n * 8 * pitch<D>::HALVES + k * 16);
            multiply_add(s[n], w.q[k], b[0], b[1]);
            multiply_add(s[n + 1], w.q[k], b[2], b[3]);
        }
}

/* Keys that a query must not see: at or beyond `limit`, or after it. */
DEVICE void mask_tile(float (&s)[KEYS / 8][4], int first_key, int limit, bool causal,
                      int first_query)
{
    const int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int key = first_key + n * 8 + lane % 4 * 2 + i % 2;
            const int query = first_query + lane / 4 + i / 2 * 8;
            if (key >= limit || (causal && key > query))
                s[n][i] = MASKED;
        }
}

/* The four lanes that share a row. */
DEVICE float row_most(float v)
{
    v = fmaxf(v, shuffle_xor(v, 1));
    return fmaxf(v, shuffle_xor(v, 2));
}

DEVICE float row_sum(float v)
{
    v += shuffle_xor(v, 1);
    return v + shuffle_xor(v, 2);
}

/* Scores become weights; what was summed so far is rescaled to the new largest score. */
template <int D> DEVICE void weigh_tile(float (&s)[KEYS / 8][4], flash_rows<D> *w, float scale)
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float most = w->most[half];
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
            most = fmaxf(most, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
        most = row_most(most);
        const float shrink = fast_exp2((w->most[half] - most) * scale), base = most * scale;
        w->most[half] = most;
        w->total[half] *= shrink;
#pragma unroll
        for (int i = 0; i < D / 8; i++) {
            w->out[i][2 * half] *= shrink;
            w->out[i][2 * half + 1] *= shrink;
        }
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                s[n][i] = fast_exp2(fmaf(s[n][i], scale, -base));
                w->total[half] += s[n][i];
            }
    }
}

/* out += weights * values. */
template <int D>
DEVICE void sum_tile(const float (&s)[KEYS / 8][4], flash_rows<D> *w, const f16 *values)
{
    const int lane = (int)threadIdx.x % 32;
    const f16 *row = values + lane % 16 * pitch<D>::HALVES + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < KEYS / 16; k++) {
        const uint32_t a[4] = {
            pack_f16(s[2 * k][0], s[2 * k][1]), pack_f16(s[2 * k][2], s[2 * k][3]),
            pack_f16(s[2 * k + 1][0], s[2 * k + 1][1]), pack_f16(s[2 * k + 1][2], s[2 * k + 1][3])};
#pragma unroll
        for (int n = 0; n < D / 8; n += 2) {
            uint32_t b[4];
            load_matrix_transposed(b, row + k * 16 * pitch<D>::HALVES + n * 8);
            multiply_add(w->out[n], a, b[0], b[1]);
            multiply_add(w->out[n + 1], a, b[2], b[3]);
        }
    }
}

/* The warp's 16 rows, over their queries in shared memory, to out. */
template <int D>
DEVICE void put_rows(const attention_plan &p, const head_place &h, const flash_rows<D> &w,
                     f16 *rows, int first)
{
    const int lane = (int)threadIdx.x % 32;
    const float share[2] = {1 / row_sum(w.total[0]), 1 / row_sum(w.total[1])};
#pragma unroll
    for (int n = 0; n < D / 8; n++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            f16 *to = rows + (lane / 4 + half * 8) * pitch<D>::HALVES + n * 8 + lane % 4 * 2;
            *(uint32_t *)to =
                pack_f16(w.out[n][2 * half] * share[half], w.out[n][2 * half + 1] * share[half]);
        }
    sync_warp();
    f16 *out = (f16 *)p.out + h.sample * p.tq * p.out_row + h.from;
    for (int i = lane; i < 16 * (D / 8); i += 32) {
        const int query = first + i / (D / 8), c = i % (D / 8) * 8;
        if (query < p.tq && c < p.head)
            store16(out + query * p.out_row + c,
                    shared_load16(rows + i / (D / 8) * pitch<D>::HALVES + c));
    }
}

template <int D> static __global__ void BOUNDS(THREADS) flash_kernel(const attention_plan p)
{
    enum { TILE = KEYS * pitch<D>::HALVES };
    DYN_SHARED(f16, queries);
    f16 *keys = queries + QUERIES * pitch<D>::HALVES, *values = keys + STAGES * TILE;
    const head_place h = place_of_block(p);
    const int warp_row = (int)threadIdx.x / 32 * 16, lane = (int)threadIdx.x % 32;
    const int first = (int)blockIdx.x * QUERIES;
    const f16 *k = (const f16 *)p.k + h.sample * p.tk * p.kv_row + h.from;
    const f16 *v = (const f16 *)p.v + h.sample * p.tk * p.kv_row + h.from;
    const int seen = p.causal && first + QUERIES < h.limit ? first + QUERIES : h.limit;
    const int tiles = (seen + KEYS - 1) / KEYS;
    flash_rows<D> w;
    f16 *mine = queries + warp_row * pitch<D>::HALVES;

    fetch_rows<D>(queries, (const f16 *)p.q + h.sample * p.tq * p.q_row + h.from, p.q_row, p.head,
                  first, QUERIES, (int)p.tq);
    fetch_rows<D>(keys, k, p.kv_row, p.head, 0, KEYS, h.limit);
    fetch_rows<D>(values, v, p.kv_row, p.head, 0, KEYS, h.limit);
    copy_commit();
#pragma unroll
    for (int i = 0; i < D / 8; i++)
        w.out[i][0] = w.out[i][1] = w.out[i][2] = w.out[i][3] = 0;
    w.most[0] = w.most[1] = MASKED;
    w.total[0] = w.total[1] = 0;
    for (int t = 0; t < tiles; t++) {
        const int stage = t % STAGES, next = (t + 1) % STAGES;
        float s[KEYS / 8][4];
        copy_wait<0>();
        sync_block(); /* this tile is here, and nobody reads the other one any more */
        if (t + 1 < tiles) {
            fetch_rows<D>(keys + next * TILE, k, p.kv_row, p.head, (t + 1) * KEYS, KEYS, h.limit);
            fetch_rows<D>(values + next * TILE, v, p.kv_row, p.head, (t + 1) * KEYS, KEYS, h.limit);
            copy_commit();
        }
        if (t == 0) {
#pragma unroll
            for (int i = 0; i < D / 16; i++)
                load_matrix(w.q[i], mine + lane % 16 * pitch<D>::HALVES + i * 16 + lane / 16 * 8);
        }
        score_tile<D>(s, w, keys + stage * TILE);
        if ((t + 1) * KEYS > h.limit || p.causal)
            mask_tile(s, t * KEYS, h.limit, p.causal, first + warp_row);
        weigh_tile<D>(s, &w, p.scale);
        sum_tile<D>(s, &w, values + stage * TILE);
    }
    put_rows<D>(p, h, w, mine, first + warp_row);
}

template <class E> static __global__ void BOUNDS(THREADS) plain_kernel(const attention_plan p)
{
    enum { LANE_MOST = HEAD_MOST / 32 };
    const head_place h = place_of_block(p);
    const int lane = (int)threadIdx.x % 32;
    const int64_t query = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (query >= p.tq)
        return;
    const E *q = (const E *)p.q + (h.sample * p.tq + query) * p.q_row + h.from;
    const E *k = (const E *)p.k + h.sample * p.tk * p.kv_row + h.from;
    const E *v = (const E *)p.v + h.sample * p.tk * p.kv_row + h.from;
    const int64_t seen = p.causal && query + 1 < h.limit ? query + 1 : h.limit;
    float mine[LANE_MOST], sum[LANE_MOST], most = MASKED, total = 0;
#pragma unroll
    for (int i = 0; i < LANE_MOST; i++) {
        mine[i] = i * 32 + lane < p.head ? widen(load(q + i * 32 + lane)) : 0;
        sum[i] = 0;
    }
    for (int64_t key = 0; key < seen; key++, k += p.kv_row, v += p.kv_row) {
        float score = 0;
#pragma unroll
        for (int i = 0; i < LANE_MOST; i++)
            if (i * 32 + lane < p.head)
                score = fmaf(mine[i], widen(load(k + i * 32 + lane)), score);
        score = warp_sum(score);
        const float larger = fmaxf(most, score), shrink = fast_exp2((most - larger) * p.scale);
        const float share = fast_exp2((score - larger) * p.scale);
        most = larger;
        total = total * shrink + share;
#pragma unroll
        for (int i = 0; i < LANE_MOST; i++)
            if (i * 32 + lane < p.head)
                sum[i] = sum[i] * shrink + share * widen(load(v + i * 32 + lane));
    }
    E *out = (E *)p.out + (h.sample * p.tq + query) * p.out_row + h.from;
#pragma unroll
    for (int i = 0; i < LANE_MOST; i++) {
        const float r[1] = {sum[i] / total};
        if (i * 32 + lane < p.head)
            write(out + i * 32 + lane, r);
    }
}

template <class E, int V>
static int plain(cuda_stream stream, const attention_plan *plan, int64_t n)
{
    const attention_plan p = *plan;
    const grid_shape shape = {grid_blocks(p.tq, WARPS), n * p.heads, THREADS, 1, 0, stream};
    return p.head > HEAD_MOST ? LAUNCH_REFUSED : LAUNCH((plain_kernel<E>), shape, p);
}

/* Queries, and two rings of keys and values. */
static size_t flash_shared(int head)
{
    return (size_t)(QUERIES + 2 * STAGES * KEYS) * (size_t)(head + PAD) * sizeof(f16);
}

template <int D> static int flash(cuda_stream stream, const attention_plan *plan, int64_t n)
{
    const attention_plan p = *plan;
    const size_t shared = flash_shared(D);
    const grid_shape shape = {grid_blocks(p.tq, QUERIES), n * p.heads, THREADS, 1, shared, stream};
    const int status = ALLOW_SHARED((flash_kernel<D>), shared);
    return status ? status : LAUNCH((flash_kernel<D>), shape, p);
}

static bool flash_serves(const attention_args *a)
{
    return a->q.type == F16 && a->head % 8 == 0 && a->head <= 160 && a->k_at % 8 == 0 &&
           a->v_at % 8 == 0 && is_tensor_wide(a->q) && is_tensor_wide(a->k) &&
           is_tensor_wide(a->v) && is_tensor_wide(a->out);
}

int launch_attention(cuda_stream stream, const attention_args *a, size_t shared_most)
{
    static int (*const by_head[])(cuda_stream, const attention_plan *, int64_t) = {
        flash<16>, flash<32>,  flash<48>,  flash<64>,  flash<80>,
        flash<96>, flash<128>, flash<128>, flash<160>, flash<160>};
    static const int padded[] = {16, 32, 48, 64, 80, 96, 128, 128, 160, 160};
    const size_t size = dtype_bytes(a->q.type);
    attention_plan p = {};
    p.out = a->out.data;
    p.q = a->q.data;
    p.k = (const char *)a->k.data + (size_t)a->k_at * size;
    p.v = (const char *)a->v.data + (size_t)a->v_at * size;
    p.keys = a->keys;
    p.tq = a->q.dim[2];
    p.tk = a->k.dim[2];
    p.heads = a->heads;
    p.head = a->head;
    p.q_row = a->q.dim[3];
    p.kv_row = a->k.dim[3];
    p.out_row = a->out.dim[3];
    p.causal = a->causal;
    p.scale = (float)(1.44269504088896341 / sqrt((double)p.head));
    const int at = (p.head - 1) / 16;
    if (flash_serves(a) && flash_shared(padded[at]) <= shared_most)
        return by_head[at](stream, &p, a->q.dim[0]);
    return BY_TYPE(a->q.type, false, plain, stream, &p, a->q.dim[0]);
}
