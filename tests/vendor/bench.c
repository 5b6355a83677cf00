/* bench: see bench.h. */
#include "tests/vendor/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/vendor/arrays.h"

int bench_open(void **state)
{
    static bench b;
    char why[PLAN_WHY_BYTES];
    if (cudnnCreate(&b.handle) != CUDNN_STATUS_SUCCESS)
        return -1;
    cudnnSetStream(b.handle, the_stream());
    b.planner = planner_open(b.handle, why);
    *state = &b;
    return b.planner ? 0 : -1;
}

int bench_close(void **state)
{
    bench *b = *state;
    planner_free(&b->planner);
    return cudnnDestroy(b->handle) != CUDNN_STATUS_SUCCESS;
}

plan *bench_plan(const bench *b, const plan_shape *s, const choice *c, int64_t rows)
{
    char why[PLAN_WHY_BYTES];
    plan *p = plan_build(b->planner, s, rows, c, why);
    if (!p)
        fail_msg("%s", why);
    return p;
}

choice bench_choice(const bench *b, const plan_shape *s)
{
    plan_pick pick;
    char why[PLAN_WHY_BYTES];
    if (!plan_choose(b->planner, s, EVERY_ROWS, &pick, why))
        fail_msg("%s", why);
    return pick.choice;
}

bool bench_launch(const bench *b, const plan *p, const plan_operand *operand, void *const *at,
                  int n, void *workspace)
{
    char why[PLAN_WHY_BYTES];
    plan_launch *l = plan_launch_new(operand, at, n, workspace, why);
    if (!l)
        fail_msg("%s", why);
    bool good = plan_run(b->planner, p, l, why);
    plan_launch_free(&l);
    return good;
}
