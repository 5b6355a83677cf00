/* The engine: see engine.h. The one idea: a loop of five lines. Take what came, admit what fits,
 * pick a batch, evaluate it, hand out what has ended; everything else is in run, seq, batch and
 * residents. */
#include "worker/engine.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/log.h"
#include "worker/batch.h"
#include "worker/run.h"

enum {
    PREVIEW_EVERY_MS = 1000,
    BUSY_LEAST_MS = 60000,          /* no step is called stuck before */
    SLOWEST_FLOPS_PER_MS = 1000000, /* 1 GFLOP/s: slower than any machine that serves */
};

struct engine {
    pthread_t thread;
    bool running;
    engine_options options;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    work *inbox;
    bool woken, stopping;
    engine_status status;

    /* the thread's own */
    residents held;
    work *waiting; /* in order of arrival */
    run *runs;
    uint64_t turn;
    const batch *now;   /* the batch being evaluated */
    const run *now_run; /* or the run being admitted or decoded */
    atomic_bool hard_stop;
};

/* ---------------------------------------------------------------- lists */

static void append_work(work **list, work *w)
{
    while (*list)
        list = &(*list)->next;
    w->next = NULL;
    *list = w;
}

static void append_run(run **list, run *r)
{
    while (*list)
        list = &(*list)->next;
    *list = r;
}

static work *take_first(work **list)
{
    work *w = *list;
    *list = w->next;
    w->next = NULL;
    return w;
}

/* ---------------------------------------------------------------- stopping, cancelling */

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

static void let_go(engine *en, work *w)
{
    en->options.events.finished(en->options.events.arg, w);
}

static void end_run(engine *en, run *r)
{
    run **at = &en->runs;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    work *w = r->work;
    run_free(&en->held, &r);
    let_go(en, w);
}

static void fail_run(engine *en, run *r, const err *e)
{
    r->work->error = *e;
    r->work->again = e->code == ERR_DEVICE && en->held.d->status == DEV_BROKEN;
    end_run(en, r);
}

