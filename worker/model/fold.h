/* Text as CLIP's vocabulary expects it: Unicode normal form C, then lower case. */
#ifndef WORKER_MODEL_FOLD_H
#define WORKER_MODEL_FOLD_H

#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

/* UTF-8 -> code points, malloc'ed. ERR_INVALID for text that is not UTF-8. Linear in `size`. */
int fold_text(int32_t **codes, size_t *count, const char *text, size_t size, err *e);

#endif
