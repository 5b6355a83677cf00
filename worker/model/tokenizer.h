/* CLIP's byte-level BPE. The vocabulary (OpenAI CLIP, MIT) is inside the program; a model folder's
 * own vocabulary is not needed, since every SD 1.x model uses this one. */
#ifndef WORKER_MODEL_TOKENIZER_H
#define WORKER_MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"
#include "proto/prompt.h"

enum {
    TOKEN_START = 49406,
    TOKEN_END = 49407,
    TOKEN_COMMA = 267,
    CHUNK_TOKENS = 77,
    CHUNKS_MAX = 32
};

typedef struct tokenizer tokenizer; /* immutable once made: threads may share it */

tokenizer *tokenizer_new(err *e);
void tokenizer_free(tokenizer **t);

/* Ids of one text without start and end: NFC, white space folded, trimmed, lower case, BPE.
 * *ids is malloc'ed. ERR_INVALID for text that is not UTF-8. */
int tokenizer_encode(const tokenizer *t, const char *text, int32_t **ids, size_t *count, err *e);

typedef struct {
    int count;                      /* chunks, at least 1 */
    int32_t (*id)[CHUNK_TOKENS];    /* [count][77] with start, end and padding */
    double (*weight)[CHUNK_TOKENS]; /* [count][77]; 1 for start, end and padding */
} token_chunks;

/* Pieces to chunks of 75 tokens (comma backtrack 20, BREAK pads). ERR_TOO_LARGE beyond CHUNKS_MAX.
 */
int token_chunks_make(token_chunks *out, const tokenizer *t, const prompt *p, err *e);
void token_chunks_done(token_chunks *c);
bool token_chunks_equal(const token_chunks *a, const token_chunks *b);
/* 0, or ERR_NO_MEMORY with nothing in `to`. */
int token_chunks_copy(token_chunks *to, const token_chunks *from);

#endif
