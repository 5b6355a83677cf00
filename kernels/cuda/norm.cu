/* group_norm and layer_norm.
 *
 * group_norm: a *slab* is some whole groups of one sample, a *part* some of its pixels. A block
 * finds mean and sum of squared deviations of its part, exactly in two sweeps over shared memory;
 * the parts of a slab are then merged in order (Chan et al. 1983). Where the slab fits, its parts
 * are the blocks of a cluster, which exchange what they found and write the result from shared
 * memory: one read and one write. Else one kernel stores what each part found and another merges
 * and applies. Slabs and parts follow from the shape of a sample alone. */
#include "kernels/cuda/element.h"

enum {
    THREADS = 256,
    CLUSTER = 8,
    GROUPS_MOST = 64 /* of a slab */
};
/* FIXED_SHARED: more than the arrays of a block. */
static const size_t FIXED_SHARED = 10 << 10, PART_SHARED = 38 << 10;

/* Mean and sum of squared deviations of so many values. */
typedef struct {
    float count, mean, squares;
} moments;

typedef struct {
    void *out;
    const void *x, *x2, *add;
    const float *scale, *shift;
    float *stats;                  /* [n][parts][groups][2], when the parts are not a cluster */
    int64_t pixels, part, add_row; /* add_row: values from a sample of `add` to the next */
    int c, c1, slab, size, groups, parts; /* channels: all, of x, of a slab, of a group */
    float eps;
    activation act;
} norm_plan;

DEVICE moments merge(moments a, moments b)
{
    const float count = a.count + b.count, delta = b.mean - a.mean;
    if (b.count == 0)
        return a;
    const float share = b.count / count;
    const moments both = {count, a.mean + delta * share,
                          a.squares + b.squares + delta * delta * a.count * share};
    return both;
}

/* What one block does: a part of a slab of a sample, and which of it this thread. */
typedef struct {
    int64_t sample, first, pixels;
    int part, channel, column, row, rows, vectors;
} piece;

template <int V> DEVICE piece piece_of_thread(const norm_plan &p)
{
    piece w;
    w.sample = blockIdx.y;
    w.part = blockIdx.x % p.parts;
    w.channel = (int)(blockIdx.x / p.parts) * p.slab;
    w.first = w.part * p.part;
    w.pixels = w.first < p.pixels ? p.pixels - w.first : 0;
    if (w.pixels > p.part)
        w.pixels = p.part;
    w.vectors = p.slab / V;
    w.rows = THREADS / w.vectors;
    w.column = (int)threadIdx.x % w.vectors;
    w.row = (int)threadIdx.x / w.vectors;
    return w;
}

/* The seam of x and x2 lies between two vectors. */
template <class E>
DEVICE const E *source_at(const norm_plan &p, const piece &w, int64_t pixel, int c)
{
    const int64_t at = w.sample * p.pixels + w.first + pixel;
    if (c < p.c1)
        return (const E *)p.x + at * p.c1 + c;
    return (const E *)p.x2 + at * (p.c - p.c1) + c - p.c1;
}

template <class E> DEVICE void fetch(E *to, const E *from, const float (&)[8])
{
    copy16(to, from, true);
}

template <class E> DEVICE void fetch(E *to, const E *from, const float (&)[1])
{
    *to = load(from);
}

/* What this thread knows of its channels: v' = (v - mean) * factor + shift, mean that of v alone:
 * what `add` adds is taken off it. */
template <int V> struct channels {
    float mean[V], factor[V], shift[V];
};

template <class E> DEVICE void read_cached(float (&v)[8], const E *p)
{
    widen8(v, shared_load16(p), p);
}

template <class E> DEVICE void read_cached(float (&v)[1], const E *p)
{
    v[0] = widen(*p);
}

