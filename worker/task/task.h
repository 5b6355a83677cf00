/* What a job asks of the worker outside the device: preparing its inputs, composing its results.
 * Pure CPU work, run on the crew's threads; the engine sees only the plan. One row of a table per
 * task. */
#ifndef WORKER_TASK_TASK_H
#define WORKER_TASK_TASK_H

#include "proto/job.h"
#include "worker/image/image.h"
#include "worker/model/config.h"
#include "worker/model/tokenizer.h"

/* The plan of a job, made once, read by engine and crew. */
typedef struct {
    int width, height; /* of the pictures made */
    int pictures;      /* batch_size * n_iter; picture i has seed + i */
    int steps, t_enc;  /* see job_steps */
    bool from_picture; /* img2img: `init` goes through the encoder */
    bool untouched;    /* strength 0 with fixed steps: `init` is the result */
    image init;        /* RGB, width x height */
    token_chunks positive, negative;
} task;

typedef struct {
    uint8_t *bytes; /* the encoded file */
    size_t size;
    char *info; /* its parameters text */
    int64_t seed;
    int width, height;
} task_picture;

/* Decodes, turns, flattens and fits the input, tokenises the prompts. ERR_INVALID, ERR_TOO_LARGE.
 */
int task_prepare(task *t, const job *j, const tokenizer *words, err *e);
void task_done(task *t);

/* What needs the model: size multiples of its factor, context width, chunk limit. */
int task_fit(const task *t, const job *j, const model_config *c, err *e);

/* Picture `index` of the job, as a file with metadata. `hash` is the model's SHA-256 (64 digits),
 * or
 * "": unknown. */
int task_compose(task_picture *out, const task *t, const job *j, int index, const image *picture,
                 const char *model, const char *hash, err *e);
void task_picture_done(task_picture *p);

/* The parameters text: settings in the web UI's order. malloc'ed. */
int task_infotext(char **text, const task *t, const job *j, int index, const char *model,
                  const char *hash, err *e);

#endif
