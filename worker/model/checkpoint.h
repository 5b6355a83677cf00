/* Model files as named tensors, mapped, never copied, and never trusted.
 *
 * A single file (.safetensors, or of torch.save: .pth, .pt, .ckpt) or a diffusers folder (unet/,
 * vae/, text_encoder/) gives the same view: the LDM names. Every offset, size, shape and type is
 * checked against the file before a tensor can be found. */
#ifndef WORKER_MODEL_CHECKPOINT_H
#define WORKER_MODEL_CHECKPOINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/tensor.h"
#include "proto/err.h"

enum { CHECKPOINT_DIMS = 4 };

typedef struct {
    const char *name;      /* LDM name */
    dtype type;            /* F32, F16, BF16, U8, I32; DTYPE_COUNT: another type, see type_name */
    const char *type_name; /* as the file says: "F64" */
    int dims;
    int64_t dim[CHECKPOINT_DIMS]; /* beyond dims: 1 */
    const void *data;             /* in the mapping; not aligned beyond the type's size */
    size_t bytes;
} checkpoint_tensor;

typedef struct checkpoint checkpoint;

/* Opens a .safetensors file, a file of torch.save (what it is tells its content, not its name) or a
 * diffusers folder. ERR_NOT_FOUND, ERR_IO, ERR_INVALID; the text
 * lists every problem of the file. Duplicate names, overlapping or out-of-file ranges are problems.
 */
checkpoint *checkpoint_open(const char *path, err *e);
void checkpoint_free(checkpoint **c);

const checkpoint_tensor *checkpoint_find(const checkpoint *c, const char *name); /* NULL: absent */
bool checkpoint_has(const checkpoint *c, const char *prefix); /* a tensor whose name begins so */
size_t checkpoint_count(const checkpoint *c);
/* By name, 0 <= i < count. */
const checkpoint_tensor *checkpoint_at(const checkpoint *c, size_t i);
const char *checkpoint_path(const checkpoint *c);
size_t checkpoint_bytes(const checkpoint *c); /* of all tensors */

/* Lets the pages of one tensor go after it was packed (the file stays mapped). */
void checkpoint_release(const checkpoint *c, const checkpoint_tensor *t);

/* hash.c: the SHA-256 of the file (of the diffusion network's for a folder) as 64 hexadecimal
 * digits; web UIs show the first 10. Reads the whole file unless `cache_folder` (may be NULL) knows
 * it by path, size and time: call it off the engine's thread. `cancel` may be NULL.
 * ERR_NOT_FOUND, ERR_IO, ERR_CANCELLED. */
int checkpoint_hash(const char *path, const char *cache_folder, char hex[65],
                    const atomic_bool *cancel, err *e);

#endif
