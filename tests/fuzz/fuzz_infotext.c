/* Any text as parameters: what was read, written and read again is what was read; as settings it
 * gives a job with every number within its range, or notes. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/job_infotext.h"

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

static void take_settings(const infotext *t, task_kind task)
{
    job j;
    err notes = {0}, e = {0};
    job_init(&j);
    j.task = task;
    int rc = job_from_infotext(&j, t, &notes, &e);
    assert(rc == 0 && !notes.code == !notes.text[0]);
    rc = job_from_infotext(&j, t, NULL, &e); /* which refuses a job out of range */
    assert(rc == 0);
    job_done(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), *written = NULL;
    assert(text);
    infotext t, again;
    int status = infotext_read(&t, text, NULL);
    assert(status == 0 && (t.count == 0 || t.count >= 3));
    take_settings(&t, (task_kind)(size % TASK_COUNT));
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