/* Sums over the part, by group, of v - base or of its square: sum[g]. */
template <class E, int V>
DEVICE void sum_groups(const norm_plan &p, const piece &w, const E *cache, const float (&base)[V],
                       bool squares, float *by_channel, float *sum)
{
    float mine[V] = {0};
    for (int64_t i = w.row; i < w.pixels && w.row < w.rows; i += w.rows) {
        float v[V];
        read_cached(v, cache + i * p.slab + w.column * V);
#pragma unroll
        for (int j = 0; j < V; j++) {
            const float d = v[j] - base[j];
            mine[j] += squares ? d * d : d;
        }
    }
#pragma unroll
    for (int j = 0; j < V; j++)
        if (w.row < w.rows)
            by_channel[w.row * p.slab + w.column * V + j] = mine[j];
    sync_block();
    for (int g = (int)threadIdx.x / 32; g < p.slab / p.size; g += THREADS / 32) {
        float all = 0;
        for (int i = (int)threadIdx.x % 32; i < w.rows * p.size; i += 32)
            all += by_channel[i / p.size * p.slab + g * p.size + i % p.size];
        all = warp_sum(all);
        if (threadIdx.x % 32 == 0)
            sum[g] = all;
    }
    sync_block();
}

/* The part of x ++ x2 into shared memory. A thread reads later what it brings here, nothing else.
 */
template <class E, int V> DEVICE void load_part(const norm_plan &p, const piece &w, E *cache)
{
    const float tag[V] = {0};
    for (int64_t i = w.row; i < w.pixels && w.row < w.rows; i += w.rows)
        fetch(cache + i * p.slab + w.column * V, source_at<E>(p, w, i, w.channel + w.column * V),
              tag);
    copy_commit();
    copy_wait<0>();
}

/* What `add` adds to this thread's channels, the other way round. */
template <class E, int V>
DEVICE void base_of_add(const norm_plan &p, const piece &w, float (&base)[V])
{
    float add[V] = {0};
    if (p.add)
        read(add, (const E *)p.add + w.sample * p.add_row + w.channel + w.column * V);
#pragma unroll
    for (int j = 0; j < V; j++)
        base[j] = -add[j];
}

/* Mean and squares of each group of the part: found[2 g], found[2 g + 1], written by thread g. */
template <class E, int V>
DEVICE void measure(const norm_plan &p, const piece &w, const E *cache, float *found)
{
    SHARED(float, by_channel, THREADS *V);
    SHARED(float, sum, GROUPS_MOST);
    const float count = (float)(w.pixels * p.size);
    const int g = (int)threadIdx.x;
    float base[V];
    base_of_add<E, V>(p, w, base);
    sum_groups<E, V>(p, w, cache, base, false, by_channel, sum);
#pragma unroll
    for (int j = 0; j < V; j++)
        base[j] += count > 0 ? sum[(w.column * V + j) / p.size] / count : 0;
    if (g < p.slab / p.size)
        found[2 * g] = count > 0 ? sum[g] / count : 0;
    sum_groups<E, V>(p, w, cache, base, true, by_channel, sum);
    if (g < p.slab / p.size)
        found[2 * g + 1] = sum[g];
}

DEVICE float part_count(const norm_plan &p, int part)
{
    const int64_t left = p.pixels - part * p.part;
    return (float)((left > p.part ? p.part : left > 0 ? left : 0) * p.size);
}

/* Of the merged groups to this thread's channels: mean_factor[2 g], [2 g + 1]. */
template <class E, int V>
DEVICE void know_channels(const norm_plan &p, const piece &w, const float *mean_factor,
                          channels<V> *ch)
{
    base_of_add<E, V>(p, w, ch->mean);
    read(ch->factor, p.scale + w.channel + w.column * V);
    read(ch->shift, p.shift + w.channel + w.column * V);
#pragma unroll
    for (int j = 0; j < V; j++) {
        const int g = (w.column * V + j) / p.size;
        ch->mean[j] += mean_factor[2 * g];
        ch->factor[j] *= mean_factor[2 * g + 1];
    }
}

template <class E, int V>
DEVICE void put(const norm_plan &p, const piece &w, int64_t pixel, const channels<V> &ch,
                float (&v)[V])
{
#pragma unroll
    for (int j = 0; j < V; j++)
        v[j] = apply((v[j] - ch.mean[j]) * ch.factor[j] + ch.shift[j], p.act);
    const int64_t at = w.sample * p.pixels + w.first + pixel;
    write((E *)p.out + at * p.c + w.channel + w.column * V, v);
}

