/* Golden jobs, and running jobs inside this process: a service without sockets. */
#ifndef TESTS_SUPPORT_JOBS_H
#define TESTS_SUPPORT_JOBS_H

#include <jansson.h>

#include "worker/service.h"

/* A work for the entry `name` of pictures/pictures.json; the model's path in job.model. */
work *jobs_golden(const char *name, const json_t *entry);

/* Takes the works in at once and waits until all are complete; they are the caller's again, each
 * with its pictures or its error. */
void jobs_run(service *s, work **works, int count);

/* A service on `backend` with `threads` threads; fails the test when it cannot start. */
service *jobs_service(const char *backend, int threads, int band_rows, int64_t memory_budget);

/* Compares picture 0 of a work with a PNG of tests/golden: the share of values that differ, and by
 * how much at most. */
double jobs_difference(const work *w, const char *file, int *largest);

#endif
