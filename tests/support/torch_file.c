/* Files of torch.save: see torch_file.h. */
#include "tests/support/torch_file.h"

#include <stdlib.h>
#include <string.h>

#define ORDERED_DICT "ccollections\nOrderedDict\n)R"
#define STORAGE                                                                                    \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                             \
    "0X\3\0\0\0cpuK\4tQ"

const char torch_file_pickle[] =
    "\200\2}X\1\0\0\0a"
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\0K\2\205K\1\205\211" ORDERED_DICT "tRs.";
const size_t torch_file_pickle_size = sizeof torch_file_pickle - 1;
const char torch_file_keys[] = "\200\2]X\1\0\0\0"
                               "0a.";
const size_t torch_file_keys_size = sizeof torch_file_keys - 1;

void torch_file_add(torch_file *f, const void *bytes, size_t size)
{
    if (!size)
        return;
    f->bytes = realloc(f->bytes, f->size + size);
    memcpy(f->bytes + f->size, bytes, size);
    f->size += size;
}

void torch_file_done(torch_file *f)
{
    free(f->bytes);
    *f = (torch_file){0};
}

static void add_number(torch_file *f, uint64_t number, int bytes)
{
    for (; bytes-- > 0; number >>= 8) {
        uint8_t byte = (uint8_t)number;
        torch_file_add(f, &byte, 1);
    }
}

/* What the header of an entry and its line in the directory have in common. */
static void add_fields(torch_file *f, const torch_file_entry *e)
{
    add_number(f, 20, 2); /* version */
    add_number(f, 0, 2);
    add_number(f, (uint64_t)e->method, 2);
    add_number(f, 0, 8); /* time, checksum */
    add_number(f, e->bytes, 4);
    add_number(f, e->bytes, 4);
    add_number(f, strlen(e->name), 2);
    add_number(f, 0, 2);
}

torch_file torch_file_zip(const torch_file_entry *entries)
{
    torch_file f = {0}, directory = {0};
    uint64_t count = 0;
    for (const torch_file_entry *e = entries; e->name; e++, count++) {
        add_number(&directory, 0x02014b50, 4);
        add_number(&directory, 20, 2);
        add_fields(&directory, e);
        add_number(&directory, 0, 10);
        add_number(&directory, f.size, 4);
        torch_file_add(&directory, e->name, strlen(e->name));
        add_number(&f, 0x04034b50, 4);
        add_fields(&f, e);
        torch_file_add(&f, e->name, strlen(e->name));
        torch_file_add(&f, e->data, e->bytes);
    }
    uint64_t at = f.size;
    torch_file_add(&f, directory.bytes, directory.size);
    add_number(&f, 0x06054b50, 4);
    add_number(&f, 0, 4);
    add_number(&f, count, 2);
    add_number(&f, count, 2);
    add_number(&f, directory.size, 4);
    add_number(&f, at, 4);
    add_number(&f, 0, 2);
    torch_file_done(&directory);
    return f;
}

torch_file torch_file_legacy(const void *pickle, size_t size, const void *keys, size_t keys_size,
                             int count)
{
    static const char head[] = "\200\2\212\12\154\374\234\106\371\40\152\250\120\31."
                               "\200\2M\351\3."
                               "\200\2}X\15\0\0\0little_endian\210s.";
    torch_file f = {0};
    torch_file_add(&f, head, sizeof head - 1);
    torch_file_add(&f, pickle, size);
    torch_file_add(&f, keys, keys_size);
    add_number(&f, (uint64_t)count, 8);
    for (int i = 1; i <= count; i++) {
        float value = (float)i;
        torch_file_add(&f, &value, sizeof value);
    }
    return f;
}
