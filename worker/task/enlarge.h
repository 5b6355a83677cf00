/* enlarge: one picture through one upscaler, as the web UI calls it: up to three passes of its
 * network until the wanted size is reached, then Lanczos to exactly that size. Each pass is a scene
 * of the task; what needs no network is done at the end, on the crew. */
#ifndef WORKER_TASK_ENLARGE_H
#define WORKER_TASK_ENLARGE_H

#include "worker/task/task_row.h"

/* How large, and by which factor that is. */
typedef struct {
    double factor;
    int width, height;
} enlarge_goal;

typedef struct {
    const char *upscaler; /* the job's name of it */
    image picture;        /* RGB: what it is now */
    enlarge_goal goal;
    int pass;     /* scenes that were made */
    bool settled; /* the network makes nothing larger: no further pass */
} enlarge;

/* "None", "Lanczos" and "Nearest" need no network. */
bool enlarge_is_none(const char *upscaler);
bool enlarge_is_network(const char *upscaler);

/* What metadata call it: of a path the file's name alone, without its ending. */
void enlarge_name(const char *upscaler, char name[256]);

/* Scenes that enlarging takes, listed one after the other from `first` on; the first comes after
 * scene `after` (-1: none). */
int enlarge_scenes(const char *upscaler);
void enlarge_plan(task *t, int first, const char *upscaler, int after);

/* A picture of w x h enlarged by `factor`: trunc(side * factor) / 8 * 8, at least 8. */
enlarge_goal enlarge_by(int w, int h, double factor);

/* Enlarged, or made smaller, until it covers width x height; its shape stays. */
enlarge_goal enlarge_to(int w, int h, int width, int height);

/* Begins with a picture, which is taken over. ERR_TOO_LARGE above UPSCALE_SIDE_MAX. */
int enlarge_begin(enlarge *g, const char *upscaler, image *picture, enlarge_goal goal, err *e);
void enlarge_done(enlarge *g);

/* The next scene's input: the picture as it is, or nothing when it is large enough. */
int enlarge_scene(enlarge *g, scene_input *out, err *e);

/* The scene's result. */
int enlarge_take(enlarge *g, scene_result *enlarged, err *e);

/* After the last scene: the picture at its size (given up); None: unchanged. */
int enlarge_finish(enlarge *g, image *out, err *e);

#endif
