/* run: a work inside the engine: its model, its conditioning, its scenes and their sequences. The
 * engine's thread alone touches it. */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include "worker/models.h"
#include "worker/residents.h"
#include "worker/seq.h"
#include "worker/upscalers.h"
#include "worker/work.h"

typedef enum {
    RUN_SCENE_WAITING, /* for the scene it comes after, or for its turn */
    RUN_SCENE_ASKED,   /* the crew makes its input */
    RUN_SCENE_READY,   /* its pictures can begin */
} run_scene_state;

typedef struct {
    run_scene_state state;
    bool encoded;               /* `input` went onto the device */
    scene_input input;          /* READY, until it is encoded */
    tensor latent, mask, extra; /* see seq_options; kept until the last picture is out */
    int before;                 /* pictures of earlier scenes */
    int begun, out, taken;      /* pictures: started, given to the crew, taken by the task */
} run_scene;

/* An upscaler of the job, by the name its scenes have. */
typedef struct {
    const char *name;
    resident *resident;
} run_network;

enum { RUN_NETWORKS = 3 };

/* The scene that is being enlarged, tile by tile. */
typedef struct {
    bool active;
    int scene, next; /* tile */
    uint64_t turn;   /* batch after which it was served last */
    scene_result made;
} run_enlarging;

typedef struct run {
    struct run *next;
    work *work;
    resident *resident;  /* NULL for a job without a model (noop) */
    conditioning **text; /* one for each of the task's */
    int texts;           /* that are there: the first ones */
    size_t owed_bytes;   /* of those that are not */
    size_t time_bytes;   /* of the time embeddings that a picture keeps */
    uint64_t text_turn;  /* when the last one was encoded; 0: none was */
    run_scene *scene;    /* one for each of the task's */
    int asked;           /* scenes that were asked for, in their order */
    int opened;          /* scenes before this one have begun all their pictures */
    call_shape call; /* the smallest, of the scene that takes most: a batch grows when more fits */
    model_costs costs; /* of such a call */
    size_t scratch;    /* of what takes most, call or tile: promised to the run */
    run_network network[RUN_NETWORKS];
    int networks;
    run_enlarging enlarging;
    int tiles, tiles_done; /* of the scenes that began to be enlarged */
    seq *first;            /* sequences on their way, or waiting to be decoded */
    int sequences;
    int to_hand_out; /* pictures of all scenes that were not given to the crew yet */
    int evaluations, evaluations_over; /* of all pictures; of those handed out */
    int steps, steps_over;
    double began;       /* clock_seconds when it was admitted */
    int reported;       /* evaluations done when progress was last reported */
    int64_t preview_ms; /* time of the last preview */
} run;

/* Takes a work in: finds and loads the model, checks that the job fits it and the memory. NULL with
 * ERR_BUSY: nothing is wrong, but jobs that run have to go first. */
run *run_new(residents *all, models *names, work *w, err *e);
void run_free(residents *all, run **r);

/* Encodes the next text, which is `flops` of work, until the run has all. */
bool run_has_texts(const run *r);
double run_text_flops(const run *r);
int run_text(residents *all, run *r, err *e);

/* Bytes that one of its pictures keeps when it is made by calls of this shape. */
size_t run_picture_bytes(const run *r, call_shape call);

/* What its next picture will keep, while it has none on its way. */
size_t run_owed_picture(const run *r);

bool run_complete(const run *r); /* every picture was handed out */
void run_progress(const run *r, work_progress *p);

/* --- run_scene.c: scenes become sequences, sequences become pictures ------------------------- */

/* The next scene whose input the crew should make, marked as asked for; -1: none now. */
int run_ask(run *r);

/* The crew made it (taken over), or took a picture of it. */
void run_scene_made(run *r, int scene, scene_input *input);
void run_scene_taken(run *r, int scene);

/* The first scene with a picture that can begin; -1: none, or texts are missing. */
int run_beginnable(const run *r);

/* --- run_encode.c ---------------------------------------------------------------------------- */

/* Puts the scene's input onto the device, where there is something to put: its picture, and for an
 * inpainting model what that sees besides. */
bool run_must_encode(const run *r, int scene);
double run_encode_flops(const run *r, int scene);
int run_encode(residents *all, run *r, int scene, err *e);

/* Starts the next picture of an encoded scene; it has waited since batch `turn`. */
int run_begin(residents *all, run *r, int scene, uint64_t turn, err *e);

/* Which of the job's sampled pictures this is. */
int run_picture(const run *r, const seq *s);

/* Decodes an ended sequence into a picture and frees the sequence. */
int run_decode(residents *all, run *r, seq *s, scene_result *out, err *e);

/* --- run_enlarge.c --------------------------------------------------------------------------- */

/* Of a network's tiles: as the web UI cuts for ESRGAN. */
enum { RUN_TILE_SIDE = 192, RUN_TILE_OVERLAP = 8 };

/* Finds and loads the upscalers that the job's scenes name; `folder`: the models'. */
int run_find_networks(residents *all, run *r, const char *folder, err *e);

/* The scene is for an upscaler, and there is something to enlarge. */
bool run_enlarges(const run *r, int scene);

/* Begins to enlarge a scene; one tile of it, which is `flops` of work; true: that was the last, and
 * this is the result. */
int run_enlarge_begin(run *r, int scene, uint64_t turn, err *e);
double run_enlarge_flops(residents *all, const run *r);
int run_enlarge(residents *all, run *r, err *e);
bool run_enlarged(run *r, scene_result *out);

/* --- pictures that are not sampled ----------------------------------------------------------- */

/* A picture of a scene that is not sampled: the init picture, or none. */
bool run_untouched(const run *r, int scene);
int run_copy(run *r, int scene, image *out, err *e);

/* A picture of the scene went to the crew; after its last one the scene is let go. */
void run_handed_out(residents *all, run *r, int scene);
void run_scene_done(residents *all, run_scene *s);

#endif
