/* The autoencoder of Stable Diffusion 1.x: pictures <-> latents (Rombach et al. 2022). */
#ifndef WORKER_MODEL_VAE_H
#define WORKER_MODEL_VAE_H

#include "worker/model/params.h"

typedef struct vae vae;

vae *vae_load(const model_config *config, params *p);
void vae_free(vae **v);

/* x [n,H,W,3] in -1..1 -> moments [n,h,w,8]: mean and log variance; h = H/factor. */
tensor vae_encode(dev *d, tensor *out, const vae *v, tensor x);
/* z [n,h,w,4] (the sampler's latent divided by latent_scale) -> [n,H,W,3], not clamped. */
tensor vae_decode(dev *d, tensor *out, const vae *v, tensor z);

#endif
