/* The files that torch.save writes (.pth, .pt, .ckpt), both of its formats: a zip archive with the
 * pickle `data.pkl` and one stored entry a storage, and the older one, pickles and then the bytes
 * of the storages. Nothing of such a file is ever run (pickle.h). */
#ifndef WORKER_MODEL_TORCH_H
#define WORKER_MODEL_TORCH_H

#include "worker/model/safetensors.h"

/* Is this what such a file begins with? Any pickle counts as one, so that it is refused for what it
 * asks for. */
bool torch_is(const void *bytes, size_t size);

/* As safetensors_read: appends the tensors of the file image, which they point into. They are those
 * of the dictionary that the file holds, or of the one it has under "params_ema", "params" or
 * "state_dict", in this order. What is no tensor there is left out. */
bool torch_read(tensor_list *list, const void *bytes, size_t size, const char *label, problems *p);

#endif
