/* Files of torch.save: see torch.h. The one idea: the pickle only says which part of which storage
 * a tensor is, so reading is three small steps: values (pickle.c), the storages with their places
 * in the file, and then one checked range for each tensor. */
#include "worker/model/torch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/archive.h"
#include "worker/model/little.h"
#include "worker/model/pickle.h"

enum { FORMAT_OF_STORAGES = 1001, ARGUMENTS_LEAST = 4 };

/* What a call or a storage class means. */
enum { CALL_TENSOR = 1, CALL_PARAMETER, STORAGES };

static const struct {
    dtype type;
    const char *name; /* as safetensors has it */
    unsigned bytes;
} types[] = {
    {F32, "F32", 4},          {F16, "F16", 2},         {BF16, "BF16", 2},
    {DTYPE_COUNT, "F64", 8},  {DTYPE_COUNT, "I64", 8}, {I32, "I32", 4},
    {DTYPE_COUNT, "I16", 2},  {DTYPE_COUNT, "I8", 1},  {U8, "U8", 1},
    {DTYPE_COUNT, "BOOL", 1},
};

/* All that a file of tensors may name; a storage's role is its row of `types`. */
static const pickle_global globals[] = {
    {"collections", "OrderedDict", PICKLE_DICT_CLASS},
    {"torch._utils", "_rebuild_tensor", CALL_TENSOR},
    {"torch._utils", "_rebuild_tensor_v2", CALL_TENSOR},
    {"torch._utils", "_rebuild_parameter", CALL_PARAMETER},
    {"torch", "FloatStorage", STORAGES + 0},
    {"torch", "HalfStorage", STORAGES + 1},
    {"torch", "BFloat16Storage", STORAGES + 2},
    {"torch", "DoubleStorage", STORAGES + 3},
    {"torch", "LongStorage", STORAGES + 4},
    {"torch", "IntStorage", STORAGES + 5},
    {"torch", "ShortStorage", STORAGES + 6},
    {"torch", "CharStorage", STORAGES + 7},
    {"torch", "ByteStorage", STORAGES + 8},
    {"torch", "BoolStorage", STORAGES + 9},
    {0},
};

typedef struct {
    const char *key; /* no final 0 */
    size_t length;
    int type;       /* row of `types` */
    uint64_t count; /* elements */
    const uint8_t *data;
} storage;

typedef struct {
    const uint8_t *bytes;
    size_t size;
    const char *label;
    problems *p;
    tensor_list *list;
    pickle values;
    storage *storage; /* by key */
    size_t storages;
} reader;

/* ---- storages ---- */

/* ('storage', class, key, device, elements) and, in the older format, a view of another one. */
static bool read_storage(reader *r, const pickle_value *id, storage *s)
{
    const pickle_value *const *item = id->item;
    if (id->kind != PICKLE_TUPLE || id->count < 5 || id->count > 6 ||
        !pickle_is_text(item[0], "storage") || item[1]->kind != PICKLE_GLOBAL ||
        item[1]->global->role < STORAGES || item[2]->kind != PICKLE_TEXT ||
        item[4]->kind != PICKLE_INTEGER || item[4]->integer < 0)
        return problems_add(r->p, ERR_INVALID, "%sthe pickle asks for an object that is no storage",
                            r->label);
    if (id->count == 6 && item[5]->kind != PICKLE_NONE)
        return problems_add(r->p, ERR_INVALID, "%sstorage %.*s is a view of another one", r->label,
                            (int)(item[2]->length < 40 ? item[2]->length : 40), item[2]->text);
    *s = (storage){.key = item[2]->text,
                   .length = item[2]->length,
                   .type = item[1]->global->role - STORAGES,
                   .count = (uint64_t)item[4]->integer};
    return true;
}

