/* What a device holds between jobs: see residents.h. The one idea: everything cached has a count of
 * users and the time of its last use, and memory is found by dropping what has no users, oldest
 * first. */
#include "worker/residents.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/clock.h"
#include "proto/log.h"
#include "worker/model/conditioning.h"
#include "worker/model/plan.h"

enum { TEXTS_MAX = 64 }; /* unused conditionings kept for one model */

/* What the budget is planned for: both halves of guidance for one picture of 512 x 512. */
enum { PLAN_SIDE = 512, PLAN_ROWS = 2 };

/* ---------------------------------------------------------------- models */

static void text_free(residents *all, conditioning *c)
{
    dev_drop(all->d, &c->context);
    token_chunks_done(&c->chunks);
    free(c);
}

static void resident_free(residents *all, resident *r)
{
    while (r->texts) {
        conditioning *c = r->texts;
        r->texts = c->next;
        text_free(all, c);
    }
    model_free(&r->model);
    free(r);
}

void residents_done(residents *all)
{
    while (all->first) {
        resident *r = all->first;
        all->first = r->next;
        resident_free(all, r);
    }
}

static int64_t weights_held(const residents *all)
{
    int64_t bytes = 0;
    for (const resident *r = all->first; r; r = r->next)
        bytes += (int64_t)r->model->weights.used;
    return bytes;
}

/* Drops the model that has been unused for longest; false when all are in use. */
static bool drop_oldest(residents *all, const resident *except)
{
    resident **oldest = NULL;
    for (resident **at = &all->first; *at; at = &(*at)->next)
        if (!(*at)->users && *at != except && (!oldest || (*at)->used_at < (*oldest)->used_at))
            oldest = at;
    if (!oldest)
        return false;
    resident *r = *oldest;
    *oldest = r->next;
    log_event(LOG_INFO, "engine", "model_dropped", "device=%s model=%s", all->d->name,
              r->model->name);
    resident_free(all, r);
    return true;
}

/* Makes room for `weights` more bytes of weights and calls of `scratch` bytes. Scratch that was
 * touched once stays with the process until it is needed for something else. */
static int make_room(residents *all, int64_t weights, size_t scratch, const resident *except,
                     const char *what, err *e)
{
    for (;;) {
        const size_t touched = all->d->scratch.peak > scratch ? all->d->scratch.peak : scratch;
        if (weights_held(all) + weights + (int64_t)touched <= all->budget)
            return 0;
        if (drop_oldest(all, except))
            continue;
        if (touched > scratch) {
            arena_trim(&all->d->scratch);
            continue;
        }
        const int64_t own = except ? (int64_t)except->model->weights.used : 0;
        const int64_t needed = own + weights + (int64_t)scratch;
        const bool never = needed > all->budget;
        return err_set(e, never ? ERR_NO_MEMORY : ERR_BUSY,
                       "%s needs %lld MiB, the memory budget is %lld MiB%s", what,
                       (long long)(needed >> 20), (long long)(all->budget >> 20),
                       never ? "" : " and other models are in use");
    }
}

static resident *load(residents *all, const char *path, err *e)
{
    dev_options options = all->d->options;
    model_plan_result plan;
    char what[1100];
    if (model_plan(&options, path, all->budget, PLAN_SIDE, PLAN_SIDE, PLAN_ROWS, &plan, e))
        return NULL;
    snprintf(what, sizeof what, "model %s", path);
    if (make_room(all, (int64_t)plan.weights, all->d->scratch.used, NULL, what, e))
        return NULL;
    resident *r = calloc(1, sizeof *r);
    if (!r) {
        err_set(e, ERR_NO_MEMORY, "no memory to load %s", path);
        return NULL;
    }
    all->d->options.winograd_most = options.winograd_most;
    all->dry->options.winograd_most = options.winograd_most;
    double began = clock_seconds();
    r->model = model_load(all->d, path, e);
    if (!r->model) {
        dev_clear(all->d);
        free(r);
        return NULL;
    }
    snprintf(r->path, sizeof r->path, "%s", path);
    r->next = all->first;
    all->first = r;
    log_event(LOG_INFO, "engine", "model_loaded",
              "device=%s model=%s seconds=%.2f bytes=%zu winograd=%d", all->d->name, r->model->name,
              clock_seconds() - began, r->model->weights.used, options.winograd_most);
    return r;
}

resident *residents_get(residents *all, const char *path, err *e)
{
    resident *r = all->first;
    while (r && strcmp(r->path, path))
        r = r->next;
    if (!r)
        r = load(all, path, e);
    if (r) {
        r->users++;
        r->used_at = ++all->clock;
    }
    return r;
}

