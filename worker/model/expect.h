/* What a network needs of a file: one check for every kind of network. */
#ifndef WORKER_MODEL_EXPECT_H
#define WORKER_MODEL_EXPECT_H

#include "worker/model/checkpoint.h"
#include "worker/model/problems.h"

/* Adds a problem unless `file` has this tensor with this shape (1 beyond dims), as F32, F16 or
 * BF16. */
void expect_tensor(const checkpoint *file, problems *p, const char *name,
                   const int64_t dim[CHECKPOINT_DIMS], int dims);

#endif
