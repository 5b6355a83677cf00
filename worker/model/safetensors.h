/* The safetensors format: 8 bytes of header length, a JSON header of names, types, shapes and
 * offsets, then the tensors' bytes. Reads from memory, so that a fuzzer can drive it. */
#ifndef WORKER_MODEL_SAFETENSORS_H
#define WORKER_MODEL_SAFETENSORS_H

#include "worker/model/checkpoint.h"
#include "worker/model/problems.h"

/* Tensors in no special order; every name is malloc'ed and belongs to the list. */
typedef struct {
    checkpoint_tensor *tensor;
    size_t count, capacity;
} tensor_list;

/* Appends the tensors of the file image `bytes`, which they point into. Every problem goes to `p`,
 * each behind `label` ("" or "vae/…: "). False when there was one; the list is then not complete,
 * but sound and to be freed as always. */
bool safetensors_read(tensor_list *list, const void *bytes, size_t size, const char *label,
                      problems *p);
/* A new tensor with a copy of `name`, everything else zero. NULL: no memory. */
checkpoint_tensor *tensor_list_add(tensor_list *list, const char *name);
void tensor_list_done(tensor_list *list);

#endif
