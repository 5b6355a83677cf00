/* One run of a trial. Every buffer of a run is a fresh copy between guard bands, at its own
 * alignment; outputs and scratch hold garbage before. Whatever a kernel reads or writes beyond its
 * rights changes a result or a guard. */
#include <stdlib.h>
#include <string.h>

#include "tests/kerncheck/check.h"

enum { GUARD = 256, GUARD_BYTE = 0xa5, SCRATCH_GUARD = 65536 };

typedef struct {
    unsigned char *block;
    size_t size, offset, bytes; /* data = block + offset */
} guarded;

static const int garbage[] = {0xff, 0x7f}; /* NaN; 3.4e38 */

/* salt decides alignment (whole elements, or one byte off) and garbage. */
static guarded guarded_new(const slot *s, int salt)
{
    size_t step = s->odd ? 1 : dtype_bytes(s->t.type);
    guarded g = {.bytes = tensor_bytes(s->t), .offset = GUARD + (size_t)(salt % 4) * step};
    if (s->odd)
        g.offset |= 1;
    g.size = (g.offset + g.bytes + GUARD + 63) / 64 * 64;
    g.block = aligned_alloc(64, g.size);
    memset(g.block, GUARD_BYTE, g.size);
    if (s->in)
        memcpy(g.block + g.offset, s->t.data, g.bytes);
    else
        memset(g.block + g.offset, garbage[salt % 2], g.bytes);
    return g;
}

static bool all_bytes(const unsigned char *p, size_t count, int byte)
{
    for (size_t i = 0; i < count; i++)
        if (p[i] != byte)
            return false;
    return true;
}

static bool guarded_intact(const trial *t, const dev *d, int i, const guarded *g)
{
    size_t end = g->offset + g->bytes;
    const slot *s = &t->at[i];
    bool bands = all_bytes(g->block, g->offset, GUARD_BYTE) &&
                 all_bytes(g->block + end, g->size - end, GUARD_BYTE);
    bool input = s->out || memcmp(g->block + g->offset, s->t.data, g->bytes) == 0;
    if (!bands)
        trial_fail(t, "%s wrote beyond buffer %d", d->name, i);
    if (!input)
        trial_fail(t, "%s changed input %d", d->name, i);
    return bands && input;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Garbage where scratch will be, a guard after it. */
static void scratch_spoil(dev *d, size_t peak, int salt)
{
    size_t end = smaller(peak, d->scratch.capacity);
    memset(d->scratch.base, garbage[salt % 2], end);
    memset(d->scratch.base + end, GUARD_BYTE, smaller(SCRATCH_GUARD, d->scratch.capacity - end));
    dev_reset_peak(d);
}

static bool device_intact(const trial *t, const dev *d, size_t peak)
{
    const unsigned char *end = (unsigned char *)d->scratch.base + peak;
    size_t guard = smaller(SCRATCH_GUARD, d->scratch.capacity - peak);
    if (d->status != DEV_OK)
        trial_fail(t, "%s: %s", d->name, d->error);
    else if (d->scratch.used != 0)
        trial_fail(t, "%s kept %zu bytes of scratch", d->name, d->scratch.used);
    else if (d->counters.scratch_peak != peak)
        trial_fail(t, "%s took %zu bytes of scratch, %zu when dry", d->name,
                   d->counters.scratch_peak, peak);
    else if (!all_bytes(end, guard, GUARD_BYTE))
        trial_fail(t, "%s wrote beyond its scratch of %zu bytes", d->name, peak);
    else
        return true;
    return false;
}

static void pack_matrix(const trial *t, dev *d, const tensor *at, arena *to, weight *w)
{
    *w = t->matrix;
    if (w->k == 0)
        return;
    arena_release(to, 0);
    op_pack(d, w, to, at[t->matrix_slot].data, t->at[t->matrix_slot].t.type, t->matrix_stride);
}

bool run_dry(const trial *t, dev *d, int64_t first, outcome *o)
{
    *o = (outcome){0};
    tensor at[SLOTS];
    weight w;
    for (int i = 0; i < SLOTS; i++) {
        at[i] = t->at[i].t;
        at[i].data = NULL;
    }
    pack_matrix(t, d, at, &t->s->dry_weights, &w);
    dev_reset_peak(d);
    t->call(d, t, at, &w, first);
    o->flops = d->counters.flops;
    o->scratch = d->counters.scratch_peak;
    if (d->status != DEV_OK || d->scratch.used != 0)
        trial_fail(t, "%s, dry: %s, %zu bytes kept", d->name, d->error, d->scratch.used);
    return d->status == DEV_OK && d->scratch.used == 0;
}

/* o->scratch comes in as what the dry run found. */
bool run_once(const trial *t, dev *d, int salt, int64_t first, outcome *o)
{
    guarded g[SLOTS] = {0};
    tensor at[SLOTS] = {0};
    weight w;
    size_t peak = o->scratch;
    for (int i = 0; i < SLOTS; i++) {
        if (!tensor_given(t->at[i].t))
            continue;
        g[i] = guarded_new(&t->at[i], salt + i);
        at[i] = t->at[i].t;
        at[i].data = g[i].block + g[i].offset;
    }
    pack_matrix(t, d, at, &t->s->weights, &w);
    scratch_spoil(d, peak, salt);
    t->call(d, t, at, &w, first);
    o->flops = d->counters.flops;
    t->s->runs++;
    bool good = device_intact(t, d, peak);
    for (int i = 0; i < SLOTS; i++) {
        if (!g[i].block)
            continue;
        good &= guarded_intact(t, d, i, &g[i]);
        if (t->at[i].out) {
            o->out[i] = malloc(g[i].bytes + 1);
            memcpy(o->out[i], at[i].data, g[i].bytes);
        }
        free(g[i].block);
    }
    dev_clear(d);
    return good;
}

void outcome_done(outcome *o)
{
    for (int i = 0; i < SLOTS; i++)
        free(o->out[i]);
    *o = (outcome){0};
}

trial trial_sample(const trial *t, int64_t i)
{
    trial one = *t;
    for (int j = 0; j < SLOTS; j++)
        if (one.at[j].batched)
            one.at[j].t = tensor_sample(t->at[j].t, i);
    return one;
}
