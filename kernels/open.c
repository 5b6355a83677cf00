/* Opening and closing a device: see dev.h. A backend is a row (backend.h): those of the program are
 * here, others are modules beside it. */
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/backend.h"

enum { THREADS_MOST = 1024, PATH_BYTES = 4096 };

static const backend *const own[] = {&backend_ref, &backend_cpu};

/* "cuemu" is the module "cuda" linked to stand-ins for the vendor's libraries; only tests have it.
 */
static const char *const modules[] = {"cuda", "cuemu"};

static const backend *find_own(const char *name)
{
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(own[i]->name, name) == 0)
            return own[i];
    return NULL;
}

static const char *find_module(const char *name)
{
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (strcmp(modules[i], name) == 0)
            return modules[i];
    return NULL;
}

const char *dev_backend(const char *name)
{
    const backend *b = find_own(name);
    return b ? b->name : find_module(name);
}

/* ../lib/overpaint/overpaint-NAME.so as seen from the program; OVERPAINT_MODULES names another
 * folder. */
static bool module_path(char path[PATH_BYTES], const char *name)
{
    const char *folder = getenv("OVERPAINT_MODULES");
    char program[PATH_BYTES];
    int n;
    if (folder) {
        n = snprintf(path, PATH_BYTES, "%s/overpaint-%s.so", folder, name);
    } else {
        ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
        if (length < 1)
            return false;
        program[length] = 0;
        char *slash = strrchr(program, '/');
        *slash = 0;
        n = snprintf(path, PATH_BYTES, "%s/../lib/overpaint/overpaint-%s.so", program, name);
    }
    return n > 0 && n < PATH_BYTES;
}

static bool is_ours(const backend *b)
{
    return strcmp(b->version, OVERPAINT_VERSION) == 0 && b->dev_bytes == sizeof(dev) &&
           b->table_bytes == sizeof(kernel_table);
}

/* A module stays loaded: the vendor's libraries do not like to be unloaded. */
static const backend *load_module(const char *name, char why[WHY_BYTES])
{
    char path[PATH_BYTES];
    if (!module_path(path, name)) {
        snprintf(why, WHY_BYTES, "the place of the module overpaint-%s.so is not known", name);
        return NULL;
    }
    if (access(path, F_OK) != 0) {
        snprintf(why, WHY_BYTES,
                 "there is no %.120s: this build has no %s backend, expected a build with CUDA and "
                 "cuDNN, or --device cpu",
                 path, name);
        return NULL;
    }
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        snprintf(why, WHY_BYTES, "cannot load the %s backend: %.200s", name, dlerror());
        return NULL;
    }
    const backend *(*row)(void) = (const backend *(*)(void))dlsym(module, "overpaint_backend");
    const backend *b = row ? row() : NULL;
    if (!b || !is_ours(b)) {
        snprintf(why, WHY_BYTES, "%.160s is of another build, expected version %s", path,
                 OVERPAINT_VERSION);
        return NULL;
    }
    return b;
}

const backend *backend_find(const char *name, char why[WHY_BYTES])
{
    const backend *b = find_own(name);
    if (b)
        return b;
    if (find_module(name))
        return load_module(name, why);
    snprintf(why, WHY_BYTES, "backend is \"%.64s\", expected \"cpu\", \"cuda\" or \"ref\"", name);
    return NULL;
}

int dev_count(const char *name, char *why)
{
    const backend *b = backend_find(name, why);
    if (!b)
        return -1;
    return b->count ? b->count(why) : 0;
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

static void fill_in(dev *d, const dev_options *options, const backend *b)
{
    d->options = *options;
    d->options.backend = dev_backend(options->backend);
    if (d->options.threads == 0)
        d->options.threads = usable_processors();
    if (d->options.scratch_bytes == 0)
        d->options.scratch_bytes = physical_memory();
    d->backend = b;
    d->kernels = b->kernels;
    d->storage = b->storage;
    d->own_memory = b->memory != NULL;
    d->by_budget = b->by_budget;
    d->memory_bytes = physical_memory();
    snprintf(d->name, sizeof d->name, "%s:%d", d->options.backend, options->ordinal);
}

static void name_exact(dev *d)
{
    const size_t n = strlen(d->class_name);
    if (d->options.exact != EXACT_ON)
        snprintf(d->class_name + n, sizeof d->class_name - n, ", exact %s",
                 dev_exact_names[d->options.exact]);
}

dev *dev_new(const dev_options *options, char *why)
{
    const backend *b = backend_find(options->backend, why);
    if (!b)
        return NULL;
    if (options->threads < 0 || options->threads > THREADS_MOST) {
        snprintf(why, WHY_BYTES, "threads is %d, expected 0 to %d", options->threads, THREADS_MOST);
        return NULL;
    }
    dev *d = calloc(1, sizeof *d);
    if (!d) {
        snprintf(why, WHY_BYTES, "no memory for a device");
        return NULL;
    }
    fill_in(d, options, b);
    if (!b->open(d, why)) {
        free(d);
        return NULL;
    }
    name_exact(d);
    if (!dev_arena(d, &d->scratch, d->options.scratch_bytes)) {
        snprintf(why, WHY_BYTES, "%.100s%scannot reserve %zu bytes of address space for scratch",
                 d->error, d->status == DEV_OK ? "" : ": ", d->options.scratch_bytes);
        dev_free(&d);
    }
    return d;
}

void dev_free(dev **d)
{
    if (!*d)
        return;
    arena_done(&(*d)->scratch);
    (*d)->backend->close(*d);
    free(*d);
    *d = NULL;
}
