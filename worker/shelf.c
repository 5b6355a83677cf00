/* Models that engines share: see shelf.h. The one idea: a place on the shelf is made before its
 * model is read, so the second engine that comes finds it, and waits for the reading to end one way
 * or the other: then it copies, or finds no place and reads by itself. */
#include "worker/shelf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/clock.h"
#include "proto/log.h"

enum { LOOK_EVERY_MS = 20 }; /* whether a waiting engine was stopped */

struct shelved {
    shelved *next;
    model_file file;
    const dev *d;       /* where it is; of it only what never changes is read, and */
    int winograd_most;  /* what d's options were when it was packed */
    const model *model; /* NULL: it is being read */
    int borrowers;      /* engines that copy it */
};

struct shelf {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    shelved *first;
};

shelf *shelf_new(err *e)
{
    shelf *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_NO_MEMORY, "no memory for the models that engines share");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    clock_condition(&s->changed);
    return s;
}

void shelf_free(shelf **at)
{
    shelf *s = *at;
    if (!s)
        return;
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *at = NULL;
}

/* ---------------------------------------------------------------- places */

/* Would the weights be the same bytes on this device? */
static bool suits(const shelved *p, const dev *d, const model_file *file)
{
    return p->d != d && models_same(&p->file, file) &&
           p->winograd_most == d->options.winograd_most &&
           strcmp(p->d->class_name, d->class_name) == 0;
}

/* One that is there rather than one that is being read. */
static shelved *find(const shelf *s, const dev *d, const model_file *file)
{
    shelved *found = NULL;
    for (shelved *p = s->first; p; p = p->next)
        if (suits(p, d, file) && (!found || !found->model))
            found = p;
    return found;
}

/* `own` goes onto the shelf. Returns the place to copy from, borrowed; NULL: there is none, and
 * `own` stands for a model that is being read; or d was stopped. */
static shelved *borrow(shelf *s, dev *d, shelved *own)
{
    shelved *from = NULL;
    bool stopped = false;
    pthread_mutex_lock(&s->lock);
    while ((from = find(s, d, &own->file)) && !from->model && !stopped) {
        clock_wait(&s->changed, &s->lock, clock_ms() + LOOK_EVERY_MS);
        stopped = d->stop && d->stop(d->stop_arg);
    }
    if (stopped)
        dev_fail(d, DEV_STOPPED, "%s: stopped", d->name);
    else if (from)
        from->borrowers++;
    else {
        own->next = s->first;
        s->first = own;
    }
    pthread_mutex_unlock(&s->lock);
    return stopped ? NULL : from;
}

static void return_borrowed(shelf *s, shelved *from)
{
    pthread_mutex_lock(&s->lock);
    from->borrowers--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* The model is there: `own` goes onto the shelf unless it is there already. */
static void show(shelf *s, shelved *own, const model *m)
{
    pthread_mutex_lock(&s->lock);
    const shelved *at = s->first;
    while (at && at != own)
        at = at->next;
    if (!at) {
        own->next = s->first;
        s->first = own;
    }
    own->model = m;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void shelf_give_back(shelf *s, shelved **place)
{
    shelved *own = *place;
    if (!own)
        return;
    pthread_mutex_lock(&s->lock);
    shelved **at = &s->first;
    while (*at && *at != own)
        at = &(*at)->next;
    if (*at)
        *at = own->next; /* nobody finds it any more */
    pthread_cond_broadcast(&s->changed);
    while (own->borrowers)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    free(own);
    *place = NULL;
}

/* ---------------------------------------------------------------- loading */

static model *copy_borrowed(shelf *s, dev *d, shelved *from, err *e)
{
    char by[2 * sizeof d->carrier];
    model *m = model_copy(d, from->model, from->d, e);
    if (m)
        log_event(LOG_INFO, "engine", "model_copied", "device=%s from=%s by=%s", d->name,
                  from->d->name, log_quote(by, sizeof by, d->carrier));
    return_borrowed(s, from);
    return m;
}

/* The model of own->file, by whichever way there is. */
static model *copy_or_read(shelf *s, dev *d, shelved *own, err *e)
{
    shelved *from = borrow(s, d, own);
    if (from)
        return copy_borrowed(s, d, from, e);
    return d->status == DEV_OK ? model_load(d, own->file.path, e) : NULL;
}

model *shelf_load(shelf *s, dev *d, const model_file *file, shelved **place, err *e)
{
    *place = NULL;
    if (!s)
        return model_load(d, file->path, e);
    shelved *own = calloc(1, sizeof *own);
    if (!own) {
        err_set(e, ERR_NO_MEMORY, "no memory to load %s", file->path);
        return NULL;
    }
    *own = (shelved){.file = *file, .d = d, .winograd_most = d->options.winograd_most};
    model *m = copy_or_read(s, d, own, e);
    dev_wait(d); /* others copy without asking this device */
    if (m && d->status != DEV_OK)
        model_free(&m);
    if (d->status != DEV_OK)
        err_set(e, params_code(d), "%s: %s", file->path, d->error);
    *place = own;
    if (m)
        show(s, own, m);
    else
        shelf_give_back(s, place);
    return m;
}
