/* Any text as a prompt. Whatever the check lets through must parse; pieces must be UTF-8, no longer
 * than the prompt together, with finite weights and no two that should have been merged. */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/prompt.h"
#include "proto/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pieces(const prompt *p, size_t size)
{
    size_t total = 0;
    assert(p->count >= 1);
    for (size_t i = 0; i < p->count; i++) {
        const prompt_piece *piece = &p->piece[i], *before = i ? piece - 1 : NULL;
        size_t length = strlen(piece->text);
        assert(text_is_utf8(piece->text, length, NULL));
        assert(isfinite(piece->weight));
        assert(!piece->is_break || (piece->weight == -1 && length == 0));
        assert(!before || before->is_break || piece->is_break || before->weight != piece->weight);
        total += length;
    }
    assert(total <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    assert(text);
    prompt p;
    err e = {0}, refusal = {0};
    int parsed = prompt_parse(&p, text, &e), checked = prompt_check(text, &refusal);
    assert(parsed == (int)e.code && checked == (int)refusal.code);
    assert(text_is_utf8(refusal.text, strlen(refusal.text), NULL));
    if (parsed == 0)
        check_pieces(&p, size);
    else
        assert(checked == parsed && !p.piece);
    prompt_done(&p);
    free(text);
    return 0;
}
