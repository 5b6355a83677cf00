/* Words for why something could not be had. Memory that was missing says nothing about the thing
 * itself: nobody may choose something else because of it, or pictures would change with the memory
 * that happens to be free. So words for that begin alike, whatever way they take. */
#ifndef KERNELS_CUDA_WHY_H
#define KERNELS_CUDA_WHY_H

#include <stdbool.h>
#include <string.h>

#define WHY_MEMORY "out of memory"

static inline bool why_is_memory(const char *why)
{
    return strncmp(why, WHY_MEMORY, sizeof WHY_MEMORY - 1) == 0;
}

#endif
