/* Stocks: see stock.h. */
#include "kernels/stock.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/backend.h"

/* /tmp may be memory itself. */
static const char *folder(void)
{
    const char *wanted = getenv("TMPDIR");
    return wanted && *wanted ? wanted : "/var/tmp";
}

/* All of the file gets its blocks at once: a disk that is full is found here and not by a signal.
 */
static char *map_file(size_t bytes)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/overpaint-XXXXXX", folder()) >= (int)sizeof path)
        return NULL;
    const int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return NULL;
    unlink(path);
    void *at = MAP_FAILED;
    if (posix_fallocate(fd, 0, (off_t)bytes) == 0)
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd); /* the mapping keeps it */
    return at == MAP_FAILED ? NULL : at;
}

bool stock_open(stock *s, dev *d, size_t bytes)
{
    const backend_memory *memory = d->backend->memory;
    *s = (stock){.d = d, .bytes = bytes};
    s->at = memory ? memory->hold(d, bytes) : map_file(bytes);
    if (!s->at)
        dev_fail(d, DEV_NO_MEMORY, "%s: no room for %zu bytes in %.100s", d->name, bytes,
                 memory ? "the host's memory" : folder());
    return s->at != NULL;
}

void stock_close(stock *s)
{
    const backend_memory *memory = s->d ? s->d->backend->memory : NULL;
    if (s->at && memory)
        memory->let_go(s->d, s->at);
    else if (s->at)
        munmap(s->at, s->bytes);
    *s = (stock){0};
}

void dev_fetch(dev *d, void *to, const void *from, size_t bytes)
{
    if (d->options.dry || d->status != DEV_OK)
        return;
    if (d->backend->memory)
        d->backend->memory->fetch(d, to, from, bytes);
    else
        memcpy(to, from, bytes);
}

void dev_fetched(dev *d)
{
    if (!d->options.dry && d->status == DEV_OK && d->backend->memory)
        d->backend->memory->fetched(d);
}
