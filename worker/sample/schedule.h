/* Noise levels: the Stable Diffusion 1.x training schedule and the sampling schedules over it.
 * sigma = sqrt((1-ac)/ac), interpolated linearly in log sigma over the timestep (0..999).
 *
 * Every sampling schedule is a formula of the index, so one of any length takes no memory: a weak
 * img2img job with fix_steps runs the last 150 of 150,000 steps. */
#ifndef WORKER_SAMPLE_SCHEDULE_H
#define WORKER_SAMPLE_SCHEDULE_H

#include "proto/catalog.h"

enum { SCHEDULE_TRAINING_STEPS = 1000 };

double schedule_alpha_cumprod(int t);   /* ac[t], rounded to float once; t in 0..999 */
double schedule_sigma(double t);        /* sigma at a fractional timestep, clamped to 0..999 */
double schedule_timestep(double sigma); /* its inverse, clamped to 0..999 */

/* Number of sigmas in the schedule of n >= 1 steps, the final 0 not counted: n, but more or less
 * for DDIM (see schedule_timesteps). `s` is not SCHEDULE_AUTOMATIC. */
int schedule_sigmas(schedule s, int n);
/* The i-th of them, largest first, never 0. */
double schedule_sigma_at(schedule s, int n, int i);

/* Timesteps of the timestep samplers, ascending: 1, 1+c, 1+2c … with c = max(1000/n, 1), at most
 * 999. Their number is n when n divides 1000, otherwise more; 1000 for n > 1000. */
int schedule_timesteps(int n);
int schedule_timestep_at(int n, int i);

#endif
