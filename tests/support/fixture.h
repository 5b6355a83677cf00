/* Test models: real names and shapes, weights that are a formula of name, seed and index. Nothing
 * to download, and the same bits as the independent implementation that made the golden data. */
#ifndef TESTS_SUPPORT_FIXTURE_H
#define TESTS_SUPPORT_FIXTURE_H

#include "proto/err.h"
#include "worker/model/config.h"

typedef enum {
    FIXTURE_FILE,       /* one .safetensors with LDM names */
    FIXTURE_FOLDER_OLD, /* diffusers: text_model. prefix, query/key/value/proj_attn */
    FIXTURE_FOLDER_NEW, /* diffusers: no prefix, to_q/to_k/to_v/to_out.0 */
} fixture_layout;

/* What is wrong with one tensor of a model. A name that the model does not have is added. */
typedef struct {
    const char *name;
    int dims; /* 0: the tensor is left out */
    int64_t dim[4];
    const char *type; /* another type of the same size, or NULL */
    bool nan;         /* all its values are NaN */
} fixture_defect;

typedef struct {
    const model_config *config;
    uint64_t seed;
    dtype type; /* F32, F16 or BF16: the formula's F16 values, widened or rounded */
    fixture_layout layout;
    double loud; /* the inside of the autoencoder is as many times larger, for the same pictures;
                    F32 only; 0: not */
    const char *part; /* only tensors whose names begin so; NULL: all */
    bool zeros;       /* no values: a file with holes that takes no space */
    const fixture_defect *defect;
    int defects;
} fixture;

/* tiny, tiny3, tiny9, sd15; loud and louder, like tiny3 with an autoencoder that passes 3e5, and
 * one that passes 1e7; NULL: unknown. */
const model_config *fixture_config(const char *arch);

/* Writes the model; an existing file is replaced at once (rename), a folder file by file. A folder
 * needs a configuration with the names of tiny or tiny3. */
int fixture_write(const fixture *f, const char *path, err *e);

/* The single file of an architecture at `path`: F16, or F32 where that is too small. */
int fixture_model(const char *arch, uint64_t seed, const char *path, err *e);

/* The same under seed 1 in the build folder, written by the first test that asks; `path` has room
 * for 1024 bytes and is returned. Ends the program when it cannot be written. */
const char *fixture_shared(const char *arch, char *path);

/* `count` values of a tensor from element `first` on, as F16 bits. */
void fixture_values(uint16_t *out, const char *name, const int64_t *dim, int dims, uint64_t seed,
                    int64_t first, int64_t count);

#endif
