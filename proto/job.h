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
    TASK_UPSCALE,     /* Extras: an upscaler alone, no diffusion */
    TASK_INTERROGATE, /* not served yet */
    TASK_SD_UPSCALE,  /* enlarge, then img2img over tiles */
    TASK_COUNT
} task_kind;

typedef enum { RESIZE_JUST, RESIZE_CROP, RESIZE_FILL, RESIZE_COUNT } resize_mode;
typedef enum { RNG_NV, RNG_CPU, RNG_COUNT } rng_source; /* GPU is another name of NV */
typedef enum { FORMAT_PNG, FORMAT_JPEG, FORMAT_WEBP, FORMAT_COUNT } picture_format;

/* What a picture that travels with the job is for. */
typedef enum {
    INPUT_PICTURE, /* what the job starts from */
    INPUT_MASK,    /* white, or opaque: repaint */
    INPUT_SKETCH,  /* a painted copy of the picture: what differs is the mask */
    INPUT_COUNT
} input_role;

/* What stands under the mask before sampling; the web UI's numbers. */
typedef enum {
    CONTENT_FILL,
    CONTENT_ORIGINAL,
    CONTENT_LATENT_NOISE,
    CONTENT_LATENT_NOTHING,
    CONTENT_COUNT
} masked_content;

typedef enum { OUTPAINT_POOR_MANS, OUTPAINT_MK2, OUTPAINT_COUNT } outpaint_method;

/* How a loopback's strength goes from the first round to the last. */
typedef enum { LOOP_LINEAR, LOOP_AGGRESSIVE, LOOP_LAZY, LOOP_COUNT } loop_curve;

/* Limits that hold everywhere; WELCOME repeats them to clients. */
enum {
    JOB_TEXT_MAX = 65536, /* bytes of one prompt */
    JOB_STEPS_MAX = 150,
    JOB_SCHEDULE_MAX = 150000, /* steps of the schedule fix_steps may ask for, see job_steps */
    JOB_BATCH_MAX = 16,        /* pictures of one batch */
    JOB_PICTURES_MAX = 64,     /* results of one job, see job_pictures */
    JOB_TILES_MAX = 16384,     /* tiles of one picture; known, and refused, with the picture */
    JOB_SIDE_MIN = 16,
    JOB_SIDE_MAX = 4096,                    /* pixels */
    JOB_INPUTS_MAX = 16,                    /* pictures and masks */
    JOB_INPUT_BYTES_MAX = 64 << 20,         /* all inputs of one job together */
    JOB_DEADLINE_MAX_MS = 7 * 24 * 3600000, /* a week */
    JOB_SIDE = 512,                         /* sides of a picture nobody gave a size */
    UPSCALE_SIDE_MAX = 16384,               /* pixels of an upscaled picture */
};

/* A picture that travels with the job: bytes of a PNG, JPEG or WebP file. */
typedef struct {
    input_role role;
    const uint8_t *bytes;
    size_t size;
    char path[256]; /* instead of bytes: an absolute path both sides see, if paths_allowed */
} job_picture;

/* The options of the picture tasks. Each comment gives the default and, behind it, the range; a
 * job keeps every field in its range, also where its task does not read it. */

/* A mask that stays grey: each pixel is held by the input as far as its mask says. */
typedef struct {
    bool on;
    double schedule_bias;             /* 1, 0..8 */
    double preservation_strength;     /* 0.5, 0..8 */
    double transition_contrast_boost; /* 4, 1..32 */
    double mask_influence;            /* 0, 0..1 */
    double difference_threshold;      /* 0.5, 0..8 */
    double difference_contrast;       /* 2, 0..8 */
} soft_inpainting;

/* TASK_INPAINT, and TASK_LOOPBACK with a mask. */
typedef struct {
    bool invert;            /* repaint what is not masked */
    int32_t blur_x, blur_y; /* pixels: 4, 0..64 */
    masked_content content; /* original */
    bool only_masked;       /* inpaint area: the masked part and `padding` around it, enlarged */
    int32_t padding;        /* pixels of the picture: 32, 0..256 */
    double mask_weight;     /* 1, 0..1: how much of it a 9-channel model does not see */
    bool colour_correction; /* of every task that samples from a picture */
    bool give_mask;         /* further results after each picture: the mask that was used */
    bool give_composite;    /* ... and the picture with the mask as its alpha */
    double sketch_transparency; /* percent: 0, 0..100 */
    soft_inpainting soft;
} inpaint_options;