DEVICE void store_factor(float *mean_factor, int g, moments m, float eps)
{
    mean_factor[2 * g] = m.mean;
    mean_factor[2 * g + 1] = 1 / sqrtf(m.squares / m.count + eps);
}

template <class E, int V> static __global__ void BOUNDS(THREADS) cluster_kernel(const norm_plan p)
{
    DYN_SHARED(E, cache);
    SHARED(float, found, 2 * GROUPS_MOST);
    SHARED(float, mean_factor, 2 * GROUPS_MOST);
    const piece w = piece_of_thread<V>(p);
    channels<V> ch;
    load_part<E, V>(p, w, cache);
    measure<E, V>(p, w, cache, found);
    sync_cluster();
    const int g = (int)threadIdx.x;
    if (g < p.slab / p.size) {
        moments all = {0, 0, 0};
        for (int part = 0; part < CLUSTER; part++) {
            const moments one = {part_count(p, part), cluster_load(&found[2 * g], part),
                                 cluster_load(&found[2 * g + 1], part)};
            all = merge(all, one);
        }
        store_factor(mean_factor, g, all, p.eps);
    }
    sync_cluster(); /* nobody ends while another reads its `found` */
    know_channels<E, V>(p, w, mean_factor, &ch);
    for (int64_t i = w.row; i < w.pixels && w.row < w.rows; i += w.rows) {
        float v[V];
        read_cached(v, cache + i * p.slab + w.column * V);
        put<E, V>(p, w, i, ch, v);
    }
}

DEVICE float *stats_at(const norm_plan &p, const piece &w, int part, int g)
{
    return p.stats + ((w.sample * p.parts + part) * p.groups + w.channel / p.size + g) * 2;
}

template <class E, int V> static __global__ void BOUNDS(THREADS) measure_kernel(const norm_plan p)
{
    DYN_SHARED(E, cache);
    SHARED(float, found, 2 * GROUPS_MOST);
    const piece w = piece_of_thread<V>(p);
    load_part<E, V>(p, w, cache);
    measure<E, V>(p, w, cache, found);
    const int g = (int)threadIdx.x;
    if (g < p.slab / p.size) {
        store(stats_at(p, w, w.part, g), found[2 * g]);
        store(stats_at(p, w, w.part, g) + 1, found[2 * g + 1]);
    }
}

/* Lane i merges parts i, i + 32, ...; then lanes in a tree. Only lane 0's result counts: merging in
 * the other order may round differently. */
DEVICE moments merge_parts(const norm_plan &p, const piece &w, int g)
{
    moments all = {0, 0, 0};
    for (int part = (int)threadIdx.x % 32; part < p.parts; part += 32) {
        const float *at = stats_at(p, w, part, g);
        const moments one = {part_count(p, part), load(at), load(at + 1)};
        all = merge(all, one);
    }
#pragma unroll
    for (unsigned m = 16; m; m /= 2) {
        const moments other = {shuffle_xor(all.count, m), shuffle_xor(all.mean, m),
                               shuffle_xor(all.squares, m)};
        all = merge(all, other);
    }
    return all;
}

template <class E, int V> static __global__ void BOUNDS(THREADS) apply_kernel(const norm_plan p)
{
    SHARED(float, mean_factor, 2 * GROUPS_MOST);
    const piece w = piece_of_thread<V>(p);
    channels<V> ch;
    for (int g = (int)threadIdx.x / 32; g < p.slab / p.size; g += THREADS / 32) {
        const moments all = merge_parts(p, w, g);
        if (threadIdx.x % 32 == 0)
            store_factor(mean_factor, g, all, p.eps);
    }
    sync_block();
    know_channels<E, V>(p, w, mean_factor, &ch);
    for (int64_t i = w.row; i < w.pixels && w.row < w.rows; i += w.rows) {
        float v[V];
        read(v, source_at<E>(p, w, i, w.channel + w.column * V));
        put<E, V>(p, w, i, ch, v);
    }
}

