/* Visit: see visit.h. */
#include "tests/device/visit.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/half.h"

enum { VECTOR = 16, GUARD_BYTE = 0xa5, SPOILED = 0xff };

/* The ways in which a call is made; the last ones only with `played`. */
enum { DIRECT, HEARD, RECORDED, PLAYED, WAYS };
static const char *const way_names[] = {"called", "called in a walk", "recorded", "played"};

bool visit_begin(visit *v, dev *d)
{
    memset(v, 0, sizeof *v);
    v->d = d;
    v->as = d->impl;
    return !d->options.dry && d->status == DEV_OK;
}

/* ---- what is on its way ---- */

static size_t block_bytes(const held *h)
{
    return h->offset + h->bytes + h->padding;
}

static tensor hold(visit *v, tensor host, dtype type, size_t offset, size_t multiple, bool back)
{
    dev *to = v->as->to;
    if (!host.data || to->status != DEV_OK)
        return host;
    held *h = &v->held[v->count++];
    *h = (held){.host = host, .there = host, .back = back};
    h->there.type = host.type == F32 ? type : host.type;
    h->offset = v->as->guard + offset;
    h->bytes = (tensor_bytes(h->there) + multiple - 1) / multiple * multiple;
    h->padding = v->as->guard;
    h->block = to->backend->memory->take(to, block_bytes(h));
    if (!h->block)
        dev_fail(to, DEV_NO_MEMORY, "no memory for a tensor of %zu bytes", h->bytes);
    h->there.data = h->block + h->offset;
    return h->there;
}

static tensor send_map(visit *v, tensor host, bool back)
{
    return hold(v, host, v->as->to->storage, v->as->offset, 1, back);
}

tensor send(visit *v, tensor host)
{
    return send_map(v, host, false);
}

tensor send_out(visit *v, tensor host)
{
    return send_map(v, host, true);
}

tensor send_or(visit *v, tensor host, tensor out, tensor sent)
{
    return host.data && host.data == out.data ? sent : send(v, host);
}

tensor send_padded(visit *v, tensor host)
{
    return hold(v, host, v->as->to->storage, 0, VECTOR, false);
}

tensor send_f32(visit *v, tensor host)
{
    return hold(v, host, F32, 0, 1, false);
}

tensor send_state(visit *v, tensor host)
{
    return hold(v, host, F32, 0, 1, true);
}

void lend(visit *v, void *field, const void *host, int64_t count, size_t size)
{
    v->lent = (lent){.field = field, .host = host, .count = host ? count : 0, .size = size};
}

void answered(visit *v, void *host, size_t bytes)
{
    const tensor flags = tensor_of(host, U8, 1, 1, 1, (int64_t)bytes);
    v->held[v->count++] = (held){.host = flags, .there = flags, .bytes = bytes, .back = true};
}

/* ---- there and back ---- */

static void write_held(const visit *v, const held *h)
{
    dev *to = v->as->to;
    if (!h->block) {
        memset(h->host.data, SPOILED, h->bytes);
        return;
    }
    char *block = malloc(block_bytes(h)), *data = block + h->offset;
    memset(block, GUARD_BYTE, block_bytes(h));
    memset(data, 0, h->bytes);
    if (h->host.type != F32)
        memcpy(data, h->host.data, tensor_bytes(h->host));
    else
        for (int64_t i = 0; i < tensor_count(h->host); i++)
            store_float(data, h->there.type, i, ((const float *)h->host.data)[i]);
    to->backend->memory->write(to, h->block, block, block_bytes(h));
    free(block);
}

static bool is_guard(const char *p, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((unsigned char)p[i] != GUARD_BYTE)
            return false;
    return true;
}

/* The block as it is now; malloc'ed. */
static char *read_held(const visit *v, const held *h)
{
    dev *to = v->as->to;
    char *block = malloc(block_bytes(h));
    if (!h->block)
        return memcpy(block, h->host.data, h->bytes);
    to->backend->memory->read(to, block, h->block, block_bytes(h));
    if (to->status == DEV_OK &&
        (!is_guard(block, h->offset) || !is_guard(block + h->offset + h->bytes, h->padding)))
        dev_fail(to, DEV_BROKEN, "a kernel wrote beyond a tensor of %zu bytes", h->bytes);
    return block;
}

