/* The values of a pickle: see pickle.h. The one idea: values live in blocks that only the pickle
 * owns, so freeing never follows a reference, whatever circles a file has drawn. */
#include <stdlib.h>
#include <string.h>

#include "worker/model/pickle_inside.h"

enum { BLOCK_VALUES = 256, FIRST_ITEMS = 4 };

typedef struct pickle_block {
    struct pickle_block *next;
    size_t used, before; /* values here; in the older blocks */
    pickle_value value[BLOCK_VALUES];
} pickle_block;

pickle_value *pickle_value_new(pickle *k, pickle_kind kind)
{
    pickle_block *b = k->values;
    if (!b || b->used == BLOCK_VALUES) {
        size_t before = b ? b->before + b->used : 0;
        b = before < PICKLE_VALUES_MOST ? calloc(1, sizeof *b) : NULL;
        if (!b)
            return NULL;
        b->next = k->values;
        b->before = before;
        k->values = b;
    }
    pickle_value *v = &b->value[b->used++];
    v->kind = kind;
    return v;
}

/* Room for `count` pointers in an array that has `capacity`. NULL: no memory. */
static void *grown(void *array, size_t *capacity, size_t count)
{
    size_t wanted = *capacity ? *capacity : FIRST_ITEMS;
    while (wanted < count)
        wanted *= 2;
    if (wanted == *capacity)
        return array;
    void *more = realloc(array, wanted * sizeof(void *));
    if (more)
        *capacity = wanted;
    return more;
}

bool pickle_value_append(pickle_value *to, const pickle_value *const *item, size_t count)
{
    const pickle_value **items = grown(to->item, &to->capacity, to->count + count);
    if (!items)
        return false;
    to->item = items;
    for (size_t i = 0; i < count; i++)
        items[to->count++] = item[i];
    return true;
}

bool pickle_note_persistent(pickle *k, const pickle_value *v)
{
    /* The capacity is the power of two above the count. */
    size_t n = k->persistents;
    if ((n & (n - 1)) == 0) {
        const pickle_value **more = realloc(k->persistent, (n ? 2 * n : 1) * sizeof *more);
        if (!more)
            return false;
        k->persistent = more;
    }
    k->persistent[k->persistents++] = v;
    return true;
}

void pickle_done(pickle *k)
{
    for (pickle_block *b = k->values, *next; b; b = next) {
        next = b->next;
        for (size_t i = 0; i < b->used; i++)
            free(b->value[i].item);
        free(b);
    }
    free(k->persistent);
    *k = (pickle){0};
}

bool pickle_is_text(const pickle_value *v, const char *text)
{
    return v->kind == PICKLE_TEXT && v->length == strlen(text) &&
           memcmp(v->text, text, v->length) == 0;
}

const pickle_value *pickle_get(const pickle_value *dict, const char *key)
{
    const pickle_value *found = NULL;
    for (size_t i = 0; dict->kind == PICKLE_DICT && i + 1 < dict->count; i += 2)
        if (pickle_is_text(dict->item[i], key))
            found = dict->item[i + 1];
    return found;
}

const char *pickle_kind_name(pickle_kind kind)
{
    static const char *const names[] = {
        [PICKLE_NONE] = "None",
        [PICKLE_BOOL] = "a truth value",
        [PICKLE_INTEGER] = "a whole number",
        [PICKLE_LONG] = "a long number",
        [PICKLE_REAL] = "a number",
        [PICKLE_TEXT] = "a text",
        [PICKLE_TUPLE] = "a tuple",
        [PICKLE_LIST] = "a list",
        [PICKLE_DICT] = "a dictionary",
        [PICKLE_GLOBAL] = "a global",
        [PICKLE_CALL] = "the result of a call",
        [PICKLE_PERSISTENT] = "a storage",
    };
    return names[kind];
}