static bool slab_fits(int slab, int size, int vector)
{
    return slab / vector <= THREADS && slab / size <= GROUPS_MOST;
}

/* Whole vectors and whole groups, at least 32 channels where that fits; 0: no kernel for it. */
static int slab_of(int c, int size, int vector)
{
    int unit = size;
    while (unit % vector)
        unit += size;
    int slab = unit;
    while (slab < c && (slab < 32 || c % slab))
        slab += unit;
    return slab_fits(slab, size, vector) ? slab : slab_fits(unit, size, vector) ? unit : 0;
}

/* Where the channels of `add` that count begin. */
static const void *added(const group_norm_args *a)
{
    const char *add = (const char *)a->add.data;
    return add ? add + (size_t)a->add_at * dtype_bytes(a->add.type) : NULL;
}

static bool norm_is_wide(const group_norm_args *a)
{
    return is_tensor_wide(a->x) && is_tensor_wide(a->out) && is_wide(added(a)) &&
           (!tensor_given(a->add) || is_tensor_wide(a->add)) && is_wide(a->scale.data) &&
           is_wide(a->shift.data) && (!tensor_given(a->x2) || is_tensor_wide(a->x2));
}

/* stats stay NULL. */
static norm_plan plan_norm(const group_norm_args *a, size_t cluster_shared, bool *clustered)
{
    norm_plan p = {};
    const int vector = norm_is_wide(a) ? 8 : 1;
    p.out = a->out.data;
    p.x = a->x.data;
    p.x2 = a->x2.data;
    p.add = added(a);
    p.add_row = a->add.dim[3];
    p.scale = (const float *)a->scale.data;
    p.shift = (const float *)a->shift.data;
    p.pixels = a->x.dim[1] * a->x.dim[2];
    p.c = (int)a->out.dim[3];
    p.c1 = (int)a->x.dim[3];
    p.groups = a->groups;
    p.size = p.c / p.groups;
    p.slab = slab_of(p.c, p.size, vector);
    p.eps = (float)a->eps;
    p.act = a->act;
    if (p.slab == 0)
        return p;
    p.parts = CLUSTER;
    p.part = grid_blocks(p.pixels, CLUSTER);
    *clustered = (size_t)(p.part * p.slab) * sizeof(f16) + FIXED_SHARED <= cluster_shared;
    if (!*clustered) {
        p.part = (int64_t)(PART_SHARED / ((size_t)p.slab * sizeof(f16)));
        p.parts = (int)grid_blocks(p.pixels, p.part);
    }
    return p;
}

size_t launch_group_norm_scratch(const group_norm_args *a, size_t cluster_shared)
{
    bool clustered = false;
    const norm_plan p = plan_norm(a, cluster_shared, &clustered);
    const size_t stats = (size_t)(a->x.dim[0] * p.parts * p.groups) * 2 * sizeof(float);
    return clustered ? 0 : stats;
}

template <class E, int V>
static int group_norm(cuda_stream stream, const norm_plan *plan, int64_t n, bool clustered)
{
    const norm_plan p = *plan;
    grid_shape shape = {(int64_t)p.c / p.slab * p.parts,       n,     THREADS, 1,
                        (size_t)(p.part * p.slab) * sizeof(E), stream};
    if (clustered) {
        shape.cluster = CLUSTER;
        const int status = ALLOW_SHARED((cluster_kernel<E, V>), shape.shared);
        return status ? status : LAUNCH((cluster_kernel<E, V>), shape, p);
    }
    const int status = LAUNCH((measure_kernel<E, V>), shape, p);
    shape.shared = 0;
    return status ? status : LAUNCH((apply_kernel<E, V>), shape, p);
}

int launch_group_norm(cuda_stream stream, const group_norm_args *a, size_t cluster_shared,
                      void *scratch)
{
    bool clustered = false;
    norm_plan p = plan_norm(a, cluster_shared, &clustered);
    p.stats = (float *)scratch;
    if (p.slab == 0)
        return LAUNCH_REFUSED;
    return BY_TYPE_16(a->x.type, norm_is_wide(a), group_norm, stream, &p, a->x.dim[0], clustered);
}

