/* arena: one range of anonymous memory with huge pages; a stack of allocations, never given back
 * between jobs (first touch costs more than the work: 22 s for 4.3 GB in 4 KiB pages). */
#ifndef KERNELS_ARENA_H
#define KERNELS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

enum { ARENA_ALIGN = 64 };

typedef struct {
    char *base;      /* NULL for a dry arena: only counts */
    size_t capacity; /* most bytes; address space is reserved, pages come when touched */
    size_t used, peak;
    bool dry;
} arena;

/* false: the address space could not be reserved. */
bool arena_init(arena *a, size_t capacity, bool dry);
void arena_done(arena *a);

/* `bytes` rounded up to ARENA_ALIGN; NULL when the capacity is exceeded, and always when dry
 * (`*ok` tells the two apart). */
void *arena_take(arena *a, size_t bytes, bool *ok);
void arena_release(arena *a, size_t used); /* back to an earlier `used` */

/* Gives the pages beyond `used` back to the system, for when the memory is needed elsewhere; `peak`
 * becomes `used`. */
void arena_trim(arena *a);

#endif
