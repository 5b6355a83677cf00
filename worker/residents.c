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
#include "worker/model/plan.h"
#include "worker/residents_inside.h"

enum { NAME_QUOTED = 260 }; /* room for a model's name in a log line */

/* ---------------------------------------------------------------- life */

static void networks_free(residents *all, resident *r)
{
    unet_copy_done(&r->copy);
    shelf_give_back(all->shelf, &r->place);
    model_free(&r->model);
    upscaler_free(&r->enlarger);
}

static void resident_free(residents *all, resident *r)
{
    while (r->texts) {
        conditioning *c = r->texts;
        r->texts = c->next;
        residents_text_free(all, c);
    }
    networks_free(all, r);
    free(r);
}

void residents_done(residents *all)
{
    residents_drop_rows(all);
    while (all->first) {
        resident *r = all->first;
        all->first = r->next;
        resident_free(all, r);
    }
}

static size_t weights_of(const resident *r)
{
    return r->model ? r->model->weights.used : r->enlarger->weights.used;
}

const char *resident_name(const resident *r)
{
    const char *slash = strrchr(r->file.path, '/');
    return r->model ? r->model->name : slash ? slash + 1 : r->file.path;
}

int64_t residents_held(const residents *all)
{
    int64_t bytes = (int64_t)all->d->kept;
    for (const resident *r = all->first; r; r = r->next)
        bytes += (int64_t)weights_of(r);
    return bytes;
}

int64_t residents_bytes(const residents *all)
{
    return residents_held(all) + (int64_t)all->d->scratch.peak;
}

int residents_error(residents *all, const char *what, err *e)
{
    dev *d = all->d;
    err_code code = d->status == DEV_STOPPED     ? ERR_CANCELLED
                    : d->status == DEV_NO_MEMORY ? ERR_NO_MEMORY
                                                 : ERR_DEVICE;
    all->broken |= d->status == DEV_BROKEN;
    all->scarce = d->status == DEV_NO_MEMORY;
    if (code == ERR_CANCELLED)
        err_set(e, code, "cancelled");
    else
        err_set(e, code, "%s: %s", what, d->error);
    dev_clear(d);
    return code;
}

bool residents_again(const residents *all, const err *e)
{
    return (e->code == ERR_DEVICE && all->broken) || (e->code == ERR_NO_MEMORY && all->scarce);
}

/* ---------------------------------------------------------------- making room */

/* Drops the model that has been unused for longest; false when all are in use. */
static bool drop_model(residents *all, const resident *except)
{
    resident **oldest = NULL;
    for (resident **at = &all->first; *at; at = &(*at)->next)
        if (!(*at)->users && *at != except && (!oldest || (*at)->used_at < (*oldest)->used_at))
            oldest = at;
    if (!oldest)
        return false;
    resident *r = *oldest;
    *oldest = r->next;
    char name[NAME_QUOTED];
    log_event(LOG_INFO, "engine", "model_dropped", "device=%s model=%s", all->d->name,
              log_quote(name, sizeof name, resident_name(r)));
    resident_free(all, r);
    return true;
}

/* What costs least to make again goes first. */
static bool drop_any(residents *all, const resident *except)
{
    return residents_drop_rows(all) || residents_drop_text(all) || drop_model(all, except);
}

/* What somebody asks for: `keep` bytes on top of the weights of `own` (NULL: of no model yet), and
 * calls of `scratch` bytes. */
typedef struct {
    const resident *own;
    size_t keep, scratch;
    const size_t *modes; /* what the model's weights take in each memory mode; NULL: no model's */
    const char *what;
} demand;

/* Bytes that dropping can give back. */
static int64_t bytes_unused(const residents *all, const resident *own)
{
    int64_t bytes = (int64_t)tensor_bytes(all->rows.place);
    for (const resident *r = all->first; r; r = r->next) {
        if (!r->users && r != own)
            bytes += (int64_t)weights_of(r);
        for (const conditioning *c = r->texts; c; c = c->next)
            if (!c->users)
                bytes += (int64_t)tensor_bytes(c->text);
    }
    return bytes;
}

/* Why a demand finds no room. What is missing may be the job's own: the caller knows. */
static int no_room(residents *all, const demand *want, err *e)
{
    const int64_t own = want->own ? (int64_t)weights_of(want->own) : 0;
    const int64_t used =
        residents_held(all) - bytes_unused(all, want->own) - own + (int64_t)all->owed;
    const int64_t needed = own + (int64_t)(want->keep + want->scratch);
    const bool never = needed > all->budget;
    char beside[64] = "";
    all->scarce = false;
    if (!never)
        snprintf(beside, sizeof beside, ", of which %lld MiB are in use", (long long)(used >> 20));
    else if (want->modes && !all->partner) /* two devices to a picture are for mode high */
        memory_mode_advise(beside, sizeof beside, want->modes, all->mode, needed - all->budget);
    return err_set(e, never ? ERR_NO_MEMORY : ERR_BUSY,
                   "%s needs %lld MiB, the memory budget is %lld MiB%s", want->what,
                   (long long)(needed >> 20), (long long)(all->budget >> 20), beside);
}

