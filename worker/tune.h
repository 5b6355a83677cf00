/* tune: the worker's --tune. Timing decides which kernels of the vendor's libraries serve, once, on
 * request and on an idle device; a worker that serves only reads what came of it. */
#ifndef WORKER_TUNE_H
#define WORKER_TUNE_H

#include "kernels/dev.h"
#include "proto/err.h"

typedef struct {
    dev_options device;
    const char *models; /* folder */
    const char *names;  /* "a,b" of models there; NULL: all */
    const char *sizes;  /* "512x512,768x768": pictures to be fast at */
    double seconds;
    void (*say)(const char *line); /* what a person wants to read, without its end */
} tune_request;

/* Walks the models dry, one picture of each size, and tunes the device for that. ERR_INVALID for
 * sizes that are none, ERR_NOT_FOUND without models, ERR_DEVICE; errors of model_load. */
int tune_run(const tune_request *request, err *e);

#endif
