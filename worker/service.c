/* The worker's inside: see service.h. The one idea: a work carries a count of the parts that are
 * still busy with it (the engine, and every picture being composed); whoever takes the last part
 * away sends it out. */
#include "worker/service.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/log.h"
#include "worker/crew.h"
#include "worker/monitor.h"
#include "worker/reply.h"
#include "worker/shelf.h"

enum { CREW_DEFAULT = 2 };

struct service {
    models *models;
    shelf *shelf; /* NULL: there is one engine */
    tokenizer *words;
    crew *crew;
    int devices;
    engine *engine[SERVICE_DEVICES_MAX];
    int load[SERVICE_DEVICES_MAX]; /* works given to each; the net thread's */
    monitor *monitor;

    pthread_mutex_t lock; /* guards the events and the error of a work with several parts */
    service_event *first, **end;
    int descriptor;
};

/* Something the crew is to do for a work. */
typedef struct {
    service *service;
    work *work;
    int scene, number;       /* of the picture, or the scene to be made */
    scene_result sampled;    /* to be taken */
    image preview;           /* to be encoded */
    task_output output;      /* to be composed */
    service_event *progress; /* preview: the event it belongs to */
} part;

/* ---------------------------------------------------------------- events */

static void send_event(service *s, service_event *ev)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&s->lock);
    *s->end = ev;
    s->end = &ev->next;
    pthread_mutex_unlock(&s->lock);
    if (write(s->descriptor, &one, sizeof one) < 0)
        return; /* the counter is full: the reader is awake anyway */
}

static service_event *new_event(service_event_kind kind, const work *w)
{
    service_event *ev = calloc(1, sizeof *ev);
    if (ev)
        *ev = (service_event){.kind = kind, .id = w->job.id, .lease = w->lease};
    return ev;
}

service_event *service_next(service *s)
{
    uint64_t count;
    pthread_mutex_lock(&s->lock);
    service_event *ev = s->first;
    if (ev) {
        s->first = ev->next;
        if (!s->first)
            s->end = &s->first;
        ev->next = NULL;
    } else if (read(s->descriptor, &count, sizeof count) < 0) {
        ; /* nothing was waiting */
    }
    pthread_mutex_unlock(&s->lock);
    if (ev && ev->kind == EVENT_COMPLETE)
        s->load[ev->work->device]--;
    return ev;
}

void service_event_free(service_event **at)
{
    if (*at) {
        free((*at)->preview);
        work_free(&(*at)->work);
        free(*at);
    }
    *at = NULL;
}

int service_descriptor(const service *s)
{
    return s->descriptor;
}

/* ---------------------------------------------------------------- parts */

/* The first error is the work's; nobody needs to go on with it. */
static void fail(service *s, work *w, const err *e)
{
    pthread_mutex_lock(&s->lock);
    err_set(&w->error, e->code, "%s", e->text);
    pthread_mutex_unlock(&s->lock);
    atomic_store(&w->cancelled, true);
    engine_wake(s->engine[w->device]);
}

/* One part fewer; the last one sends the work out. */
static void part_done(service *s, work *w)
{
    if (atomic_fetch_sub(&w->open_parts, 1) > 1)
        return;
    service_event *ev = w->complete;
    w->complete = NULL;
    send_event(s, ev);
}

static void part_drop(part *p)
{
    scene_result_done(&p->sampled);
    image_done(&p->preview);
    image_done(&p->output.picture);
}

static void part_free(part *p)
{
    part_drop(p);
    free(p);
}

/* The part is over; `e`: what came of it. */
static void part_end(part *p, const err *e)
{
    if (e->code)
        fail(p->service, p->work, e);
    part_done(p->service, p->work);
    part_free(p);
}

/* Gives the crew something to do for a work; the caller has counted the part. Takes over what
 * `from` owns. */
static void part_begin(const part *from, crew_work *fn)
{
    part *p = malloc(sizeof *p);
    if (p)
        *p = *from;
    if (p && crew_do(from->service->crew, fn, p))
        return;
    err e = {0};
    err_set(&e, ERR_NO_MEMORY, "no memory to go on with the job");
    fail(from->service, from->work, &e);
    part_done(from->service, from->work);
    part lost = *from;
    part_drop(&lost);
    free(p);
}

/* 0, or ERR_CANCELLED when nobody wants the work any more. */
static int still_wanted(const work *w, err *e)
{
    return atomic_load(&w->cancelled) ? err_set(e, ERR_CANCELLED, "cancelled") : 0;
}

/* ---------------------------------------------------------------- what the crew does */

