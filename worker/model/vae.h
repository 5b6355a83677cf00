/* The autoencoder of Stable Diffusion 1.x: pictures <-> latents (Rombach et al. 2022).
 *
 * Its inside is too large for F16 in some models: 3.1e5 has been seen in SDXL's, F16 ends at 65504.
 * But what is large is only added to and read by norms, and a norm gives the same for its input
 * times s when its eps is times s^2. So all of it is kept times a power of two: it costs no bit,
 * except of numbers that become smaller than F16's steps of 2^-24. */
#ifndef WORKER_MODEL_VAE_H
#define WORKER_MODEL_VAE_H

#include "worker/model/params.h"

typedef struct vae vae;

/* The exponent where feature maps are F16: the largest (the last to push small numbers below those
 * steps) with which 3.1e5 is beneath a third of F16's range. */
enum { VAE_F16_STREAM = -4 };

typedef struct {
    int stream;        /* feature maps between the first and the last convolution: times 2^stream */
    bool only_decoder; /* without what vae_encode needs */
} vae_form;

vae *vae_load(const model_config *config, params *p, vae_form form);
void vae_free(vae **v);

/* x [n,H,W,3] in -1..1 -> moments [n,h,w,8]: mean and log variance; h = H/factor. */
tensor vae_encode(dev *d, tensor *out, const vae *v, tensor x);
/* z [n,h,w,4] (the sampler's latent divided by latent_scale) -> [n,H,W,3], not clamped. */
tensor vae_decode(dev *d, tensor *out, const vae *v, tensor z);

#endif
