/* Any bytes as a file of torch.save: a clean refusal, or tensors that lie inside. The first byte
 * says whether the rest is a whole file, or the pickle of an archive or of the older format. */
#include <assert.h>
#include <string.h>

#include "tests/support/torch_file.h"
#include "worker/model/torch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static torch_file file_of(uint8_t kind, const uint8_t *data, size_t size)
{
    static const float four[] = {1, 2, 3, 4};
    torch_file f = {0};
    if (kind % 3 == 1)
        return torch_file_zip((const torch_file_entry[]){
            {"a/data.pkl", data, size, 0}, {"a/data/0", four, sizeof four, 0}, {0}});
    if (kind % 3 == 2)
        return torch_file_legacy(data, size, torch_file_keys, torch_file_keys_size, 4);
    torch_file_add(&f, data, size);
    return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    torch_file f = file_of(data[0], data + 1, size - 1);
    tensor_list list = {0};
    problems p = {0};
    err e = {0};
    bool ok = torch_read(&list, f.bytes, f.size, "", &p);
    assert(ok == (problems_report(&p, "FILE", &e) == 0));
    for (size_t i = 0; ok && i < list.count; i++) {
        const uint8_t *at = list.tensor[i].data;
        assert(at >= f.bytes && at + list.tensor[i].bytes <= f.bytes + f.size);
        assert(strlen(list.tensor[i].name) < size);
    }
    tensor_list_done(&list);
    torch_file_done(&f);
    return 0;
}
