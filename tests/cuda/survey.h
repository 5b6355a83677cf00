/* Plans for many shapes on described devices, and what there is to say about them. */
#ifndef TESTS_CUDA_SURVEY_H
#define TESTS_CUDA_SURVEY_H

#include "kernels/cuda/plan.h"

enum { SURVEY_ENGINES = 128, SURVEY_REASONS = 8, SURVEY_NEAR = 5 };

/* The described devices' names: "h200", "a100", "rtx4090", "b200", "rtx5090"; NULL-ended. */
extern const char *const survey_devices[];

/* A planner for one of them; ends the program without. */
planner *survey_planner(const char *device);

typedef struct {
    bool ranks; /* wanted: near */
    int shapes, failed;
    int first;         /* shapes that got the heuristic's first choice */
    int rank_most;     /* the worst rank */
    int near[BUCKETS]; /* shapes whose choice is among the first of a bucket's own list */
    int split;         /* shapes whose sums are split, in order */
    int engine[SURVEY_ENGINES];
    int64_t workspace; /* the most, at 16 rows */
    double seconds;
    char reason[SURVEY_REASONS][PLAN_WHY_BYTES]; /* of the first failures */
} survey;

/* Chooses a plan for a shape and counts it. */
void survey_add(survey *to, const planner *p, const plan_shape *s);

#endif
