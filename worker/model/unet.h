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

enum { UNET_TIMES = 32 };

/* What the UNet makes of timesteps t[n], n <= UNET_TIMES, once for all calls: the time embedding as
 * each block adds it, [UNET_TIMES,1,1,width]. Always of so many, so that a timestep's does not
 * depend on their number; those behind the n are of no meaning. */
tensor unet_times(dev *d, tensor *out, const unet *u, const double *t, int n);
int64_t unet_time_width(const unet *u);

/* eps [n,h,w,4] = unet(x [n,h,w,in], time [n,1,1,width], text [n,1,t_max,width]). Sample i uses the
 * first tokens[i] tokens of its text (host array). A sample's result does not depend on the others,
 * nor on t_max. On a dry device tokens may be NULL. */
tensor unet_forward(dev *d, tensor *out, const unet *u, tensor x, tensor time, tensor text,
                    const int32_t *tokens);

#endif
