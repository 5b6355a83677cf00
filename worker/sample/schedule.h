/* Noise levels: the Stable Diffusion 1.x training schedule and the sampling schedules over it.
 * sigma = sqrt((1-ac)/ac), interpolated linearly in log sigma over the timestep (0..999). */
#ifndef WORKER_SAMPLE_SCHEDULE_H
#define WORKER_SAMPLE_SCHEDULE_H

#include "proto/catalog.h"
#include "proto/err.h"

enum { SCHEDULE_TRAINING_STEPS = 1000, SCHEDULE_MAX = 1002 };

double schedule_alpha_cumprod(int t);   /* ac[t], rounded to float once; t in 0..999 */
double schedule_sigma(double t);        /* sigma at a fractional timestep */
double schedule_timestep(double sigma); /* its inverse, clamped to 0..999 */

/* Sigmas of n steps, largest first, with the final 0, into `sigmas` (SCHEDULE_MAX entries). Returns
 * the number of entries: n+1, except that DDIM may give more. n in 1..SCHEDULE_TRAINING_STEPS. `s`
 * is not SCHEDULE_AUTOMATIC. */
int schedule_sigmas(schedule s, int n, double *sigmas);

/* Timesteps of the timestep samplers, ascending: 1, 1+c, 1+2c … with c = 1000/n. Returns their
 * number. */
int schedule_timesteps(int n, int *timesteps);

#endif
