/* The inside of worker/task: what one kind of task is. task.c walks these rows; a kind is a file of
 * its own with a row at its end. */
#ifndef WORKER_TASK_TASK_ROW_H
#define WORKER_TASK_TASK_ROW_H

#include "proto/infotext.h"
#include "worker/task/task.h"

typedef struct {
    bool prompts;      /* texts are encoded: it samples */
    bool from_picture; /* see task.from_picture */
    /* Reads the inputs into t->own and lists the scenes and the number of results. */
    int (*plan)(task *t, const job *j, err *e);
    /* See task_scene. NULL: scenes have no input. */
    int (*scene)(task *t, const job *j, int index, scene_input *out, err *e);
    /* See task_take; adds to `out` by task_emit. NULL: picture i of scene 0 is result i. */
    int (*take)(task *t, const job *j, int scene, int number, scene_result *sampled,
                task_outputs *out, err *e);
    /* After the last take. NULL: nothing is left to do. */
    int (*finish)(task *t, const job *j, task_outputs *out, err *e);
    /* Settings of this task for the metadata, after those of every task. NULL: none. */
    int (*settings)(infotext *text, const task *t, const job *j, int scene, err *e);
    void (*done)(void *own); /* frees t->own, which may be NULL */
} task_row;

extern const task_row task_txt2img, task_img2img, task_inpaint, task_loopback, task_upscale,
    task_sd_upscale, task_poor_mans, task_mk2;

/* --- task.c ---------------------------------------------------------------------------------- */

/* The scenes of a task, zeroed but for `after` -1; ERR_TOO_LARGE above TASK_SCENES_MAX. */
int task_add_scenes(task *t, int count, err *e);

/* A scene of the job's own settings: strength and what follows from it, all pictures, its seed. */
scene_plan task_job_scene(const job *j, double strength, int width, int height);

/* Adds a result: the picture is taken over, on errors too. */
int task_emit(task_outputs *out, int index, image *picture, int scene, int number, err *e);

/* --- settings.c ------------------------------------------------------------------------------ */

/* What the metadata of every sampled picture say, in the web UI's order. */
int task_add_settings(infotext *text, const task *t, const job *j, const scene_plan *scene,
                      int number, const char *model, const char *hash, err *e);

/* --- input.c --------------------------------------------------------------------------------- */

/* An input as it is in its file: upright, sRGB; RGB or RGBA. */
int task_read(image *out, const job_picture *in, err *e);

/* The job's first picture over the background colour: RGB. */
int task_read_flat(image *out, const job *j, err *e);

#endif
