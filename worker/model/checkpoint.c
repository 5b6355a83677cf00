/* Model files as named tensors: see checkpoint.h. The one idea: whatever the layout, the result is
 * one list of LDM names sorted for searching, whose data point into the mapped files.
 *
 * A mapped file must not be shortened while a model is loaded from it (the kernel answers with
 * SIGBUS): replace model files by renaming, as every downloader does. */
#include "worker/model/checkpoint.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/model/layout.h"
#include "worker/model/torch.h"

enum { PATH_MOST = 4096 };

typedef struct {
    void *at;
    size_t bytes;
} mapping;

struct checkpoint {
    char *path;
    mapping map[LAYOUT_COUNT];
    tensor_list list; /* by name */
    size_t bytes;
};

static bool map_file(mapping *m, const char *path, const char *label, problems *p)
{
    struct stat s;
    bool ok = false;
    /* Without O_NONBLOCK a named pipe would hold us here. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 || fstat(file, &s) < 0) {
        problems_add(p, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s%s", label, strerror(errno));
        goto out;
    }
    if (!S_ISREG(s.st_mode)) {
        problems_add(p, ERR_INVALID, "%snot a regular file", label);
        goto out;
    }
    if (s.st_size > 0) {
        void *at = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (at == MAP_FAILED) {
            problems_add(p, ERR_IO, "%scannot be mapped: %s", label, strerror(errno));
            goto out;
        }
        *m = (mapping){at, (size_t)s.st_size};
    }
    ok = true;
out:
    if (file >= 0)
        close(file);
    return ok;
}

static bool read_file(tensor_list *list, const mapping *m, const char *label, problems *p)
{
    return torch_is(m->at, m->bytes) ? torch_read(list, m->at, m->bytes, label, p)
                                     : safetensors_read(list, m->at, m->bytes, label, p);
}

static void open_part(checkpoint *c, layout part, const char *path, const char *label, problems *p)
{
    size_t first = c->list.count;
    mapping *m = &c->map[part];
    if (map_file(m, path, label, p) && read_file(&c->list, m, label, p) &&
        !layout_rename(&c->list, first, part))
        problems_add(p, ERR_NO_MEMORY, "%sno memory for the names", label);
}

static void open_folder(checkpoint *c, const char *folder, problems *p)
{
    for (layout part = LAYOUT_UNET; part < LAYOUT_COUNT; part++) {
        char path[PATH_MOST], label[LAYOUT_FILE_MAX];
        const char *file = layout_file(part, folder, p);
        if (!file)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, file);
        snprintf(label, sizeof label, "%s: ", file);
        open_part(c, part, path, label, p);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const checkpoint_tensor *)a)->name, ((const checkpoint_tensor *)b)->name);
}

static void sort_and_sum(checkpoint *c, problems *p)
{
    const tensor_list *l = &c->list;
    if (l->count > 1)
        qsort(l->tensor, l->count, sizeof *l->tensor, by_name);
    for (size_t i = 0; i < l->count; i++) {
        c->bytes += l->tensor[i].bytes;
        if (i && by_name(&l->tensor[i - 1], &l->tensor[i]) == 0)
            problems_add(p, ERR_INVALID, "two tensors are named %.120s", l->tensor[i].name);
    }
}

checkpoint *checkpoint_open(const char *path, err *e)
{
    struct stat s;
    problems p = {0};
    checkpoint *c = calloc(1, sizeof *c);
    if (!c || !(c->path = strdup(path))) {
        problems_add(&p, ERR_NO_MEMORY, "no memory to open it");
        goto out;
    }
    if (stat(path, &s) == 0 && S_ISDIR(s.st_mode))
        open_folder(c, path, &p);
    else
        open_part(c, LAYOUT_SINGLE, path, "", &p);
    if (p.code == ERR_OK)
        sort_and_sum(c, &p);
out:
    if (problems_report(&p, path, e) < 0)
        checkpoint_free(&c);
    return c;
}

void checkpoint_free(checkpoint **c)
{
    if (!c || !*c)
        return;
    tensor_list_done(&(*c)->list);
    for (int i = 0; i < LAYOUT_COUNT; i++)
        if ((*c)->map[i].at)
            munmap((*c)->map[i].at, (*c)->map[i].bytes);
    free((*c)->path);
    free(*c);
    *c = NULL;
}

const checkpoint_tensor *checkpoint_find(const checkpoint *c, const char *name)
{
    checkpoint_tensor key = {.name = name};
    if (!c->list.count)
        return NULL;
    return bsearch(&key, c->list.tensor, c->list.count, sizeof key, by_name);
}

bool checkpoint_has(const checkpoint *c, const char *prefix)
{
    size_t low = 0, high = c->list.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(c->list.tensor[middle].name, prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->list.count && strncmp(c->list.tensor[low].name, prefix, strlen(prefix)) == 0;
}

size_t checkpoint_count(const checkpoint *c)
{
    return c->list.count;
}

const checkpoint_tensor *checkpoint_at(const checkpoint *c, size_t i)
{
    assert(i < c->list.count);
    return &c->list.tensor[i];
}

const char *checkpoint_path(const checkpoint *c)
{
    return c->path;
}

size_t checkpoint_bytes(const checkpoint *c)
{
    return c->bytes;
}

void checkpoint_release(const checkpoint *c, const checkpoint_tensor *t)
{
    (void)c;
    /* Whole pages, also those shared with a neighbour: they come back from the file if needed. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)t->data & ~(page - 1);
    uintptr_t end = ((uintptr_t)t->data + t->bytes + page - 1) & ~(page - 1);
    if (t->bytes)
        madvise((void *)begin, end - begin, MADV_DONTNEED); /* a hint: failing costs only memory */
}
