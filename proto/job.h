/* A job: what a client asks for, as a plain struct that every program shares.
 *
 * job_check is the one validator. It is pure: ranges, defaults, what belongs together. The client
 * calls it before sending, the broker before storing, the worker before running; all get the same
 * answer. What needs the model (size multiples, context length, memory) is job_fit, in the worker.
 */
#ifndef PROTO_JOB_H
#define PROTO_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/catalog.h"
#include "proto/err.h"

enum { JOB_ID_BYTES = 16, JOB_ID_TEXT = 37 };

typedef struct {
    uint8_t byte[JOB_ID_BYTES];
} job_id;

typedef enum {
    TASK_NOOP,
    TASK_TXT2IMG,
    TASK_IMG2IMG,
    TASK_INPAINT,
    TASK_OUTPAINT,
    TASK_LOOPBACK,
    TASK_UPSCALE,
    TASK_INTERROGATE,
    TASK_COUNT
} task_kind;

typedef enum { RESIZE_JUST, RESIZE_CROP, RESIZE_FILL, RESIZE_COUNT } resize_mode;
typedef enum { RNG_NV, RNG_CPU, RNG_COUNT } rng_source; /* GPU is another name of NV */
typedef enum { FORMAT_PNG, FORMAT_JPEG, FORMAT_WEBP, FORMAT_COUNT } picture_format;

/* Limits that hold everywhere; WELCOME repeats them to clients. */
enum {
    JOB_TEXT_MAX = 65536, /* bytes of one prompt */
    JOB_STEPS_MAX = 150,
    JOB_SCHEDULE_MAX = 150000, /* steps of the schedule fix_steps may ask for, see job_steps */
    JOB_BATCH_MAX = 16,        /* pictures of one batch */
    JOB_PICTURES_MAX = 64,     /* batch size x batch count */
    JOB_SIDE_MIN = 16,
    JOB_SIDE_MAX = 4096,                    /* pixels */
    JOB_INPUTS_MAX = 16,                    /* pictures and masks */
    JOB_INPUT_BYTES_MAX = 64 << 20,         /* all inputs of one job together */
    JOB_DEADLINE_MAX_MS = 7 * 24 * 3600000, /* a week */
    JOB_SIDE = 512,                         /* sides of a picture nobody gave a size */
};

/* A picture that travels with the job: bytes of a PNG, JPEG or WebP file. */
typedef struct {
    const uint8_t *bytes;
    size_t size;
    char path[256]; /* instead of bytes: an absolute path both sides see, if paths_allowed */
} job_picture;

typedef struct {
    job_id id; /* all zero is no id: job_check refuses it */
    task_kind task;
    int32_t priority;    /* 0..100, higher first; 50 */
    bool noop_engine;    /* TASK_NOOP: through pool and engine instead of the net thread */
    int64_t deadline_ms; /* from acceptance; 0: none */

    char model[256];    /* name under the models folder, or an absolute path; "": the default */
    bool paths_allowed; /* set by the receiving program from its transport (ipc), never by a peer */
    char *prompt, *negative_prompt; /* UTF-8, owned */
    int32_t steps;                  /* 20 */
    sampler_kind sampler;           /* DPM++ 2M */
    schedule scheduler;             /* Automatic */
    double cfg_scale;               /* 7, 0..1000 */
    double denoising_strength;      /* 0.75, 0..1; txt2img: not used */
    bool
        fix_steps; /* exactly `steps` steps whatever the strength, 0 or >= steps/JOB_SCHEDULE_MAX */
    int64_t seed; /* -1: the broker draws one; otherwise from 0, picture i has seed + i <= 2^63-1 */
    int32_t width, height; /* 0: not given, see job_check and job_size */
    resize_mode resize;
    int32_t batch_size, n_iter;
    int32_t clip_skip; /* 1..12 */
    rng_source rng;

    picture_format format; /* PNG */
    int32_t quality;       /* JPEG and WebP: 1..100, 90; WebP: 101 = lossless */
    uint8_t background[3]; /* colour under transparent pixels: white */
    bool want_preview;     /* send previews with the progress */

    job_picture *input; /* owned array; the bytes are borrowed unless owns_bytes */
    size_t inputs;
    bool owns_bytes;
} job;

/* Every default above; the caller then fills in what it knows. */
void job_init(job *j);
void job_done(job *j);
/* Takes a copy of the text into *field (job.prompt or job.negative_prompt). ERR_TOO_LARGE above
 * JOB_TEXT_MAX, ERR_INVALID for a NUL byte (it would hide what follows), ERR_NO_MEMORY. */
int job_set_text(char **field, const char *text, size_t size, err *e);
/* Takes over picture.bytes if owns_bytes, but only on success. ERR_TOO_LARGE, ERR_NO_MEMORY. */
int job_add_input(job *j, job_picture picture, err *e);

/* Checks every field, whatever a peer wrote into it, and lists every problem: what was found and
 * what is allowed. The code is that of the first. Resolves one thing: a side that txt2img does not
 * give becomes 512 (img2img: job_size, once the picture is known); Automatic stays Automatic.
 * ERR_INVALID, ERR_TOO_LARGE. */
int job_check(job *j, err *e);

/* Width and height of the job's pictures for an input of w x h pixels. Sides the job names are
 * taken as they are; one side alone gets the other from the input's shape; none: the input's shape,
 * area near 512x512. Sides found here are multiples of 8 between JOB_SIDE_MIN and JOB_SIDE_MAX. */
void job_size(const job *j, int w, int h, int *width, int *height);

/* Denoising strength to steps (web UI rule), of a job that passed job_check: `steps` is the length
 * of the schedule; sigma samplers run its last t_enc + 1 steps, timestep samplers (DDIM) start at
 * timesteps[t_enc]. txt2img: all of it (t_enc = steps - 1). fix_steps with strength 0: steps =
 * t_enc = 0, the input comes back untouched. */
void job_steps(const job *j, int *steps, int *t_enc);

const char *task_name(task_kind t); /* "img2img"; "unknown" for no task */
bool task_find(const char *name, task_kind *t);

/* Ids: 128 random bits chosen by the client; text form 8-4-4-4-12 hexadecimal. */
void job_id_new(job_id *id);
void job_id_text(const job_id *id, char text[JOB_ID_TEXT]);
bool job_id_parse(const char *text, job_id *id);
bool job_id_equal(const job_id *a, const job_id *b);

#endif
