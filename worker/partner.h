/* partner: the second device of an engine, which evaluates every other row of its batches so that
 * the two halves of guidance run at once. It holds the UNets of the loaded models and the texts,
 * copied from the first device. That one has all of this and more, so what fits its budget fits
 * here.
 *
 * The engine's thread calls these functions and owns the device, but from partner_begin to
 * partner_end, when the partner's own thread does. NULL stands for no partner where nothing needs
 * doing then. */
#ifndef WORKER_PARTNER_H
#define WORKER_PARTNER_H

#include "worker/model/model.h"

typedef struct partner partner;

/* Opens the device; ERR_INVALID: it is of another class than the first, so rows would differ. It is
 * stopped when the first one is. */
partner *partner_new(const dev_options *o, const dev *first, err *e);
void partner_free(partner **p); /* all that it holds was dropped */

dev *partner_dev(partner *p);

/* Copies of what lies on the first device, whose ops need not be done. What goes wrong here is said
 * by the first device's status. */
void partner_load(partner *p, dev *first, unet_copy *to, const model *m, err *e); /* NULL: none */
tensor partner_keep(partner *p, dev *first, tensor t); /* no partner: no tensor */
void partner_drop(partner *p, tensor *t);

size_t partner_bytes(const partner *p); /* of tensors and scratch */
void partner_trim(partner *p);          /* see arena_trim */

/* The partner's thread does the walk on its device; then what went wrong there is said by the first
 * device's status, unless something went wrong here before. */
void partner_begin(partner *p, dev_walk *walk, void *arg);
void partner_end(partner *p, dev *first);

#endif
