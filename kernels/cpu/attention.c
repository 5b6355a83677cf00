/* attention, CPU: blocks of keys against bands of queries with a running softmax (Milakov and
 * Gimelshein, "Online normalizer calculation for softmax", 2018); the matrix of scores never
 * exists.
 *
 * Everything is computed transposed, a query being a column: a panel of 32 queries [d][32] gives
 * scores K q^T [keys][32], which are a panel too, and V^T scores [d][32] is the result. So both
 * products are simd.gemm without waste for any head size, and the softmax runs down the columns. */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <string.h>

enum { KEYS = 256, BAND_PANELS = 4 };

typedef struct {
    const simd *simd;
    const attention_args *a;
    int64_t d, tq, tk;
    int64_t key_blocks, bands, band_panels;
    float *k; /* [n][heads][tk][d] */
    float *v; /* [n][heads][key block][d][row_stride(KEYS)] */
    float *scratch;
    int64_t scratch_floats;
} plan;

/* One head of one sample. */
typedef struct {
    int64_t sample, head;
} head;

static head head_at(const plan *p, int64_t i)
{
    return (head){.sample = i / p->a->heads, .head = i % p->a->heads};
}

/* Token i's channels of a head, where all heads' begin with channel `at`. */
static float *token(const plan *p, tensor t, int64_t at, head h, int64_t i)
{
    return (float *)t.data + (h.sample * t.dim[2] + i) * t.dim[3] + at + h.head * p->d;
}

static float *values_of(const plan *p, head h, int64_t block)
{
    return p->v +
           ((h.sample * p->a->heads + h.head) * p->key_blocks + block) * p->d * row_stride(KEYS);
}

static float *keys_of(const plan *p, head h)
{
    return p->k + (h.sample * p->a->heads + h.head) * p->tk * p->d;
}

/* Copies the keys and transposes the values of one block of one head. */
static void pack_tile(void *arg, int64_t tile, int thread)
{
    (void)thread;
    const plan *p = arg;
    head h = head_at(p, tile / p->key_blocks);
    int64_t block = tile % p->key_blocks, first = block * KEYS;
    int64_t end = first + KEYS < p->tk ? first + KEYS : p->tk;
    float *keys = keys_of(p, h), *values = values_of(p, h, block);
    for (int64_t i = first; i < end; i++) {
        const float *v = token(p, p->a->v, p->a->v_at, h, i);
        memcpy(keys + i * p->d, token(p, p->a->k, p->a->k_at, h, i), (size_t)p->d * sizeof *keys);
        for (int64_t j = 0; j < p->d; j++)
            values[j * row_stride(KEYS) + i - first] = v[j];
    }
}

/* What a thread holds for a panel of queries. */
typedef struct {
    softmax_state state;
    float *queries, *sums; /* [d][PANEL] */
} query_panel;

static void panel_begin(const plan *p, query_panel *q, head h, int64_t first)
{
    float scale = (float)(1.4426950408889634 / sqrt((double)p->d)); /* of powers of two */
    for (int i = 0; i < PANEL; i++) {
        const float *from = first + i < p->tq ? token(p, p->a->q, 0, h, first + i) : NULL;
        for (int64_t j = 0; j < p->d; j++)
            q->queries[j * PANEL + i] = from ? from[j] * scale : 0;
        q->state.most[i] = -INFINITY;
        q->state.sum[i] = 0;
    }
    memset(q->sums, 0, (size_t)(p->d * PANEL) * sizeof *q->sums);
}

static void panel_end(const plan *p, const query_panel *q, head h, int64_t first)
{
    for (int i = 0; i < PANEL && first + i < p->tq; i++) {
        float *to = token(p, p->a->out, 0, h, first + i);
        float factor = 1 / q->state.sum[i];
        for (int64_t j = 0; j < p->d; j++)
            to[j] = q->sums[j * PANEL + i] * factor;
    }
}

/* A query sees no key after itself. */
static void hide_later(float *scores, int64_t key, int64_t keys, int64_t query)
{
    for (int64_t j = 0; j < keys; j++)
        for (int i = 0; i < PANEL; i++)
            if (key + j > query + i)
                scores[j * PANEL + i] = -INFINITY;
}

static void panel_meets_keys(const plan *p, query_panel *q, head h, int64_t query, int64_t block,
                             int64_t end, float *scores)
{
    int64_t key = block * KEYS;
    if (p->a->causal && key > query + PANEL - 1)
        return;
    int64_t keys = end - key < KEYS ? end - key : KEYS;
    p->simd->gemm(keys, p->d, keys_of(p, h) + key * p->d, p->d, q->queries, scores, PANEL, false,
                  NULL);
    if (p->a->causal)
        hide_later(scores, key, keys, query);
    p->simd->softmax(keys, scores, &q->state, p->d, q->sums);
    p->simd->gemm(p->d, keys, values_of(p, h, block), row_stride(KEYS), scores, q->sums, PANEL,
                  true, NULL);
}

static void attention_tile(void *arg, int64_t tile, int thread)
{
    const plan *p = arg;
    head h = head_at(p, tile / p->bands);
    int64_t first = tile % p->bands * p->band_panels * PANEL;
    int64_t panels = panels_of(p->tq - first);
    int64_t keys = p->a->keys ? p->a->keys[h.sample] : p->tk;
    float *scores = p->scratch + thread * p->scratch_floats, *at = scores + KEYS * PANEL;
    query_panel q[BAND_PANELS];
    if (panels > p->band_panels)
        panels = p->band_panels;
    for (int64_t i = 0; i < panels; i++, at += 2 * p->d * PANEL) {
        q[i].queries = at;
        q[i].sums = at + p->d * PANEL;
        panel_begin(p, &q[i], h, first + i * PANEL);
    }
    for (int64_t block = 0; block * KEYS < keys; block++)
        for (int64_t i = 0; i < panels; i++)
            panel_meets_keys(p, &q[i], h, first + i * PANEL, block, keys, scores);
    for (int64_t i = 0; i < panels; i++)
        panel_end(p, &q[i], h, first + i * PANEL);
}

void cpu_attention(dev *d, const attention_args *a)
{
    plan p = {.simd = cpu_of(d)->simd, .a = a, .d = a->head, .tq = a->q.dim[2], .tk = a->k.dim[2]};
    int64_t heads = a->q.dim[0] * a->heads, panels = panels_of(p.tq);
    p.key_blocks = ceil_div(p.tk, KEYS);
    p.band_panels = panels < BAND_PANELS ? panels : BAND_PANELS;
    p.bands = ceil_div(panels, p.band_panels);
    p.scratch_floats = KEYS * PANEL + p.band_panels * 2 * p.d * PANEL;
    size_t mark = dev_mark(d);
    p.k = dev_scratch(d, (size_t)(heads * p.tk * p.d) * sizeof *p.k);
    p.v = dev_scratch(d, (size_t)(heads * p.key_blocks * p.d * row_stride(KEYS)) * sizeof *p.v);
    p.scratch = cpu_scratch(d, p.scratch_floats);
    cpu_run(d, heads * p.key_blocks, pack_tile, &p);
    cpu_run(d, heads * p.bands, attention_tile, &p);
    dev_release(d, mark);
}
