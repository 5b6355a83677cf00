/* Any text as a prompt, to ids and to chunks. Ids are in range; every chunk is start, content, end
 * and padding; the chunks hold as many tokens as the pieces have, as long as all of them fit. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Tokens of all pieces; *has_end: the end token is among them (a prompt may spell it). */
static size_t count_tokens(const tokenizer *t, const prompt *p, bool *has_end)
{
    size_t total = 0;
    for (size_t i = 0; i < p->count; i++) {
        int32_t *ids = NULL;
        size_t count = 0;
        err e = {0};
        int status = tokenizer_encode(t, p->piece[i].text, &ids, &count, &e);
        assert(status == 0);
        for (size_t k = 0; k < count; k++) {
            assert(ids[k] >= 0 && ids[k] <= TOKEN_END);
            *has_end |= ids[k] == TOKEN_END;
        }
        total += count;
        free(ids);
    }
    return total;
}

/* Tokens before the padding. TOKEN_END within a prompt makes that a lower bound. */
static size_t count_content(const token_chunks *c)
{
    size_t total = 0;
    for (int k = 0; k < c->count; k++) {
        const int32_t *id = c->id[k];
        assert(id[0] == TOKEN_START && id[CHUNK_TOKENS - 1] == TOKEN_END);
        assert(c->weight[k][0] == 1 && c->weight[k][CHUNK_TOKENS - 1] == 1);
        int last = CHUNK_TOKENS - 1;
        while (last > 0 && id[last] == TOKEN_END)
            last--;
        total += (size_t)last;
    }
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static tokenizer *tok;
    if (!tok)
        tok = tokenizer_new(NULL);
    char *text = strndup((const char *)data, size);
    assert(tok && text);
    prompt p;
    token_chunks c = {0};
    err e = {0};
    if (prompt_parse(&p, text, &e) == 0) {
        bool has_end = false;
        size_t tokens = count_tokens(tok, &p, &has_end);
        int status = token_chunks_make(&c, tok, &p, &e);
        assert(status == 0 || status == ERR_TOO_LARGE);
        if (status == 0) {
            size_t content = count_content(&c);
            assert(c.count >= 1 && c.count <= CHUNKS_MAX && content <= tokens);
            assert(content == tokens || has_end);
        }
    }
    token_chunks_done(&c);
    prompt_done(&p);
    free(text);
    return 0;
}
