/* The engine: see engine.h. The one idea: a loop of six lines. Take what came, drop what nobody
 * wants, admit what fits, begin pictures, evaluate a batch, decode what has ended; see
 * engine_state.h for where each of them is. */
#include "worker/engine_state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/clock.h"
#include "proto/log.h"

/* Slower than any machine that serves: 1 GFLOP/s. */
static const double SLOWEST_FLOPS_PER_MS = 1e6;

static_assert((int)ENGINE_ROWS_MAX == (int)BATCH_ROWS_MAX, "STATUS shows a whole batch");

void engine_append(work **list, work *w)
{
    while (*list)
        list = &(*list)->next;
    w->next = NULL;
    *list = w;
}

static work *take_first(work **list)
{
    work *w = *list;
    *list = w->next;
    w->next = NULL;
    return w;
}

/* ---------------------------------------------------------------- what the device does */

/* Asked before every operation: is there nobody left who wants the result? */
static bool nobody_wants_it(void *arg)
{
    const engine *en = arg;
    if (atomic_load(&en->hard_stop))
        return true;
    if (en->now_run)
        return atomic_load(&en->now_run->work->cancelled);
    for (int i = 0; en->now && i < en->now->sequences; i++)
        if (!atomic_load(&en->now->owner[i]->work->cancelled))
            return false;
    return en->now != NULL;
}

void engine_busy(engine *en, const run *r, const batch *b, double flops, int64_t least_ms)
{
    en->now_run = r;
    en->now = b;
    pthread_mutex_lock(&en->lock);
    en->status.busy_since_ms = clock_ms();
    en->status.busy_limit_ms = least_ms + (int64_t)(flops / SLOWEST_FLOPS_PER_MS);
    pthread_mutex_unlock(&en->lock);
}

/* What the partner holds. */
static int64_t bytes_beside(const residents *held)
{
    int64_t bytes = (int64_t)partner_bytes(held->partner);
    for (const resident *r = held->first; r; r = r->next)
        bytes += (int64_t)r->copy.weights.used;
    return bytes;
}

void engine_idle(engine *en)
{
    engine_status *s = &en->status;
    en->now_run = NULL;
    en->now = NULL;
    pthread_mutex_lock(&en->lock);
    s->busy_since_ms = 0;
    s->memory_bytes = (uint64_t)(residents_bytes(&en->held) + bytes_beside(&en->held));
    s->models = 0;
    for (const resident *r = en->held.first; r && s->models < ENGINE_MODELS_MAX; r = r->next)
        snprintf(s->model[s->models++], sizeof *s->model, "%s", resident_name(r));
    pthread_mutex_unlock(&en->lock);
}

/* ---------------------------------------------------------------- the loop */

static void read_note(engine *en, engine_note *note)
{
    run *r = en->runs;
    while (r && r->work != note->work)
        r = r->next;
    if (r && note->taken)
        run_scene_taken(r, note->scene);
    else if (r)
        run_scene_made(r, note->scene, &note->input);
    scene_input_done(&note->input);
    free(note);
}

static void read_notes(engine *en, engine_note *first)
{
    for (engine_note *next; first; first = next) {
        next = first->next;
        read_note(en, first);
    }
}

/* Takes what came: notes, then works into the waiting list; sleeps while there is nothing to do.
 * false: stop. */
static bool take_inbox(engine *en)
{
    pthread_mutex_lock(&en->lock);
    while (!en->stopping && !en->inbox && !en->notes && !en->woken && !en->progress) {
        en->status.rows = 0;
        pthread_cond_wait(&en->wake, &en->lock);
    }
    engine_note *notes = en->notes;
    en->notes = NULL;
    en->notes_end = &en->notes;
    while (en->inbox)
        engine_append(&en->waiting, take_first(&en->inbox));
    en->woken = false;
    bool go_on = !en->stopping;
    pthread_mutex_unlock(&en->lock);
    read_notes(en, notes);
    return go_on;
}

static void cancel_all(engine *en)
{
    for (run *r = en->runs; r; r = r->next)
        atomic_store(&r->work->cancelled, true);
    for (work *w = en->waiting; w; w = w->next)
        atomic_store(&w->cancelled, true);
    engine_drop_cancelled(en);
}

static void *engine_main(void *arg)
{
    engine *en = arg;
    while (take_inbox(en)) {
        en->progress = engine_drop_cancelled(en);
        en->progress |= engine_admit(en);
        en->progress |= engine_begin(en);
        en->progress |= engine_step(en);
        en->progress |= engine_decode(en);
        en->progress |= engine_enlarge(en);
    }
    cancel_all(en);
    residents_done(&en->held);
    return NULL;
}

/* ---------------------------------------------------------------- life */

static int64_t default_budget(const dev *d, int sharing)
{
    return (int64_t)(d->memory_bytes / 10 * 8) / (d->own_memory || sharing < 1 ? 1 : sharing);
}

/* What decides the bits of a picture. */
static void name_class(char *to, size_t size, const dev *d, int64_t budget)
{
    if (d->by_budget)
        snprintf(to, size, "%.150s, budget %lld MiB", d->class_name, (long long)(budget >> 20));
    else
        snprintf(to, size, "%s", d->class_name);
}

/* What fits the first device fits the second, whose budget is the same: by default that of the one
 * with less. */
static int open_partner(engine *en, err *e)
{
    residents *held = &en->held;
    dev_options o = *en->options.partner;
    o.scratch_bytes = (size_t)held->budget;
    held->partner = partner_new(&o, held->d, e);
    if (!held->partner)
        return e->code;
    const dev *d = partner_dev(held->partner);
    const int64_t there = default_budget(d, en->options.sharing);
    if (en->options.memory_budget == 0 && there < held->budget)
        held->budget = there;
    return 0;
}

