/* A second device for an engine: see partner.h. The one idea: the engine waits for it in every
 * batch, so each of the two threads has the device while the other one sleeps, and trouble of the
 * second device becomes trouble of the first, which the engine knows how to deal with. */
#include "worker/partner.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/log.h"

struct partner {
    dev *d;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    dev_walk *walk; /* to be done; NULL: nothing */
    void *arg;
    bool stopping;
};

/* ---------------------------------------------------------------- the thread */

static void *partner_main(void *arg)
{
    partner *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        if (!p->walk) {
            pthread_cond_wait(&p->changed, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        p->walk(p->d, p->arg);
        pthread_mutex_lock(&p->lock);
        p->walk = NULL;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* What went wrong on the partner's device goes on as trouble of the first. */
static void pass_on(partner *p, dev *first)
{
    if (p->d->status != DEV_OK)
        dev_fail(first, p->d->status, "%s", p->d->error);
    dev_clear(p->d);
}

void partner_begin(partner *p, dev_walk *walk, void *arg)
{
    pthread_mutex_lock(&p->lock);
    p->walk = walk;
    p->arg = arg;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

void partner_end(partner *p, dev *first)
{
    pthread_mutex_lock(&p->lock);
    while (p->walk)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pass_on(p, first);
}

/* ---------------------------------------------------------------- life */

static int open_device(partner *p, const dev_options *o, const dev *first, err *e)
{
    char why[256];
    p->d = dev_new(o, why);
    if (!p->d)
        return err_set(e, ERR_DEVICE, "device %s:%d: %s", o->backend, o->ordinal, why);
    if (strcmp(p->d->class_name, first->class_name) != 0)
        return err_set(e, ERR_INVALID,
                       "--cfg-parallel wants devices of one kind in a pair: %s is \"%.90s\", %s is "
                       "\"%.90s\"",
                       first->name, first->class_name, p->d->name, p->d->class_name);
    p->d->stop = first->stop;
    p->d->stop_arg = first->stop_arg;
    log_event(LOG_INFO, "engine", "paired", "device=%s partner=%s", first->name, p->d->name);
    return 0;
}

partner *partner_new(const dev_options *o, const dev *first, err *e)
{
    partner *p = calloc(1, sizeof *p);
    if (!p) {
        err_set(e, ERR_NO_MEMORY, "no memory for a second device");
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    if (!open_device(p, o, first, e)) {
        p->running = !pthread_create(&p->thread, NULL, partner_main, p);
        if (!p->running)
            err_set(e, ERR_NO_MEMORY, "cannot start the second device's thread");
    }
    if (!p->running)
        partner_free(&p);
    return p;
}

void partner_free(partner **at)
{
    partner *p = *at;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (p->running)
        pthread_join(p->thread, NULL);
    dev_free(&p->d);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
    *at = NULL;
}

dev *partner_dev(partner *p)
{
    return p->d;
}

/* ---------------------------------------------------------------- what it holds */

void partner_load(partner *p, dev *first, unet_copy *to, const model *m, err *e)
{
    if (!p || !m)
        return;
    char by[2 * sizeof p->d->carrier];
    dev_wait(first);
    if (first->status == DEV_OK && unet_copy_load(to, p->d, m, first, e) == ERR_OK)
        log_event(LOG_INFO, "engine", "model_copied", "device=%s from=%s by=%s", p->d->name,
                  first->name, log_quote(by, sizeof by, p->d->carrier));
    else if (first->status != DEV_OK)
        err_set(e, params_code(first), "%s", first->error);
    pass_on(p, first);
}

tensor partner_keep(partner *p, dev *first, tensor t)
{
    tensor kept = {0};
    if (!p || first->status != DEV_OK)
        return kept;
    kept = dev_keep(p->d, t.type, t.dim[0], t.dim[1], t.dim[2], t.dim[3]);
    dev_wait(first);
    if (p->d->status == DEV_OK && first->status == DEV_OK)
        dev_copy(p->d, kept, first, t, COPY_OFTEN);
    dev_wait(p->d); /* the original may go before it is used */
    pass_on(p, first);
    return kept;
}

void partner_drop(partner *p, tensor *t)
{
    if (p)
        dev_drop(p->d, t);
}

size_t partner_bytes(const partner *p)
{
    return p ? p->d->kept + p->d->scratch.peak : 0;
}

void partner_trim(partner *p)
{
    if (p)
        arena_trim(&p->d->scratch);
}
