/* Samplers that own no loop.
 *
 * The engine asks sampler_next what the UNet should see, evaluates it (batched with other
 * pictures), and hands over with sampler_accept; the answer is a linear combination for op_step:
 * every update of every sampler is a sum of terms with coefficients computed here, in double. The
 * terms:
 *
 *     x        the latent now
 *     eps      the noise prediction after guidance (itself a weighted sum of rows, see engine)
 *     h0..h3   tensors that earlier steps stored
 *     noise    a fresh draw of this picture's stream
 *
 * Sources: k-diffusion (Karras et al. 2022, Algorithms 1 and 2), DPM++ (Lu et al. 2022), DDIM (Song
 * et al. 2020); exact rules as in AUTOMATIC1111's web UI 1.10, see the comment above each. */
#ifndef WORKER_SAMPLE_SAMPLER_H
#define WORKER_SAMPLE_SAMPLER_H

#include <stdbool.h>

#include "proto/catalog.h"
#include "proto/err.h"

enum { SAMPLER_HISTORY = 4 };

typedef enum {
    TERM_X,
    TERM_EPS,
    TERM_HISTORY,
    TERM_NOISE = TERM_HISTORY + SAMPLER_HISTORY,
    TERM_COUNT
} sampler_term;

/* What the UNet is asked: eps(x * input_scale, timestep).
 *
 * Under a mask (behaviour of the web UI) a sigma sampler holds the x0 prediction of every
 * evaluation to the known latent. A timestep sampler holds what the UNet sees to the known latent
 * at the noise level of this evaluation, known_latent * latent + known_noise * first draw, and goes
 * on with its own x. */
typedef struct {
    double sigma;
    double timestep; /* fractional for sigma samplers */
    double input_scale;
    bool holds_input; /* a timestep sampler */
    double known_latent, known_noise;
} sampler_eval;

/* What op_step does with the answer. Every sum uses the values from before this step. */
typedef struct {
    double x[TERM_COUNT];
    double history[SAMPLER_HISTORY][TERM_COUNT];
    bool stored[SAMPLER_HISTORY]; /* history j is written */
    double denoised[TERM_COUNT];  /* x0 prediction, for previews */
    bool noise;                   /* take one draw, even where its coefficient is 0; without it the
                                   * noise term is 0 everywhere */
} sampler_step;

typedef struct {
    sampler_kind kind;
    schedule sched; /* sigma samplers: never Automatic */
    int length;     /* n of the whole schedule, see schedule.h */
    int first;      /* sigma samplers: index of the first sigma that is kept */
    int steps;      /* steps to run; 0 for DDIM at a very small strength */
    int step;       /* step now, 0-based */
    int stage;      /* 0, or 1 in the second evaluation of a step */
    double start_latent,
        start_noise; /* x at the start = start_latent * latent + start_noise * noise */
} sampler;

/* `steps` and `t_enc` as job_steps gives them (0 <= t_enc < steps). txt2img: from_latent false,
 * everything runs and t_enc is not read; x starts as noise alone. Fails (ERR_INVALID) when steps is
 * 0: the input has to come back untouched, which is the caller's business.
 *
 * Sigma samplers run at least one step. DDIM makes one evaluation fewer than it has timesteps, so
 * with t_enc 0 or 1 (and txt2img with one step) it makes none: sampler_next says "finished" at
 * once, and the start, noise included, is the result. */
int sampler_init(sampler *s, sampler_kind kind, schedule sched, int steps, int t_enc,
                 bool from_latent, err *e);

bool sampler_next(const sampler *s, sampler_eval *eval); /* false: finished */
void sampler_accept(sampler *s, sampler_step *step);     /* moves on */

int sampler_evaluations(const sampler *s); /* in all */
int sampler_evaluations_done(const sampler *s);

#endif
