/* Admission: works become runs. The one idea: works are taken in order of arrival, and the first
 * that has to wait for memory holds back those behind it, so that none starves. */
#include "worker/engine_state.h"

enum { RUNS_MAX = 16 }; /* jobs that take turns */

static int count_runs(const engine *en)
{
    int n = 0;
    for (const run *r = en->runs; r; r = r->next)
        n++;
    return n;
}

/* ---------------------------------------------------------------- works */

/* A work as a run that is not in the list yet, or NULL with the reason. */
static run *take_in(engine *en, work *w, err *e)
{
    const run asking = {.work = w};
    engine_busy(en, &asking, NULL, 0, ENGINE_LOAD_MS);
    run *r = run_new(&en->held, en->options.models, w, e);
    engine_idle(en);
    return r;
}

static void start(engine *en, run *r)
{
    const engine_events *events = &en->options.events;
    run **end = &en->runs;
    while (*end)
        end = &(*end)->next;
    *end = r;
    engine_promise(en);
    events->started(events->arg, r->work);
    if (run_complete(r)) { /* a noop */
        engine_end(en, r, NULL);
        return;
    }
    engine_ask(en, r);
}

bool engine_admit(engine *en)
{
    const engine_events *events = &en->options.events;
    bool any = false;
    while (en->waiting && !en->blocked && count_runs(en) < RUNS_MAX) {
        err e = {0};
        work *w = en->waiting;
        run *r = take_in(en, w, &e);
        if (!r && e.code == ERR_BUSY && en->runs) {
            en->blocked = true;
            break;
        }
        if (e.code == ERR_BUSY)
            e.code = ERR_NO_MEMORY; /* what is in use is the job's own: it would wait for ever */
        any = true;
        en->waiting = w->next;
        w->next = NULL;
        if (r)
            start(en, r);
        else
            events->finished(events->arg, w, &e, residents_again(&en->held, &e));
    }
    return any;
}
