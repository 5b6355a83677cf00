/* Any bytes as a model file: a clean refusal, or tensors that lie inside. The renaming of every
 * layout must stand whatever names come. */
#include <assert.h>
#include <string.h>

#include "worker/model/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    err e = {0};
    for (layout from = LAYOUT_SINGLE; from < LAYOUT_COUNT; from++) {
        tensor_list list = {0};
        problems p = {0};
        bool ok = safetensors_read(&list, data, size, "", &p);
        for (size_t i = 0; ok && i < list.count; i++) {
            const uint8_t *at = list.tensor[i].data;
            assert(at >= data && at + list.tensor[i].bytes <= data + size);
        }
        bool named = layout_rename(&list, 0, from);
        assert(named);
        for (size_t i = 0; i < list.count; i++)
            assert(strlen(list.tensor[i].name) < size + 256);
        assert(ok == (problems_report(&p, "FILE", &e) == 0));
        tensor_list_done(&list);
        e = (err){0};
    }
    return 0;
}
