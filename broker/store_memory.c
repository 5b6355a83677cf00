/* The store that forgets everything when the process ends: every write is durable at once, because
 * nothing can be more durable than the process it is in. */
#include <stdlib.h>
#include <string.h>

#include "broker/idmap.h"
#include "broker/store.h"

typedef struct {
    job_id id;
    store_record part[2];          /* by store_part */
    uint32_t attempts, next, prev; /* in the order of append; next also links free slots */
} entry;

typedef struct {
    store base;
    entry *entry;
    uint32_t entries, free, first, last;
    idmap by_id;
    store_ticket written;
} memory;

enum { ENTRIES_FIRST = 64 };
#define NONE UINT32_MAX

static entry *find(memory *m, const job_id *id, err *e)
{
    uint32_t slot;
    if (idmap_get(&m->by_id, id, &slot))
        return &m->entry[slot];
    err_set(e, ERR_NOT_FOUND, "no such job");
    return NULL;
}

static bool grow(memory *m)
{
    uint32_t entries = m->entries ? 2 * m->entries : ENTRIES_FIRST;
    entry *bigger = realloc(m->entry, entries * sizeof *bigger);
    if (!bigger)
        return false;
    m->entry = bigger;
    for (uint32_t i = entries; i-- > m->entries;) {
        m->entry[i] = (entry){.next = m->free};
        m->free = i;
    }
    m->entries = entries;
    return true;
}

static void put(entry *to, store_part part, store_record *r)
{
    to->part[part] = *r;
    *r = (store_record){.frames = 0};
}

static int memory_append(store *s, const job_id *id, store_record *r, store_ticket *t, err *e)
{
    memory *m = (memory *)s;
    uint32_t slot;
    if (idmap_get(&m->by_id, id, &slot))
        return err_set(e, ERR_CONFLICT, "the store has a job with this id");
    if (m->free == NONE && !grow(m))
        return err_set(e, ERR_NO_MEMORY, "no memory for another job");
    slot = m->free;
    entry *to = &m->entry[slot];
    const uint32_t next_free = to->next;
    if (!idmap_set(&m->by_id, id, slot))
        return err_set(e, ERR_NO_MEMORY, "no memory for another job");
    m->free = next_free;
    *to = (entry){.id = *id, .next = NONE, .prev = m->last};
    put(to, STORE_JOB, r);
    *(m->last == NONE ? &m->first : &m->entry[m->last].next) = slot;
    m->last = slot;
    *t = ++m->written;
    return 0;
}

static int memory_take(store *s, const job_id *id, uint32_t attempt, store_ticket *t, err *e)
{
    memory *m = (memory *)s;
    entry *at = find(m, id, e);
    if (!at)
        return ERR_NOT_FOUND;
    at->attempts = attempt;
    *t = ++m->written;
    return 0;
}

static int memory_settle(store *s, const job_id *id, store_record *result, store_ticket *t, err *e)
{
    memory *m = (memory *)s;
    entry *at = find(m, id, e);
    if (!at)
        return ERR_NOT_FOUND;
    if (at->part[STORE_RESULT].frames)
        return err_set(e, ERR_CONFLICT, "the job has a result already");
    put(at, STORE_RESULT, result);
    store_record_done(&at->part[STORE_JOB]);
    *t = ++m->written;
    return 0;
}

static int memory_forget(store *s, const job_id *id, err *e)
{
    memory *m = (memory *)s;
    entry *at = find(m, id, e);
    if (!at)
        return ERR_NOT_FOUND;
    const uint32_t slot = (uint32_t)(at - m->entry);
    store_record_done(&at->part[STORE_JOB]);
    store_record_done(&at->part[STORE_RESULT]);
    *(at->prev == NONE ? &m->first : &m->entry[at->prev].next) = at->next;
    *(at->next == NONE ? &m->last : &m->entry[at->next].prev) = at->prev;
    idmap_remove(&m->by_id, id);
    *at = (entry){.next = m->free};
    m->free = slot;
    return 0;
}

static int memory_read(store *s, const job_id *id, store_part part, store_record *to, err *e)
{
    entry *at = find((memory *)s, id, e);
    if (!at)
        return ERR_NOT_FOUND;
    if (!at->part[part].frames)
        return err_set(e, ERR_NOT_FOUND,
                       part == STORE_JOB ? "the job's payload is gone"
                                         : "the job has no result yet");
    if (!store_record_share(to, &at->part[part]))
        return err_set(e, ERR_NO_MEMORY, "no memory for %zu frames", at->part[part].frames);
    return 0;
}

static store_ticket memory_durable(store *s)
{
    return ((memory *)s)->written;
}

static int memory_descriptor(store *s)
{
    (void)s;
    return -1;
}

static int memory_replay(store *s, store_visit *visit, void *arg, err *e)
{
    memory *m = (memory *)s;
    int rc = 0;
    for (uint32_t i = m->first; !rc && i != NONE; i = m->entry[i].next) {
        entry *at = &m->entry[i];
        rc = visit(arg, &at->id, at->part[STORE_JOB].frames ? &at->part[STORE_JOB] : NULL,
                   at->part[STORE_RESULT].frames ? &at->part[STORE_RESULT] : NULL, at->attempts, e);
    }
    return rc;
}

static void memory_free(store *s)
{
    memory *m = (memory *)s;
    for (uint32_t i = m->first; i != NONE; i = m->entry[i].next) {
        store_record_done(&m->entry[i].part[STORE_JOB]);
        store_record_done(&m->entry[i].part[STORE_RESULT]);
    }
    idmap_done(&m->by_id);
    free(m->entry);
    free(m);
}

static const store_kind memory_kind = {
    .append = memory_append,
    .take = memory_take,
    .settle = memory_settle,
    .forget = memory_forget,
    .read = memory_read,
    .durable = memory_durable,
    .descriptor = memory_descriptor,
    .replay = memory_replay,
    .free = memory_free,
};

store *store_memory_new(void)
{
    memory *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->base.kind = &memory_kind;
    m->free = m->first = m->last = NONE;
    return &m->base;
}
