/* Stocks: see stock.h. */
#include "kernels/stock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/backend.h"

/* All of the file gets its blocks at once: a disk that is full is found here and not by a signal.
 */
static char *map_file(size_t bytes)
{
    FILE *f = tmpfile();
    if (!f)
        return NULL;
    void *at = MAP_FAILED;
    if (posix_fallocate(fileno(f), 0, (off_t)bytes) == 0)
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);
    fclose(f); /* the mapping keeps it */
    return at == MAP_FAILED ? NULL : at;
}

bool stock_open(stock *s, dev *d, size_t bytes)
{
    const backend_memory *memory = d->backend->memory;
    *s = (stock){.d = d, .bytes = bytes};
    s->at = memory ? memory->hold(d, bytes) : map_file(bytes);
    if (!s->at)
        dev_fail(d, DEV_NO_MEMORY, "%s: no room for %zu bytes in %s", d->name, bytes,
                 memory ? "the host's memory" : "a temporary file");
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
