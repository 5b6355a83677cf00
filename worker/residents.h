/* What a device holds between jobs: loaded models, the conditioning of recent prompts, and what one
 * call costs. All of it counts against one memory budget; what nobody uses goes, least recent
 * first. */
#ifndef WORKER_RESIDENTS_H
#define WORKER_RESIDENTS_H

#include "worker/model/plan.h"
#include "worker/model/tokenizer.h"
#include "worker/model/upscaler.h"
#include "worker/models.h"
#include "worker/partner.h"
#include "worker/shelf.h"
#include "worker/text_rows.h"

/* A prompt as the UNet takes it. */
typedef struct conditioning {
    struct conditioning *next;
    uint64_t number;     /* of the device's texts: see text_rows.h */
    token_chunks chunks; /* the key, with clip_skip */
    int clip_skip;
    tensor text; /* [1,1,77*chunks,*] of unet_text, kept */
    tensor copy; /* of it on the partner's device */
    int tokens;  /* 77 * chunks */
    int users;
    uint64_t used_at;
} conditioning;

/* The shape of a UNet call and of the pictures that go with it; h and w in latent cells. */
typedef struct {
    int64_t rows, h, w, tokens;
} call_shape;

/* What calls of one shape take, by the dry run. */
typedef struct {
    call_shape shape;
    model_costs costs;
    bool starved; /* the device found no memory for one, whatever the budget says */
} resident_cost;

enum { RESIDENT_COSTS = 64 };

/* A loaded file: the networks that sample, or one that enlarges. */
typedef struct resident {
    struct resident *next;
    model *model;       /* one of */
    shelved *place;     /* of the model on the shelf */
    unet_copy copy;     /* of its UNet on the partner's device */
    upscaler *enlarger; /* the two */
    model_file file;
    int users; /* jobs that run with it */
    uint64_t used_at;
    conditioning *texts;
    resident_cost cost[RESIDENT_COSTS];
    int costs;
} resident;

typedef struct {
    dev *d, *dry;     /* dry: the same device without memory */
    shelf *shelf;     /* where other engines' models are; NULL: there are none */
    partner *partner; /* evaluates every other row; NULL: none */
    memory_mode mode;
    int64_t budget;
    size_t promised; /* the largest scratch a job inside may need, */
    size_t owed;     /* tensors that jobs inside will keep yet: their owner keeps both up to date */
    bool broken;     /* the device is lost: nothing will work any more */
    bool scarce;     /* the last shortage was the device's, not the budget's: it may pass */
    resident *first;
    uint64_t clock;               /* counts uses */
    bool tight;                   /* the device has had no memory since a model was idle */
    text_rows rows, partner_rows; /* see residents_text_rows */
} residents;

void residents_done(residents *all);

/* Whether networks take turns on the device: what needs the same one is done in a row then. */
static inline bool residents_take_turns(const residents *all)
{
    return all->mode != MEMORY_HIGH;
}

/* Bytes that count against the budget: weights, tensors that stay, scratch that was touched. */
int64_t residents_bytes(const residents *all);

/* The device's error as an error of the job: clears it, and remembers a lost device. Returns the
 * code: ERR_CANCELLED when it was stopped, ERR_NO_MEMORY, ERR_DEVICE. */
int residents_error(residents *all, const char *what, err *e);

/* Whether another worker, or this one later, may do what failed with this error. */
bool residents_again(const residents *all, const err *e);

/* After a shortage of the device's: gives back all that is at hand and nobody uses. */
void residents_relieve(residents *all);

/* A call of this shape found no memory: no larger one is tried until the model has been idle. */
void residents_starved(residents *all, resident *r, call_shape shape);

/* The model, loaded when it is not, with one more user. ERR_BUSY: it would fit once
 * what is in use is given back (some of it may be the caller's own); ERR_NO_MEMORY: it never fits
 * the budget. */
resident *residents_get(residents *all, const model_file *file, err *e);
void residents_put(residents *all, resident *r);

/* The same for an upscaler's file, of which tiles of at most width x height pixels will be
 * enlarged.
 */
resident *residents_enlarger(residents *all, const model_file *file, int width, int height, err *e);

/* What enlarging a tile of this size takes. */
model_cost residents_enlarge_cost(residents *all, const resident *r, int width, int height);

const char *resident_name(const resident *r);

/* Costs of calls of this shape, cached. */
model_costs residents_cost(residents *all, resident *r, call_shape shape);

/* 0 when `keep` more bytes of tensors and the largest scratch of such calls fit the budget (what
 * nobody uses is dropped to make room); ERR_BUSY when they would without what others use,
 * or the device had no memory for such a call, ERR_NO_MEMORY when never. */
int residents_fit(residents *all, resident *r, call_shape shape, size_t keep, err *e);

/* The same for a job that at other times needs `scratch` bytes for something else. */
int residents_fit_beside(residents *all, resident *r, call_shape shape, size_t keep, size_t scratch,
                         err *e);

/* Bytes that the conditioning of so many chunks keeps, and a little more while it is encoded. */
size_t residents_text_bytes(const residents *all, const resident *r, int chunks);

/* The conditioning of a prompt, encoded when it is not at hand, with one more user. */
conditioning *residents_text(residents *all, resident *r, const token_chunks *chunks, int clip_skip,
                             err *e);
void residents_text_put(conditioning *c);

/* Where the texts of such calls stay between them, until somebody else wants the memory: `rows`,
 * and `partner_rows` besides. NULL: there is no room for them. */
text_rows *residents_text_rows(residents *all, resident *r, call_shape shape);

#endif
