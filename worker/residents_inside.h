/* What residents.c and residents_texts.c share, and nobody else. */
#ifndef WORKER_RESIDENTS_INSIDE_H
#define WORKER_RESIDENTS_INSIDE_H

#include "worker/residents.h"

void residents_text_free(residents *all, conditioning *c);

/* Drops the text that has been unused for longest, of whatever model; false: all are in use. */
bool residents_drop_text(residents *all);

/* Drops what is kept of batches' texts; false: nothing is. */
bool residents_drop_rows(residents *all);

/* Bytes of tensors and weights. */
int64_t residents_held(const residents *all);

#endif
