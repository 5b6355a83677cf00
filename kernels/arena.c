/* arena: see arena.h. The whole capacity is reserved as address space at once, so a pointer never
 * moves; memory comes behind it in steps, on the host when a page (a huge one where it can be) is
 * first touched, and stays until the arena ends or is trimmed. */
#include "kernels/arena.h"

#include <assert.h>
#include <stdint.h>
#include <sys/mman.h>

static size_t round_up(size_t bytes)
{
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

/* ---- the host's memory ---- */

static void *host_reserve(void *owner, size_t capacity)
{
    (void)owner;
    void *base = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    madvise(base, capacity, MADV_HUGEPAGE); /* advice only: without it everything still works */
    return base;
}

static bool host_back(void *owner, void *base, size_t from, size_t to)
{
    (void)owner, (void)base, (void)from, (void)to;
    return true;
}

static void host_trim(void *owner, void *base, size_t from, size_t to)
{
    (void)owner;
    madvise((char *)base + from, to - from, MADV_DONTNEED);
}

static void host_end(void *owner, void *base, size_t capacity, size_t backed)
{
    (void)owner, (void)backed;
    munmap(base, capacity);
}

static const arena_memory host_memory = {host_reserve, host_back, host_trim, host_end};

/* ---- any memory ---- */

bool arena_init(arena *a, size_t capacity, bool dry)
{
    return arena_init_in(a, NULL, NULL, capacity, dry);
}

bool arena_init_in(arena *a, const arena_memory *memory, void *owner, size_t capacity, bool dry)
{
    *a = (arena){
        .capacity = capacity, .dry = dry, .memory = memory ? memory : &host_memory, .owner = owner};
    if (dry || capacity == 0)
        return true;
    a->base = a->memory->reserve(owner, capacity);
    if (!a->base)
        *a = (arena){0};
    return a->base != NULL;
}

void arena_done(arena *a)
{
    if (a->base)
        a->memory->end(a->owner, a->base, a->capacity, a->backed);
    *a = (arena){0};
}

/* Memory for the first `bytes`. */
static bool back(arena *a, size_t bytes)
{
    if (!a->base || bytes <= a->backed)
        return true;
    size_t to = (bytes + ARENA_STEP - 1) / ARENA_STEP * ARENA_STEP;
    if (to > a->capacity)
        to = a->capacity;
    if (!a->memory->back(a->owner, a->base, a->backed, to))
        return false;
    a->backed = to;
    return true;
}

void *arena_take(arena *a, size_t bytes, bool *ok)
{
    *ok = bytes <= SIZE_MAX / 2 && (a->dry || round_up(bytes) <= a->capacity - a->used) &&
          back(a, a->used + round_up(bytes));
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

arena arena_within(const arena *a, size_t at, size_t bytes)
{
    assert(at <= a->used && bytes <= a->used - at);
    return (arena){.base = a->base ? a->base + at : NULL,
                   .capacity = bytes,
                   .backed = bytes,
                   .dry = a->dry,
                   .memory = a->memory,
                   .owner = a->owner};
}

void arena_trim(arena *a)
{
    const size_t from = (a->used + ARENA_STEP - 1) / ARENA_STEP * ARENA_STEP;
    if (a->base && a->backed > from) {
        a->memory->trim(a->owner, a->base, from, a->backed);
        a->backed = from;
    }
    a->peak = a->used;
}
