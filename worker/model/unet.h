/* The denoising UNet of Stable Diffusion 1.x (Rombach et al. 2022). */
#ifndef WORKER_MODEL_UNET_H
#define WORKER_MODEL_UNET_H

#include "worker/model/params.h"

typedef struct unet unet;

unet *unet_load(const model_config *config, params *p);
void unet_free(unet **u);

/* eps [n,h,w,4] = unet(x [n,h,w,in], t[n], context [n,1,t_max,c]). Sample i uses the first
 * context_tokens[i] tokens of its context (host array). A sample's result does not depend on the
 * others, nor on t_max. On a dry device t and context_tokens may be NULL. */
tensor unet_forward(dev *d, tensor *out, const unet *u, tensor x, const double *t, tensor context,
                    const int32_t *context_tokens);

#endif
