/* Tuning tables and stored plans: a table that is read is written as the same bytes; a file is a
 * stored plan only when it says so itself. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/plan_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tuning t;
    char why[TUNING_WHY_BYTES];
    const choice on = {.kind = CHOICE_SWITCH, .on = true};
    const plan_key key = {"conv", 1, &on};
    const plan_store store = {.device = {.gpu = "x"}};
    size_t bytes;
    if (tuning_read(&t, (const char *)data, size, why)) {
        char *text = tuning_write(&t);
        assert(text && strlen(text) == size && memcmp(text, data, size) == 0);
        free(text);
        for (int i = 0; i < t.entries; i++)
            assert(tuning_find(&t, t.entry[i].name) == &t.entry[i].choice);
    }
    tuning_done(&t);
    const char *text = plan_store_text(&store, &key, (const char *)data, size, &bytes);
    assert(!text || (text > (const char *)data && text + bytes == (const char *)data + size));
    return 0;
}