/* TASK_OUTPAINT. batch_size and n_iter count for mk2 only: poor man's gives one picture. */
typedef struct {
    outpaint_method method;     /* poor man's */
    bool left, right, up, down; /* at least one */
    int32_t pixels;             /* a side: 128, 8..256; poor man's: less than the job's sides,
                                   which are those of its tiles */
    int32_t mask_blur;          /* pixels, 0..64; -1: 4 for poor man's, 8 for mk2 */
    masked_content content;     /* fill; poor man's only, mk2 makes noise shaped like the picture */
    double falloff;             /* 1, 0..4; mk2 */
    double colour_variation;    /* 0.05, 0..1; mk2 */
} outpaint_options;

/* TASK_LOOPBACK: round i of each of n_iter batches starts from round i-1; batch_size is not used.
 */
typedef struct {
    int32_t loops;         /* 4, 1..32 */
    double final_strength; /* 0.5, 0..1 */
    loop_curve curve;      /* linear */
} loopback_options;

/* TASK_UPSCALE and TASK_SD_UPSCALE. Upscalers are names: "None", "Lanczos", "Nearest", or a network
 * among the worker's models (over ipc also an absolute path). */
typedef struct {
    char upscaler[256];    /* Lanczos */
    char upscaler_2[256];  /* "": none; TASK_UPSCALE */
    double visibility_2;   /* of the second over the first: 0, 0..1 */
    double scale;          /* upscale: 4, 1..8; SD upscale: 2, 1..4; 0: not given */
    int32_t width, height; /* TASK_UPSCALE: instead of a scale, 1..UPSCALE_SIDE_MAX; 0: by scale */
    bool crop;             /* true: exactly width x height; false: the picture covers them */
    int32_t tile_overlap; /* SD upscale: 64, 0..256 pixels, less than the job's sides: the tile's */
} upscale_options;

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
    char img2img_upscaler[256]; /* enlarges pictures before the exact resize; "": Lanczos alone */
    int32_t batch_size, n_iter;
    int32_t clip_skip; /* 1..12 */
    rng_source rng;

    picture_format format; /* PNG */
    int32_t quality;       /* JPEG and WebP: 1..100, 90; WebP: 101 = lossless */
    uint8_t background[3]; /* colour under transparent pixels: white */
    bool want_preview;     /* send previews with the progress */

    inpaint_options inpaint;
    outpaint_options outpaint;
    loopback_options loopback;
    upscale_options upscale;

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

/* The first input of that role; NULL: there is none. */
const job_picture *job_find_input(const job *j, input_role role);

/* Checks every field, whatever a peer wrote into it, and lists every problem: what was found and
 * what is allowed. The code is that of the first. Inpainting may have a mask or a sketch, not both;
 * with neither, the input's own transparency is the mask, which only the worker sees.
 * Resolves what does not need the picture: sides that txt2img or a task with tiles does not give
 * become 512 (others: job_size), the scale of an upscale and outpainting's mask blur become their
 * defaults; Automatic stays Automatic. ERR_INVALID, ERR_TOO_LARGE. */
int job_check(job *j, err *e);

/* Result pictures of a job with numbers in their ranges, at most. Batch size x batch count; one for
 * an upscale and poor man's outpainting; the batch count for an SD upscale; every round for a
 * loopback of one batch, else the last round of each. Each picture of a job with a mask is followed
 * by its mask and composite if the job wants them. */
int job_pictures(const job *j);

/* Width and height of the job's pictures for an input of w x h pixels. Sides the job names are
 * taken as they are; one side alone gets the other from the input's shape; none: the input's shape,
 * area near 512x512. Sides found here are multiples of 8 between JOB_SIDE_MIN and JOB_SIDE_MAX. */
void job_size(const job *j, int w, int h, int *width, int *height);

/* Denoising strength to steps (web UI rule), of a job that passed job_check: `steps` is the length
 * of the schedule; sigma samplers run its last t_enc + 1 steps, timestep samplers (DDIM) start at
 * timesteps[t_enc]. txt2img: all of it (t_enc = steps - 1). fix_steps with strength 0: steps =
 * t_enc = 0, the input comes back untouched. */
void job_steps(const job *j, int *steps, int *t_enc);

/* Directions as text, "left,right,up,down" or some of them in any order. False, and nothing
 * changes, for anything else. */
enum { OUTPAINT_DIRECTIONS_TEXT = 32 };
bool outpaint_directions(outpaint_options *o, const char *text);
void outpaint_directions_text(const outpaint_options *o, char text[OUTPAINT_DIRECTIONS_TEXT]);

const char *task_name(task_kind t); /* "img2img"; "unknown" for no task */
bool task_find(const char *name, task_kind *t);

/* Ids: 128 random bits chosen by the client; text form 8-4-4-4-12 hexadecimal. */
void job_id_new(job_id *id);
void job_id_text(const job_id *id, char text[JOB_ID_TEXT]);
bool job_id_parse(const char *text, job_id *id);
bool job_id_equal(const job_id *a, const job_id *b);

#endif
