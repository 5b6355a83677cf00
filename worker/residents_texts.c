/* Texts of a device: see residents.h. The one idea: a prompt is encoded once for all jobs that have
 * it, down to what the UNet sees of it in every step. */
#include <stdlib.h>

#include "worker/model/conditioning.h"
#include "worker/residents_inside.h"

enum { TEXTS_MAX = 64 }; /* conditionings kept, unless more are in use */

void residents_text_free(residents *all, conditioning *c)
{
    dev_drop(all->d, &c->text);
    partner_drop(all->partner, &c->copy);
    token_chunks_done(&c->chunks);
    free(c);
}

bool residents_drop_text(residents *all)
{
    conditioning **oldest = NULL;
    for (resident *r = all->first; r; r = r->next)
        for (conditioning **at = &r->texts; *at; at = &(*at)->next)
            if (!(*at)->users && (!oldest || (*at)->used_at < (*oldest)->used_at))
                oldest = at;
    if (!oldest)
        return false;
    conditioning *c = *oldest;
    *oldest = c->next;
    residents_text_free(all, c);
    return true;
}

bool residents_drop_rows(residents *all)
{
    const bool any = all->rows.place.data;
    dev_drop(all->d, &all->rows.place);
    partner_drop(all->partner, &all->partner_rows.place);
    all->rows = all->partner_rows = (text_rows){0};
    return any;
}

static int count_texts(const residents *all)
{
    int count = 0;
    for (const resident *r = all->first; r; r = r->next)
        for (const conditioning *c = r->texts; c; c = c->next)
            count++;
    return count;
}

size_t residents_text_bytes(const residents *all, const resident *r, int chunks)
{
    const model *m = r->model;
    return (size_t)(chunks * CHUNK_TOKENS * (unet_text_width(m->unet) + m->config.text_width)) *
           dtype_bytes(all->d->storage);
}

/* What the UNet sees of c->chunks, kept. ERR_DEVICE also for values that are not finite. */
static int fill_text(residents *all, const resident *r, conditioning *c, err *e)
{
    dev *d = all->d;
    model *m = r->model;
    bool finite = true;
    size_t mark = dev_mark(d);
    tensor context = dev_keep(d, d->storage, 1, 1, c->tokens, m->config.text_width);
    c->text = dev_keep(d, d->storage, 1, 1, c->tokens, unet_text_width(m->unet));
    parts_enter(&m->parts, d, PART_TEXT);
    if (d->status == DEV_OK) {
        conditioning_encode(d, &context, &m->text, &c->chunks, c->clip_skip);
        op_finite(d, context, &finite);
        parts_enter(&m->parts, d, PART_UNET);
        unet_text(d, &c->text, m->unet, context);
    }
    dev_drop(d, &context);
    dev_release(d, mark);
    c->copy = partner_keep(all->partner, d, c->text);
    if (d->status != DEV_OK)
        return residents_error(all, "encoding the prompt", e);
    if (!finite)
        return err_set(e, ERR_DEVICE,
                       "the text encoder of model %s gave NaN or infinity: its weights are damaged",
                       r->model->name);
    return 0;
}

static conditioning *encode(residents *all, resident *r, const token_chunks *chunks, int clip_skip,
                            err *e)
{
    conditioning *c = calloc(1, sizeof *c);
    if (!c || token_chunks_copy(&c->chunks, chunks)) {
        free(c);
        err_set(e, ERR_NO_MEMORY, "no memory for the text of %d chunks", chunks->count);
        return NULL;
    }
    c->number = ++all->clock;
    c->clip_skip = clip_skip;
    c->tokens = CHUNK_TOKENS * chunks->count;
    if (fill_text(all, r, c, e)) {
        residents_text_free(all, c);
        return NULL;
    }
    c->next = r->texts;
    r->texts = c;
    return c;
}

conditioning *residents_text(residents *all, resident *r, const token_chunks *chunks, int clip_skip,
                             err *e)
{
    conditioning *c = r->texts;
    while (c && (c->clip_skip != clip_skip || !token_chunks_equal(&c->chunks, chunks)))
        c = c->next;
    if (!c) {
        while (count_texts(all) >= TEXTS_MAX && residents_drop_text(all))
            ;
        c = encode(all, r, chunks, clip_skip, e);
    }
    if (c) {
        c->users++;
        c->used_at = ++all->clock;
    }
    return c;
}

void residents_text_put(conditioning *c)
{
    if (c)
        c->users--;
}

text_rows *residents_text_rows(residents *all, resident *r, call_shape shape)
{
    const size_t bytes = (size_t)(shape.rows * shape.tokens * unet_text_width(r->model->unet)) *
                         dtype_bytes(all->d->storage);
    const size_t there = tensor_bytes(all->rows.place);
    if (there >= bytes)
        return &all->rows;
    const int64_t held = residents_held(all) + (int64_t)(bytes - there + all->owed);
    if (all->tight || held + (int64_t)all->promised > all->budget ||
        held + (int64_t)residents_cost(all, r, shape).peak > all->budget)
        return NULL;
    return &all->rows;
}
