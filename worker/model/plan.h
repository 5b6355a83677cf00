/* What a model and a picture will take, known before either is loaded or started: dry walks give
 * the bytes and the FLOPs, and the memory budget chooses the packing of the weights. */
#ifndef WORKER_MODEL_PLAN_H
#define WORKER_MODEL_PLAN_H

#include "worker/model/model.h"

/* One network call: scratch at its peak, and multiplies and adds counted as two. */
typedef struct {
    size_t scratch;
    double flops;
} model_cost;

typedef struct {
    model_cost text;   /* one chunk of 77 tokens */
    model_cost encode; /* one picture */
    model_cost step;   /* UNet with `rows` rows of `tokens` tokens */
    model_cost decode; /* one picture */
    size_t peak;       /* the largest scratch of the four */
} model_costs;

/* Walks the networks of `m` on a dry device of the same options: width and height in pixels,
 * multiples of the autoencoder's factor; rows of the UNet (two a picture with CFG), tokens of the
 * context. */
model_costs model_measure(dev *dry, const model *m, int width, int height, int rows, int tokens);

typedef struct {
    size_t weights[MEMORY_MODES]; /* bytes on the device, by memory mode */
    size_t texts;                 /* what the UNet sees of one chunk a row, which stays */
    model_costs costs;
} model_plan_result;

/* The walk of one UNet call alone. */
void model_walk_step(dev *dry, const model *m, int width, int height, int rows, int tokens);

/* What the model at `path` and pictures of this size take on a device with these options, without
 * loading it. Errors of model_load; ERR_INVALID for a size that is no multiple of the factor. */
int model_needs(model_plan_result *result, const dev_options *options, const char *path, int width,
                int height, int rows, err *e);

/* The picture that a budget is planned for: both halves of guidance, 512 x 512. */
enum { PLAN_SIDE = 512, PLAN_ROWS = 2 };

/* For memory mode high, so that the mode decides no bits: sets options->winograd_most to the
 * largest of a few choices (every 3x3 convolution, those up to 1280, 640, 320 input channels, none)
 * whose weights fit `budget` bytes (0: no limit) together with the scratch of a width x height
 * picture with `rows` UNet rows and what a process takes anyway. ERR_NO_MEMORY when none fits,
 * saying what the smallest needs; errors of model_needs. */
int model_plan(dev_options *options, const char *path, int64_t budget, int width, int height,
               int rows, model_plan_result *result, err *e);

/* The same for the planned picture, of a worker: how it packs depends on the model and the budget
 * alone, so that every worker with this budget makes the same bits. A budget below that picture has
 * none of the choices, and still serves smaller ones. */
int model_plan_served(dev_options *options, const char *path, int64_t budget,
                      model_plan_result *result, err *e);

#endif
