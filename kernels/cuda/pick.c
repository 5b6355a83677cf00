/* pick: which plan a shape gets, see plan.h. The rule is checked on finished plans and not on names
 * of engines, so that a new version of cuDNN needs no new list: what is not explained is not taken.
 */
#include <inttypes.h>
#include <stdio.h>

#include "kernels/cuda/plan.h"
#include "kernels/cuda/why.h"

static void blame(char *why, const plan_shape *s, const char *what)
{
    char name[SHAPE_NAME_BYTES];
    plan_shape_name(s, name);
    snprintf(why, PLAN_WHY_BYTES, "%s: %.120s", name, what);
}

int64_t plan_workspace_most(const plan_shape *s, int64_t alone, int64_t rows, const choice *c)
{
    return alone == EVERY_ROWS ? choice_workspace_most(c, s, rows) : CHOICE_WORKSPACE;
}

static bool builds(const planner *p, const plan_shape *s, int64_t alone, int64_t rows,
                   const choice *c, char *why)
{
    char what[120];
    plan *built = plan_build(p, s, rows, c, why);
    if (!built)
        return false;
    int64_t most = plan_workspace_most(s, alone, rows, c), workspace = plan_workspace(built);
    bool exact = plan_is_exact(built), good = exact && workspace <= most;
    plan_free(&built);
    if (!exact)
        blame(why, s, "cuDNN calls the engine inexact");
    else if (!good) {
        snprintf(what, sizeof what,
                 "%" PRId64 " rows take %" PRId64 " bytes of workspace, expected at most %" PRId64,
                 rows, workspace, most);
        blame(why, s, what);
    }
    return good;
}

static bool is_offered(const planner *p, const plan_shape *s, int64_t rows, const choice *c,
                       char *why)
{
    plan_candidate list[PLAN_CANDIDATES];
    int n = planner_candidates(p, s, rows, list, why);
    for (int i = 0; i < n; i++)
        if (choice_equal(&list[i].choice, c))
            return true;
    if (!why_is_memory(why))
        blame(why, s, "the heuristic does not offer the configuration at every number of rows");
    return false;
}

bool plan_is_good(const planner *p, const plan_shape *s, int64_t alone, const choice *c, char *why)
{
    if (alone != EVERY_ROWS)
        return builds(p, s, alone, alone, c, why);
    if (!choice_is_safe(c, s)) {
        blame(why, s, "the configuration's sums may depend on the number of rows");
        return false;
    }
    for (int i = 0; i < BUCKETS; i++) {
        int64_t rows = bucket_rows[i];
        bool compile = s->kind != SHAPE_ATTENTION || rows == REFERENCE_ROWS;
        if (compile ? !builds(p, s, EVERY_ROWS, rows, c, why) : !is_offered(p, s, rows, c, why))
            return false;
    }
    return true;
}

int plan_choices(const planner *p, const plan_shape *s, int64_t alone, plan_pick *to, int most,
                 char *why)
{
    plan_candidate list[PLAN_CANDIDATES];
    const int64_t asked = alone == EVERY_ROWS ? REFERENCE_ROWS : alone;
    int n = planner_candidates(p, s, asked, list, why), good = 0;
    for (int i = 0; i < n && good < most && !why_is_memory(why); i++) {
        const plan_candidate *c = &list[i];
        bool wanted = s->kind == SHAPE_ATTENTION || (c->tensor_cores && !c->compiled);
        if (!wanted || !c->exact || !plan_is_good(p, s, alone, &c->choice, why))
            continue;
        to[good++] = (plan_pick){.choice = c->choice, .rank = i, .candidates = n};
    }
    if (n > 0 && good == 0 && !why[0])
        blame(why, s, "no configuration on tensor cores");
    return good;
}

bool plan_choose(const planner *p, const plan_shape *s, int64_t alone, plan_pick *pick, char *why)
{
    return plan_choices(p, s, alone, pick, 1, why) == 1;
}