/* Finds room for a demand beside what is in use and what was promised; drops nothing when that
 * would not be enough. Scratch that was touched once stays with the process until it is needed for
 * something else. */
static int make_room(residents *all, const demand *want, err *e)
{
    const size_t scratch = want->scratch > all->promised ? want->scratch : all->promised;
    const int64_t room = all->budget - (int64_t)(want->keep + scratch + all->owed);
    if (residents_held(all) - bytes_unused(all, want->own) <= room) {
        if (all->d->scratch.peak > scratch &&
            residents_bytes(all) + (int64_t)want->keep > all->budget) {
            arena_trim(&all->d->scratch);
            partner_trim(all->partner);
        }
        while (residents_held(all) > room && drop_any(all, want->own))
            ;
        return 0;
    }
    return no_room(all, want, e);
}

void residents_relieve(residents *all)
{
    while (drop_any(all, NULL))
        ;
    all->tight = true;
    arena_trim(&all->d->scratch);
    partner_trim(all->partner);
}

/* ---------------------------------------------------------------- models */

/* A model that is there and used by nobody may have the memory that this one lacks: the host's,
 * too, which the budget knows nothing of. So it is tried twice. */
static void load_networks(residents *all, const model_file *file, resident *r, err *e)
{
    for (int left = 1;; left--) {
        *e = (err){0};
        r->model = residents_take_turns(all) ? model_load_as(all->d, file->path, all->mode, e)
                                             : shelf_load(all->shelf, all->d, file, &r->place, e);
        partner_load(all->partner, all->d, &r->copy, r->model, e);
        if (all->d->status != DEV_NO_MEMORY || left == 0)
            return;
        networks_free(all, r);
        dev_clear(all->d);
        residents_relieve(all);
    }
}

static resident *load(residents *all, const model_file *file, err *e)
{
    const char *path = file->path;
    dev_options options = all->d->options;
    model_plan_result plan;
    char what[1100], name[NAME_QUOTED];
    if (model_plan_served(&options, path, all->budget, &plan, e)) {
        all->broken |= e->code == ERR_DEVICE; /* it cannot be opened any more, not even dry */
        return NULL;
    }
    snprintf(what, sizeof what, "model %s", path);
    if (make_room(all,
                  &(demand){.keep = plan.weights[all->mode], .modes = plan.weights, .what = what},
                  e))
        return NULL;
    resident *r = calloc(1, sizeof *r);
    if (!r) {
        err_set(e, ERR_NO_MEMORY, "no memory to load %s", path);
        return NULL;
    }
    all->d->options.winograd_most = options.winograd_most;
    all->dry->options.winograd_most = options.winograd_most;
    double began = clock_seconds();
    err why = {0};
    load_networks(all, file, r, &why);
    if (why.code) {
        const bool of_the_device = all->d->status != DEV_OK;
        if (all->d->status != DEV_STOPPED)
            err_set(e, why.code, "%s", why.text);
        all->broken |= why.code == ERR_DEVICE;
        if (of_the_device)
            residents_error(all, "loading the model", e); /* the first text stays */
        resident_free(all, r);
        return NULL;
    }
    r->file = *file;
    r->next = all->first;
    all->first = r;
    log_event(LOG_INFO, "engine", "model_loaded",
              "device=%s model=%s seconds=%.2f memory=%s bytes=%zu winograd=%d", all->d->name,
              log_quote(name, sizeof name, r->model->name), clock_seconds() - began,
              memory_mode_words[all->mode], r->model->weights.used, options.winograd_most);
    return r;
}

/* A file may be asked for as either kind, and is loaded as that: loading says what it is not. */
static resident *find(residents *all, const model_file *file, bool enlarges)
{
    resident *r = all->first;
    while (r && (!models_same(&r->file, file) || !r->enlarger == enlarges))
        r = r->next;
    return r;
}

static resident *used(residents *all, resident *r)
{
    if (r) {
        r->users++;
        r->used_at = ++all->clock;
    }
    return r;
}

resident *residents_get(residents *all, const model_file *file, err *e)
{
    resident *r = find(all, file, false);
    return used(all, r ? r : load(all, file, e));
}

