/* Where a diffusers folder keeps its three networks, and how its names become LDM names. */
#ifndef WORKER_MODEL_LAYOUT_H
#define WORKER_MODEL_LAYOUT_H

#include "worker/model/safetensors.h"

typedef enum { LAYOUT_SINGLE, LAYOUT_UNET, LAYOUT_VAE, LAYOUT_TEXT, LAYOUT_COUNT } layout;

enum { LAYOUT_FILE_MAX = 64 };

/* The file of a part inside `folder`, relative to it, full precision first; NULL when there is
 * none. `problem`, if given, then says which names were looked for. */
const char *layout_file(layout part, const char *folder, problems *p);

/* Renames the tensors from `first` on, which one file of this layout gave. Names that no rule knows
 * keep theirs behind the network's prefix. False: no memory. */
bool layout_rename(tensor_list *list, size_t first, layout from);

#endif