static void name_devices(engine *en)
{
    const residents *held = &en->held;
    engine_status *s = &en->status;
    snprintf(s->name, sizeof s->name, "%.15s%s%.15s", held->d->name, held->partner ? "+" : "",
             held->partner ? partner_dev(held->partner)->name : "");
    name_class(s->class_name, sizeof s->class_name, held->d, held->budget);
    snprintf(s->hardware, sizeof s->hardware, "%s", held->d->hardware);
    s->budget_bytes = (uint64_t)held->budget * (held->partner ? 2 : 1);
}

static int open_devices(engine *en, err *e)
{
    char why[256];
    dev_options real = en->options.device, dry = en->options.device;
    residents *held = &en->held;
    dry.dry = true;
    held->dry = dev_new(&dry, why);
    held->mode = en->status.memory = en->options.memory;
    held->budget = en->options.memory_budget;
    if (held->dry && held->budget == 0)
        held->budget = default_budget(held->dry, en->options.sharing);
    real.scratch_bytes = (size_t)held->budget;
    held->d = held->dry ? dev_new(&real, why) : NULL;
    if (!held->d)
        return err_set(e, ERR_DEVICE, "device %s:%d: %s", real.backend, real.ordinal, why);
    if (held->d->notice[0]) {
        char text[2 * sizeof held->d->notice];
        log_event(LOG_WARN, "engine", "device", "text=%s",
                  log_quote(text, sizeof text, held->d->notice));
    }
    held->shelf = en->options.shelf;
    held->d->stop = nobody_wants_it;
    held->d->stop_arg = en;
    if (en->options.partner && open_partner(en, e))
        return e->code;
    name_devices(en);
    return 0;
}

engine *engine_new(const engine_options *o, err *e)
{
    engine *en = calloc(1, sizeof *en);
    if (!en) {
        err_set(e, ERR_NO_MEMORY, "no memory for an engine");
        return NULL;
    }
    en->options = *o;
    pthread_mutex_init(&en->lock, NULL);
    pthread_cond_init(&en->wake, NULL);
    en->notes_end = &en->notes;
    if (!open_devices(en, e)) {
        en->running = !pthread_create(&en->thread, NULL, engine_main, en);
        if (!en->running)
            err_set(e, ERR_NO_MEMORY, "cannot start the engine's thread");
    }
    if (!en->running)
        engine_free(&en);
    return en;
}

/* Says no to a work that came too late. */
static void refuse(engine *en, work *w)
{
    err e = {0};
    err_set(&e, ERR_CANCELLED, "the worker stops");
    en->options.events.finished(en->options.events.arg, w, &e, false);
}

void engine_stop(engine *en)
{
    if (!en->running)
        return;
    atomic_store(&en->hard_stop, true);
    pthread_mutex_lock(&en->lock);
    en->stopping = true;
    pthread_cond_signal(&en->wake);
    pthread_mutex_unlock(&en->lock);
    pthread_join(en->thread, NULL);
    en->running = false;
    while (en->inbox)
        refuse(en, take_first(&en->inbox));
    read_notes(en, en->notes); /* there are no runs any more: they are dropped */
    en->notes = NULL;
    en->notes_end = &en->notes;
}

void engine_free(engine **at)
{
    engine *en = *at;
    if (!en)
        return;
    engine_stop(en);
    partner_free(&en->held.partner);
    dev_free(&en->held.dry);
    dev_free(&en->held.d);
    pthread_cond_destroy(&en->wake);
    pthread_mutex_destroy(&en->lock);
    free(en);
    *at = NULL;
}

void engine_submit(engine *en, work *w)
{
    pthread_mutex_lock(&en->lock);
    const bool late = en->stopping;
    if (!late)
        engine_append(&en->inbox, w);
    pthread_cond_signal(&en->wake);
    pthread_mutex_unlock(&en->lock);
    if (late)
        refuse(en, w);
}

static int send_note(engine *en, const engine_note *from, err *e)
{
    engine_note *note = malloc(sizeof *note);
    if (!note)
        return err_set(e, ERR_NO_MEMORY, "no memory to go on with the job");
    *note = *from;
    pthread_mutex_lock(&en->lock);
    const bool late = en->stopping;
    if (!late) {
        *en->notes_end = note;
        en->notes_end = &note->next;
    }
    pthread_cond_signal(&en->wake);
    pthread_mutex_unlock(&en->lock);
    if (late) {
        scene_input_done(&note->input);
        free(note);
    }
    return 0;
}

int engine_scene_made(engine *en, const work *w, int scene, scene_input *input, err *e)
{
    int rc = send_note(en, &(engine_note){.work = w, .scene = scene, .input = *input}, e);
    if (!rc)
        *input = (scene_input){0};
    return rc;
}

int engine_scene_taken(engine *en, const work *w, int scene, err *e)
{
    return send_note(en, &(engine_note){.work = w, .scene = scene, .taken = true}, e);
}

void engine_wake(engine *en)
{
    pthread_mutex_lock(&en->lock);
    en->woken = true;
    pthread_cond_signal(&en->wake);
    pthread_mutex_unlock(&en->lock);
}

void engine_get_status(engine *en, engine_status *s)
{
    pthread_mutex_lock(&en->lock);
    *s = en->status;
    pthread_mutex_unlock(&en->lock);
}
