/* Reading safetensors: see safetensors.h. The one idea: the header is a claim. Nothing in it is
 * used before it was checked, and the ranges of all tensors together must tile the data section
 * exactly, which is the rule of the format's own library: no overlap, no hole, nothing after the
 * last. */
#include "worker/model/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/little.h"

enum { LENGTH_BYTES = 8, HEADER_MOST = 16 << 20 };

/* Types of the format. Some are smaller than a byte. */
static const struct {
    const char *name;
    unsigned bits;
    dtype type;
} types[] = {
    {"F32", 32, F32},
    {"F16", 16, F16},
    {"BF16", 16, BF16},
    {"U8", 8, U8},
    {"I32", 32, I32},
    {"F64", 64, DTYPE_COUNT},
    {"C64", 64, DTYPE_COUNT},
    {"I64", 64, DTYPE_COUNT},
    {"U64", 64, DTYPE_COUNT},
    {"U32", 32, DTYPE_COUNT},
    {"I16", 16, DTYPE_COUNT},
    {"U16", 16, DTYPE_COUNT},
    {"I8", 8, DTYPE_COUNT},
    {"BOOL", 8, DTYPE_COUNT},
    {"F8_E4M3", 8, DTYPE_COUNT},
    {"F8_E5M2", 8, DTYPE_COUNT},
    {"F8_E8M0", 8, DTYPE_COUNT},
    {"F8_E4M3FNUZ", 8, DTYPE_COUNT},
    {"F8_E5M2FNUZ", 8, DTYPE_COUNT},
    {"F6_E2M3", 6, DTYPE_COUNT},
    {"F6_E3M2", 6, DTYPE_COUNT},
    {"F4", 4, DTYPE_COUNT},
};

typedef struct {
    tensor_list *list;
    const uint8_t *data; /* the data section */
    uint64_t data_bytes;
    const char *label;
    problems *p;
} reader;

static bool read_type(reader *r, checkpoint_tensor *t, unsigned *bits, const json_t *info)
{
    const char *name = json_string_value(json_object_get(info, "dtype"));
    if (!name)
        return problems_add(r->p, ERR_INVALID, "%s%.100s has no dtype", r->label, t->name);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, name) == 0) {
            t->type = types[i].type;
            t->type_name = types[i].name;
            *bits = types[i].bits;
            return true;
        }
    }
    return problems_add(r->p, ERR_INVALID, "%s%.100s has the unknown type %.20s", r->label, t->name,
                        name);
}

/* Shape and the number of elements. */
static bool read_shape(reader *r, checkpoint_tensor *t, uint64_t *count, const json_t *info)
{
    const json_t *shape = json_object_get(info, "shape");
    if (!json_is_array(shape))
        return problems_add(r->p, ERR_INVALID, "%s%.100s has no shape", r->label, t->name);
    if (json_array_size(shape) > CHECKPOINT_DIMS)
        return problems_add(r->p, ERR_INVALID, "%s%.100s has %zu dimensions, expected at most %d",
                            r->label, t->name, json_array_size(shape), CHECKPOINT_DIMS);
    t->dims = (int)json_array_size(shape);
    *count = 1;
    for (int i = 0; i < CHECKPOINT_DIMS; i++)
        t->dim[i] = 1;
    for (int i = 0; i < t->dims; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return problems_add(r->p, ERR_INVALID, "%s%.100s: dimension %d is not a size", r->label,
                                t->name, i);
        t->dim[i] = json_integer_value(dim);
        if (__builtin_mul_overflow(*count, (uint64_t)t->dim[i], count))
            return problems_add(r->p, ERR_INVALID, "%s%.100s has more elements than can be counted",
                                r->label, t->name);
    }
    return true;
}

static bool read_range(reader *r, checkpoint_tensor *t, const json_t *info)
{
    const json_t *offsets = json_object_get(info, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return problems_add(r->p, ERR_INVALID, "%s%.100s has no data_offsets [begin, end]",
                            r->label, t->name);
    json_int_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin || (uint64_t)end > r->data_bytes)
        return problems_add(r->p, ERR_INVALID,
                            "%s%.100s lies at %" PRId64 " to %" PRId64 ", the file has %" PRIu64
                            " bytes of data",
                            r->label, t->name, (int64_t)begin, (int64_t)end, r->data_bytes);
    t->data = r->data + begin;
    t->bytes = (size_t)(end - begin);
    return true;
}

static bool check_size(reader *r, const checkpoint_tensor *t, uint64_t count, unsigned bits)
{
    uint64_t total;
    bool countable = !__builtin_mul_overflow(count, (uint64_t)bits, &total) && total % 8 == 0;
    if (countable && total / 8 == t->bytes)
        return true;
    return problems_add(r->p, ERR_INVALID,
                        "%s%.100s has %zu bytes, its shape and type %s make %" PRIu64
                        " elements of %u bits",
                        r->label, t->name, t->bytes, t->type_name, count, bits);
}