static void drop_cancelled(engine *en)
{
    err e = {0};
    err_set(&e, ERR_CANCELLED, "cancelled");
    for (work **at = &en->waiting; *at;) {
        work *w = *at;
        if (!atomic_load(&w->cancelled)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->error = e;
        let_go(en, w);
    }
    for (run *r = en->runs, *next; r; r = next) {
        next = r->next;
        if (atomic_load(&r->work->cancelled))
            fail_run(en, r, &e);
    }
}

/* ---------------------------------------------------------------- pictures out */

/* A picture that needs no device: the input as it is. */
static int copy_untouched(run *r, image *out, err *e)
{
    const image *in = &r->work->task.init;
    int rc = image_new(out, in->w, in->h, in->channels, e);
    if (!rc)
        memcpy(out->px, in->px, (size_t)in->w * (size_t)in->h * (size_t)in->channels);
    return rc;
}

static void hand_out(engine *en, run *r, int index, image *picture)
{
    r->handed_out++;
    atomic_fetch_add(&r->work->open_parts, 1);
    en->options.events.picture(en->options.events.arg, r->work, index, picture);
}

/* Hands out every picture of a job that needs no step at all (noop, strength 0 with fixed steps).
 */
static int finish_at_once(engine *en, run *r, err *e)
{
    int rc = 0;
    while (!rc && !run_complete(r)) {
        image picture = {0};
        rc = copy_untouched(r, &picture, e);
        if (!rc)
            hand_out(en, r, r->handed_out, &picture);
    }
    return rc;
}

/* Decodes the sequences of a run that have ended; ends the run when it was the last, or failed. */
static void finish_sequences(engine *en, run *r)
{
    err e = {0};
    int rc = 0;
    en->now_run = r;
    for (seq *s = r->first, *next; s && !rc; s = next) {
        next = s->next;
        if (!seq_ended(s))
            continue;
        image picture = {0};
        int index = s->picture;
        rc = run_decode(&en->held, r, s, &picture, &e);
        if (!rc)
            hand_out(en, r, index, &picture);
    }
    en->now_run = NULL;
    if (rc)
        fail_run(en, r, &e);
    else if (run_complete(r))
        end_run(en, r);
}

/* ---------------------------------------------------------------- admission */

static int active_sequences(const engine *en)
{
    int n = 0;
    for (const run *r = en->runs; r; r = r->next)
        n += r->sequences;
    return n;
}

/* Lets runs begin their pictures, oldest first. */
static void begin_pictures(engine *en)
{
    for (run *r = en->runs, *next; r; r = next) {
        next = r->next;
        err e = {0};
        int room = ENGINE_ROWS_MAX - active_sequences(en);
        if (room > 0 && run_begin(&en->held, r, room, r->work->job.want_preview, &e) < 0)
            fail_run(en, r, &e);
    }
}

/* Takes in waiting works in order. The first that has to wait holds back those behind it, so that
 * none starves; false when it waits for memory. */
static bool admit_next(engine *en)
{
    err e = {0};
    work *w = take_first(&en->waiting);
    run asking = {.work = w};
    en->now_run = &asking;
    run *r = run_new(&en->held, en->options.models, w, &e);
    en->now_run = NULL;
    if (!r && e.code == ERR_BUSY && en->runs) {
        w->next = en->waiting;
        en->waiting = w;
        return false;
    }
    if (!r) {
        w->error = e;
        let_go(en, w);
        return true;
    }
    en->options.events.started(en->options.events.arg, w);
    append_run(&en->runs, r);
    if (w->job.task == TASK_NOOP || w->task.untouched) {
        if (finish_at_once(en, r, &e))
            fail_run(en, r, &e);
        else
            end_run(en, r);
    }
    return true;
}

static void admit(engine *en)
{
    while (en->waiting && active_sequences(en) < ENGINE_ROWS_MAX && admit_next(en))
        begin_pictures(en);
    begin_pictures(en);
}

/* ---------------------------------------------------------------- stepping */

static void publish(engine *en, const batch *b)
{
    pthread_mutex_lock(&en->lock);
    engine_status *s = &en->status;
    s->memory_bytes = en->held.d->scratch.peak;
    s->models = 0;
    for (const resident *r = en->held.first; r; r = r->next) {
        s->memory_bytes += r->model->weights.used;
        if (s->models < (int)(sizeof s->model / sizeof *s->model))
            snprintf(s->model[s->models++], sizeof *s->model, "%s", r->model->name);
    }
    s->busy_since_ms = b ? clock_ms() : 0;
    s->busy_limit_ms = BUSY_LEAST_MS;
    if (b) {
        s->busy_limit_ms += (int64_t)(batch_flops(b, &en->held) / SLOWEST_FLOPS_PER_MS);
        s->evaluations++;
        s->rows = b->rows;
        for (int i = 0; i < b->rows; i++) {
            const seq *q = b->at[i].seq;
            s->row[i] = (engine_row){.id = b->at[i].run->work->job.id,
                                     .picture = q->picture,
                                     .sampler = q->sampler.kind,
                                     .step = q->sampler.step,
                                     .steps = q->sampler.steps};
        }
    }
    pthread_mutex_unlock(&en->lock);
}

static bool preview_of(engine *en, run *r, image *out)
{
    /* rows: latent channels; columns: R, G, B (the web UI's "approx cheap" matrix for SD 1.x) */
    static const float matrix[4][3] = {{0.298f, 0.207f, 0.208f},
                                       {0.187f, 0.286f, 0.173f},
                                       {-0.158f, 0.189f, 0.264f},
                                       {-0.184f, -0.271f, -0.473f}};
    dev *d = en->held.d;
    err ignored = {0};
    const int64_t now = clock_ms();
    if (!r->first || !tensor_given(r->first->denoised) || now - r->preview_ms < PREVIEW_EVERY_MS)
        return false;
    if (image_new(out, (int)r->w, (int)r->h, 3, &ignored))
        return false;
    r->preview_ms = now;
    size_t mark = dev_mark(d);
    dev_download(d, out->px, op_preview(d, NEW, r->first->denoised, matrix));
    dev_release(d, mark);
    return true;
}

static void report(engine *en, run *r)
{
    work_progress p;
    image preview = {0};
    run_progress(r, &p);
    bool seen = preview_of(en, r, &preview);
    en->options.events.progress(en->options.events.arg, r->work, &p, seen ? &preview : NULL);
}

static bool run_is_finite(const batch *b, const run *r, const bool *finite)
{
    for (int i = 0; i < b->rows; i++)
        if (b->at[i].run == r && !finite[i])
            return false;
    return true;
}

/* Ends the runs with a row that is not finite; the sequences of the others go into `alive`. */
static int fail_not_finite(engine *en, const batch *b, const bool *finite, seq **alive)
{
    int n = 0;
    for (int i = 0; i < b->sequences; i++)
        if (run_is_finite(b, b->owner[i], finite))
            alive[n++] = b->seq[i];
    for (run *r = en->runs, *next; r; r = next) {
        next = r->next;
        if (run_is_finite(b, r, finite))
            continue;
        err e = {0};
        err_set(&e, ERR_DEVICE,
                "the UNet gave NaN or infinity: model %s is damaged or does not suit the job",
                b->resident->model->name);
        fail_run(en, r, &e);
    }
    return n;
}

/* A device error hits everybody in the batch, but a stop only those who were cancelled
 * (drop_cancelled will find them). */
static void fail_batch(engine *en, const batch *b)
{
    dev *d = en->held.d;
    err e = {0};
    const dev_status status = d->status;
    err_set(&e, status == DEV_NO_MEMORY ? ERR_NO_MEMORY : ERR_DEVICE, "stepping: %s", d->error);
    dev_clear(d);
    if (status == DEV_STOPPED)
        return;
    for (run *r = en->runs, *next; r; r = next) {
        next = r->next;
        for (int i = 0; i < b->sequences; i++)
            if (b->owner[i] == r) {
                fail_run(en, r, &e);
                break;
            }
    }
}

static void count_evaluations(batch *b)
{
    for (int i = 0; i < b->sequences; i++)
        if (seq_rows_ready(b->seq[i])) {
            if (!b->owner[i]->evaluations_done++)
                b->owner[i]->began = clock_seconds();
        }
}

/* One UNet call and the steps that follow from it. */
static void run_batch(engine *en, batch *b)
{
    bool finite[ENGINE_ROWS_MAX];
    dev *d = en->held.d;
    publish(en, b);
    en->now = b;
    batch_evaluate(b, &en->held, finite);
    en->now = NULL;
    publish(en, NULL);
    if (d->status != DEV_OK) {
        fail_batch(en, b);
        return;
    }
    seq *alive[ENGINE_ROWS_MAX];
    count_evaluations(b);
    int n = fail_not_finite(en, b, finite, alive);
    seq_step(d, alive, n);
}

/* ---------------------------------------------------------------- the loop */

/* Moves the inbox to the waiting list; sleeps while there is nothing to do. false: stop. */
static bool take_inbox(engine *en)
{
    pthread_mutex_lock(&en->lock);
    while (!en->stopping && !en->inbox && !en->woken && !en->waiting && !en->runs)
        pthread_cond_wait(&en->wake, &en->lock);
    while (en->inbox)
        append_work(&en->waiting, take_first(&en->inbox));
    en->woken = false;
    bool go_on = !en->stopping;
    pthread_mutex_unlock(&en->lock);
    return go_on;
}

static void *engine_main(void *arg)
{
    engine *en = arg;
    batch b;
    while (take_inbox(en)) {
        drop_cancelled(en);
        admit(en);
        if (batch_pick(&b, &en->held, en->runs, ++en->turn))
            run_batch(en, &b);
        for (run *r = en->runs, *next; r; r = next) {
            next = r->next;
            report(en, r);
            finish_sequences(en, r);
        }
    }
    for (run *r = en->runs; r; r = r->next)
        atomic_store(&r->work->cancelled, true);
    for (work *w = en->waiting; w; w = w->next)
        atomic_store(&w->cancelled, true);
    drop_cancelled(en);
    residents_done(&en->held);
    return NULL;
}

/* ---------------------------------------------------------------- life */

static int64_t default_budget(void)
{
    return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 10 * 8;
}

static int open_devices(engine *en, err *e)
{
    char why[256];
    dev_options dry = en->options.device;
    dry.dry = true;
    residents *held = &en->held;
    held->budget = en->options.memory_budget ? en->options.memory_budget : default_budget();
    held->d = dev_new(&en->options.device, why);
    held->dry = held->d ? dev_new(&dry, why) : NULL;
    if (!held->dry)
        return err_set(e, ERR_DEVICE, "device %s:%d: %s", en->options.device.backend,
                       en->options.device.ordinal, why);
    held->d->stop = nobody_wants_it;
    held->d->stop_arg = en;
    snprintf(en->status.name, sizeof en->status.name, "%s", held->d->name);
    snprintf(en->status.class_name, sizeof en->status.class_name, "%.120s, budget %lld MiB",
             held->d->class_name, (long long)(held->budget >> 20));
    en->status.budget_bytes = (uint64_t)held->budget;
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
    if (!open_devices(en, e)) {
        en->running = !pthread_create(&en->thread, NULL, engine_main, en);
        if (!en->running)
            err_set(e, ERR_NO_MEMORY, "cannot start the engine's thread");
    }
    if (!en->running)
        engine_free(&en);
    return en;
}

void engine_free(engine **at)
{
    engine *en = *at;
    if (!en)
        return;
    if (en->running) {
        atomic_store(&en->hard_stop, true);
        pthread_mutex_lock(&en->lock);
        en->stopping = true;
        pthread_cond_signal(&en->wake);
        pthread_mutex_unlock(&en->lock);
        pthread_join(en->thread, NULL);
    }
    while (en->inbox) {
        work *w = take_first(&en->inbox);
        err_set(&w->error, ERR_CANCELLED, "the worker stops");
        let_go(en, w);
    }
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
    append_work(&en->inbox, w);
    pthread_cond_signal(&en->wake);
    pthread_mutex_unlock(&en->lock);
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
