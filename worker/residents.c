/* What a device holds between jobs: see residents.h. The one idea: everything cached has a count of
 * users and the time of its last use, and memory is found by dropping what has no users, oldest
 * first. */
#include "worker/residents.h"

#include <assert.h>
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
    if (make_room(all, (int64_t)plan.weight_bytes, all->d->scratch.used, NULL, what, e))
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

static void dry_call(dev *dry, const model *m, const cost *c)
{
    const model_config *k = &m->config;
    if (c->kind == COST_UNET) {
        double t[16] = {0};
        int32_t tokens[16];
        assert(c->rows <= 16);
        for (int64_t i = 0; i < c->rows; i++)
            tokens[i] = (int32_t)c->tokens;
        tensor out = dev_tensor(dry, F32, c->rows, c->h, c->w, k->out_channels);
        tensor x = dev_tensor(dry, F32, c->rows, c->h, c->w, k->in_channels);
        tensor context = dev_tensor(dry, F32, c->rows, 1, c->tokens, k->context);
        unet_forward(dry, &out, m->unet, x, t, context, tokens);
    } else if (c->kind == COST_ENCODE) {
        tensor x = dev_tensor(dry, F32, 1, c->h * k->factor, c->w * k->factor, 3);
        vae_encode(dry, NEW, m->vae, x);
    } else {
        vae_decode(dry, NEW, m->vae, dev_tensor(dry, F32, 1, c->h, c->w, k->latent_channels));
    }
}

cost residents_cost(residents *all, resident *r, cost call)
{
    for (int i = 0; i < r->costs; i++) {
        const cost *c = &r->cost[i];
        if (c->kind == call.kind && c->rows == call.rows && c->h == call.h && c->w == call.w &&
            c->tokens == call.tokens)
            return *c;
    }
    size_t mark = dev_mark(all->dry);
    dev_reset_peak(all->dry);
    dry_call(all->dry, r->model, &call);
    call.scratch = all->dry->counters.scratch_peak;
    call.flops = all->dry->counters.flops;
    dev_release(all->dry, mark);
    if (all->dry->status != DEV_OK) {
        call.scratch = SIZE_MAX;
        dev_clear(all->dry);
    }
    r->cost[r->costs < RESIDENT_COSTS ? r->costs++ : (int)(all->clock % RESIDENT_COSTS)] = call;
    return call;
}

int residents_fit(residents *all, resident *r, cost call, err *e)
{
    static const char *const names[COST_KINDS] = {"one step", "encoding the picture",
                                                  "decoding the picture"};
    cost c = residents_cost(all, r, call);
    char what[160];
    const int factor = r->model->config.factor;
    snprintf(what, sizeof what, "%s at %lldx%lld", names[c.kind], (long long)c.w * factor,
             (long long)c.h * factor);
    return make_room(all, 0, c.scratch, r, what, e);
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
