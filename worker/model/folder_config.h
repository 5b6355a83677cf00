/* What the files beside the weights of a diffusers folder say: the scheduler's and the
 * autoencoder's configuration. A single file has none of this; both files may be absent from a
 * folder, too. */
#ifndef WORKER_MODEL_FOLDER_CONFIG_H
#define WORKER_MODEL_FOLDER_CONFIG_H

#include "worker/model/config.h"
#include "worker/model/problems.h"

/* Takes latent_scale from vae/config.json of the folder. Adds a problem for whatever would make
 * other pictures than the model was trained for: another prediction, another noise schedule,
 * shifted latents. */
void folder_config_read(model_config *c, const char *folder, problems *p);

/* The same from the text of one of the files. */
void folder_config_scheduler(const char *text, size_t size, problems *p);
void folder_config_vae(model_config *c, const char *text, size_t size, problems *p);

#endif
