/* start: the picture, and the mask, that a task begins with, and the scenes that enlarge the
 * picture first where the job names an upscaler for that. These come before the task's own scenes.
 */
#ifndef WORKER_TASK_START_H
#define WORKER_TASK_START_H

#include "worker/task/enlarge.h"
#include "worker/task/frame.h"

typedef struct {
    image picture, mask; /* as they were read; no mask: none */
    int width, height;   /* what is sampled */
    int scenes;          /* before the task's own */
    enlarge up;
    image enlarged; /* what came of them; none: nothing is enlarged */
} start;

/* After picture and mask were read: the size, and whether something is to be enlarged. */
int start_plan(start *s, const job *j, err *e);
void start_done(start *s);

/* Lists the scenes, which come first among the task's. */
void start_list(const start *s, task *t, const job *j);

/* A scene of these; its result. */
int start_scene(start *s, scene_input *out, err *e);
int start_take(start *s, int scene, scene_result *enlarged, err *e);

/* What a frame of this picture is made of. */
frame_source start_source(const start *s, const job *j);

#endif
