/* Scenes go onto the device: see run.h. The one idea: what a scene's pictures share is encoded
 * once, before the first of them begins. */
#include <stdio.h>
#include <stdlib.h>

#include "worker/image/mask.h"
#include "worker/inpaint.h"
#include "worker/run.h"

static const model_config *config_of(const run *r)
{
    return &r->resident->model->config;
}

static bool has_extra(const run *r)
{
    return config_of(r)->in_channels != config_of(r)->latent_channels;
}

bool run_must_encode(const run *r, int scene)
{
    const run_scene *s = &r->scene[scene];
    return !run_untouched(r, scene) && !s->encoded && (s->input.init.px || has_extra(r));
}

/* One picture through the encoder each. */
double run_encode_flops(const run *r, int scene)
{
    return ((r->scene[scene].input.init.px != NULL) + has_extra(r)) * r->costs.encode.flops;
}

/* The init picture through the encoder: the mean of the posterior, in the sampler's scale. */
static int encode_init(residents *all, run *r, run_scene *s, err *e)
{
    dev *d = all->d;
    const image *init = &s->input.init;
    const model_config *c = config_of(r);
    size_t mark = dev_mark(d);
    bool finite = true;
    s->latent = dev_keep(d, F32, 1, init->h / c->factor, init->w / c->factor, c->latent_channels);
    tensor bytes = dev_tensor(d, U8, 1, init->h, init->w, 3);
    dev_upload(d, bytes, init->px);
    parts_enter(&r->resident->model->parts, d, PART_ENCODER);
    tensor pixels = op_pixels_in(d, NEW, bytes);                          /* [1,H,W,3] */
    tensor moments = vae_encode(d, NEW, r->resident->model->vae, pixels); /* [1,h,w,8] */
    op_gather(d, &s->latent, &moments, 1, c->latent_channels, (float)c->latent_scale);
    op_finite(d, s->latent, &finite);
    dev_release(d, mark);
    if (d->status != DEV_OK)
        return residents_error(all, "encoding the picture", e);
    if (!finite)
        return err_set(e, ERR_DEVICE,
                       "the encoder of model %s gave NaN or infinity: its weights are damaged",
                       r->resident->model->name);
    return 0;
}

/* The mask at latent size, 0..1. Soft inpainting takes its levels as they are. */
static int make_mask(residents *all, run *r, run_scene *s, err *e)
{
    dev *d = all->d;
    const int64_t h = s->latent.dim[1], w = s->latent.dim[2];
    const image *from = s->input.latent_mask.px ? &s->input.latent_mask : &s->input.mask;
    image small = {0};
    int rc = mask_latent(&small, from, (int)w, (int)h, !r->work->job.inpaint.soft.on, e);
    float *host = rc ? NULL : malloc((size_t)(h * w) * sizeof *host);
    if (!rc && !host)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for a mask");
    if (!rc && r->work->job.task == TASK_INPAINT && !mask_bounds(&(image_box){0}, &small))
        snprintf(
            r->work->task.note, sizeof r->work->task.note,
            "the mask covers no cell of %d pixels by more than half, so nothing was repainted: "
            "a larger mask, or inpaint area only-masked, helps",
            config_of(r)->factor);
    for (int64_t i = 0; i < h * w && !rc; i++)
        host[i] = (float)small.px[i] / 255;
    if (!rc) {
        s->mask = dev_keep(d, F32, 1, h, w, 1);
        dev_upload(d, s->mask, host);
        rc = d->status == DEV_OK ? 0 : residents_error(all, "uploading the mask", e);
    }
    free(host);
    image_done(&small);
    return rc;
}

static int encode_extra(residents *all, run *r, int scene, err *e)
{
    run_scene *s = &r->scene[scene];
    const scene_plan *plan = &r->work->task.scene[scene];
    const inpaint_options *o = &r->work->job.inpaint;
    const inpaint_view view = {.h = plan->height / config_of(r)->factor,
                               .w = plan->width / config_of(r)->factor,
                               .picture = s->input.init.px ? &s->input.init : NULL,
                               .mask = s->input.mask.px ? &s->input.mask : NULL,
                               .levels = o->soft.on,
                               .weight = o->mask_weight};
    return inpaint_extra(all, r->resident, &view, &s->extra, e);
}

int run_encode(residents *all, run *r, int scene, err *e)
{
    run_scene *s = &r->scene[scene];
    const masked_content content = s->input.content;
    int rc = s->input.init.px ? encode_init(all, r, s, e) : 0;
    if (!rc && s->input.mask.px)
        rc = make_mask(all, r, s, e);
    if (!rc && has_extra(r))
        rc = encode_extra(all, r, scene, e);
    if (rc)
        return rc;
    scene_input_done(&s->input);
    s->input.content = content; /* its sequences read that */
    s->encoded = true;
    return 0;
}
