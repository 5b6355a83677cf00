/* picked: see picked.h. One format and one reader for all choices: the tuning table's. */
#include "kernels/cuda/picked.h"

#include <stdlib.h>
#include <string.h>

static const choice nothing = {.kind = CHOICE_SWITCH};

static plan_key key_of(const picked *p)
{
    return (plan_key){.shape = p->what, .choice = &nothing};
}

void picked_open(picked *p, const plan_store *store, const char *what)
{
    char why[TUNING_WHY_BYTES];
    size_t bytes;
    *p = (picked){.store = store, .what = what};
    if (!store)
        return;
    const plan_key key = key_of(p);
    char *text = plan_store_get(store, &key, &bytes);
    if (text && tuning_read(&p->table, text, bytes, why) &&
        !tuning_device_equal(&p->table.device, &store->device))
        tuning_done(&p->table);
    free(text);
    p->table.device = store->device;
}

void picked_done(picked *p)
{
    tuning_done(&p->table);
}

const choice *picked_find(const picked *p, const char *name)
{
    return tuning_find(&p->table, name);
}

bool picked_add(picked *p, const char *name, const choice *c)
{
    const bool added = tuning_set(&p->table, name, c);
    p->changed |= added;
    return added;
}

bool picked_keep(picked *p)
{
    if (!p->changed)
        return true;
    const plan_key key = key_of(p);
    char *text = p->store ? tuning_write(&p->table) : NULL;
    const bool kept = text && plan_store_put(p->store, &key, text, strlen(text));
    free(text);
    p->changed &= !kept;
    return kept;
}
