/* survey: see survey.h. */
#include "tests/cuda/survey.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const char *const survey_devices[] = {"h200", "a100", "rtx4090", "b200", "rtx5090", NULL};

static void end(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

planner *survey_planner(const char *device)
{
    char path[1024], json[4096], why[PLAN_WHY_BYTES];
    snprintf(path, sizeof path, DEVICES_DIR "/%s.json", device);
    FILE *f = fopen(path, "rb");
    if (!f)
        end(path, "cannot be opened");
    size_t n = fread(json, 1, sizeof json - 1, f);
    fclose(f);
    json[n] = 0;
    planner *p = planner_described(json, why);
    if (!p)
        end(device, why);
    return p;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int64_t workspace_of(const planner *p, const plan_shape *s, int64_t rows, const choice *c)
{
    char why[PLAN_WHY_BYTES];
    plan *built = plan_build(p, s, rows, c, why);
    int64_t bytes = built ? plan_workspace(built) : 0;
    plan_free(&built);
    return bytes;
}

static bool is_near(const planner *p, const plan_shape *s, int64_t rows, const choice *c)
{
    char why[PLAN_WHY_BYTES];
    plan_candidate list[PLAN_CANDIDATES];
    int n = planner_candidates(p, s, rows, list, why);
    for (int i = 0; i < n && i < SURVEY_NEAR; i++)
        if (choice_equal(&list[i].choice, c))
            return true;
    return false;
}

void survey_add(survey *to, const planner *p, const plan_shape *s)
{
    plan_pick pick;
    char why[PLAN_WHY_BYTES];
    double start = now();
    bool chosen = plan_choose(p, s, EVERY_ROWS, &pick, why);
    to->seconds += now() - start;
    to->shapes++;
    if (!chosen) {
        if (to->failed < SURVEY_REASONS)
            snprintf(to->reason[to->failed], PLAN_WHY_BYTES, "%s", why);
        to->failed++;
        return;
    }
    int64_t rows = s->kind == SHAPE_ATTENTION ? REFERENCE_ROWS : bucket_rows[BUCKETS - 1];
    int64_t bytes = s->kind == SHAPE_ATTENTION ? 0 : workspace_of(p, s, rows, &pick.choice);
    to->workspace = bytes > to->workspace ? bytes : to->workspace;
    to->split += bytes > choice_workspace_most(&(choice){.kind = CHOICE_ENGINE}, s, rows);
    to->first += pick.rank == 0;
    to->rank_most = pick.rank > to->rank_most ? pick.rank : to->rank_most;
    for (int i = 0; to->ranks && i < BUCKETS; i++)
        to->near[i] += is_near(p, s, bucket_rows[i], &pick.choice);
    assert(pick.choice.engine < SURVEY_ENGINES);
    to->engine[pick.choice.engine]++;
}
