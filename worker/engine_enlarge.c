/* One tile of a picture through an upscaler's network, between two batches. */
#include "worker/engine_state.h"

/* The run whose tiles have waited for longest; NULL: nothing is being enlarged. */
static run *longest_waiting(const engine *en)
{
    run *best = NULL;
    for (run *r = en->runs; r; r = r->next)
        if (r->enlarging.active && (!best || r->enlarging.turn < best->enlarging.turn))
            best = r;
    return best;
}

bool engine_enlarge(engine *en)
{
    err e = {0};
    scene_result whole = {0};
    run *r = longest_waiting(en);
    if (!r)
        return false;
    const int scene = r->enlarging.scene;
    engine_busy(en, r, NULL, run_enlarge_flops(&en->held, r), ENGINE_STEP_MS);
    int rc = run_enlarge(&en->held, r, &e);
    engine_idle(en);
    r->enlarging.turn = ++en->turn;
    engine_report(en); /* before the last tile may end the run */
    if (rc)
        engine_end(en, r, &e);
    else if (run_enlarged(r, &whole))
        engine_hand_out(en, r, scene, 0, &whole);
    return true;
}
