/* seq: one latent on its way from noise to picture. */
#ifndef WORKER_SEQ_H
#define WORKER_SEQ_H

#include "worker/residents.h"
#include "worker/sample/noise.h"
#include "worker/sample/sampler.h"
#include "worker/task/guidance.h"

/* What a sequence is made from. The tensors stay the caller's; mask and extra must outlive the
 * sequence, the latent (img2img, [1,h,w,4]) need not. */
typedef struct {
    sampler_kind sampler;
    schedule scheduler;
    int steps, t_enc;
    rng_source rng;
    uint64_t seed;
    int64_t h, w; /* latent size */
    const tensor *latent;
    const tensor *mask; /* inpainting: [1,h,w,1], 1 = repaint; with a latent. NULL: everything */
    masked_content content;   /* with a mask: what is in it before it is noised */
    soft_inpainting soft;     /* with a mask */
    const tensor *extra;      /* what the model takes behind the latent, [1,h,w,c]; NULL: nothing */
    const guidance *guidance; /* its rows; the caller's for as long as the sequence lives, */
    conditioning *const *texts; /* as are the texts that the rows see */
    int64_t time_width;         /* of unet_times; 0: no UNet is asked */
    bool preview;               /* keep the x0 prediction */
} seq_options;

/* One UNet sample of a sequence: its share of the guided prediction, and the text it sees. */
typedef struct {
    double share;
    const int *text;   /* [steps]: index among the sequence's texts, step by step */
    tensor prediction; /* [1,h,w,4], kept */
    bool ready;        /* this evaluation's prediction is there */
} seq_row;

typedef struct seq {
    struct seq *next;
    sampler sampler;
    sampler_eval eval; /* what its rows are to be asked now */
    noise noise;
    tensor x, input, draw, history[SAMPLER_HISTORY],
        denoised;             /* kept; input: x as the UNet takes it */
    tensor known;             /* kept, with a mask: what is held outside it */
    tensor mask, extra;       /* the caller's */
    tensor times;             /* kept: unet_times of coming evaluations, */
    int times_from, times_to; /* which ones */
    soft_inpainting soft;
    float *host; /* one latent, for draws */
    conditioning *const *texts;
    seq_row row[GUIDANCE_ROWS_MAX];
    int rows;
    uint64_t turn;      /* batch that served it last, or the last one before it began */
    int scene, picture; /* of its job; the picture's number within the scene */
} seq;

/* A sequence ready for its first evaluation. NULL: `e` says why, or else the device's status. */
seq *seq_new(dev *d, const seq_options *o, err *e);
void seq_free(dev *d, seq **s);

/* Bytes of the tensors that a sequence with so many rows keeps, at most. */
size_t seq_bytes(int64_t h, int64_t w, int rows);

/* Has the UNet's time embedding of the evaluation that the sequence waits for: now and then it is
 * made for those to come. It is [1,1,1,time_width]. */
void seq_know_time(dev *d, seq *s, const unet *u);
tensor seq_time(const seq *s);

/* What a row sees in the evaluation that the sequence waits for. */
const conditioning *seq_text(const seq *s, int row);

/* One latent step for every sequence of the list that has all its rows: a single op_step. They are
 * then asked anew, or have ended. */
void seq_step(dev *d, seq **list, int count);

/* How far a masked sequence has gone from the known latent: distance[h*w] is the length of x -
 * known over the channels. Soft inpainting makes its final mask from it. ERR_NO_MEMORY; of no
 * meaning when the device fails. */
int seq_distance(dev *d, const seq *s, float *distance, err *e);

bool seq_rows_ready(const seq *s); /* all rows of the current evaluation */
bool seq_ended(const seq *s);      /* x is the final latent */

#endif
