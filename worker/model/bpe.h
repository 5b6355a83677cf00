/* Byte-pair encoding of single words with CLIP's merges (Sennrich et al. 2016; byte-level as in
 * GPT-2: every byte is a symbol, so nothing is unknown). */
#ifndef WORKER_MODEL_BPE_H
#define WORKER_MODEL_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

typedef struct {
    int32_t byte_symbol[256]; /* byte -> id inside a word; the last byte of a word: id + 256 */
    struct bpe_pair *pair;    /* open addressing: (left, right) -> id of the merged symbol */
} bpe;

/* Room that words of at most `capacity` bytes need while they are merged. */
typedef struct {
    struct bpe_link *link;
    uint64_t *heap;
    size_t capacity;
} bpe_scratch;

int bpe_init(bpe *b, err *e);
void bpe_done(bpe *b);

int bpe_scratch_init(bpe_scratch *s, size_t capacity, err *e);
void bpe_scratch_done(bpe_scratch *s);

/* The ids of one word of `size` bytes (1 .. capacity) into ids[size]; returns how many.
 * O(size log size). */
size_t bpe_encode(const bpe *b, bpe_scratch *s, const unsigned char *word, size_t size,
                  int32_t *ids);

#endif
