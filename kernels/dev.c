/* dev: see dev.h. What a device has whatever its backend is: scratch, sticky error, counters,
 * tensors that stay. Opening one is open.c's. */
#include "kernels/dev.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/half.h"

const char *const dev_exact_names[] = {"on", "pairs", "off", NULL};

void *dev_scratch(dev *d, size_t bytes)
{
    if (d->status != DEV_OK)
        return NULL;
    bool ok;
    void *taken = arena_take(&d->scratch, bytes, &ok);
    if (!ok)
        dev_fail(d, DEV_NO_MEMORY, "%s: %zu bytes of scratch on top of %zu do not fit into %zu",
                 d->name, bytes, d->scratch.used, d->scratch.capacity);
    d->counters.scratch_peak = d->scratch.peak;
    return taken;
}

tensor dev_tensor(dev *d, dtype type, int64_t n, int64_t h, int64_t w, int64_t c)
{
    assert(n > 0 && h > 0 && w > 0 && c > 0);
    tensor t = tensor_of(NULL, type, n, h, w, c);
    t.data = dev_scratch(d, tensor_bytes(t));
    return t;
}

size_t dev_mark(const dev *d)
{
    return d->scratch.used;
}

void dev_release(dev *d, size_t mark)
{
    arena_release(&d->scratch, mark);
}

void dev_reset_peak(dev *d)
{
    d->scratch.peak = d->scratch.used;
    d->counters = (dev_counters){.scratch_peak = d->scratch.used};
}

static size_t kept_bytes(tensor t)
{
    return (tensor_bytes(t) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

static void *take_host(size_t bytes)
{
    void *p = aligned_alloc(ARENA_ALIGN, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

tensor dev_keep(dev *d, dtype type, int64_t n, int64_t h, int64_t w, int64_t c)
{
    assert(n > 0 && h > 0 && w > 0 && c > 0);
    tensor t = tensor_of(NULL, type, n, h, w, c);
    if (d->options.dry)
        return t;
    size_t bytes = kept_bytes(t);
    const backend_memory *memory = d->backend->memory;
    t.data = memory ? memory->take(d, bytes) : take_host(bytes);
    if (t.data)
        d->kept += bytes;
    else
        dev_fail(d, DEV_NO_MEMORY, "%s: no memory for a tensor of %zu bytes", d->name, bytes);
    return t;
}

void dev_drop(dev *d, tensor *t)
{
    if (t->data)
        d->kept -= kept_bytes(*t);
    if (d->backend->memory && t->data)
        d->backend->memory->give(d, t->data);
    else
        free(t->data);
    *t = (tensor){0};
}

void dev_upload(dev *d, tensor to, const void *from)
{
    if (d->options.dry || d->status != DEV_OK)
        return;
    if (d->backend->memory)
        d->backend->memory->write(d, to.data, from, tensor_bytes(to));
    else
        memcpy(to.data, from, tensor_bytes(to));
}

void dev_upload_floats(dev *d, tensor to, const float *from)
{
    if (d->options.dry || d->status != DEV_OK)
        return;
    if (to.type == F32) {
        dev_upload(d, to, from);
        return;
    }
    assert(to.type == F16 || to.type == BF16);
    uint16_t *narrow = malloc(tensor_bytes(to));
    if (!narrow) {
        dev_fail(d, DEV_NO_MEMORY, "%s: no memory to convert %zu bytes", d->name, tensor_bytes(to));
        return;
    }
    for (int64_t i = 0; i < tensor_count(to); i++)
        store_float(narrow, to.type, i, from[i]);
    dev_upload(d, to, narrow);
    free(narrow);
}

void dev_download(dev *d, void *to, tensor from)
{
    if (d->options.dry || d->status != DEV_OK)
        return;
    if (d->backend->memory)
        d->backend->memory->read(d, to, from.data, tensor_bytes(from));
    else
        memcpy(to, from.data, tensor_bytes(from));
}

void dev_copy(dev *d, tensor to, const dev *other, tensor from, dev_copying how)
{
    assert(d->backend == other->backend && tensor_bytes(to) == tensor_bytes(from));
    if (d->options.dry || d->status != DEV_OK)
        return;
    if (d->backend->memory) {
        d->backend->memory->copy(d, to.data, other, from.data, tensor_bytes(from), how);
        return;
    }
    memcpy(to.data, from.data, tensor_bytes(to));
    if (how == COPY_ONCE)
        snprintf(d->carrier, sizeof d->carrier, "memory");
}

void dev_wait(dev *d)
{
    if (d->backend->memory && !d->options.dry && d->status == DEV_OK)
        d->backend->memory->wait(d);
}

bool dev_arena(dev *d, arena *a, size_t capacity)
{
    const backend_memory *memory = d->backend->memory;
    return arena_init_in(a, memory ? &memory->arena : NULL, d, capacity, d->options.dry);
}

void dev_run(dev *d, dev_walk *walk, void *arg)
{
    if (d->backend->run && !d->options.dry)
        d->backend->run(d, walk, arg);
    else
        walk(d, arg);
}

dtype dev_store_as(dev *d, dtype storage)
{
    const dtype was = d->storage;
    assert(storage == was || (storage != F32 && was != F32));
    d->storage = storage;
    return was;
}

int dev_rows(const dev *d, int rows)
{
    const bool filled = d->backend->rows && d->options.exact != EXACT_PAIRS;
    return filled ? d->backend->rows(d, rows) : rows;
}

void dev_fail(dev *d, dev_status status, const char *format, ...)
{
    if (d->status != DEV_OK)
        return; /* the first error is the cause */
    d->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(d->error, sizeof d->error, format, args);
    va_end(args);
}

void dev_clear(dev *d)
{
    d->status = DEV_OK;
    d->error[0] = 0;
}
