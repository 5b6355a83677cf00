/* A loaded model: the three networks and their weights in one arena of a device. */
#ifndef WORKER_MODEL_MODEL_H
#define WORKER_MODEL_MODEL_H

#include "worker/model/clip.h"
#include "worker/model/config.h"
#include "worker/model/unet.h"
#include "worker/model/vae.h"

typedef struct {
    char path[1024];
    char name[256]; /* file or folder name without extension */
    model_config config;
    clip text;
    unet *unet;
    vae *vae;
    arena weights;
} model;

/* Opens, checks and packs. On a dry device: everything but the weights themselves;
 * model.weights.peak is then what they would take. ERR_* of checkpoint_open and model_config_read,
 * ERR_NO_MEMORY. */
model *model_load(dev *d, const char *path, err *e);
void model_free(model **m);

#endif
