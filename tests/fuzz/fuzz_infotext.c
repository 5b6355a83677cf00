/* Any text as parameters: what was read, written and read again is what was read. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/infotext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Texts without a line of parameters may gain one when an empty negative prompt is left out, and an
 * entry that equals its key is not read again. */
static bool comes_back(const infotext *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->entry[i].key, t->entry[i].value) == 0)
            return false;
    return t->count > 0;
}

static void check_same(const infotext *a, const infotext *b)
{
    assert(strcmp(a->prompt, b->prompt) == 0);
    assert(strcmp(a->negative_prompt, b->negative_prompt) == 0);
    assert(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert(strcmp(a->entry[i].key, b->entry[i].key) == 0);
        assert(strcmp(a->entry[i].value, b->entry[i].value) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), *written = NULL;
    assert(text);
    infotext t, again;
    int status = infotext_read(&t, text, NULL);
    assert(status == 0 && (t.count == 0 || t.count >= 3));
    status = infotext_write(&t, &written, NULL);
    assert(status == 0);
    status = infotext_read(&again, written, NULL);
    assert(status == 0);
    if (comes_back(&t))
        check_same(&t, &again);
    infotext_done(&t);
    infotext_done(&again);
    free(written);
    free(text);
    return 0;
}
