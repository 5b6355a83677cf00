/* The table of job ids, and the hash it uses: see idmap.h. */
#include "broker/idmap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 64 };

uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t size)
{
    const uint64_t odd = 0x9e3779b97f4a7c15; /* 2^64 / golden ratio */
    const uint8_t *at = bytes;
    uint64_t h = seed ^ (size * odd), word;
    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        h = (h ^ word) * odd;
        h ^= h >> 32;
    }
    word = 0;
    if (size)
        memcpy(&word, at, size);
    h = (h ^ word) * odd;
    h ^= h >> 29;
    h *= odd;
    return h ^ h >> 32;
}

static size_t home(const idmap *m, const job_id *id)
{
    return hash_bytes(0, id->byte, sizeof id->byte) & (m->capacity - 1);
}

/* Where the id is, or the empty place where it would be. */
static size_t place(const idmap *m, const job_id *id)
{
    size_t i = home(m, id);
    while (m->entry[i].value && !job_id_equal(&m->entry[i].id, id))
        i = (i + 1) & (m->capacity - 1);
    return i;
}

static bool grow(idmap *m)
{
    idmap bigger = {.capacity = m->capacity ? 2 * m->capacity : CAPACITY_FIRST};
    bigger.entry = calloc(bigger.capacity, sizeof *bigger.entry);
    if (!bigger.entry)
        return false;
    for (size_t i = 0; i < m->capacity; i++)
        if (m->entry[i].value)
            bigger.entry[place(&bigger, &m->entry[i].id)] = m->entry[i];
    bigger.count = m->count;
    free(m->entry);
    *m = bigger;
    return true;
}

void idmap_done(idmap *m)
{
    free(m->entry);
    *m = (idmap){0};
}

bool idmap_set(idmap *m, const job_id *id, uint32_t value)
{
    assert(value < UINT32_MAX);
    if (2 * (m->count + 1) > m->capacity && !grow(m))
        return false;
    idmap_entry *e = &m->entry[place(m, id)];
    m->count += e->value == 0;
    *e = (idmap_entry){*id, value + 1};
    return true;
}

bool idmap_get(const idmap *m, const job_id *id, uint32_t *value)
{
    if (!m->capacity)
        return false;
    const idmap_entry *e = &m->entry[place(m, id)];
    if (!e->value)
        return false;
    *value = e->value - 1;
    return true;
}

void idmap_remove(idmap *m, const job_id *id)
{
    if (!m->capacity)
        return;
    const size_t mask = m->capacity - 1;
    size_t hole = place(m, id);
    if (!m->entry[hole].value)
        return;
    m->count--;
    for (size_t i = (hole + 1) & mask; m->entry[i].value; i = (i + 1) & mask) {
        size_t wants = home(m, &m->entry[i].id);
        if (((i - wants) & mask) < ((i - hole) & mask))
            continue; /* between its home and here lies no hole */
        m->entry[hole] = m->entry[i];
        hole = i;
    }
    m->entry[hole] = (idmap_entry){0};
}