/* The hash is a line of the metadata: a file that is gone by now costs that line, no picture. */
static int model_hash(service *s, work *w, char hash[65], err *e)
{
    err why = {0};
    hash[0] = 0;
    if (!w->task.samples)
        return 0;
    int rc = models_hash(s->models, &w->file, &w->cancelled, hash, &why);
    if (rc == ERR_CANCELLED)
        return err_set(e, rc, "%s", why.text);
    if (rc) {
        char quoted[sizeof why.text];
        log_event(LOG_WARN, "models", "unhashed", "text=%s",
                  log_quote(quoted, sizeof quoted, why.text));
        hash[0] = 0;
    }
    return 0;
}

/* A result that cannot be sent ends with the picture that is too much, not with the last one. */
static int count_bytes(work *w, size_t more, err *e)
{
    const size_t bytes = atomic_fetch_add(&w->result_bytes, more) + more;
    return bytes <= REPLY_BYTES_MAX
               ? 0
               : err_set(e, ERR_TOO_LARGE,
                         "the pictures made so far take %zu bytes, a result may have %d: ask for "
                         "fewer, or for JPEG",
                         bytes, REPLY_BYTES_MAX);
}

static void compose(void *arg)
{
    part *p = arg;
    work *w = p->work;
    char hash[65];
    err e = {0};
    int rc = still_wanted(w, &e);
    rc = rc ? rc : model_hash(p->service, w, hash, &e);
    rc = rc ? rc : task_compose(&w->task, &w->job, &p->output, w->model, hash, &e);
    if (!rc)
        count_bytes(w, w->task.result[p->output.index].size, &e);
    part_end(p, &e);
}

static void take(void *arg)
{
    part *p = arg;
    work *w = p->work;
    service *s = p->service;
    task_outputs whole = {0};
    err e = {0};
    int rc = still_wanted(w, &e);
    rc = rc ? rc : task_take(&w->task, &w->job, p->scene, p->number, &p->sampled, &whole, &e);
    rc = rc ? rc : engine_scene_taken(s->engine[w->device], w, p->scene, &e);
    for (int i = 0; i < whole.count && !rc; i++) {
        atomic_fetch_add(&w->open_parts, 1);
        part_begin(&(part){.service = s, .work = w, .output = whole.at[i]}, compose);
        whole.at[i].picture = (image){0};
    }
    task_outputs_done(&whole);
    part_end(p, &e);
}

static void make_scene(void *arg)
{
    part *p = arg;
    work *w = p->work;
    scene_input input = {0};
    err e = {0};
    int rc = still_wanted(w, &e);
    rc = rc ? rc : task_scene(&w->task, &w->job, p->scene, &input, &e);
    if (!rc)
        engine_scene_made(p->service->engine[w->device], w, p->scene, &input, &e);
    scene_input_done(&input);
    part_end(p, &e);
}

static void prepare(void *arg)
{
    part *p = arg;
    work *w = p->work;
    service *s = p->service;
    err e = {0};
    int rc = still_wanted(w, &e);
    rc = rc ? rc : task_prepare(&w->task, &w->job, s->words, &e);
    if (rc) {
        part_end(p, &e);
        return;
    }
    part_free(p); /* the part is the engine's from here on */
    engine_submit(s->engine[w->device], w);
}

static void encode_preview(void *arg)
{
    part *p = arg;
    err ignored = {0};
    image_encode(&p->progress->preview, &p->progress->preview_size, &p->preview, FORMAT_PNG, 0,
                 NULL, &ignored);
    send_event(p->service, p->progress); /* before the part ends: nothing follows its COMPLETE */
    part_end(p, &(err){0});
}

/* ---------------------------------------------------------------- what the engine says */

static void on_started(void *arg, work *w)
{
    service_event *ev = new_event(EVENT_STARTED, w);
    w->started_ms = clock_ms();
    if (ev)
        send_event(arg, ev);
}

/* A preview that finds no memory is left out. */
static void on_progress(void *arg, work *w, const work_progress *progress, image *preview)
{
    service *s = arg;
    service_event *ev = new_event(EVENT_PROGRESS, w);
    part *p = ev && preview ? malloc(sizeof *p) : NULL;
    if (ev)
        ev->progress = *progress;
    if (p) {
        *p = (part){.service = s, .work = w, .preview = *preview, .progress = ev};
        *preview = (image){0};
        atomic_fetch_add(&w->open_parts, 1);
        if (crew_do(s->crew, encode_preview, p))
            return;
        atomic_fetch_sub(&w->open_parts, 1); /* the engine's part is still open */
        part_free(p);
    }
    if (preview)
        image_done(preview);
    if (ev)
        send_event(s, ev);
}

static void on_scene(void *arg, work *w, int scene)
{
    part_begin(&(part){.service = arg, .work = w, .scene = scene}, make_scene);
}

static void on_picture(void *arg, work *w, int scene, int number, scene_result *sampled)
{
    part_begin(
        &(part){.service = arg, .work = w, .scene = scene, .number = number, .sampled = *sampled},
        take);
    *sampled = (scene_result){0};
}

