/* What kind of model a checkpoint holds, read from the names and shapes of its tensors alone:
 * widths, depths, attention levels, context width, autoencoder factor. `tiny`, `tiny3` and SD 1.5
 * differ in nothing but these numbers. */
#ifndef WORKER_MODEL_CONFIG_H
#define WORKER_MODEL_CONFIG_H

#include "worker/model/checkpoint.h"

enum { MODEL_LEVELS_MAX = 8, MODEL_BLOCKS_MAX = 8 };

typedef struct {
    /* UNet */
    int in_channels, out_channels; /* in: 4, or 9 for inpainting (latent, mask, masked latent) */
    int levels;
    int width[MODEL_LEVELS_MAX];      /* channels of each level */
    int blocks;                       /* resblocks a level going down; one more going up */
    bool attention[MODEL_LEVELS_MAX]; /* level has transformer blocks */
    int time_width;                   /* of the time embedding */
    int context;                      /* width of the text conditioning */
    int heads; /* 8; for contexts of 1024 and 2048: width / 64 (then 0 here) */
    /* autoencoder */
    int vae_levels;
    int vae_width[MODEL_LEVELS_MAX];
    int vae_blocks;
    int factor;          /* pixels a latent cell: 2^(vae_levels-1) */
    int latent_channels; /* 4 */
    double latent_scale; /* 0.18215, unless a folder says otherwise */
    /* text encoder */
    int text_width, text_layers, text_heads, text_mlp, vocabulary, positions;
} model_config;

/* Reads the configuration and checks that every tensor it implies is there with the right shape and
 * type, listing all that are missing or wrong in one message, with what the configuration files of
 * a folder ask for and we cannot do. */
int model_config_read(model_config *c, const checkpoint *file, err *e);

/* Calls `visit` for every tensor that the configuration implies, with its LDM name and shape (dims
 * 1, 2 or 4; dim is 1 beyond them). model_config_read checks with it, the test fixtures write with
 * it. A network without levels (or layers) is left out. */
typedef void model_config_visit(void *arg, const char *name, const int64_t *dim, int dims);
void model_config_tensors(const model_config *c, model_config_visit *visit, void *arg);

#endif
