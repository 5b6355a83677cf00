/* Walks that come again are played as graphs: see dev_run in dev.h. A walk is first listened to:
 * its ops launch nothing, but what they would launch is hashed and what the host hands over is
 * noted, which takes microseconds. A walk never heard before is then done as it is; that makes all
 * plans. The second time it is captured; from then on it is played: one copy of what was handed
 * over, one launch. Nobody has to say what a walk depends on, because the hash is of all of it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device.h"

enum { RECORDS_MOST = 96, QUESTIONS_MOST = 8, HAND_ALIGN = 16 };

typedef struct {
    uint64_t a, b;
} walk_hash;

typedef struct {
    void *host;
    size_t at, bytes;
} question;

typedef struct record {
    struct record *next;
    walk_hash hash;
    uint64_t turn;         /* when it was played last */
    cudaGraphExec_t graph; /* NULL: heard once, not captured yet */
    mirror hand, ask;
} record;

struct recorder {
    record *records;
    int count;
    uint64_t turn;
    /* of the walk that is listened to, and then captured or played */
    walk_hash hash;
    char *handed;
    size_t handed_bytes, handed_room, asked_bytes;
    question question[QUESTIONS_MOST];
    int questions;
    record *into;  /* what is captured */
    question open; /* of ACT: asked, and not answered yet */
};

/* ---- what ops hand over and ask ---- */

static size_t aligned(size_t bytes)
{
    return (bytes + HAND_ALIGN - 1) / HAND_ALIGN * HAND_ALIGN;
}

static void mix(walk_hash *h, uint64_t word)
{
    h->a = (h->a ^ word) * 0x9e3779b97f4a7c15u;
    h->a ^= h->a >> 29;
    h->b = (h->b + word) * 0xd6e8feb86659fd93u;
    h->b ^= h->b >> 32;
}

static void hear(dev *d, recorder *r, const void *host, size_t bytes)
{
    if (r->handed_bytes + aligned(bytes) > r->handed_room) {
        size_t room = 2 * (r->handed_room + aligned(bytes));
        char *more = realloc(r->handed, room);
        if (!more) {
            dev_fail(d, DEV_NO_MEMORY, "%s: no memory for a step's arguments", d->name);
            return;
        }
        r->handed = more;
        r->handed_room = room;
    }
    memset(r->handed + r->handed_bytes, 0, aligned(bytes));
    memcpy(r->handed + r->handed_bytes, host, bytes);
    r->handed_bytes += aligned(bytes);
}

/* A place of a mirror for so many bytes; NULL: there is not so much. */
static char *place(mirror *m, size_t bytes, char *of)
{
    if (aligned(bytes) > m->room - m->used)
        return NULL;
    of += m->used;
    m->used += aligned(bytes);
    return of;
}

static const void *hand_over(dev *d, gpu *g, const void *host, size_t bytes)
{
    mirror *m = &g->hand;
    assert(bytes <= m->room);
    if (aligned(bytes) > m->room - m->used) { /* what was handed over before has been read then */
        if (!gpu_waited(d))
            return NULL;
        m->used = 0;
    }
    const size_t at = m->used;
    m->used += aligned(bytes);
    memcpy(m->host + at, host, bytes);
    gpu_good(d,
             cudaMemcpyAsync(m->there + at, m->host + at, bytes, cudaMemcpyHostToDevice, g->stream),
             "handing over arguments");
    return m->there + at;
}

const void *hand(dev *d, const void *host, size_t bytes)
{
    gpu *g = gpu_of(d);
    if (!g)
        return NULL;
    switch (g->mode) {
    case ACT: return hand_over(d, g, host, bytes);
    case LISTEN: hear(d, g->recorder, host, bytes); return NULL;
    case CAPTURE: break;
    }
    mirror *m = &g->recorder->into->hand;
    return place(m, bytes, m->there);
}

