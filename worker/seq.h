/* seq: one latent on its way from noise to picture. */
#ifndef WORKER_SEQ_H
#define WORKER_SEQ_H

#include "worker/residents.h"
#include "worker/sample/noise.h"
#include "worker/sample/sampler.h"

/* What a sequence is made from. The latent (img2img) is [1,h,w,4] and stays the caller's. */
typedef struct {
    sampler_kind sampler;
    schedule scheduler;
    int steps, t_enc;
    rng_source rng;
    uint64_t seed;
    int64_t h, w; /* latent size */
    const tensor *latent;
    conditioning *positive, *negative;
    double cfg_scale;
    bool preview; /* keep the x0 prediction */
} seq_options;

/* One UNet sample of a sequence: the context it sees and its share of the guided prediction. */
typedef struct {
    const conditioning *text;
    double share;
    tensor prediction; /* [1,h,w,4], kept */
    bool ready;        /* this evaluation's prediction is there */
} seq_row;

typedef struct seq {
    struct seq *next;
    sampler sampler;
    sampler_eval eval; /* what its rows are to be asked now */
    noise noise;
    tensor x, input, draw, history[SAMPLER_HISTORY],
        denoised; /* kept; input: x as the UNet takes it */
    float *host;  /* one latent, for draws */
    seq_row row[STEP_PREDICTIONS];
    int rows;
    uint64_t turn;      /* batch that served it last, or the last one before it began */
    int scene, picture; /* of its job; the picture's number within the scene */
} seq;

/* A sequence ready for its first evaluation. NULL: `e` says why, or else the device's status. */
seq *seq_new(dev *d, const seq_options *o, err *e);
void seq_free(dev *d, seq **s);

/* Bytes of the tensors that such a sequence keeps, at most. */
size_t seq_bytes(int64_t h, int64_t w);

/* One latent step for every sequence of the list that has all its rows: a single op_step. They are
 * then asked anew, or have ended. */
void seq_step(dev *d, seq **list, int count);

bool seq_rows_ready(const seq *s); /* all rows of the current evaluation */
bool seq_ended(const seq *s);      /* x is the final latent */

#endif
