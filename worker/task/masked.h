/* The inputs of tasks that repaint a part of a picture, and what their metadata say of it. */
#ifndef WORKER_TASK_MASKED_H
#define WORKER_TASK_MASKED_H

#include "worker/task/frame.h"
#include "worker/task/task_row.h"

/* Reads the job's picture, RGB, and its mask, grey and as large: from the mask that came with it,
 * from what a sketch changed, or from the picture's own transparency. No mask: there is none of
 * them. A mask of another size but the same shape is resized, and the task's note says so.
 * ERR_INVALID for a mask of another shape and one in which nothing is to be repainted, and what
 * reading says. */
int masked_read(image *picture, image *mask, task *t, const job *j, err *e);

/* The web UI's keys of a job with a mask. */
int masked_settings(infotext *text, const inpaint_options *o, err *e);

/* Results for each picture: itself, and the mask and the composite that the job wants. */
int masked_results(const job *j);

/* Finishes a sampled picture and adds it as result `index`, and what belongs to it behind it. */
int masked_emit(task_outputs *out, const frame *f, const job *j, int index, scene_result *sampled,
                int scene, int number, err *e);

#endif
