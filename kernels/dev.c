/* dev: see dev.h. A backend is one row of a table; everything that does not depend on it (scratch,
 * sticky error, counters, tensors that stay) is here once. */
#include "kernels/dev.h"

#include <assert.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/table.h"

enum { WHY_BYTES = 256, THREADS_MOST = 1024 };

typedef struct {
    const char *name;
    const kernel_table *(*table)(void);
    bool (*open)(dev *d, char *why);
    void (*close)(dev *d);
} backend;

/* The CUDA column of the kernel list is empty: its row says so instead of opening. */
static bool cuda_open(dev *d, char *why)
{
    snprintf(why, WHY_BYTES, "%s: this build has no CUDA backend, expected cpu", d->name);
    return false;
}

static const backend backends[] = {
    {"ref", kernel_table_ref, ref_open, ref_close},
    {"cpu", kernel_table_cpu, cpu_open, cpu_close},
    {"cuda", kernel_table_ref, cuda_open, NULL},
};

static const backend *find_backend(const char *name)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        if (strcmp(backends[i].name, name) == 0)
            return &backends[i];
    return NULL;
}

const char *dev_backend(const char *name)
{
    const backend *b = find_backend(name);
    return b ? b->name : NULL;
}

static int usable_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

static size_t physical_memory(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

dev *dev_new(const dev_options *options, char *why)
{
    const backend *b = find_backend(options->backend);
    if (!b) {
        snprintf(why, WHY_BYTES, "backend is \"%s\", expected \"cpu\", \"cuda\" or \"ref\"",
                 options->backend);
        return NULL;
    }
    if (options->threads < 0 || options->threads > THREADS_MOST) {
        snprintf(why, WHY_BYTES, "threads is %d, expected 0 to %d", options->threads, THREADS_MOST);
        return NULL;
    }
    dev *d = calloc(1, sizeof *d);
    if (!d) {
        snprintf(why, WHY_BYTES, "no memory for a device");
        return NULL;
    }
    d->options = *options;
    d->options.backend = b->name;
    if (d->options.threads == 0)
        d->options.threads = usable_processors();
    if (d->options.scratch_bytes == 0)
        d->options.scratch_bytes = physical_memory();
    d->kernels = b->table();
    snprintf(d->name, sizeof d->name, "%s:%d", b->name, options->ordinal);
    if (!arena_init(&d->scratch, d->options.scratch_bytes, options->dry)) {
        snprintf(why, WHY_BYTES, "cannot reserve %zu bytes of address space for scratch",
                 d->options.scratch_bytes);
        goto out;
    }
    if (b->open(d, why))
        return d;
out:
    arena_done(&d->scratch);
    free(d);
    return NULL;
}

void dev_free(dev **d)
{
    if (!*d)
        return;
    find_backend((*d)->options.backend)->close(*d);
    arena_done(&(*d)->scratch);
    free(*d);
    *d = NULL;
}

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

tensor dev_keep(dev *d, dtype type, int64_t n, int64_t h, int64_t w, int64_t c)
{
    assert(n > 0 && h > 0 && w > 0 && c > 0);
    tensor t = tensor_of(NULL, type, n, h, w, c);
    if (d->options.dry)
        return t;
    size_t bytes = kept_bytes(t);
    t.data = aligned_alloc(ARENA_ALIGN, bytes);
    if (!t.data) {
        dev_fail(d, DEV_NO_MEMORY, "%s: no memory for a tensor of %zu bytes", d->name, bytes);
        return t;
    }
    memset(t.data, 0, bytes);
    d->kept += bytes;
    return t;
}

void dev_drop(dev *d, tensor *t)
{
    if (t->data)
        d->kept -= kept_bytes(*t);
    free(t->data); /* host memory; a GPU would need its device */
    *t = (tensor){0};
}

void dev_upload(dev *d, tensor to, const void *from)
{
    if (!d->options.dry && d->status == DEV_OK)
        memcpy(to.data, from, tensor_bytes(to));
}

void dev_download(dev *d, void *to, tensor from)
{
    if (!d->options.dry && d->status == DEV_OK)
        memcpy(to, from.data, tensor_bytes(from));
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
