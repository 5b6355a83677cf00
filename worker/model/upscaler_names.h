/* The names that mean one upscaler: web UIs list the networks of Real-ESRGAN under names of their
 * own ("R-ESRGAN 4x+"), and their files come under several. */
#ifndef WORKER_MODEL_UPSCALER_NAMES_H
#define WORKER_MODEL_UPSCALER_NAMES_H

/* All names, without endings, of the network that `name` means, `name` among them; NULL-ended. NULL
 * when it has but this one. */
const char *const *upscaler_names(const char *name);

#endif
