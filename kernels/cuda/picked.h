/* picked: choices that were made by rule, remembered on disk so that a second start asks no
 * heuristic. They lie among the plans, in the format of the tuning table. */
#ifndef KERNELS_CUDA_PICKED_H
#define KERNELS_CUDA_PICKED_H

#include "kernels/cuda/plan_store.h"

typedef struct {
    const plan_store *store; /* NULL: nothing on disk */
    const char *what;        /* "plans": one file for each */
    tuning table;
    bool changed;
} picked;

void picked_open(picked *p, const plan_store *store, const char *what);
void picked_done(picked *p);

/* NULL: not picked yet. */
const choice *picked_find(const picked *p, const char *name);
/* False without memory. */
bool picked_add(picked *p, const char *name, const choice *c);
/* On disk; true when nothing has changed since. False costs time at the next start and no more. */
bool picked_keep(picked *p);

#endif
