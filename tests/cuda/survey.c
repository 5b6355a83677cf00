/* survey: see survey.h. */
#include "tests/cuda/survey.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

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

void survey_add(survey *to, const planner *p, const plan_shape *s)
{
    plan_pick pick;
    char why[PLAN_WHY_BYTES];
    double start = now();
    bool chosen = plan_choose(p, s, &pick, why);
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
    assert(pick.choice.engine < SURVEY_ENGINES);
    to->engine[pick.choice.engine]++;
}

void survey_assert_text(const planner *p, const plan_shape *s, const char *const *fragment)
{
    plan_pick pick;
    char why[PLAN_WHY_BYTES];
    size_t bytes;
    plan *built = plan_choose(p, s, &pick, why) ? plan_build(p, s, 4, &pick.choice, why) : NULL;
    char *text = built ? plan_text(built, &bytes, why) : NULL;
    if (!text)
        fail_msg("%s", why);
    assert_int_equal(strlen(text), bytes);
    for (; *fragment; fragment++)
        if (!strstr(text, *fragment))
            fail_msg("no %s in %.4000s", *fragment, text);
    free(text);
    plan_free(&built);
}
