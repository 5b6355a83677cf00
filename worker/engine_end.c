/* How runs end: cancelled, failed, or with their pictures decoded and handed out. */
#include "worker/engine_state.h"

/* The most scratch that one of the runs may need is kept free of everything else. */
void engine_promise(engine *en)
{
    en->held.promised = en->held.owed = 0;
    for (const run *r = en->runs; r; r = r->next) {
        en->held.owed += r->owed_bytes + run_owed_picture(r);
        if (r->scratch > en->held.promised)
            en->held.promised = r->scratch;
    }
}

void engine_end(engine *en, run *r, const err *e)
{
    const engine_events *events = &en->options.events;
    run **at = &en->runs;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    work *w = r->work;
    run_free(&en->held, &r);
    engine_promise(en);
    en->blocked = false;
    events->finished(events->arg, w, e, e && residents_again(&en->held, e));
}

bool engine_drop_cancelled(engine *en)
{
    bool any = false;
    const engine_events *events = &en->options.events;
    err e = {0};
    err_set(&e, ERR_CANCELLED, "cancelled");
    for (work **at = &en->waiting; *at;) {
        work *w = *at;
        if (!atomic_load(&w->cancelled)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        en->blocked = false;
        any = true;
        events->finished(events->arg, w, &e, false);
    }
    for (run *r = en->runs, *next; r; r = next) {
        next = r->next;
        if (atomic_load(&r->work->cancelled)) {
            engine_end(en, r, &e);
            any = true;
        }
    }
    return any;
}

/* ---------------------------------------------------------------- pictures out */

void engine_hand_out(engine *en, run *r, int scene, int number, scene_result *sampled)
{
    atomic_fetch_add(&r->work->open_parts, 1);
    en->options.events.picture(en->options.events.arg, r->work, scene, number, sampled);
    run_handed_out(&en->held, r, scene);
    if (run_complete(r))
        engine_end(en, r, NULL);
}

/* The ended sequence that was served longest ago; NULL: none has ended. */
static seq *longest_ended(const engine *en, run **owner)
{
    seq *best = NULL;
    for (run *r = en->runs; r; r = r->next)
        for (seq *s = r->first; s; s = s->next)
            if (seq_ended(s) && (!best || s->turn < best->turn)) {
                best = s;
                *owner = r;
            }
    return best;
}

static bool decode_one(engine *en)
{
    err e = {0};
    scene_result sampled = {0};
    run *r = NULL;
    seq *s = longest_ended(en, &r);
    if (!s)
        return false;
    const int scene = s->scene, number = s->picture;
    engine_busy(en, r, NULL, r->costs.decode.flops, ENGINE_STEP_MS);
    int rc = run_decode(&en->held, r, s, &sampled, &e);
    engine_idle(en);
    if (rc)
        engine_end(en, r, &e);
    else
        engine_hand_out(en, r, scene, number, &sampled);
    engine_promise(en);
    return true;
}

bool engine_decode(engine *en)
{
    const bool any = decode_one(en);
    while (residents_take_turns(&en->held) && decode_one(en))
        ;
    return any;
}
