/* What a device holds between jobs: loaded models, the conditioning of recent prompts, and what one
 * call costs. All of it counts against one memory budget; what nobody uses goes, least recent
 * first. */
#ifndef WORKER_RESIDENTS_H
#define WORKER_RESIDENTS_H

#include "worker/model/plan.h"
#include "worker/model/tokenizer.h"

/* A prompt as the UNet takes it. */
typedef struct conditioning {
    struct conditioning *next;
    token_chunks chunks; /* the key, with clip_skip */
    int clip_skip;
    tensor context; /* [1,1,77*chunks,c], kept */
    int tokens;     /* 77 * chunks */
    int users;
    uint64_t used_at;
} conditioning;

/* What calls of one shape take, by the dry run; h and w in latent cells. */
typedef struct {
    int64_t rows, h, w, tokens;
    model_costs costs;
} resident_cost;

enum { RESIDENT_COSTS = 64 };

typedef struct resident {
    struct resident *next;
    model *model;
    char path[1024];
    int users; /* jobs that run with it */
    uint64_t used_at;
    conditioning *texts;
    resident_cost cost[RESIDENT_COSTS];
    int costs;
} resident;

typedef struct {
    dev *d, *dry; /* dry: the same device without memory */
    int64_t budget;
    resident *first;
    uint64_t clock; /* counts uses */
} residents;

void residents_done(residents *all);

/* The model at `path`, loaded when it is not, with one more user. ERR_BUSY: it would fit once
 * models in use are given back; ERR_NO_MEMORY: it never fits the budget. */
resident *residents_get(residents *all, const char *path, err *e);
void residents_put(residents *all, resident *r);

/* Costs of `rows` rows of h x w cells with contexts of `tokens`, cached. */
model_costs residents_cost(residents *all, resident *r, int64_t rows, int64_t h, int64_t w,
                           int64_t tokens);

/* 0 when weights and the largest scratch of such calls fit the budget (unused models are dropped to
 * make room); ERR_BUSY when they would without other models in use, ERR_NO_MEMORY when never. */
int residents_fit(residents *all, resident *r, int64_t rows, int64_t h, int64_t w, int64_t tokens,
                  err *e);

/* The conditioning of a prompt, encoded when it is not at hand, with one more user. */
conditioning *residents_text(residents *all, resident *r, const token_chunks *chunks, int clip_skip,
                             err *e);
void residents_text_put(conditioning *c);

#endif
