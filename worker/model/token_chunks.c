/* Pieces to chunks. The one idea: a chunk under construction remembers its last comma, so that a
 * full one can hand what follows that comma to the next, and a list is not cut in mid-item. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/tokenizer.h"

enum {
    CONTENT = CHUNK_TOKENS - 2, /* without start and end */
    COMMA_BACKTRACK = 20        /* a comma further back than this does not count */
};

typedef struct {
    token_chunks *out;
    int32_t id[CONTENT];
    double weight[CONTENT];
    int count;
    int comma; /* index of the last comma, -1: none */
} chunk_maker;

static int flush(chunk_maker *m, err *e)
{
    token_chunks *out = m->out;
    if (out->count == CHUNKS_MAX)
        return err_set(e, ERR_TOO_LARGE,
                       "the prompt has more than %d tokens, expected at most that",
                       CHUNKS_MAX * CONTENT);
    int32_t *id = out->id[out->count];
    double *weight = out->weight[out->count];
    for (int i = 0; i < CHUNK_TOKENS; i++) {
        bool content = i >= 1 && i <= m->count;
        id[i] = content ? m->id[i - 1] : i == 0 ? TOKEN_START : TOKEN_END;
        weight[i] = content ? m->weight[i - 1] : 1;
    }
    out->count++;
    m->count = 0;
    m->comma = -1;
    return 0;
}

/* Writes a full chunk; what follows a near comma moves to the next one. */
static int flush_full(chunk_maker *m, bool at_comma, err *e)
{
    int keep = CONTENT;
    if (!at_comma && m->comma >= 0 && CONTENT - m->comma <= COMMA_BACKTRACK)
        keep = m->comma + 1;
    int moved = CONTENT - keep;
    m->count = keep;
    int status = flush(m, e);
    if (status)
        return status;
    memmove(m->id, m->id + keep, (size_t)moved * sizeof *m->id);
    memmove(m->weight, m->weight + keep, (size_t)moved * sizeof *m->weight);
    m->count = moved;
    return 0;
}

static int add_token(chunk_maker *m, int32_t id, double weight, err *e)
{
    if (m->count == CONTENT) {
        int status = flush_full(m, id == TOKEN_COMMA, e);
        if (status)
            return status;
    }
    if (id == TOKEN_COMMA)
        m->comma = m->count;
    m->id[m->count] = id;
    m->weight[m->count++] = weight;
    return 0;
}

static int add_piece(chunk_maker *m, const tokenizer *t, const prompt_piece *piece, err *e)
{
    if (piece->is_break)
        return flush(m, e);
    int32_t *ids = NULL;
    size_t count = 0;
    int status = tokenizer_encode(t, piece->text, &ids, &count, e);
    for (size_t i = 0; status == 0 && i < count; i++)
        status = add_token(m, ids[i], piece->weight, e);
    free(ids);
    return status;
}

/* Gives back what was not needed: a job may keep hundreds of texts. */
static void shrink(token_chunks *c)
{
    void *id = realloc(c->id, (size_t)c->count * sizeof *c->id);
    void *weight = realloc(c->weight, (size_t)c->count * sizeof *c->weight);
    c->id = id ? id : c->id;
    c->weight = weight ? weight : c->weight;
}

int token_chunks_make(token_chunks *out, const tokenizer *t, const prompt *p, err *e)
{
    *out = (token_chunks){.id = malloc(CHUNKS_MAX * sizeof *out->id),
                          .weight = malloc(CHUNKS_MAX * sizeof *out->weight)};
    chunk_maker m = {.out = out, .comma = -1};
    int status = out->id && out->weight
                     ? 0
                     : err_set(e, ERR_NO_MEMORY, "no memory for %d chunks of tokens", CHUNKS_MAX);
    for (size_t i = 0; status == 0 && i < p->count; i++)
        status = add_piece(&m, t, &p->piece[i], e);
    if (status == 0 && (m.count || out->count == 0))
        status = flush(&m, e);
    if (status)
        token_chunks_done(out);
    else
        shrink(out);
    return status;
}

bool token_chunks_equal(const token_chunks *a, const token_chunks *b)
{
    const size_t count = (size_t)a->count;
    return a->count == b->count && !memcmp(a->id, b->id, count * sizeof *a->id) &&
           !memcmp(a->weight, b->weight, count * sizeof *a->weight);
}

void token_chunks_done(token_chunks *c)
{
    free(c->id);
    free(c->weight);
    *c = (token_chunks){0};
}

int token_chunks_copy(token_chunks *to, const token_chunks *from)
{
    const size_t ids = (size_t)from->count * sizeof *from->id;
    const size_t weights = (size_t)from->count * sizeof *from->weight;
    *to = (token_chunks){.count = from->count, .id = malloc(ids), .weight = malloc(weights)};
    if (!to->id || !to->weight) {
        token_chunks_done(to);
        return ERR_NO_MEMORY;
    }
    memcpy(to->id, from->id, ids);
    memcpy(to->weight, from->weight, weights);
    return 0;
}