void residents_put(residents *all, resident *r)
{
    assert(r->users > 0);
    r->users--;
    r->used_at = ++all->clock;
}

/* ---------------------------------------------------------------- costs */

model_costs residents_cost(residents *all, resident *r, int64_t rows, int64_t h, int64_t w,
                           int64_t tokens)
{
    for (int i = 0; i < r->costs; i++) {
        const resident_cost *c = &r->cost[i];
        if (c->rows == rows && c->h == h && c->w == w && c->tokens == tokens)
            return c->costs;
    }
    const int factor = r->model->config.factor;
    resident_cost made = {.rows = rows, .h = h, .w = w, .tokens = tokens};
    made.costs =
        model_measure(all->dry, r->model, (int)w * factor, (int)h * factor, (int)rows, (int)tokens);
    r->cost[r->costs < RESIDENT_COSTS ? r->costs++ : (int)(all->clock % RESIDENT_COSTS)] = made;
    return made.costs;
}

int residents_fit(residents *all, resident *r, int64_t rows, int64_t h, int64_t w, int64_t tokens,
                  err *e)
{
    const int factor = r->model->config.factor;
    char what[160];
    model_costs c = residents_cost(all, r, rows, h, w, tokens);
    snprintf(what, sizeof what, "%lld rows at %lldx%lld with model %.80s", (long long)rows,
             (long long)w * factor, (long long)h * factor, r->model->name);
    return make_room(all, 0, c.peak, r, what, e);
}

/* ---------------------------------------------------------------- conditioning */

static bool same_chunks(const token_chunks *a, const token_chunks *b)
{
    return a->count == b->count && !memcmp(a->id, b->id, (size_t)a->count * sizeof *a->id) &&
           !memcmp(a->weight, b->weight, (size_t)a->count * sizeof *a->weight);
}

static int copy_chunks(token_chunks *to, const token_chunks *from)
{
    const size_t ids = (size_t)from->count * sizeof *from->id;
    const size_t weights = (size_t)from->count * sizeof *from->weight;
    *to = (token_chunks){.count = from->count, .id = malloc(ids), .weight = malloc(weights)};
    if (!to->id || !to->weight) {
        token_chunks_done(to);
        return ERR_NO_MEMORY;
    }
    memcpy(to->id, from->id, ids);
    memcpy(to->weight, from->weight, weights);
    return 0;
}

static void drop_old_texts(residents *all, resident *r)
{
    int count = 0;
    for (;;) {
        conditioning **oldest = NULL;
        count = 0;
        for (conditioning **at = &r->texts; *at; at = &(*at)->next, count++)
            if (!(*at)->users && (!oldest || (*at)->used_at < (*oldest)->used_at))
                oldest = at;
        if (count < TEXTS_MAX || !oldest)
            return;
        conditioning *c = *oldest;
        *oldest = c->next;
        text_free(all, c);
    }
}

static conditioning *encode(residents *all, resident *r, const token_chunks *chunks, int clip_skip,
                            err *e)
{
    conditioning *c = calloc(1, sizeof *c);
    if (!c || copy_chunks(&c->chunks, chunks)) {
        free(c);
        err_set(e, ERR_NO_MEMORY, "no memory for the text of %d chunks", chunks->count);
        return NULL;
    }
    c->clip_skip = clip_skip;
    c->tokens = CHUNK_TOKENS * chunks->count;
    size_t mark = dev_mark(all->d);
    bool finite = true;
    c->context = dev_keep(all->d, F32, 1, 1, c->tokens, r->model->config.text_width);
    if (all->d->status == DEV_OK)
        conditioning_encode(all->d, &c->context, &r->model->text, chunks, clip_skip);
    if (all->d->status == DEV_OK)
        op_finite(all->d, c->context, &finite);
    dev_release(all->d, mark);
    if (all->d->status == DEV_OK && finite) {
        c->next = r->texts;
        r->texts = c;
        return c;
    }
    if (all->d->status != DEV_OK)
        err_set(e, ERR_DEVICE, "text encoder: %s", all->d->error);
    else
        err_set(e, ERR_DEVICE,
                "text encoder of model %s gave NaN or infinity: the weights are damaged",
                r->model->name);
    text_free(all, c);
    return NULL;
}

conditioning *residents_text(residents *all, resident *r, const token_chunks *chunks, int clip_skip,
                             err *e)
{
    conditioning *c = r->texts;
    while (c && (c->clip_skip != clip_skip || !same_chunks(&c->chunks, chunks)))
        c = c->next;
    if (!c) {
        drop_old_texts(all, r);
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
