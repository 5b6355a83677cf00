/* Golden jobs, and running jobs inside this process: a service without sockets. */
#ifndef TESTS_SUPPORT_JOBS_H
#define TESTS_SUPPORT_JOBS_H

#include "tests/support/asked.h"
#include "worker/service.h"

/* A work for a golden job; the model's path in job.model. */
work *jobs_golden(const asked *a);

/* A job by its settings: a NULL-ended list of words, names, as on the command line, and values;
 * "input" and "mask" are files of tests/golden, "model" is a fixture. Small, quick and seeded
 * unless they say otherwise: tiny, 64 x 64 pixels, 4 steps, seed 1. */
work *jobs_make(const char *task_name, const char *const *words);
/* Adds a picture as a PNG file. */
void jobs_add_picture(work *w, input_role role, const image *picture);

/* A txt2img job for model `arch`: 64 x 64 pixels, Euler, 4 steps, CFG 7, seed 1. Change it before
 * it is taken in. */
work *jobs_simple(const char *arch, const char *text);
/* Makes it an img2img job with tests/golden/pictures/<file>. */
void jobs_set_input(work *w, const char *file);

/* Checks the job and takes it in; fails the test when either is refused. */
void jobs_take(service *s, work *w);
/* The next event; fails the test when none comes in a minute. */
service_event *jobs_event(service *s);
/* Waits for the next complete work, which is the caller's; other events are dropped. */
work *jobs_next_complete(service *s);

/* Takes the works in at once and waits until all are complete; they are the caller's again, each
 * with its pictures or its error. */
void jobs_run(service *s, work **works, int count);

/* A service on `backend`, whose upscalers are those of tests/golden, with `threads` threads; fails
 * the test when it cannot start. */
service *jobs_service(const char *backend, int threads, int band_rows, int64_t memory_budget);

/* Fails the test with its text when the job failed, or its files differ from those of `want`. */
void jobs_assert_done(const work *w);
void jobs_assert_same(const work *w, const work *want);
void jobs_assert_same_picture(const work *w, int index, const work *want, int want_index);

/* Result `index`, decoded. */
image jobs_picture(const work *w, int index);

#endif
