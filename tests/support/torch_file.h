/* Files of torch.save, made by hand: for tests that want them wrong. */
#ifndef TESTS_SUPPORT_TORCH_FILE_H
#define TESTS_SUPPORT_TORCH_FILE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *bytes; /* malloc'ed */
    size_t size;
} torch_file;

void torch_file_add(torch_file *f, const void *bytes, size_t size);
void torch_file_done(torch_file *f);

/* An entry of a zip archive; those without a name end a list. */
typedef struct {
    const char *name;
    const void *data;
    size_t bytes;
    int method; /* 0: stored */
} torch_file_entry;

/* A zip archive of these entries, written as they are whatever their method says. */
torch_file torch_file_zip(const torch_file_entry *entries);

/* The older format: its head, `pickle`, `keys` and one F32 storage of `count` values 1, 2, … */
torch_file torch_file_legacy(const void *pickle, size_t size, const void *keys, size_t keys_size,
                             int count);

/* The pickle {"a": tensor of shape [2] at element 0 of storage "0", which has 4 F32 elements}, and
 * the pickle of the list of that one key. */
extern const char torch_file_pickle[], torch_file_keys[];
extern const size_t torch_file_pickle_size, torch_file_keys_size;

#endif
