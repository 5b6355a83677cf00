/* The engine: the one thread that owns a device. It admits works, batches rows, steps and decodes.
 *
 * It knows *sequences* (one latent on its way from noise to picture) and *rows* (one UNet sample),
 * not sockets. Sequences of different jobs, prompts, samplers and step counts share one UNet call
 * as long as they have the same model and latent size; they join and leave between evaluations. */
#ifndef WORKER_ENGINE_H
#define WORKER_ENGINE_H

#include "kernels/dev.h"
#include "worker/model/parts.h"
#include "worker/models.h"
#include "worker/work.h"

typedef struct engine engine;
struct shelf;

enum { ENGINE_ROWS_MAX = 16, ENGINE_MODELS_MAX = 8 };

/* Called on the engine's thread; must not block. */
typedef struct {
    void *arg;
    void (*started)(void *arg, work *w);
    /* `preview` (or NULL) is taken over. */
    void (*progress)(void *arg, work *w, const work_progress *p, image *preview);
    /* The task is to make the input of a scene (engine_scene_made), or to take picture `number` of
     * it (taken over; engine_scene_taken). When that fails the work is cancelled. */
    void (*scene)(void *arg, work *w, int scene);
    void (*picture)(void *arg, work *w, int scene, int number, scene_result *sampled);
    /* The engine lets go: every picture was handed out, or `e` says why not (else NULL). `again`:
     * for a reason that is not the work's; with ERR_DEVICE, the device will not work any more. */
    void (*finished)(void *arg, work *w, const err *e, bool again);
} engine_events;

typedef struct {
    dev_options device;
    const dev_options *partner; /* evaluates every other row of a batch, see partner.h; NULL: none.
                                   Read by engine_new alone */
    models *models;             /* shared by all engines; thread-safe */
    int64_t memory_budget; /* bytes for weights, tensors and scratch; 0: 80 % of what there is */
    memory_mode memory;    /* how much of a model is on the device */
    struct shelf *shelf;   /* shared, of use in mode high; NULL: every engine reads for itself */
    int sharing;           /* devices without memory of their own share what there is; 0: one */
    engine_events events;
} engine_options;

engine *engine_new(const engine_options *o, err *e);

/* Ends the thread: works inside, and those that are submitted from now on, are finished with
 * ERR_CANCELLED. */
void engine_stop(engine *en);
void engine_free(engine **en); /* stopped, and nobody will submit any more */

/* Hands a prepared work over. Never fails: what cannot run comes back by `finished` with its error.
 */
void engine_submit(engine *en, work *w);

/* What events.scene and events.picture asked for is done; `input` is taken over. Nothing happens
 * when the work is no longer inside. ERR_NO_MEMORY. */
int engine_scene_made(engine *en, const work *w, int scene, scene_input *input, err *e);
int engine_scene_taken(engine *en, const work *w, int scene, err *e);

/* Makes the engine look at `cancelled` flags soon. */
void engine_wake(engine *en);

/* What the device holds, for STATUS: copied under a lock, never waits for a step. */
typedef struct {
    job_id id;
    int picture;
    sampler_kind sampler;
    int step, steps;
} engine_row;

typedef struct {
    char name[32], class_name[192];
    char hardware[TELEMETRY_ID_BYTES];                /* what it runs on; "": not known */
    uint64_t memory_bytes, budget_bytes, evaluations; /* evaluations: UNet calls */
    memory_mode memory;
    int rows;
    engine_row row[ENGINE_ROWS_MAX]; /* of the batch that runs now, or ran last; none when idle */
    int models;
    char model[ENGINE_MODELS_MAX][256];
    int64_t busy_since_ms; /* when the device began what it does now; 0: idle */
    int64_t busy_limit_ms; /* what takes longer is stuck */
} engine_status;

void engine_get_status(engine *en, engine_status *s);

#endif
