/* The denoising UNet of Stable Diffusion 1.x (Rombach et al. 2022). */
#ifndef WORKER_MODEL_UNET_H
#define WORKER_MODEL_UNET_H

#include "worker/model/params.h"

typedef struct unet unet;

unet *unet_load(const model_config *config, params *p);
void unet_free(unet **u);

/* What the UNet sees of texts in every step, made once: context [n,1,t,c] -> [n,1,t,width], the
 * keys and values of each block. A token's do not depend on the others. */
tensor unet_text(dev *d, tensor *out, const unet *u, tensor context);
int64_t unet_text_width(const unet *u);

/* eps [n,h,w,4] = unet(x [n,h,w,in], t[n], text [n,1,t_max,width]). Sample i uses the first
 * tokens[i] tokens of its text (host array). A sample's result does not depend on the others, nor
 * on t_max. On a dry device t and tokens may be NULL. */
tensor unet_forward(dev *d, tensor *out, const unet *u, tensor x, const double *t, tensor text,
                    const int32_t *tokens);

#endif
