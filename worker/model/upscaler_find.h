/* From the name of an upscaler in a job to its file.
 *
 * A name is that of a file without .safetensors, .pth or .pt. The names by which web UIs list the
 * networks of Real-ESRGAN ("R-ESRGAN 4x+") find these networks under any of their usual file names,
 * and so do those file names each other. */
#ifndef WORKER_MODEL_UPSCALER_FIND_H
#define WORKER_MODEL_UPSCALER_FIND_H

#include "proto/err.h"

enum { UPSCALER_PATH = 1024 };

/* The folder of the networks that come with Overpaint: ../share/overpaint/models beside the running
 * program, in a build folder as in an installation. "" when there is none. */
void upscaler_shipped(char folder[UPSCALER_PATH]);

/* Looks into `folders` (NULL-ended, "" is passed over) in their order, for the name itself before
 * its other names. ERR_INVALID for what can be no file name, ERR_NOT_FOUND. */
int upscaler_find(char path[UPSCALER_PATH], const char *const *folders, const char *name, err *e);

#endif