void residents_put(residents *all, resident *r)
{
    assert(r->users > 0);
    r->users--;
    for (int i = 0; i < r->costs && i < RESIDENT_COSTS && !r->users; i++)
        r->cost[i].starved = false; /* what was missing may be there now */
    all->tight &= r->users > 0;
    r->used_at = ++all->clock;
}

/* ---------------------------------------------------------------- upscalers */

model_cost residents_enlarge_cost(residents *all, const resident *r, int width, int height)
{
    return upscaler_measure(all->dry, r->enlarger, width, height);
}

/* The walk on the dry device says what the weights and a tile take, before anything is loaded. */
static int make_room_for_enlarger(residents *all, const char *path, int width, int height, err *e)
{
    char what[1100];
    upscaler *dry = upscaler_load(all->dry, path, e);
    if (!dry) {
        all->broken |= e->code == ERR_DEVICE;
        return e->code;
    }
    snprintf(what, sizeof what, "upscaler %s", path);
    int rc = make_room(all,
                       &(demand){.keep = dry->weights.peak,
                                 .scratch = upscaler_measure(all->dry, dry, width, height).scratch,
                                 .what = what},
                       e);
    upscaler_free(&dry);
    return rc;
}

static resident *load_enlarger(residents *all, const model_file *file, int width, int height,
                               err *e)
{
    if (make_room_for_enlarger(all, file->path, width, height, e))
        return NULL;
    resident *r = calloc(1, sizeof *r);
    if (!r) {
        err_set(e, ERR_NO_MEMORY, "no memory to load %s", file->path);
        return NULL;
    }
    r->enlarger = upscaler_load(all->d, file->path, e);
    if (!r->enlarger) {
        all->broken |= e->code == ERR_DEVICE;
        if (all->d->status != DEV_OK)
            residents_error(all, "loading the upscaler", e);
        free(r);
        return NULL;
    }
    r->file = *file;
    r->next = all->first;
    all->first = r;
    return r;
}

resident *residents_enlarger(residents *all, const model_file *file, int width, int height, err *e)
{
    resident *r = find(all, file, true);
    return used(all, r ? r : load_enlarger(all, file, width, height, e));
}

/* ---------------------------------------------------------------- costs */

static bool same_shape(call_shape a, call_shape b)
{
    return a.rows == b.rows && a.h == b.h && a.w == b.w && a.tokens == b.tokens;
}

/* Measured when nobody has asked for it lately. */
static resident_cost *find_cost(residents *all, resident *r, call_shape shape)
{
    for (int i = 0; i < r->costs && i < RESIDENT_COSTS; i++)
        if (same_shape(r->cost[i].shape, shape))
            return &r->cost[i];
    const int factor = r->model->config.factor;
    resident_cost *c = &r->cost[r->costs++ % RESIDENT_COSTS];
    *c = (resident_cost){.shape = shape,
                         .costs = model_measure(all->dry, r->model, (int)shape.w * factor,
                                                (int)shape.h * factor, (int)shape.rows,
                                                (int)shape.tokens)};
    return c;
}

model_costs residents_cost(residents *all, resident *r, call_shape shape)
{
    return find_cost(all, r, shape)->costs;
}

void residents_starved(residents *all, resident *r, call_shape shape)
{
    find_cost(all, r, shape)->starved = true;
}

static bool is_starved(const resident *r, call_shape shape)
{
    for (int i = 0; i < r->costs && i < RESIDENT_COSTS; i++) {
        const call_shape *s = &r->cost[i].shape;
        if (r->cost[i].starved && s->h == shape.h && s->w == shape.w && s->rows <= shape.rows &&
            s->tokens <= shape.tokens)
            return true;
    }
    return false;
}

int residents_fit(residents *all, resident *r, call_shape shape, size_t keep, err *e)
{
    return residents_fit_beside(all, r, shape, keep, 0, e);
}

int residents_fit_beside(residents *all, resident *r, call_shape shape, size_t keep, size_t scratch,
                         err *e)
{
    const size_t call = residents_cost(all, r, shape).peak;
    const int factor = r->model->config.factor;
    char what[160];
    snprintf(what, sizeof what, "%lldx%lld with model %.80s", (long long)shape.w * factor,
             (long long)shape.h * factor, r->model->name);
    if (is_starved(r, shape))
        return err_set(e, ERR_BUSY, "%s: the device had no memory for %d rows", what,
                       (int)shape.rows);
    const size_t most = call > scratch ? call : scratch;
    return make_room(all, &(demand){r, keep, most, r->model->parts.bytes, what}, e);
}
