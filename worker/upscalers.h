/* Which upscaler networks there are: names to files. */
#ifndef WORKER_UPSCALERS_H
#define WORKER_UPSCALERS_H

#include "worker/models.h"

/* "NAME" -> NAME.safetensors, NAME.pth or NAME.pt in `folder`/upscalers (`folder`: the models',
 * NULL or "": none), then among those that come with the program, then the same for the other
 * names of this network (upscaler_names.h); a path (with a '/') as it is.
 * ERR_NOT_FOUND says where upscalers go and which there are. */
int upscalers_find(const char *folder, const char *name, model_file *file, err *e);

/* The name of a file without folder and ending. */
void upscalers_name(const char *path, char name[256]);

#endif
