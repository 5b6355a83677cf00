/* arena: see arena.h. The whole capacity is reserved as address space at once, so a pointer never
 * moves; the kernel gives pages (huge ones where it can) when they are first touched, and they stay
 * until the arena ends. */
#include "kernels/arena.h"

#include <assert.h>
#include <stdint.h>
#include <sys/mman.h>

static size_t round_up(size_t bytes)
{
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

bool arena_init(arena *a, size_t capacity, bool dry)
{
    *a = (arena){.capacity = capacity, .dry = dry};
    if (dry || capacity == 0)
        return true;
    void *base = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        *a = (arena){0};
        return false;
    }
    madvise(base, capacity, MADV_HUGEPAGE); /* advice only: without it everything still works */
    a->base = base;
    return true;
}

void arena_done(arena *a)
{
    if (a->base)
        munmap(a->base, a->capacity);
    *a = (arena){0};
}

void *arena_take(arena *a, size_t bytes, bool *ok)
{
    *ok = bytes <= SIZE_MAX / 2 && (a->dry || round_up(bytes) <= a->capacity - a->used);
    if (!*ok)
        return NULL;
    void *taken = a->dry || !a->base ? NULL : a->base + a->used;
    a->used += round_up(bytes);
    if (a->used > a->peak)
        a->peak = a->used;
    return taken;
}

void arena_release(arena *a, size_t used)
{
    assert(used <= a->used);
    a->used = used;
}

void arena_trim(arena *a)
{
    const size_t page = 2 << 20; /* huge pages go whole */
    const size_t from = (a->used + page - 1) / page * page, to = (a->peak + page - 1) / page * page;
    if (a->base && to > from)
        madvise(a->base + from, (to < a->capacity ? to : a->capacity) - from, MADV_DONTNEED);
    a->peak = a->used;
}
