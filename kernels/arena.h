/* arena: one range of anonymous memory with huge pages; a stack of allocations, never given back
 * between jobs (first touch costs more than the work: 22 s for 4.3 GB in 4 KiB pages). */
#ifndef KERNELS_ARENA_H
#define KERNELS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

enum { ARENA_ALIGN = 64 };

/* Where the memory is. Places are bytes from the base on. */
typedef struct {
    void *(*reserve)(void *owner, size_t capacity); /* address space alone; NULL: there is none */
    /* Puts zeroed memory behind the bytes `from` (a multiple of ARENA_STEP) to `to` (the next
     * multiple behind what is needed, or the capacity); false: there is not so much. */
    bool (*back)(void *owner, void *base, size_t from, size_t to);
    void (*trim)(void *owner, void *base, size_t from, size_t to); /* takes it away again */
    void (*end)(void *owner, void *base, size_t capacity, size_t backed);
} arena_memory;

enum { ARENA_STEP = 32 << 20 };

typedef struct {
    char *base;      /* NULL for a dry arena: only counts */
    size_t capacity; /* most bytes; address space is reserved */
    size_t used, peak;
    size_t backed; /* so far there is memory */
    bool dry;
    const arena_memory *memory;
    void *owner;
} arena;

/* In the host's memory, whose pages come when they are touched. false: the address space could not
 * be reserved. */
bool arena_init(arena *a, size_t capacity, bool dry);
/* In the memory of `owner`; NULL: as arena_init. */
bool arena_init_in(arena *a, const arena_memory *memory, void *owner, size_t capacity, bool dry);
void arena_done(arena *a);

/* `bytes` rounded up to ARENA_ALIGN; NULL when the capacity is exceeded, and always when dry
 * (`*ok` tells the two apart). */
void *arena_take(arena *a, size_t bytes, bool *ok);
void arena_release(arena *a, size_t used); /* back to an earlier `used` */

/* Bytes of `a` that were taken, as an arena to take them from again. It has no end of its own. */
arena arena_within(const arena *a, size_t at, size_t bytes);

/* Gives the memory beyond `used` back, for when it is needed elsewhere; `peak` becomes `used`. */
void arena_trim(arena *a);

#endif
