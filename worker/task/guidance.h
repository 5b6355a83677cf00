/* Guidance: what the UNet is told about a picture, step by step. The prompts of a job become texts
 * of tokens and rows; a row is one UNet sample of every evaluation, and the guided prediction is
 *
 *     uncond + sum over the parts of AND of cfg * weight * (cond - uncond)
 *
 * so every row has a share, and the shares add up to 1. A row whose share is 0 is not evaluated:
 * with a CFG scale of 1 that is the negative prompt. */
#ifndef WORKER_TASK_GUIDANCE_H
#define WORKER_TASK_GUIDANCE_H

#include "proto/job.h"
#include "proto/prompt_plan.h"
#include "worker/model/tokenizer.h"

enum {
    GUIDANCE_ROWS_MAX = PROMPT_PARTS_MAX + 1,
    GUIDANCE_CHUNKS_MAX = 512 /* of all texts of a job: 120 MB of conditioning with SD 1.x */
};

typedef struct {
    double share;
    int *text; /* [steps]: which of the texts step i + 1 sees */
} guidance_row;

/* For pictures of `steps` steps: prompt editing depends on how many there are. */
typedef struct {
    int steps;
    guidance_row row[GUIDANCE_ROWS_MAX];
    int rows;
} guidance;

/* All that a job needs. */
typedef struct {
    token_chunks *text; /* no two alike */
    int texts;
    int chunks;     /* of all texts */
    int longest;    /* chunks of the longest */
    guidance *plan; /* all have the same rows, but for what these see */
    int plans;
} guidances;

/* The index of the plan for pictures that run `steps` steps (from 1 on), made when there is none
 * yet; or an error: ERR_TOO_LARGE for too many tokens, errors of prompt_plan_make. */
int guidances_plan(guidances *g, const job *j, int steps, const tokenizer *words, err *e);
void guidances_done(guidances *g);

#endif