static bool read_tensor(reader *r, const char *name, const json_t *info)
{
    uint64_t count = 0;
    unsigned bits = 0;
    checkpoint_tensor *t = tensor_list_add(r->list, name);
    if (!t)
        return problems_add(r->p, ERR_NO_MEMORY, "%sno memory for the names", r->label);
    if (!json_is_object(info))
        return problems_add(r->p, ERR_INVALID, "%s%.100s is not described by an object", r->label,
                            name);
    /* Not `&&`: each of these is worth a line of the message. */
    bool typed = read_type(r, t, &bits, info);
    bool shaped = read_shape(r, t, &count, info);
    bool placed = read_range(r, t, info);
    return typed && shaped && placed && check_size(r, t, count, bits);
}

static bool read_metadata(reader *r, const json_t *metadata)
{
    const char *key;
    const json_t *value;
    if (!json_is_object(metadata))
        return problems_add(r->p, ERR_INVALID, "%s__metadata__ is not an object", r->label);
    json_object_foreach((json_t *)metadata, key, value) if (
        !json_is_string(value)) return problems_add(r->p, ERR_INVALID,
                                                    "%s__metadata__: %.100s is not a text",
                                                    r->label, key);
    return true;
}

static int by_place(const void *a, const void *b)
{
    const checkpoint_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* All tensors are inside; now, in the order of the file, each must begin where the last one ended.
 */
static void check_tiling(reader *r, size_t first)
{
    size_t count = r->list->count - first;
    checkpoint_tensor *sorted = count ? r->list->tensor + first : NULL;
    const uint8_t *expected = r->data;
    if (count > 1)
        qsort(sorted, count, sizeof *sorted, by_place);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = sorted[i].data;
        if (at < expected)
            problems_add(r->p, ERR_INVALID, "%s%.100s overlaps %.60s", r->label, sorted[i].name,
                         sorted[i - 1].name);
        else if (at > expected)
            problems_add(r->p, ERR_INVALID, "%s%zu bytes before %.100s belong to no tensor",
                         r->label, (size_t)(at - expected), sorted[i].name);
        if (at + sorted[i].bytes > expected)
            expected = at + sorted[i].bytes;
    }
    if (expected != r->data + r->data_bytes)
        problems_add(r->p, ERR_INVALID, "%s%zu bytes after the last tensor", r->label,
                     (size_t)(r->data + r->data_bytes - expected));
}

/* The header as JSON, or NULL. */
static json_t *read_header(const uint8_t *bytes, size_t size, uint64_t *length, const char *label,
                           problems *p)
{
    json_error_t why;
    *length = size < LENGTH_BYTES ? 0 : little(bytes, LENGTH_BYTES);
    if (size < LENGTH_BYTES)
        problems_add(p, ERR_INVALID, "%s%zu bytes are too few for a safetensors file", label, size);
    else if (*length > size - LENGTH_BYTES)
        problems_add(p, ERR_INVALID,
                     "%sthe header is said to take %" PRIu64
                     " bytes, the file has %zu: truncated, or not safetensors",
                     label, *length, size - LENGTH_BYTES);
    else if (*length > HEADER_MOST)
        problems_add(p, ERR_TOO_LARGE, "%sthe header takes %" PRIu64 " bytes, expected at most %d",
                     label, *length, HEADER_MOST);
    else if (*length == 0 || bytes[LENGTH_BYTES] != '{')
        problems_add(p, ERR_INVALID, "%sthe header is not a JSON object: not safetensors", label);
    else {
        json_t *root = json_loadb((const char *)bytes + LENGTH_BYTES, (size_t)*length,
                                  JSON_REJECT_DUPLICATES, &why);
        if (root)
            return root;
        bool starved = json_error_code(&why) == json_error_out_of_memory;
        problems_add(p, starved ? ERR_NO_MEMORY : ERR_INVALID, "%sheader, byte %d: %.120s", label,
                     why.position, why.text);
    }
    return NULL;
}

bool safetensors_read(tensor_list *list, const void *bytes, size_t size, const char *label,
                      problems *p)
{
    uint64_t length;
    unsigned before = p->count;
    json_t *root = read_header(bytes, size, &length, label, p);
    if (!root)
        return false;
    reader r = {.list = list,
                .data = (const uint8_t *)bytes + LENGTH_BYTES + length,
                .data_bytes = size - LENGTH_BYTES - length,
                .label = label,
                .p = p};
    size_t first = list->count;
    const char *name;
    json_t *info;
    json_object_foreach(root, name, info)
    {
        if (strcmp(name, "__metadata__") == 0)
            read_metadata(&r, info);
        else
            read_tensor(&r, name, info);
    }
    if (p->count == before)
        check_tiling(&r, first);
    json_decref(root);
    return p->count == before;
}

checkpoint_tensor *tensor_list_add(tensor_list *list, const char *name)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        checkpoint_tensor *grown = realloc(list->tensor, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        list->tensor = grown;
        list->capacity = capacity;
    }
    checkpoint_tensor *t = &list->tensor[list->count];
    *t = (checkpoint_tensor){.name = strdup(name)};
    if (!t->name)
        return NULL;
    list->count++;
    return t;
}

void tensor_list_done(tensor_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free((char *)list->tensor[i].name);
    free(list->tensor);
    *list = (tensor_list){0};
}
