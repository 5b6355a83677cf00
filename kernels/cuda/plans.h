/* plans: every plan that a model needs on one device, each made once. A shape's choice comes from
 * the tuning table; without an entry it is the first safe one, which is remembered on disk, so that
 * a second start asks no heuristic. A plan comes from disk or is built and put there. For one
 * thread. */
#ifndef KERNELS_CUDA_PLANS_H
#define KERNELS_CUDA_PLANS_H

#include "kernels/cuda/picked.h"
#include "kernels/cuda/plan.h"

typedef struct plans plans;

/* All of them outlive the plans. */
typedef struct {
    const planner *planner;
    const tuning *table;     /* for this device, or NULL */
    const plan_store *store; /* NULL: nothing on disk */
    bool by_rows; /* every number of rows has a choice of its own, which need not be safe */
} plans_sources;

plans *plans_new(const plans_sources *from, char why[PLAN_WHY_BYTES]);
void plans_free(plans **p);

/* The plan of a shape for `rows` rows; stays until plans_free. NULL with why: there is no safe
 * configuration, or the table names one that is not. Never another kernel than the choice's. */
const plan *plans_get(plans *p, const plan_shape *s, int64_t rows, char why[PLAN_WHY_BYTES]);

/* Whether the library is asked for a shape at all. Not when the table says "off", nor when it has
 * no configuration for such a shape, which is remembered as "off": then a kernel of ours serves, at
 * every number of rows (unless each has its own choice) and at every start. A configuration that
 * fails later is an error. With something in `why` nothing is known: memory was missing. */
bool plans_serve(plans *p, const plan_shape *s, int64_t rows, char why[PLAN_WHY_BYTES]);

/* Puts the choices made so far on disk; false when that does not work. */
bool plans_keep(plans *p);

typedef struct {
    int picked; /* choices for which the heuristic was asked */
    int built, loaded;
} plans_counts;
plans_counts plans_count(const plans *p);

#endif
