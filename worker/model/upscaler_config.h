/* What kind of upscaler a file holds, read from the names and shapes of its tensors alone.
 *
 * ESRGAN (Wang et al. 2018, "residual in residual dense blocks", RRDB) under the names of its first
 * and second code and of Real-ESRGAN, the latter also with the input unshuffled (x2, x1); and the
 * plain networks of Real-ESRGAN (SRVGGNetCompact: convolutions with PReLU, then a pixel shuffle).
 */
#ifndef WORKER_MODEL_UPSCALER_CONFIG_H
#define WORKER_MODEL_UPSCALER_CONFIG_H

#include "worker/model/checkpoint.h"

typedef enum { UPSCALER_RRDB, UPSCALER_SRVGG } upscaler_kind;

/* Convolutions of a block of RRDB: three dense blocks of five. */
enum { RRDB_DENSE = 3, RRDB_CONVS = 5 };

typedef struct {
    upscaler_kind kind;
    int family;      /* of RRDB names */
    char prefix[16]; /* of all names: "", "params_ema." */
    int width;       /* channels between the layers */
    int growth;      /* RRDB: channels that each convolution of a dense block adds */
    int blocks;      /* RRDB: blocks; SRVGG: convolutions between the first and the last */
    int unshuffle; /* RRDB: the input's blocks of so many pixels a side become channels: 1, 2, 4 */
    int doublings; /* RRDB: times the picture doubles at the end */
    int scale;     /* of the whole */
} upscaler_config;

/* Reads the configuration and checks that every tensor it implies is there with the right shape and
 * type, listing all that are missing or wrong in one message (ERR_INVALID). */
int upscaler_config_read(upscaler_config *c, const checkpoint *file, err *e);

/* A 3x3 convolution, in the order in which the network applies them. */
typedef struct {
    char name[64];  /* before ".weight" and ".bias" */
    char slope[64]; /* SRVGG: the tensor of PReLU slopes; "": none */
    int in, out;
} upscaler_layer;

int upscaler_layers(const upscaler_config *c);
upscaler_layer upscaler_layer_at(const upscaler_config *c, int i); /* 0 <= i < layers */

#endif