void *ask(dev *d, void *host, size_t bytes)
{
    gpu *g = gpu_of(d);
    if (!g)
        return NULL;
    recorder *r = g->recorder;
    assert(bytes <= ASK_BYTES);
    if (g->mode == CAPTURE)
        return place(&r->into->ask, bytes, r->into->ask.there);
    r->open = (question){host, 0, bytes};
    if (g->mode == ACT)
        return g->ask.there;
    assert(r->questions < QUESTIONS_MOST);
    r->question[r->questions++] = (question){host, r->asked_bytes, bytes};
    r->asked_bytes += aligned(bytes);
    return NULL;
}

void asked(dev *d)
{
    gpu *g = gpu_of(d);
    if (!g || g->mode != ACT)
        return;
    const question *q = &g->recorder->open;
    if (gpu_good(
            d,
            cudaMemcpyAsync(g->ask.host, g->ask.there, q->bytes, cudaMemcpyDeviceToHost, g->stream),
            "an answer") &&
        gpu_waited(d))
        memcpy(q->host, g->ask.host, q->bytes);
}

bool launches(dev *d, const char *kernel, const uint64_t *word, int words)
{
    gpu *g = gpu_of(d);
    if (!g)
        return false;
    if (g->mode != LISTEN)
        return true;
    recorder *r = g->recorder;
    for (const char *c = kernel; *c; c++)
        mix(&r->hash, (unsigned char)*c);
    for (int i = 0; i < words; i++)
        mix(&r->hash, word[i]);
    mix(&r->hash, r->handed_bytes);
    return false;
}

/* ---- records ---- */

static void record_free(record *r)
{
    if (r->graph)
        cudaGraphExecDestroy(r->graph);
    mirror_close(&r->hand);
    mirror_close(&r->ask);
    free(r);
}

static record *find(const recorder *r)
{
    for (record *one = r->records; one; one = one->next)
        if (one->hash.a == r->hash.a && one->hash.b == r->hash.b)
            return one;
    return NULL;
}

static void drop_oldest(recorder *r)
{
    record **oldest = &r->records;
    for (record **at = &r->records; *at; at = &(*at)->next)
        if ((*at)->turn < (*oldest)->turn)
            oldest = at;
    record *gone = *oldest;
    *oldest = gone->next;
    record_free(gone);
    r->count--;
}

static void remember(recorder *r)
{
    record *one = calloc(1, sizeof *one);
    if (!one)
        return; /* it stays slow */
    if (r->count == RECORDS_MOST)
        drop_oldest(r);
    *one = (record){.next = r->records, .hash = r->hash, .turn = r->turn};
    r->records = one;
    r->count++;
}

bool recorder_forget(gpu *g)
{
    recorder *r = g->recorder;
    const bool any = r && r->records && g->mode != CAPTURE;
    while (any && r->records)
        drop_oldest(r);
    return any;
}

bool recorder_open(gpu *g)
{
    g->recorder = calloc(1, sizeof *g->recorder);
    return g->recorder != NULL;
}

void recorder_close(gpu *g)
{
    if (!g->recorder)
        return;
    recorder_forget(g);
    free(g->recorder->handed);
    free(g->recorder);
    g->recorder = NULL;
}

/* ---- walks ---- */

static void listen_to(dev *d, gpu *g, dev_walk *walk, void *arg)
{
    recorder *r = g->recorder;
    r->hash = (walk_hash){1, 2};
    r->handed_bytes = r->asked_bytes = 0;
    r->questions = 0;
    g->mode = LISTEN;
    walk(d, arg);
    g->mode = ACT;
}

/* The walk again, now that it has been counted and nobody stopped it. */
static void walk_again(dev *d, dev_walk *walk, void *arg)
{
    const dev_counters counted = d->counters;
    bool (*stop)(void *) = d->stop;
    d->stop = NULL;
    walk(d, arg);
    d->stop = stop;
    d->counters = counted;
}

/* A capture has to end whatever happens; the call itself may find no memory, and then has not ended
 * it. */
