/* Parameters of a network: from checkpoint tensors to what the kernels take. One loader serves real
 * and dry devices; on a dry one nothing is read and only the bytes are counted. */
#ifndef WORKER_MODEL_PARAMS_H
#define WORKER_MODEL_PARAMS_H

#include "kernels/ops.h"
#include "worker/model/config.h"
#include "worker/model/parts.h"

enum { PARAMS_WAITING = 64 };

/* A layer finds its input, and has to leave its output, times these powers of two: matrices are
 * packed times 2^(out - in), biases kept times 2^out. All exponents 0: as the file has it. */
typedef struct {
    int in, out;
} scaling;

typedef struct {
    dev *d;
    const checkpoint *file;
    arena *to;          /* all weights of the model, or of the piece that is loaded */
    model_parts *parts; /* NULL: it has none */
    err *e;             /* first problem; later calls do nothing */
    bool winograd;      /* 3x3 convolutions may take four times the memory (weight.winograd) */
    bool places;        /* of the file the shapes alone count: parameters get places, no values */
    scaling scaling;    /* of the convolutions and linear layers that come next */

    /* Matrices that have their memory and wait to be packed together. */
    struct {
        int count;
        size_t bytes;
        pack_item item[PARAMS_WAITING];
        const checkpoint_tensor *source[PARAMS_WAITING];
    } waiting;
} params;

enum { PARAMS_BESIDE = 256 };

/* Linear layers that read the same input, to be loaded as one layer with their output channels side
 * by side, multiples of PACK_CHANNELS each. Begins as zeros. */
typedef struct {
    int count;
    int64_t out;  /* channels so far */
    bool doubled; /* see params_doubled */
    const checkpoint_tensor *matrix[PARAMS_BESIDE], *bias[PARAMS_BESIDE];
} joint;

/* "<prefix>.weight" and "<prefix>.bias" of a convolution or linear layer. */
typedef struct {
    weight w;
    tensor bias; /* not given when the file has none */
    int stride;
} conv;

/* scale and shift of a normalisation, as F32 */
typedef struct {
    tensor scale, shift;
} norm;

conv params_conv(params *p, int stride, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same of one that comes after a nearest x2. */
conv params_doubled(params *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
conv params_linear(params *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Notes one more layer; the channel of the joint one where its own begin. */
int64_t params_beside(params *p, joint *b, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The layers that were noted, as one: a single product for all of them. */
conv params_join(params *p, const joint *b);
norm params_norm(params *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A vector of any length, as F32. */
tensor params_vector(params *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A vector or table as it is: F32 for vectors, the file's own type for tables (see op_embed). */
tensor params_table(params *p, bool as_f32, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A device's trouble as the code of the load's error. */
err_code params_code(const dev *d);

/* What comes next is another piece of the model (parts.h); its number. */
int params_piece(params *p, model_part of, bool turns);

/* Packs what still waits; weights are not to be used before. */
void params_finish(params *p);

/* The same at the end of everything. */
void params_done(params *p);

#endif
