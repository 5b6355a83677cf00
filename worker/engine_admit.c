/* Admission: works become runs, runs begin their pictures. The one idea: works are taken in order
 * of arrival, and the first that has to wait for memory holds back those behind it, so that none
 * starves; among runs, the one with the fewest pictures on their way begins the next. */
#include "worker/engine_state.h"

enum {
    RUNS_MAX = 16,      /* jobs that take turns */
    SEQUENCES_MAX = 16, /* pictures on their way, beyond the first of each run */
};

static int count_runs(const engine *en)
{
    int n = 0;
    for (const run *r = en->runs; r; r = r->next)
        n++;
    return n;
}

/* ---------------------------------------------------------------- pictures */

/* The run that begins the next picture; NULL: all are begun. */
static run *fewest_on_their_way(const engine *en)
{
    run *best = NULL;
    for (run *r = en->runs; r; r = r->next)
        if (r->begun < r->work->task.pictures && (!best || r->sequences < best->sequences))
            best = r;
    return best;
}

/* Every run may have one picture on its way, for which it was admitted; more while there is room.
 */
static bool may_begin(engine *en, run *r)
{
    err ignored = {0};
    int sequences = 0;
    for (const run *other = en->runs; other; other = other->next)
        sequences += other->sequences;
    if (r->sequences == 0)
        return true;
    return sequences < SEQUENCES_MAX &&
           residents_fit(&en->held, r->resident, r->call, seq_bytes(r->h, r->w), &ignored) == 0;
}

static void begin_pictures(engine *en)
{
    for (run *r; (r = fewest_on_their_way(en)) && may_begin(en, r);) {
        err e = {0};
        if (run_begin(&en->held, r, en->turn, &e))
            engine_end(en, r, &e);
    }
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
    const work *w = r->work;
    err e = {0};
    run **end = &en->runs;
    while (*end)
        end = &(*end)->next;
    *end = r;
    if (r->costs.peak > en->held.promised)
        en->held.promised = r->costs.peak;
    events->started(events->arg, r->work);
    if (w->job.task == TASK_NOOP || w->task.untouched) {
        engine_finish_at_once(en, r);
        return;
    }
    engine_busy(en, r, NULL, run_encode_flops(r), ENGINE_STEP_MS);
    int rc = run_encode(&en->held, r, &e);
    engine_idle(en);
    if (rc)
        engine_end(en, r, &e);
}

void engine_admit(engine *en)
{
    const engine_events *events = &en->options.events;
    while (en->waiting && !en->blocked && count_runs(en) < RUNS_MAX) {
        err e = {0};
        work *w = en->waiting;
        run *r = take_in(en, w, &e);
        if (!r && e.code == ERR_BUSY && en->runs) {
            en->blocked = true;
            break;
        }
        en->waiting = w->next;
        w->next = NULL;
        if (r)
            start(en, r);
        else
            events->finished(events->arg, w, &e, en->held.broken);
    }
    begin_pictures(en);
}
