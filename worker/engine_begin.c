/* Scenes begin: their inputs are asked for, encoded, and become sequences. The one idea: among
 * runs, the one with the fewest pictures on their way begins the next. */
#include "worker/engine_state.h"

enum { SEQUENCES_MAX = 16 }; /* pictures on their way, beyond the first of each run */

void engine_ask(engine *en, run *r)
{
    const engine_events *events = &en->options.events;
    for (int scene; (scene = run_ask(r)) >= 0;) {
        atomic_fetch_add(&r->work->open_parts, 1);
        events->scene(events->arg, r->work, scene);
    }
}

/* The run that begins the next picture; NULL: none can. */
static run *fewest_on_their_way(const engine *en)
{
    run *best = NULL;
    for (run *r = en->runs; r; r = r->next)
        if (run_beginnable(r) >= 0 && (!best || r->sequences < best->sequences))
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
    return sequences < SEQUENCES_MAX && residents_fit(&en->held, r->resident, r->call,
                                                      run_picture_bytes(r, r->call), &ignored) == 0;
}

static int encode(engine *en, run *r, int scene, err *e)
{
    engine_busy(en, r, NULL, run_encode_flops(r, scene), ENGINE_STEP_MS);
    int rc = run_encode(&en->held, r, scene, e);
    engine_idle(en);
    return rc;
}

/* The scene's next picture as a sequence, or handed out at once where nothing is sampled. */
static void begin_picture(engine *en, run *r, int scene)
{
    err e = {0};
    scene_result untouched = {0};
    const int number = r->scene[scene].begun;
    int rc = run_enlarges(r, scene)     ? run_enlarge_begin(r, scene, en->turn, &e)
             : !run_untouched(r, scene) ? run_begin(&en->held, r, scene, en->turn, &e)
                                        : run_copy(r, scene, &untouched.picture, &e);
    if (rc)
        engine_end(en, r, &e);
    else if (!run_enlarges(r, scene) && run_untouched(r, scene))
        engine_hand_out(en, r, scene, number, &untouched);
    engine_promise(en);
}

/* At most one picture is encoded, so that others step in between; but all that can be where that
 * would have networks fetched for each. */
static bool begin_pictures(engine *en)
{
    bool any = false;
    for (run *r; (r = fewest_on_their_way(en)) && may_begin(en, r); any = true) {
        err e = {0};
        const int scene = run_beginnable(r);
        const bool encodes = run_must_encode(r, scene);
        if (encodes && encode(en, r, scene, &e))
            engine_end(en, r, &e);
        else
            begin_picture(en, r, scene);
        if (encodes && !residents_take_turns(&en->held))
            return true;
    }
    return any;
}

/* The run that lacks a text and has waited for longest; NULL: none does. */
static run *next_for_text(const engine *en)
{
    run *best = NULL;
    for (run *r = en->runs; r; r = r->next)
        if (!run_has_texts(r) && (!best || r->text_turn < best->text_turn))
            best = r;
    return best;
}

/* Encodes one text, so that others step in between: prompt editing may need hundreds. */
static bool encode_text(engine *en)
{
    err e = {0};
    run *r = next_for_text(en);
    if (!r)
        return false;
    r->text_turn = ++en->text_turn;
    engine_busy(en, r, NULL, run_text_flops(r), ENGINE_STEP_MS);
    int rc = run_text(&en->held, r, &e);
    engine_idle(en);
    if (rc)
        engine_end(en, r, &e);
    else
        engine_promise(en);
    return true;
}

bool engine_begin(engine *en)
{
    bool any = encode_text(en);
    while (residents_take_turns(&en->held) && encode_text(en))
        ;
    any |= begin_pictures(en);
    for (run *r = en->runs; r; r = r->next)
        engine_ask(en, r);
    return any;
}
