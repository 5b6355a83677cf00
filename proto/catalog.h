/* The samplers and schedulers by name: one table each, shared by the validator, the worker, the
 * metadata and every client. Names, aliases and defaults are those of AUTOMATIC1111's web UI 1.10.
 */
#ifndef PROTO_CATALOG_H
#define PROTO_CATALOG_H

#include <stdbool.h>

#include "proto/err.h"

typedef enum {
    SCHEDULE_AUTOMATIC, /* the sampler's own default */
    SCHEDULE_UNIFORM,
    SCHEDULE_KARRAS,
    SCHEDULE_EXPONENTIAL,
    SCHEDULE_SGM_UNIFORM,
    SCHEDULE_SIMPLE,
    SCHEDULE_DDIM,
    SCHEDULE_COUNT
} schedule;

typedef enum {
    SAMPLER_DPMPP_2M, /* the default comes first */
    SAMPLER_EULER_A,
    SAMPLER_EULER,
    SAMPLER_HEUN,
    SAMPLER_DPM2,
    SAMPLER_DPM2_A,
    SAMPLER_DDIM,
    SAMPLER_COUNT
} sampler_kind;

enum { CATALOG_ALIASES = 3 };

typedef struct {
    const char *name;                   /* "DPM++ 2M" */
    const char *alias[CATALOG_ALIASES]; /* "k_dpmpp_2m", "dpmpp_2m"; unused ones NULL */
    schedule fallback;                  /* what Automatic means */
    bool second_order;                  /* two evaluations a step */
    bool ancestral;                     /* draws noise after each step */
    bool discard_penultimate; /* schedule of steps+1 without its smallest positive sigma */
    bool timesteps;           /* works on integer timesteps, not on sigmas; takes no schedule */
} sampler_row;

const sampler_row *catalog_sampler(sampler_kind kind);
const char *catalog_schedule(schedule s); /* "Automatic", "Uniform", "Karras", "Exponential", … */

/* By name or alias, without regard to case, spaces, '_' and '-'. A sampler name that ends in a
 * schedule's name ("DPM++ 2M Karras") gives both; otherwise *s is left as it is, so a caller that
 * reads a schedule elsewhere passes the same variable twice. `s` may be NULL. Unknown: ERR_INVALID,
 * naming the nearest entry; nothing is written. */
int catalog_find_sampler(const char *name, sampler_kind *kind, schedule *s, err *e);
int catalog_find_schedule(const char *name, schedule *s, err *e);

#endif
