/* What pickle.c and pickle_values.c share. */
#ifndef WORKER_MODEL_PICKLE_INSIDE_H
#define WORKER_MODEL_PICKLE_INSIDE_H

#include "worker/model/pickle.h"

enum { PICKLE_VALUES_MOST = 1 << 20 };

/* A new value of the pickle. NULL: no memory, or PICKLE_VALUES_MOST are reached. */
pickle_value *pickle_value_new(pickle *k, pickle_kind kind);
/* Appends to a TUPLE, LIST, DICT, CALL or PERSISTENT. False: no memory. */
bool pickle_value_append(pickle_value *to, const pickle_value *const *item, size_t count);
/* Notes a PERSISTENT value. False: no memory. */
bool pickle_note_persistent(pickle *k, const pickle_value *v);
/* "a list", for messages. */
const char *pickle_kind_name(pickle_kind kind);

#endif
