/* Weights of networks: see weights.h. */
#include "worker/model/weights.h"

#include <stdint.h>

typedef struct {
    const checkpoint *file;
    void *network;
    weights_take *take;
    weights_forget *forget;
} loading;

static int walk(const loading *l, arena *to, dev *d, err *e)
{
    params p = {.d = d, .file = l->file, .to = to, .e = e};
    l->take(l->network, &p);
    params_finish(&p);
    if (e->code != ERR_OK)
        l->forget(l->network);
    return e->code;
}

/* Walks on a dry device; to->peak is what the weights take. */
static int count(const loading *l, arena *to, dev *dry, err *e)
{
    if (!arena_init(to, SIZE_MAX / 2, true))
        return err_set(e, ERR_NO_MEMORY, "%s: no memory to count the weights",
                       checkpoint_path(l->file));
    return walk(l, to, dry, e);
}

/* The bytes that the weights take on d, from a dry device with the same options; 0 with an error.
 */
static size_t count_for(const loading *l, const dev *d, err *e)
{
    char why[256];
    dev_options options = d->options;
    arena counted = {0};
    options.dry = true;
    dev *dry = dev_new(&options, why);
    if (!dry) {
        err_set(e, ERR_DEVICE, "%s: %s", checkpoint_path(l->file), why);
        return 0;
    }
    size_t bytes = 0;
    if (count(l, &counted, dry, e) == ERR_OK) {
        bytes = counted.peak;
        l->forget(l->network);
    }
    arena_done(&counted);
    dev_free(&dry);
    return bytes;
}

int weights_load(arena *to, dev *d, const checkpoint *file, void *network, weights_take *take,
                 weights_forget *forget, err *e)
{
    const loading l = {file, network, take, forget};
    if (d->options.dry)
        return count(&l, to, d, e);
    size_t bytes = count_for(&l, d, e);
    if (e->code != ERR_OK)
        return e->code;
    if (!dev_arena(d, to, bytes))
        return err_set(e, ERR_NO_MEMORY, "%s: no address space for %zu bytes of weights",
                       checkpoint_path(file), bytes);
    return walk(&l, to, d, e);
}