static int by_key(const void *a, const void *b)
{
    const storage *x = a, *y = b;
    size_t common = x->length < y->length ? x->length : y->length;
    int order = common ? memcmp(x->key, y->key, common) : 0;
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* Every storage that the pickle names, once. */
static bool list_storages(reader *r)
{
    size_t named = r->values.persistents, kept = 0;
    r->storage = calloc(named ? named : 1, sizeof *r->storage);
    if (!r->storage)
        return problems_add(r->p, ERR_NO_MEMORY, "%sno memory for its storages", r->label);
    for (size_t i = 0; i < named; i++)
        if (!read_storage(r, r->values.persistent[i]->item[0], &r->storage[i]))
            return false;
    qsort(r->storage, named, sizeof *r->storage, by_key);
    for (size_t i = 0; i < named; i++) {
        const storage *s = &r->storage[i], *last = kept ? &r->storage[kept - 1] : NULL;
        if (!last || by_key(last, s) != 0)
            r->storage[kept++] = *s;
        else if (last->type != s->type || last->count != s->count)
            return problems_add(r->p, ERR_INVALID, "%sstorage %.*s is described in two ways",
                                r->label, (int)(s->length < 40 ? s->length : 40), s->key);
    }
    r->storages = kept;
    return true;
}

static storage *find_storage(reader *r, const pickle_value *key)
{
    storage wanted = {.key = key->text, .length = key->length};
    return bsearch(&wanted, r->storage, r->storages, sizeof wanted, by_key);
}

/* Puts a storage where `bytes` bytes of the file are for it. */
static bool place(reader *r, storage *s, const uint8_t *data, uint64_t bytes)
{
    uint64_t needed;
    if (__builtin_mul_overflow(s->count, (uint64_t)types[s->type].bytes, &needed) ||
        needed != bytes)
        return problems_add(
            r->p, ERR_INVALID,
            "%sstorage %.*s has %" PRIu64 " bytes, expected %" PRIu64 " elements of %u", r->label,
            (int)(s->length < 40 ? s->length : 40), s->key, bytes, s->count, types[s->type].bytes);
    s->data = data;
    return true;
}

/* ---- tensors ---- */

/* Sizes or strides: at most CHECKPOINT_DIMS whole numbers. */
static bool read_sizes(const pickle_value *v, int64_t sizes[CHECKPOINT_DIMS])
{
    if (v->kind != PICKLE_TUPLE || v->count > CHECKPOINT_DIMS)
        return false;
    for (size_t i = 0; i < v->count; i++) {
        if (v->item[i]->kind != PICKLE_INTEGER || v->item[i]->integer < 0)
            return false;
        sizes[i] = v->item[i]->integer;
    }
    return true;
}

/* Elements of t, if they lie one behind the other. */
static bool count_elements(const checkpoint_tensor *t, const int64_t *stride, uint64_t *count)
{
    bool packed = true;
    *count = 1;
    for (int i = t->dims; i-- > 0;) {
        packed &= t->dim[i] == 1 || (uint64_t)stride[i] == *count;
        if (__builtin_mul_overflow(*count, (uint64_t)t->dim[i], count))
            return false;
    }
    return packed || *count == 0;
}

/* The call that makes a tensor: (storage, first element, sizes, strides, …). */
static bool read_tensor(reader *r, const char *name, const pickle_value *arguments)
{
    const pickle_value *const *item = arguments->item;
    int64_t stride[CHECKPOINT_DIMS] = {0};
    uint64_t count, end;
    checkpoint_tensor *t = tensor_list_add(r->list, name);
    if (!t)
        return problems_add(r->p, ERR_NO_MEMORY, "%sno memory for the names", r->label);
    for (int i = 0; i < CHECKPOINT_DIMS; i++)
        t->dim[i] = 1;
    if (arguments->count < ARGUMENTS_LEAST || item[0]->kind != PICKLE_PERSISTENT ||
        item[1]->kind != PICKLE_INTEGER || item[1]->integer < 0 || !read_sizes(item[2], t->dim) ||
        !read_sizes(item[3], stride) || item[2]->count != item[3]->count)
        return problems_add(r->p, ERR_INVALID,
                            "%s%.100s is not made of a storage and at most %d sizes and strides",
                            r->label, name, CHECKPOINT_DIMS);
    const storage *s = find_storage(r, item[0]->item[0]->item[2]);
    uint64_t first = (uint64_t)item[1]->integer;
    t->dims = (int)item[2]->count;
    t->type = types[s->type].type;
    t->type_name = types[s->type].name;
    if (!count_elements(t, stride, &count))
        return problems_add(r->p, ERR_INVALID,
                            "%s%.100s is no block of elements (transposed, or a view): save it"
                            " again after .contiguous()",
                            r->label, name);
    if (__builtin_add_overflow(first, count, &end) || end > s->count)
        return problems_add(r->p, ERR_INVALID,
                            "%s%.100s takes %" PRIu64 " elements from %" PRIu64
                            " on, its storage has %" PRIu64,
                            r->label, name, count, first, s->count);
    t->data = s->data + first * types[s->type].bytes;
    t->bytes = (size_t)(count * types[s->type].bytes);
    return true;
}

/* The arguments of the call that makes a tensor, if v is one; a parameter is made of a tensor. */
static const pickle_value *tensor_arguments(const pickle_value *v)
{
    if (v->kind == PICKLE_CALL && v->global->role == CALL_PARAMETER && v->item[0]->count)
        v = v->item[0]->item[0];
    return v->kind == PICKLE_CALL && v->global->role == CALL_TENSOR ? v->item[0] : NULL;
}

static bool has_tensors(const pickle_value *dict)
{
    for (size_t i = 0; dict && dict->kind == PICKLE_DICT && i < dict->count; i += 2)
        if (dict->item[i]->kind == PICKLE_TEXT && tensor_arguments(dict->item[i + 1]))
            return true;
    return false;
}

/* The dictionary with the tensors; NULL: there is none. */
static const pickle_value *find_tensors(const pickle_value *whole)
{
    static const char *const wrapper[] = {"params_ema", "params", "state_dict"};
    for (size_t i = 0; i < sizeof wrapper / sizeof *wrapper; i++) {
        const pickle_value *inner = pickle_get(whole, wrapper[i]);
        if (has_tensors(inner))
            return inner;
    }
    return has_tensors(whole) ? whole : NULL;
}

static bool read_tensors(reader *r)
{
    const pickle_value *dict = find_tensors(r->values.result);
    bool good = true;
    if (!dict)
        return problems_add(r->p, ERR_INVALID,
                            "%sthe file holds no dictionary of tensors, nor one under params_ema,"
                            " params or state_dict",
                            r->label);
    for (size_t i = 0; i < dict->count; i += 2) {
        const pickle_value *key = dict->item[i];
        const pickle_value *arguments = tensor_arguments(dict->item[i + 1]);
        if (!arguments || key->kind != PICKLE_TEXT)
            continue;
        char *name = strndup(key->text, key->length);
        if (!name)
            return problems_add(r->p, ERR_NO_MEMORY, "%sno memory for the names", r->label);
        if (strlen(name) != key->length)
            good = problems_add(r->p, ERR_INVALID, "%s%.100s has a zero byte in its name", r->label,
                                name);
        else
            good &= read_tensor(r, name, arguments);
        free(name);
    }
    return good;
}

/* ---- the zip format ---- */

/* The one entry FOLDER/data.pkl. */
static const archive_entry *find_pickle(const reader *r, const archive *a)
{
    static const char tail[] = "/data.pkl";
    const size_t length = sizeof tail - 1;
    const archive_entry *found = NULL;
    int count = 0;
    for (size_t i = 0; i < a->count; i++) {
        const archive_entry *e = &a->entry[i];
        if (e->length > length && memcmp(e->name + e->length - length, tail, length) == 0 &&
            !memchr(e->name, '/', e->length - length)) {
            found = e;
            count++;
        }
    }
    if (count == 1)
        return found;
    problems_add(r->p, ERR_INVALID,
                 "%sa zip archive with %d pickles FOLDER/data.pkl, expected the one of torch.save",
                 r->label, count);
    return NULL;
}

/* The entry FOLDER/<part><key>, `of` being the one of the pickle; NULL: absent. */
static const archive_entry *beside(const archive *a, const archive_entry *of, const char *part,
                                   const char *key, size_t key_length)
{
    char name[256];
    size_t folder = of->length - strlen("data.pkl"), length = folder + strlen(part);
    if (length + key_length > sizeof name)
        return NULL;
    memcpy(name, of->name, folder);
    memcpy(name + folder, part, strlen(part));
    memcpy(name + length, key, key_length);
    return archive_find(a, name, length + key_length);
}

static bool is_little(const reader *r, const archive *a, const archive_entry *of)
{
    static const char order[] = "little";
    const archive_entry *e = beside(a, of, "byteorder", "", 0);
    if (!e || (e->data && e->bytes == strlen(order) && memcmp(e->data, order, e->bytes) == 0))
        return true;
    return problems_add(r->p, ERR_INVALID, "%sits byte order is not \"little\"", r->label);
}

/* An entry is there and stored as it is? */
static bool is_stored(const reader *r, const archive_entry *e, const char *part, const char *key,
                      size_t key_length)
{
    return (e && e->data) ||
           problems_add(r->p, ERR_INVALID, "%szip entry %s%.*s is %s", r->label, part,
                        (int)(key_length < 40 ? key_length : 40), key,
                        e ? "compressed or encrypted, expected stored" : "missing");
}

static bool read_zip(reader *r)
{
    archive a;
    bool good = false;
    if (!archive_read(&a, r->bytes, r->size, r->label, r->p))
        return false;
    const archive_entry *of = find_pickle(r, &a);
    if (!of || !is_little(r, &a, of) || !is_stored(r, of, "data.pkl", "", 0) ||
        !pickle_read(&r->values, of->data, of->bytes, globals, r->label, r->p) || !list_storages(r))
        goto out;
    good = true;
    for (size_t i = 0; i < r->storages; i++) {
        storage *s = &r->storage[i];
        const archive_entry *e = beside(&a, of, "data/", s->key, s->length);
        good &= is_stored(r, e, "data/", s->key, s->length) && place(r, s, e->data, e->bytes);
    }
out:
    archive_done(&a);
    return good;
}

/* ---- the older format ---- */

/* Reads the next pickle at *at into `k`. */
static bool next_pickle(const reader *r, size_t *at, pickle *k)
{
    bool good = pickle_read(k, r->bytes + *at, r->size - *at, globals, r->label, r->p);
    *at += k->used;
    return good;
}

/* Three small pickles come first: a magic number, the version, facts about the machine. */
static bool check_head(const reader *r, size_t *at)
{
    static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    pickle first, version, machine;
    bool good = next_pickle(r, at, &first);
    if (good && (first.result->kind != PICKLE_LONG || first.result->length != sizeof magic - 1 ||
                 memcmp(first.result->text, magic, sizeof magic - 1) != 0))
        good = problems_add(r->p, ERR_INVALID, "%sa pickle, but not one of torch.save", r->label);
    pickle_done(&first);
    if (!good)
        return false;
    good = next_pickle(r, at, &version);
    if (good &&
        (version.result->kind != PICKLE_INTEGER || version.result->integer != FORMAT_OF_STORAGES))
        good = problems_add(r->p, ERR_INVALID, "%sits format version is not %d", r->label,
                            FORMAT_OF_STORAGES);
    pickle_done(&version);
    if (!good)
        return false;
    good = next_pickle(r, at, &machine);
    const pickle_value *order = good ? pickle_get(machine.result, "little_endian") : NULL;
    if (order && (order->kind != PICKLE_BOOL || !order->integer))
        good = problems_add(r->p, ERR_INVALID, "%sits byte order is not little-endian", r->label);
    pickle_done(&machine);
    return good;
}

/* The storages follow in the order of `keys`, each behind its number of elements. */
static bool place_in_order(reader *r, const pickle_value *keys, size_t at)
{
    bool list = keys->kind == PICKLE_LIST;
    for (size_t i = 0; list && i < keys->count; i++) {
        storage *s = keys->item[i]->kind == PICKLE_TEXT ? find_storage(r, keys->item[i]) : NULL;
        if (!s || s->data)
            return problems_add(r->p, ERR_INVALID, "%sstorage %zu is of no tensor, or there twice",
                                r->label, i);
        uint64_t left = r->size - at, bytes;
        uint64_t count = left < 8 ? 0 : little(r->bytes + at, 8);
        if (left < 8 || __builtin_mul_overflow(count, (uint64_t)types[s->type].bytes, &bytes) ||
            bytes > left - 8)
            return problems_add(r->p, ERR_INVALID, "%sends inside of storage %zu: truncated",
                                r->label, i);
        if (!place(r, s, r->bytes + at + 8, bytes))
            return false;
        at += 8 + (size_t)bytes;
    }
    for (size_t i = 0; i < r->storages; i++)
        if (!list || !r->storage[i].data)
            return problems_add(r->p, ERR_INVALID, "%sstorage %.*s is missing", r->label,
                                (int)(r->storage[i].length < 40 ? r->storage[i].length : 40),
                                r->storage[i].key);
    return true;
}

static bool read_pickles(reader *r)
{
    size_t at = 0;
    pickle keys = {0};
    bool good = check_head(r, &at) && next_pickle(r, &at, &r->values) && list_storages(r) &&
                next_pickle(r, &at, &keys) && place_in_order(r, keys.result, at);
    pickle_done(&keys);
    return good;
}

bool torch_is(const void *bytes, size_t size)
{
    const uint8_t *b = bytes;
    if (size >= 4 && memcmp(b, "PK\3\4", 4) == 0)
        return true;
    /* The ninth byte of a safetensors file is the brace of its header. */
    if (size < 2 || (size > 8 && b[8] == '{'))
        return false;
    return (b[0] == 0x80 && b[1] <= 5) || b[0] == 'c' || b[0] == '(';
}

bool torch_read(tensor_list *list, const void *bytes, size_t size, const char *label, problems *p)
{
    if (size == 0)
        return problems_add(p, ERR_INVALID, "%san empty file", label);
    reader r = {.bytes = bytes, .size = size, .label = label, .p = p, .list = list};
    bool zip = size >= 2 && memcmp(bytes, "PK", 2) == 0;
    bool good = (zip ? read_zip(&r) : read_pickles(&r)) && read_tensors(&r);
    pickle_done(&r.values);
    free(r.storage);
    return good;
}
