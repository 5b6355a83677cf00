/* plan: cuDNN's execution plans, and which one a shape gets. A planner works for a device that is
 * there (a handle) or for one that is only described, which is how every choice is tested without a
 * GPU. Choosing never times anything: it takes the first configuration in the heuristic's order
 * that is safe (choice.h) for every number of rows; a tuning table may name another. */
#ifndef KERNELS_CUDA_PLAN_H
#define KERNELS_CUDA_PLAN_H

#include "kernels/cuda/choice.h"

enum { PLAN_WHY_BYTES = 256, PLAN_CANDIDATES = 64 };

/* What a plan reads and writes. */
typedef enum {
    PLAN_X = 1, /* [rows][h][w][in] */
    PLAN_W,     /* [out][k][k][in]; of an upsample [in][4][4][out], see upsample_taps */
    PLAN_RESIDUAL,
    PLAN_BIAS,
    PLAN_Y,
    PLAN_Q,
    PLAN_K,
    PLAN_V,
    PLAN_SCALE,   /* one float on the host, copied into the plan's launch */
    PLAN_QUERIES, /* int32, one a row */
    PLAN_KEYS,    /* the same: how many keys the row has */
    PLAN_OPERANDS = PLAN_KEYS
} plan_operand;

struct cudnnContext;
typedef struct planner planner;
typedef struct plan plan;

/* Every `why` has PLAN_WHY_BYTES and says what went wrong when a call gives NULL or false. */

/* For the device of a cuDNN handle, which must outlive the planner and belongs to one thread. */
planner *planner_open(struct cudnnContext *handle, char *why);
/* For a device described in cuDNN's JSON. Plans can be built and looked at, not run. */
planner *planner_described(const char *json, char *why);
void planner_free(planner **p);
/* Whether its plans can be run and loaded: it has a handle. */
bool planner_runs(const planner *p);

/* The heuristic's configurations for `rows` rows, best first; the number of them, 0 with why. */
typedef struct {
    choice choice;
    bool tensor_cores;
    bool exact;    /* no atomics, Winograd, FFT or reduced precision, by cuDNN's own notes */
    bool compiled; /* at run time: takes about a second */
} plan_candidate;
int planner_candidates(const planner *p, const plan_shape *s, int64_t rows,
                       plan_candidate to[PLAN_CANDIDATES], char *why);

plan *plan_build(const planner *p, const plan_shape *s, int64_t rows, const choice *c, char *why);
void plan_free(plan **p);
int64_t plan_workspace(const plan *p);
/* By cuDNN's own notes; of a plan that was built, not of one read from a text. */
bool plan_is_exact(const plan *p);
/* cuDNN's own text of the plan, malloc'ed and NUL-ended, *bytes without the NUL; NULL with why. */
char *plan_text(const plan *p, size_t *bytes, char *why);
/* A plan from such a text. Needs a handle; the text must come from a place only we can write to,
 * because it carries machine code. */
plan *plan_of_text(const planner *p, const char *text, size_t bytes, char *why);

/* A configuration is good for a shape when it is exact, safe, and finalises at every number of rows
 * with no more workspace than its rule explains. For one number of rows alone, where it need not be
 * safe, it is to finalise there with no more workspace than there is. */
bool plan_is_good(const planner *p, const plan_shape *s, int64_t alone, const choice *c, char *why);
/* The most workspace that a plan for `rows` rows may then take. */
int64_t plan_workspace_most(const plan_shape *s, int64_t alone, int64_t rows, const choice *c);

typedef struct {
    choice choice;
    int rank, candidates; /* its place in the heuristic's list, from 0 */
} plan_pick;
/* The good ones in the order of the heuristic for REFERENCE_ROWS, or for the number of rows that
 * they are for alone; `most` of them at most; how many, 0 with why. For every number of rows
 * attention is compiled for REFERENCE_ROWS only (about a second); for the others its configuration
 * has to be among the heuristic's. */
int plan_choices(const planner *p, const plan_shape *s, int64_t alone, plan_pick *to, int most,
                 char *why);
/* The first of them. */
bool plan_choose(const planner *p, const plan_shape *s, int64_t alone, plan_pick *pick, char *why);

/* Pointers of a launch: n operands, their addresses, and plan_workspace bytes. */
typedef struct plan_launch plan_launch;
plan_launch *plan_launch_new(const plan_operand *operand, void *const *at, int n, void *workspace,
                             char *why);
void plan_launch_free(plan_launch **l);
bool plan_run(const planner *p, const plan *what, const plan_launch *l, char *why);

#endif
