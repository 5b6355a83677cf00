/* CLIP's merge list (clip_vocabulary/, OpenAI, MIT), carried inside the program. */
#ifndef WORKER_MODEL_VOCABULARY_H
#define WORKER_MODEL_VOCABULARY_H

#include <stddef.h>

#include "proto/err.h"

enum { VOCABULARY_MERGES = 48894 }; /* the first of the file's; CLIP leaves the rest unused */

/* The lines in use, "left right\n" in order of rank, without the file's header line; malloc'ed,
 * NUL-ended. Fails only for lack of memory. */
int vocabulary_read(char **lines, err *e);

#endif
