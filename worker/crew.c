/* The crew: see crew.h. */
#include "worker/crew.h"

#include <pthread.h>
#include <stdlib.h>

enum { CREW_MAX = 64 };

typedef struct piece {
    struct piece *next;
    crew_work *fn;
    void *arg;
} piece;

struct crew {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    piece *first, **end;
    bool stopping;
    int threads;
    pthread_t thread[CREW_MAX];
};

static piece *next_piece(crew *c)
{
    pthread_mutex_lock(&c->lock);
    while (!c->first && !c->stopping)
        pthread_cond_wait(&c->wake, &c->lock);
    piece *p = c->first;
    if (p) {
        c->first = p->next;
        if (!c->first)
            c->end = &c->first;
    }
    pthread_mutex_unlock(&c->lock);
    return p;
}

static void *crew_main(void *arg)
{
    for (piece *p; (p = next_piece(arg));) {
        p->fn(p->arg);
        free(p);
    }
    return NULL;
}

crew *crew_new(int threads, err *e)
{
    crew *c = calloc(1, sizeof *c);
    if (!c) {
        err_set(e, ERR_NO_MEMORY, "no memory for the crew");
        return NULL;
    }
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    c->end = &c->first;
    while (c->threads < threads && c->threads < CREW_MAX &&
           !pthread_create(&c->thread[c->threads], NULL, crew_main, c))
        c->threads++;
    if (!c->threads) {
        err_set(e, ERR_NO_MEMORY, "cannot start a thread");
        crew_free(&c);
    }
    return c;
}

void crew_free(crew **at)
{
    crew *c = *at;
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->threads; i++)
        pthread_join(c->thread[i], NULL);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
    *at = NULL;
}

bool crew_do(crew *c, crew_work *fn, void *arg)
{
    piece *p = malloc(sizeof *p);
    if (!p)
        return false;
    *p = (piece){.fn = fn, .arg = arg};
    pthread_mutex_lock(&c->lock);
    *c->end = p;
    c->end = &p->next;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    return true;
}