static void end_capture(dev *d, gpu *g, cudaGraph_t *graph)
{
    if (!gpu_good(d, cudaStreamEndCapture(g->stream, graph), "recording a step") &&
        cudaStreamEndCapture(g->stream, graph) != cudaSuccess)
        cudaGetLastError();
}

static bool make_graph(dev *d, gpu *g, record *one, dev_walk *walk, void *arg)
{
    cudaGraph_t graph = NULL;
    g->recorder->into = one;
    if (!gpu_good(d, cudaStreamBeginCapture(g->stream, cudaStreamCaptureModeThreadLocal),
                  "recording a step"))
        return false;
    g->mode = CAPTURE;
    walk_again(d, walk, arg);
    g->mode = ACT;
    end_capture(d, g, &graph);
    if (d->status == DEV_OK &&
        !gpu_good(d, cudaGraphInstantiate(&one->graph, graph, 0), "recording a step"))
        one->graph = NULL;
    if (graph)
        cudaGraphDestroy(graph);
    return one->graph != NULL;
}

/* False: it cannot be recorded now. Where that is for want of memory, nothing else is wrong. */
static bool capture(dev *d, gpu *g, record *one, dev_walk *walk, void *arg)
{
    const recorder *r = g->recorder;
    const char *what = "memory for a step's arguments";
    const bool room = gpu_good(d, mirror_open(&one->hand, r->handed_bytes + HAND_ALIGN), what) &&
                      gpu_good(d, mirror_open(&one->ask, r->asked_bytes + HAND_ALIGN), what);
    if (room && make_graph(d, g, one, walk, arg)) {
        assert(one->hand.used == r->handed_bytes && one->ask.used == r->asked_bytes);
        return true;
    }
    mirror_close(&one->hand);
    mirror_close(&one->ask);
    if (d->status == DEV_NO_MEMORY)
        dev_clear(d);
    return false;
}

/* False: nothing has been done. A graph may need memory when it is launched; without it, records
 * are a luxury. */
static bool launch(dev *d, gpu *g, record *one)
{
    const recorder *r = g->recorder;
    if (r->handed_bytes)
        memcpy(one->hand.host, r->handed, r->handed_bytes);
    if ((r->handed_bytes == 0 ||
         gpu_good(d,
                  cudaMemcpyAsync(one->hand.there, one->hand.host, r->handed_bytes,
                                  cudaMemcpyHostToDevice, g->stream),
                  "handing over arguments")) &&
        gpu_good(d, cudaGraphLaunch(one->graph, g->stream), "playing a step"))
        return true;
    if (d->status == DEV_NO_MEMORY) {
        dev_clear(d);
        if (gpu_waited(d))
            recorder_forget(g);
    }
    return false;
}

static void answer(dev *d, gpu *g, const record *one)
{
    const recorder *r = g->recorder;
    const bool copied = r->asked_bytes == 0 ||
                        gpu_good(d,
                                 cudaMemcpyAsync(one->ask.host, one->ask.there, r->asked_bytes,
                                                 cudaMemcpyDeviceToHost, g->stream),
                                 "an answer");
    const bool good = copied && gpu_waited(d);
    for (int i = 0; i < r->questions && good; i++)
        memcpy(r->question[i].host, one->ask.host + r->question[i].at, r->question[i].bytes);
}

void recorder_run(dev *d, dev_walk *walk, void *arg)
{
    gpu *g = gpu_of(d);
    if (!g)
        return;
    recorder *r = g->recorder;
    listen_to(d, g, walk, arg);
    if (d->status != DEV_OK)
        return;
    r->turn++;
    record *one = find(r);
    if (one)
        one->turn = r->turn;
    if (one && (one->graph || capture(d, g, one, walk, arg)) && launch(d, g, one)) {
        answer(d, g, one);
    } else if (d->status == DEV_OK) {
        walk_again(d, walk, arg);
        if (d->status != DEV_OK)
            return;
        choices_keep(g); /* a process may end without closing its device */
        if (!find(r))
            remember(r); /* all plans are there: none may be made in a capture */
    }
}
