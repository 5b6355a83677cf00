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
    vae *wide; /* its decoder in BF16, where feature maps are F16; else NULL */
    arena weights;
    model_parts parts; /* of them */
} model;

/* The UNet of a model once more, on another device of the same class. */
typedef struct {
    unet *unet;
    arena weights;
} unet_copy;

/* Opens, checks and packs. On a dry device: everything but the weights themselves;
 * model.weights.peak is then what they would take, model.parts.bytes in each memory mode. ERR_* of
 * checkpoint_open and model_config_read, ERR_NO_MEMORY. */
model *model_load(dev *d, const char *path, err *e);
/* The same from another device of the same class with the same options, which has the model and is
 * done with loading it: only names and shapes are read from the file. ERR_INVALID: it has changed.
 */
model *model_copy(dev *d, const model *from, const dev *other, err *e);
/* The same with as much of the weights on the device as a memory mode keeps there; model_load keeps
 * everything. */
model *model_load_as(dev *d, const char *path, memory_mode mode, err *e);
void model_free(model **m);

/* Copies the weights of m's UNet from `other`, where all of m is, to d, which takes over what of
 * other's options decides their form. Errors of model_load. */
int unet_copy_load(unet_copy *to, dev *d, const model *m, const dev *other, err *e);
void unet_copy_done(unet_copy *c);

/* A sampler's latent [1,h,w,c] -> [1,H,W,3] bytes at `px` in the host's memory. A picture that F16
 * is too small for is decoded once more in BF16: which one it is depends on the latent alone.
 * False: there are numbers that are not finite even so. */
bool model_decode(dev *d, model *m, tensor latent, uint8_t *px);

#endif
