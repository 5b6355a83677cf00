/* The inside of an engine, shared by engine.c and engine_*.c and by nobody else. */
#ifndef WORKER_ENGINE_STATE_H
#define WORKER_ENGINE_STATE_H

#include <pthread.h>

#include "worker/batch.h"
#include "worker/engine.h"

/* What the crew did for a work. It may come when the work is no longer inside, or even freed: then
 * no run has it, and the note is dropped. Notes are read before new works become runs, so a new
 * work at an old one's address is never taken for it. */
typedef struct engine_note {
    struct engine_note *next;
    const work *work;
    int scene;
    bool taken; /* a picture of it; else its input was made: */
    scene_input input;
} engine_note;

struct engine {
    pthread_t thread;
    bool running;
    engine_options options;
    atomic_bool hard_stop; /* stops the device between two operations, whoever it works for */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    work *inbox;
    engine_note *notes, **notes_end;
    bool woken, stopping;
    engine_status status;

    /* the thread's own */
    residents held;
    work *waiting;      /* in order of arrival */
    bool blocked;       /* the first of them waits until a run has ended */
    bool progress;      /* the last turn of the loop did something: the next may, too */
    run *runs;          /* in order of admission */
    uint64_t turn;      /* counts batches */
    uint64_t text_turn; /* counts texts encoded */
    const batch *now;   /* the batch being evaluated */
    const run *now_run; /* or the run being admitted or decoded */
};

/* Each part of the loop below says whether it did something. */

/* --- engine.c -----------------------------------------------------------------------------------
 */

void engine_append(work **list, work *w);

/* What the device works on until engine_idle: a run, or a batch. It is stopped when nobody wants
 * that any more, and called stuck when it takes `least_ms` and far longer than `flops` can take. */
void engine_busy(engine *en, const run *r, const batch *b, double flops, int64_t least_ms);
void engine_idle(engine *en);

enum {
    ENGINE_STEP_MS = 60000,
    ENGINE_LOAD_MS = 20 * 60000
}; /* least_ms; a load may have to read
       gigabytes from a slow disk */

/* --- engine_end.c: runs come to their end -------------------------------------------------------
 */

/* Says what the runs will still need: see residents.h. */
void engine_promise(engine *en);

/* `e`: NULL, or why it failed. Frees the run. */
void engine_end(engine *en, run *r, const err *e);
bool engine_drop_cancelled(engine *en);

/* Gives picture `number` of a scene (taken over) to the crew; ends the run with its last one. */
void engine_hand_out(engine *en, run *r, int scene, int number, scene_result *sampled);

/* Decodes the picture that has waited for longest, if any: one, so that others step in between;
 * all, where networks take turns. */
bool engine_decode(engine *en);

/* --- engine_admit.c -----------------------------------------------------------------------------
 */

/* Takes in waiting works while there is room. */
bool engine_admit(engine *en);

/* --- engine_begin.c -----------------------------------------------------------------------------
 */

/* Asks the crew for the inputs of scenes that the run will need soon. */
void engine_ask(engine *en, run *r);

/* Asks for what all runs will need soon, and lets runs begin their pictures while there is room. */
bool engine_begin(engine *en);

/* --- engine_enlarge.c ---------------------------------------------------------------------------
 */

/* Enlarges one tile, if there is one. */
bool engine_enlarge(engine *en);

/* --- engine_step.c ------------------------------------------------------------------------------
 */

/* Evaluates one batch, if a sequence is on its way, and says how far its runs are. */
bool engine_step(engine *en);

/* Says how far the runs are that got further. */
void engine_report(engine *en);

#endif
