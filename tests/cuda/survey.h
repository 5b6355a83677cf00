/* Plans for many shapes on described devices, and what there is to say about them. */
#ifndef TESTS_CUDA_SURVEY_H
#define TESTS_CUDA_SURVEY_H

#include "kernels/cuda/plan.h"

enum { SURVEY_ENGINES = 128, SURVEY_REASONS = 8 };

/* The described devices' names: "h200", "a100", "rtx4090", "b200", "rtx5090"; NULL-ended. */
extern const char *const survey_devices[];

/* A planner for one of them; ends the program without. */
planner *survey_planner(const char *device);

typedef struct {
    int shapes, failed;
    int first;     /* shapes that got the heuristic's first choice */
    int rank_most; /* the worst rank */
    int split;     /* shapes whose sums are split, in order */
    int engine[SURVEY_ENGINES];
    int64_t workspace; /* the most, at 16 rows */
    double seconds;
    char reason[SURVEY_REASONS][PLAN_WHY_BYTES]; /* of the first failures */
} survey;

/* Chooses a plan for a shape and counts it. */
void survey_add(survey *to, const planner *p, const plan_shape *s);

/* Fails the test unless the plan that a shape gets for 4 rows has all these fragments in cuDNN's
 * own text of it (NULL-ended). */
void survey_assert_text(const planner *p, const plan_shape *s, const char *const *fragment);

#endif
