/* The device's tuning table: a text among its plans, read when the device is opened, written by
 * tuning only. One that is of other libraries is as good as none, and that is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device.h"

static const choice nothing = {.kind = CHOICE_SWITCH};

/* Choices for one number of rows each are none for all of them. */
static plan_key key_of(const gpu *g)
{
    return (plan_key){.shape = g->by_rows ? "tuning by rows" : "tuning", .choice = &nothing};
}

static bool is_of(gpu *g, const char *text, size_t bytes, char *why)
{
    if (!tuning_read(&g->table, text, bytes, why))
        return false;
    if (tuning_device_equal(&g->table.device, &g->store.device))
        return true;
    snprintf(why, TUNING_WHY_BYTES, "it is of %.60s with driver %lld, cuDNN %lld, cuBLASLt %lld",
             g->table.device.gpu, (long long)g->table.device.driver,
             (long long)g->table.device.cudnn, (long long)g->table.device.cublaslt);
    return false;
}

void table_read(dev *d, gpu *g)
{
    char why[TUNING_WHY_BYTES];
    size_t bytes;
    const plan_key key = key_of(g);
    char *text = g->stored ? plan_store_get(&g->store, &key, &bytes) : NULL;
    if (text && !is_of(g, text, bytes, why)) {
        snprintf(d->notice, sizeof d->notice,
                 "%s: the tuning table is not used: %.140s. Tune again", d->name, why);
        tuning_done(&g->table);
    }
    free(text);
    g->table.device = g->store.device;
}

void choices_keep(gpu *g)
{
    if (g->plans)
        plans_keep(g->plans);
    if (g->products)
        products_keep(g->products);
}

void table_path(const gpu *g, char path[PLAN_STORE_PATH + PLAN_STORE_NAME])
{
    const plan_key key = key_of(g);
    plan_store_path(&g->store, &key, path);
}

bool table_write(const gpu *g)
{
    const plan_key key = key_of(g);
    char *text = tuning_write(&g->table);
    const bool good = text && plan_store_put(&g->store, &key, text, strlen(text));
    free(text);
    return good;
}
