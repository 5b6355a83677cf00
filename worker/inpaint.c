/* What inpainting models see: see inpaint.h. The one idea: the mask exists twice, at the picture's
 * size, where it hides, and reduced by nearest, where the model reads it. */
#include "worker/inpaint.h"

#include <assert.h>
#include <stdlib.h>

enum { MASK_CHANNELS = 1, LATENT_CHANNELS = 4 };

/* 1 = repaint. */
static float mask_at(const inpaint_view *v, int64_t at)
{
    if (!v->mask)
        return 1;
    const uint8_t byte = v->mask->px[at];
    return v->levels ? (float)byte / 255 : byte >= 128;
}

/* A sample of the picture in -1..1, hidden `by` so much where it is masked; the float arithmetic
 * of PyTorch's lerp. */
static float hide(uint8_t byte, float mask, float by)
{
    const float seen = (float)byte / 255 * 2 - 1, hidden = seen * (1 - mask);
    return by < 0.5f ? seen + by * (hidden - seen) : hidden - (hidden - seen) * (1 - by);
}

static void hide_picture(float *out, const inpaint_view *v, int64_t pixels)
{
    for (int64_t p = 0; p < pixels; p++) {
        const float mask = mask_at(v, p);
        for (int64_t k = 3 * p; k < 3 * p + 3; k++)
            out[k] = v->picture ? hide(v->picture->px[k], mask, (float)v->weight) : 0;
    }
}

static void reduce_mask(float *out, const inpaint_view *v, int factor)
{
    for (int64_t y = 0; y < v->h; y++)
        for (int64_t x = 0; x < v->w; x++)
            *out++ = mask_at(v, (y * factor * v->w + x) * factor);
}

/* `host` has room for the pixels of the picture. */
static void fill(dev *d, model *m, const inpaint_view *v, float *host, tensor extra)
{
    const model_config *c = &m->config;
    const int64_t height = v->h * c->factor, width = v->w * c->factor;
    size_t mark = dev_mark(d);
    tensor mask = dev_tensor(d, F32, 1, v->h, v->w, MASK_CHANNELS);
    reduce_mask(host, v, c->factor);
    dev_upload(d, mask, host);
    op_place(d, extra, 0, &mask, MASK_CHANNELS, 1.0f);
    dev_release(d, mark);
    tensor pixels = dev_tensor(d, d->storage, 1, height, width, 3);
    hide_picture(host, v, height * width);
    dev_upload_floats(d, pixels, host);
    parts_enter(&m->parts, d, PART_ENCODER);
    tensor moments = vae_encode(d, NEW, m->vae, pixels); /* [1,h,w,8]: the mean is the first half */
    op_place(d, extra, MASK_CHANNELS, &moments, LATENT_CHANNELS, (float)c->latent_scale);
    dev_release(d, mark);
}

static bool fits(const image *i, int channels, int64_t height, int64_t width)
{
    return !i || (i->channels == channels && i->h == height && i->w == width);
}

int inpaint_extra(residents *all, const resident *r, const inpaint_view *v, tensor *extra, err *e)
{
    dev *d = all->d;
    model *m = r->model;
    const int64_t height = v->h * m->config.factor, width = v->w * m->config.factor;
    int rc = 0;
    bool finite = true;
    assert(m->config.in_channels == LATENT_CHANNELS + MASK_CHANNELS + LATENT_CHANNELS);
    assert(fits(v->picture, 3, height, width) && fits(v->mask, 1, height, width));
    float *host = malloc((size_t)(height * width * 3) * sizeof *host);
    if (!host)
        return err_set(e, ERR_NO_MEMORY, "no memory for a picture of %lldx%lld", (long long)width,
                       (long long)height);
    *extra = dev_keep(d, F32, 1, v->h, v->w, MASK_CHANNELS + LATENT_CHANNELS);
    if (d->status == DEV_OK)
        fill(d, m, v, host, *extra);
    op_finite(d, *extra, &finite);
    if (d->status != DEV_OK)
        rc = residents_error(all, "encoding the masked picture", e);
    else if (!finite)
        rc = err_set(e, ERR_DEVICE,
                     "the encoder of model %s gave NaN or infinity: its weights are damaged",
                     m->name);
    if (rc)
        dev_drop(d, extra);
    free(host);
    return rc;
}
