/* The weights of a network in an arena of exactly their size: one walk on a dry device counts them,
 * a second one packs. */
#ifndef WORKER_MODEL_WEIGHTS_H
#define WORKER_MODEL_WEIGHTS_H

#include "worker/model/params.h"

/* Takes all parameters of a network through `p`; the first problem is in p->e. */
typedef void weights_take(void *network, params *p);
/* Frees what weights_take made beside the weights, also of a walk that failed. */
typedef void weights_forget(void *network);

/* Weights of the same network that lie on another device of the same class, in one piece, and
 * whose last operation is done. */
typedef struct {
    const dev *d;
    const char *at;
    size_t bytes;
} weights_origin;

typedef struct {
    const checkpoint *file;
    model_parts *parts; /* what mode and pieces it has; NULL: all is one */
    void *network;
    weights_take *take;
    weights_forget *forget;
    const weights_origin *origin; /* where values come from; NULL: the file */
} weights_source;

/* Fills `to`, with as much as the mode of the parts has there. On a dry device nothing is packed
 * and to->peak is what the weights would take. After an error (ERR_NO_MEMORY, ERR_DEVICE, those of
 * params.h; ERR_INVALID: the file has changed since the origin was loaded) the network is
 * forgotten; `to` is the caller's to end in either case. */
int weights_load(arena *to, dev *d, const weights_source *from, err *e);

#endif
