/* The weights of a network in an arena of exactly their size: one walk on a dry device counts them,
 * a second one packs. */
#ifndef WORKER_MODEL_WEIGHTS_H
#define WORKER_MODEL_WEIGHTS_H

#include "worker/model/params.h"

/* Takes all parameters of a network through `p`; the first problem is in p->e. */
typedef void weights_take(void *network, params *p);
/* Frees what weights_take made beside the weights, also of a walk that failed. */
typedef void weights_forget(void *network);

/* Fills `to`. On a dry device nothing is packed and to->peak is what the weights would take. After
 * an error (ERR_NO_MEMORY, ERR_DEVICE, those of params.h) the network is forgotten; `to` is the
 * caller's to end in either case. */
int weights_load(arena *to, dev *d, const checkpoint *file, void *network, weights_take *take,
                 weights_forget *forget, err *e);

#endif
