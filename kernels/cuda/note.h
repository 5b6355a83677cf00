/* What decides a launch, as numbers: see launches() in device.h. */
#ifndef KERNELS_CUDA_NOTE_H
#define KERNELS_CUDA_NOTE_H

#include <assert.h>
#include <string.h>

#include "kernels/cuda/device.h"

enum { NOTE_WORDS = 64 };

typedef struct {
    uint64_t word[NOTE_WORDS];
    int words;
} note;

static inline void note_number(note *n, int64_t v)
{
    assert(n->words < NOTE_WORDS);
    n->word[n->words++] = (uint64_t)v;
}

static inline void note_real(note *n, double v)
{
    int64_t bits;
    memcpy(&bits, &v, sizeof bits);
    note_number(n, bits);
}

static inline void note_tensor(note *n, tensor t)
{
    note_number(n, (int64_t)(uintptr_t)t.data);
    note_number(n, t.type);
    for (int i = 0; i < 4; i++)
        note_number(n, t.dim[i]);
}

/* Whether the kernel runs now: not on a dry device, nor when it is only listened to. */
static inline bool begins(dev *d, const char *kernel, const note *n)
{
    return !d->options.dry && launches(d, kernel, n->word, n->words);
}

#endif