typedef struct {
    void *out;
    const void *x;
    const float *scale, *shift;
    int64_t rows;
    int c;
    float eps;
} layer_plan;

/* A warp a row, which stays in registers: up to `most` vectors of V elements a lane. */
template <class E, int V, int most>
static __global__ void BOUNDS(THREADS) layer_kernel(const layer_plan p)
{
    const int64_t row = (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
    const int lane = (int)threadIdx.x % 32, vectors = p.c / V;
    float v[most][V], sum = 0, squares = 0;
    if (row >= p.rows)
        return;
#pragma unroll
    for (int i = 0; i < most; i++) {
        if (i * 32 + lane >= vectors)
            continue;
        read(v[i], (const E *)p.x + row * p.c + (i * 32 + lane) * V);
#pragma unroll
        for (int j = 0; j < V; j++)
            sum += v[i][j];
    }
    const float mean = warp_sum(sum) / (float)p.c;
#pragma unroll
    for (int i = 0; i < most; i++)
#pragma unroll
        for (int j = 0; j < V; j++)
            if (i * 32 + lane < vectors)
                squares += (v[i][j] - mean) * (v[i][j] - mean);
    const float factor = 1 / sqrtf(warp_sum(squares) / (float)p.c + p.eps);
#pragma unroll
    for (int i = 0; i < most; i++) {
        const int c = (i * 32 + lane) * V;
        float scale[V], shift[V];
        if (c >= p.c)
            continue;
        read(scale, p.scale + c);
        read(shift, p.shift + c);
#pragma unroll
        for (int j = 0; j < V; j++)
            v[i][j] = (v[i][j] - mean) * factor * scale[j] + shift[j];
        write((E *)p.out + row * p.c + c, v[i]);
    }
}

/* The same for rows of any length, read three times. */
template <class E> static __global__ void BOUNDS(THREADS) long_layer_kernel(const layer_plan p)
{
    const int64_t row = (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
    const int lane = (int)threadIdx.x % 32;
    float sum = 0, squares = 0;
    if (row >= p.rows)
        return;
    const E *x = (const E *)p.x + row * p.c;
    for (int c = lane; c < p.c; c += 32)
        sum += widen(load(x + c));
    const float mean = warp_sum(sum) / (float)p.c;
    for (int c = lane; c < p.c; c += 32) {
        const float d = widen(load(x + c)) - mean;
        squares += d * d;
    }
    const float factor = 1 / sqrtf(warp_sum(squares) / (float)p.c + p.eps);
    for (int c = lane; c < p.c; c += 32) {
        const float v[1] = {(widen(load(x + c)) - mean) * factor * load(p.scale + c) +
                            load(p.shift + c)};
        write((E *)p.out + row * p.c + c, v);
    }
}

template <class E, int V> static int layer_norm(cuda_stream stream, const layer_plan *plan)
{
    const layer_plan p = *plan;
    const grid_shape shape = {grid_blocks(p.rows, THREADS / 32), 1, THREADS, 1, 0, stream};
    if (V == 8 && p.c <= 2 * 32 * V)
        return LAUNCH((layer_kernel<E, 8, 2>), shape, p);
    if (V == 8 && p.c <= 5 * 32 * V)
        return LAUNCH((layer_kernel<E, 8, 5>), shape, p);
    return LAUNCH((long_layer_kernel<E>), shape, p);
}

int launch_layer_norm(cuda_stream stream, const layer_norm_args *a)
{
    const bool wide = is_tensor_wide(a->x) && is_tensor_wide(a->out) && is_wide(a->scale.data) &&
                      is_wide(a->shift.data);
    const layer_plan p = {a->out.data,
                          a->x.data,
                          (const float *)a->scale.data,
                          (const float *)a->shift.data,
                          tensor_count(a->x) / a->x.dim[3],
                          (int)a->x.dim[3],
                          (float)a->eps};
    return BY_TYPE(a->x.type, wide, layer_norm, stream, &p);
}
