/* Plans on disk, so that a second start compiles nothing and asks no heuristic. One file a plan, in
 * a folder that only we may write to: a plan carries machine code. Files are written beside their
 * place and renamed; whatever is wrong with one that is read makes it a miss. */
#ifndef KERNELS_CUDA_PLAN_STORE_H
#define KERNELS_CUDA_PLAN_STORE_H

#include "kernels/cuda/tuning.h"

enum { PLAN_STORE_PATH = 1024, PLAN_STORE_NAME = 32, PLAN_STORE_MOST = 16 << 20 };

typedef struct {
    char folder[PLAN_STORE_PATH];
    tuning_device device;
} plan_store;

/* What a stored plan is of. */
typedef struct {
    const char *shape; /* its name */
    int64_t rows;
    const choice *choice;
} plan_key;

/* Makes the folder when it is not there. False with why when it cannot be used: it is not ours, or
 * others may write to it. */
bool plan_store_open(plan_store *s, const char *folder, const tuning_device *device,
                     char why[TUNING_WHY_BYTES]);

/* The plan's text, malloc'ed and NUL-ended; NULL: a miss. */
char *plan_store_get(const plan_store *s, const plan_key *key, size_t *bytes);
/* False when it could not be kept, which costs time and nothing else. */
bool plan_store_put(const plan_store *s, const plan_key *key, const char *text, size_t bytes);

/* Where a plan is kept. */
void plan_store_path(const plan_store *s, const plan_key *key,
                     char path[PLAN_STORE_PATH + PLAN_STORE_NAME]);

/* Where in a file's bytes the text of this plan is; NULL when the file is anything but what
 * plan_store_put wrote for the key. */
const char *plan_store_text(const plan_store *s, const plan_key *key, const char *file,
                            size_t file_bytes, size_t *bytes);

#endif
