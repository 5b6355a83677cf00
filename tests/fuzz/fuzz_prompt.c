/* Any text as a prompt. Whatever the check lets through must parse and have a plan; pieces must be
 * UTF-8, no longer than the prompt together, with finite weights and no two that should have been
 * merged. The texts of a plan are UTF-8, no longer than the prompt, no two alike, and no more than
 * there are steps. */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/prompt_plan.h"
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

static void check_texts(const prompt_plan *p, size_t size)
{
    assert(p->parts >= 1 && p->texts >= 1 && p->texts <= p->parts * p->steps);
    for (int i = 0; i < p->texts; i++) {
        const size_t length = strlen(p->text[i]);
        assert(length <= size && text_is_utf8(p->text[i], length, NULL));
        for (int k = 0; k < i; k++)
            assert(strcmp(p->text[k], p->text[i]));
    }
    for (int i = 0; i < p->parts; i++) {
        assert(isfinite(p->part[i].weight));
        for (int step = 0; step < p->steps; step++)
            assert(p->part[i].text[step] >= 0 && p->part[i].text[step] < p->texts);
    }
}

static void check_role(const char *text, size_t size, prompt_role role, const err *parsing)
{
    prompt_plan p;
    err checking = {0}, planning = {0};
    int checked = prompt_check(text, role, &checking);
    assert(checked == (int)checking.code);
    assert(text_is_utf8(checking.text, strlen(checking.text), NULL));
    assert(!parsing->code || checked == (int)parsing->code);
    if (parsing->code)
        return;
    const int steps = 1 + (int)(size % 7);
    int planned = prompt_plan_make(&p, text, steps, role, &planning);
    assert(planned == (int)planning.code && (checked || !planned));
    if (!planned)
        check_texts(&p, size);
    prompt_plan_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    assert(text);
    prompt p;
    err e = {0};
    int parsed = prompt_parse(&p, text, &e);
    assert(parsed == (int)e.code);
    if (parsed == 0)
        check_pieces(&p, size);
    else
        assert(!p.piece);
    prompt_done(&p);
    check_role(text, size, PROMPT_POSITIVE, &e);
    check_role(text, size, PROMPT_NEGATIVE, &e);
    free(text);
    return 0;
}