static void on_finished(void *arg, work *w, const err *e, bool again)
{
    w->again = again;
    if (e)
        fail(arg, w, e);
    part_done(arg, w);
}

/* ---------------------------------------------------------------- works in */

static int least_loaded(const service *s)
{
    int best = 0;
    for (int i = 1; i < s->devices; i++)
        if (s->load[i] < s->load[best])
            best = i;
    return best;
}

int service_take(service *s, work *w, err *e)
{
    part *p = malloc(sizeof *p);
    w->complete = new_event(EVENT_COMPLETE, w);
    if (p && w->complete) {
        *p = (part){.service = s, .work = w};
        w->complete->work = w;
        w->device = least_loaded(s);
        w->started_ms = clock_ms();
        atomic_store(&w->open_parts, 1);
    }
    if (!p || !w->complete || !crew_do(s->crew, prepare, p)) {
        free(p);
        free(w->complete);
        w->complete = NULL;
        return err_set(e, ERR_NO_MEMORY, "no memory to take the job in");
    }
    s->load[w->device]++;
    return 0;
}

void service_cancel(service *s, work *w)
{
    atomic_store(&w->cancelled, true);
    engine_wake(s->engine[w->device]);
    models_wake(s->models);
}

/* ---------------------------------------------------------------- life */

static int open_engines(service *s, const service_options *o, err *e)
{
    const int step = o->cfg_parallel ? 2 : 1;
    if (o->devices > step && !(s->shelf = shelf_new(e)))
        return e->code;
    for (int i = 0; i < o->devices; i += step, s->devices++) {
        engine_options options = {
            .device = o->device[i],
            .partner = o->cfg_parallel ? &o->device[i + 1] : NULL,
            .models = s->models,
            .shelf = s->shelf,
            .memory_budget = o->memory_budget,
            .memory = o->memory,
            .sharing = o->devices,
            .events = {s, on_started, on_progress, on_scene, on_picture, on_finished}};
        s->engine[s->devices] = engine_new(&options, e);
        if (!s->engine[s->devices])
            return e->code;
    }
    return 0;
}

static int open_monitor(service *s, const char *nvml, err *e)
{
    monitor_options o = {.devices = s->devices, .nvml = nvml};
    for (int i = 0; i < s->devices; i++) {
        engine_status status;
        service_status(s, i, &status);
        snprintf(o.device[i].name, sizeof o.device[i].name, "%s", status.name);
        snprintf(o.device[i].hardware, sizeof o.device[i].hardware, "%s", status.hardware);
    }
    s->monitor = monitor_new(&o, e);
    return s->monitor ? 0 : e->code;
}

service *service_new(const service_options *o, err *e)
{
    assert(o->devices > 0 && o->devices <= SERVICE_DEVICES_MAX);
    assert(!o->cfg_parallel || o->devices % 2 == 0);
    service *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_NO_MEMORY, "no memory for the worker");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->end = &s->first;
    s->descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = s->descriptor < 0 ? err_set(e, ERR_IO, "cannot make an event descriptor") : 0;
    if (!rc && !(s->words = tokenizer_new(e)))
        rc = e->code;
    if (!rc && !(s->models = models_new(o->models, o->cache, e)))
        rc = e->code;
    if (!rc && !(s->crew = crew_new(o->crew ? o->crew : CREW_DEFAULT, e)))
        rc = e->code;
    if (!rc)
        rc = open_engines(s, o, e);
    if (!rc)
        rc = open_monitor(s, o->nvml, e);
    if (rc)
        service_free(&s);
    return s;
}

/* Engines and crew hand works to each other: the engines stop first, and refuse what the crew still
 * brings; then the crew ends; then nobody uses the engines any more. */
void service_free(service **at)
{
    service *s = *at;
    if (!s)
        return;
    monitor_free(&s->monitor);
    for (int i = 0; i < s->devices; i++)
        engine_stop(s->engine[i]);
    if (s->models)
        models_stop(s->models);
    crew_free(&s->crew);
    for (int i = 0; i < s->devices; i++)
        engine_free(&s->engine[i]);
    for (service_event *ev; (ev = service_next(s));)
        service_event_free(&ev);
    shelf_free(&s->shelf);
    models_free(&s->models);
    tokenizer_free(&s->words);
    if (s->descriptor >= 0)
        close(s->descriptor);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *at = NULL;
}

int service_devices(const service *s)
{
    return s->devices;
}

void service_status(service *s, int device, engine_status *status)
{
    engine_get_status(s->engine[device], status);
}

void service_telemetry(service *s, int device, telemetry *to)
{
    monitor_get(s->monitor, device, to);
}

models *service_models(service *s)
{
    return s->models;
}
