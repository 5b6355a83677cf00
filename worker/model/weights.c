/* Weights of networks: see weights.h. */
#include "worker/model/weights.h"

#include <stdint.h>

/* The walk gave every parameter the place that it has at the origin: one copy brings them all. */
static int copy(const weights_source *l, const arena *to, dev *d, err *e)
{
    const weights_origin *from = l->origin;
    const int64_t bytes = (int64_t)from->bytes;
    if (to->used != from->bytes)
        return err_set(e, ERR_INVALID, "%s: the weights take %zu bytes, expected %zu as before",
                       checkpoint_path(l->file), to->used, from->bytes);
    dev_copy(d, tensor_of(to->base, U8, 1, 1, 1, bytes), from->d,
             tensor_of((void *)from->at, U8, 1, 1, 1, bytes), COPY_ONCE);
    if (d->status != DEV_OK)
        err_set(e, params_code(d), "%s: %s", checkpoint_path(l->file), d->error);
    return e->code;
}

static int walk(const weights_source *l, arena *to, dev *d, err *e)
{
    const bool copies = l->origin && !d->options.dry;
    params p = {.d = d, .file = l->file, .to = to, .parts = l->parts, .e = e, .places = copies};
    if (l->parts && parts_open(l->parts, d, to, e))
        return e->code;
    l->take(l->network, &p);
    params_done(&p);
    if (copies && e->code == ERR_OK)
        copy(l, to, d, e);
    if (e->code != ERR_OK)
        l->forget(l->network);
    return e->code;
}

/* Walks on a dry device; to->peak is what the weights take. */
static int count(const weights_source *l, arena *to, dev *dry, err *e)
{
    if (!arena_init(to, SIZE_MAX / 2, true))
        return err_set(e, ERR_NO_MEMORY, "%s: no memory to count the weights",
                       checkpoint_path(l->file));
    return walk(l, to, dry, e);
}

/* The bytes that the weights take on d, from a dry device with the same options; 0 with an error.
 */
static size_t count_for(const weights_source *l, const dev *d, err *e)
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

int weights_load(arena *to, dev *d, const weights_source *from, err *e)
{
    if (d->options.dry)
        return count(from, to, d, e);
    size_t bytes = count_for(from, d, e);
    if (e->code != ERR_OK)
        return e->code;
    if (from->parts)
        bytes = from->parts->bytes[from->parts->mode];
    if (!dev_arena(d, to, bytes))
        return err_set(e, d->status == DEV_OK ? ERR_NO_MEMORY : params_code(d),
                       "%s: no address space for %zu bytes of weights", checkpoint_path(from->file),
                       bytes);
    return walk(from, to, d, e);
}