static void compare_held(const visit *v, held *h, int way)
{
    char *block = read_held(v, h);
    const bool other = way == RECORDED && v->lent.count > 1; /* with another order */
    if (way == DIRECT) {
        h->first = block;
        return;
    }
    if (!other && memcmp(block, h->first, block_bytes(h)) != 0)
        dev_fail(v->as->to, DEV_BROKEN, "other bytes %s than %s", way_names[way],
                 way_names[DIRECT]);
    free(block);
}

/* What is lent: a copy at a new place, in another order for the one that is recorded. */
static void lend_copy(visit *v, int way)
{
    lent *l = &v->lent;
    if (l->count == 0)
        return;
    const size_t all = (size_t)l->count * l->size, turned = way == RECORDED ? l->size : 0;
    l->copy = malloc(all);
    memcpy(l->copy, (const char *)l->host + turned, all - turned);
    memcpy((char *)l->copy + all - turned, l->host, turned);
    memcpy(l->field, &l->copy, sizeof l->copy);
}

static void lend_end(visit *v)
{
    lent *l = &v->lent;
    if (l->copy)
        memset(l->copy, SPOILED, (size_t)l->count * l->size);
    free(l->copy);
    l->copy = NULL;
}

/* What the device has as scratch, where there is memory behind it: whatever is there does not
 * matter. */
static void spoil_scratch(dev *to, size_t bytes)
{
    char *garbage = malloc(bytes + 1);
    memset(garbage, SPOILED, bytes);
    if (bytes)
        to->backend->memory->write(to, to->scratch.base, garbage, bytes);
    free(garbage);
}

/* The scratch of one call, which must be what the dry device takes. */
static void check_scratch(visit *v, dev_walk *walk, void *args)
{
    dev *to = v->as->to, *dry = v->as->dry;
    if (!dry || to->status != DEV_OK)
        return;
    dev_reset_peak(dry);
    walk(dry, args);
    if (to->scratch.used != 0 || dry->scratch.used != 0)
        dev_fail(to, DEV_BROKEN, "%zu bytes of scratch are kept, %zu when dry", to->scratch.used,
                 dry->scratch.used);
    if (to->counters.scratch_peak != dry->counters.scratch_peak)
        dev_fail(to, DEV_BROKEN, "%zu bytes of scratch are taken, %zu when dry",
                 to->counters.scratch_peak, dry->counters.scratch_peak);
}

static void call_once(visit *v, dev_walk *walk, void *args, int way)
{
    dev *to = v->as->to;
    for (int i = 0; i < v->count; i++)
        write_held(v, &v->held[i]);
    lend_copy(v, way);
    if (way == DIRECT)
        walk(to, args);
    else
        dev_run(to, walk, args);
    if (way == DIRECT)
        check_scratch(v, walk, args);
    lend_end(v);
    for (int i = 0; i < v->count; i++)
        compare_held(v, &v->held[i], way);
}

static void take_back(const held *h)
{
    const char *data = h->first + h->offset;
    if (h->host.type != F32)
        memcpy(h->host.data, data, tensor_bytes(h->host));
    else
        for (int64_t i = 0; i < tensor_count(h->host); i++)
            ((float *)h->host.data)[i] = load_float(data, h->there.type, i);
}

void visit_end(visit *v, dev_walk *walk, void *args)
{
    dev *to = v->as->to;
    dev_reset_peak(to);
    for (int way = DIRECT; way < (v->as->played ? WAYS : HEARD) && to->status == DEV_OK; way++) {
        call_once(v, walk, args, way);
        spoil_scratch(to, to->counters.scratch_peak);
    }
    for (int i = 0; i < v->count; i++) {
        held *h = &v->held[i];
        if (h->back && h->first)
            take_back(h);
        if (h->block)
            to->backend->memory->give(to, h->block);
        free(h->first);
    }
    if (to->status != DEV_OK)
        dev_fail(v->d, to->status, "%.240s", to->error);
    dev_clear(to);
}
