/* What a job asks of the worker outside the device: preparing its inputs, composing its results.
 *
 * A task is a list of **scenes**. A scene is one init picture (or none: txt2img) at one size with
 * its own strength, from which one or several pictures are sampled. A job's own pictures are one
 * scene; loopback rounds, tiles and outpainted sides are one each. The engine samples scenes and
 * knows nothing else of a job; what the pictures mean is the task's business:
 *
 *     task_prepare   crew    reads the inputs, lists the scenes
 *     task_scene     crew    makes the inputs of one scene, shortly before the engine samples it
 *     task_take      crew    takes one decoded picture; gives the results that are now whole
 *     task_compose   crew    writes one result as a file
 *
 * Takes of one task may run at the same time, for different pictures. A scene is made only after
 * every picture of the scene it comes `after` was taken. */
#ifndef WORKER_TASK_TASK_H
#define WORKER_TASK_TASK_H

#include <stdatomic.h>

#include "proto/job.h"
#include "worker/image/tiles.h"
#include "worker/model/config.h"
#include "worker/task/guidance.h"

enum { TASK_SCENES_MAX = 16384 };

/* Known before anything is made. A scene that is enlarged instead of sampled gives one picture, in
 * tiles; only `upscaler`, `pictures` (1) and `after` count then. */
typedef struct {
    const char *upscaler; /* the job's name of the network that enlarges it; NULL: it is sampled */
    int width, height;    /* of its pictures */
    double strength;      /* of the denoising */
    int steps, t_enc;     /* see job_steps; steps 0: its pictures are the init picture, untouched */
    int pictures;
    int64_t seed; /* of its first picture, the next has one more */
    int after;    /* an earlier scene; -1: none */
    /* Of what is sampled, set by task_prepare: */
    int steps_run, evaluations; /* of one picture */
    int guidance;               /* its plan among the task's guidances */
} scene_plan;

/* Made when it is needed. All pictures are of the scene's size. */
typedef struct {
    image init;             /* RGB; none: the pictures begin as noise alone, or there is nothing
                               to enlarge after all, and the result is empty */
    image mask;             /* grey, 255 = repaint; none: everything */
    image latent_mask;      /* what the sampler repaints where that is not `mask` */
    masked_content content; /* under the mask */
} scene_input;

void scene_input_done(scene_input *s);

/* What was sampled. */
typedef struct {
    image picture; /* RGB, of the scene's size */
    float *change; /* soft inpainting: how far each latent cell is from the init picture's,
                      [latent_h][latent_w], owned; else NULL */
    int latent_w, latent_h;
    image
        *tile; /* enlarged: the tiles of `grid` with `scale` times their sides, owned; no picture */
    tile_grid grid;
    int scale;
} scene_result;

void scene_result_done(scene_result *r);

typedef struct {
    uint8_t *bytes; /* the encoded file */
    size_t size;
    char *info;   /* its parameters text */
    int64_t seed; /* -1: nothing was sampled */
    int width, height;
} task_picture;

typedef struct task {
    scene_plan *scene; /* owned */
    int scenes;
    bool from_picture; /* sampling starts from init pictures */
    bool samples;      /* it needs a model */
    bool hides;        /* that model sees what is masked, and where: the engine says so */
    bool by_rows;      /* its bytes may depend on what it was batched with: the engine says so */
    guidances guidances;
    task_picture *result; /* owned; filled by task_compose */
    int results;
    char note[256]; /* what the user should know though nothing is wrong; "" */
    void (*done_own)(void *own);
    void *own;          /* what this kind of task keeps, see task_row.h */
    atomic_int untaken; /* pictures of all scenes */
} task;

/* Decodes, turns and flattens the inputs, lists the scenes, plans and tokenises the prompts.
 * ERR_INVALID, ERR_TOO_LARGE, ERR_NO_MEMORY. */
int task_prepare(task *t, const job *j, const tokenizer *words, err *e);
void task_done(task *t);
void task_picture_done(task_picture *p);

/* What needs the model: size multiples of its factor, context width, chunk limit. */
int task_fit(const task *t, const job *j, const model_config *c, err *e);

/* Makes the inputs of scene `index`. ERR_NO_MEMORY. */
int task_scene(task *t, const job *j, int index, scene_input *out, err *e);

/* A result that is whole: its place among the results, and the picture that its metadata tells of.
 */
typedef struct {
    int index;
    image picture;
    int scene, number;
} task_output;

typedef struct {
    task_output *at; /* owned */
    int count;
} task_outputs;

/* Takes a picture (emptied), number `number` of scene `scene`, and gives the results that are whole
 * now: each of the job's results comes once. */
int task_take(task *t, const job *j, int scene, int number, scene_result *sampled,
              task_outputs *out, err *e);
void task_outputs_done(task_outputs *o);

/* Writes a result as a file with metadata into its place. `hash` is the model's SHA-256 (64
 * digits), or "": unknown. */
int task_compose(task *t, const job *j, const task_output *from, const char *model,
                 const char *hash, err *e);

/* The parameters text of picture `number` of a scene: settings in the web UI's order. malloc'ed. */
int task_infotext(char **text, const task *t, const job *j, int scene, int number,
                  const char *model, const char *hash, err *e);

#endif
