/* Frames: see frame.h. The one idea: the order of the web UI's img2img, once, for every task. */
#include "worker/task/frame.h"

#include "worker/image/compose.h"
#include "worker/image/mask.h"
#include "worker/image/match.h"

/* ---------------------------------------------------------------- masks */

/* Which pixels of the source are to be repainted, softened at the edges. */
static int soften_mask(image *out, const frame_source *from, err *e)
{
    int rc = image_copy(out, from->mask, e);
    if (!rc && from->options.invert)
        mask_invert(out);
    return rc ? rc : mask_blur(out, from->options.blur_x, from->options.blur_y, e);
}

/* Only masked: the region of the source that is sampled, and the mask there. */
static int crop_mask(frame *f, image *out, image *mask, const frame_source *from, err *e)
{
    const region_options o = {.padding = from->options.padding,
                              .image_w = from->source->w,
                              .image_h = from->source->h,
                              .w = from->width,
                              .h = from->height};
    image cropped = {0};
    image_box bounds = {0};
    if (!mask_bounds(&bounds, mask))
        return err_set(e, ERR_INVALID, "nothing of the mask is left to be repainted");
    f->region = mask_region(bounds, &o);
    int rc = image_crop(&cropped, mask, f->region, e);
    if (!rc)
        rc = mask_fit(out, &cropped, RESIZE_FILL, from->width, from->height, e);
    image_done(&cropped);
    f->overlay = *mask;
    *mask = (image){0};
    return rc;
}

static int make_masks(frame *f, scene_input *input, const frame_source *from, err *e)
{
    image mask = {0};
    int rc = soften_mask(&mask, from, e);
    if (!rc && from->options.only_masked)
        rc = crop_mask(f, &input->mask, &mask, from, e);
    else if (!rc) {
        rc = mask_fit(&input->mask, &mask, from->resize, from->width, from->height, e);
        if (!rc)
            rc = mask_overlay(&f->overlay, &input->mask, e);
    }
    image_done(&mask);
    if (!rc && from->latent_mask)
        rc = mask_fit(&input->latent_mask, from->latent_mask, from->resize, from->width,
                      from->height, e);
    return rc;
}

/* ---------------------------------------------------------------- pictures */

/* The part of the source that is sampled, at the sampled size; the original beside it. */
static int make_init(frame *f, image *init, const frame_source *from, err *e)
{
    image cropped = {0};
    int rc = 0;
    if (!from->mask || !from->options.only_masked) {
        rc = image_fit(init, from->source, from->resize, from->width, from->height, e);
        return rc || !from->mask ? rc : image_copy(&f->original, init, e);
    }
    rc = image_crop(&cropped, from->source, f->region, e);
    if (!rc)
        rc = image_fit(init, &cropped, RESIZE_FILL, from->width, from->height, e);
    image_done(&cropped);
    return rc ? rc : image_copy(&f->original, from->source, e);
}

int frame_make(frame *f, scene_input *input, const frame_source *from, err *e)
{
    *f = (frame){.width = from->width,
                 .height = from->height,
                 .region = {0, 0, from->width, from->height},
                 .soft = from->options.soft};
    *input = (scene_input){.content = CONTENT_ORIGINAL};
    int rc = from->mask ? make_masks(f, input, from, e) : 0;
    if (!rc)
        rc = make_init(f, &input->init, from, e);
    if (!rc && from->mask && from->options.content != CONTENT_ORIGINAL) {
        const image *under = input->latent_mask.px ? &input->latent_mask : &input->mask;
        input->content = from->options.content;
        rc = image_fill_masked(&input->init, under, e);
    }
    if (!rc && from->options.colour_correction)
        rc = image_copy(&f->colours, from->colours ? from->colours : &input->init, e);
    if (rc) {
        frame_done(f);
        scene_input_done(input);
    }
    return rc;
}

void frame_done(frame *f)
{
    image_done(&f->original);
    image_done(&f->overlay);
    image_done(&f->colours);
    *f = (frame){0};
}

/* ---------------------------------------------------------------- the way back */

int frame_finish(const frame *f, scene_result *sampled, image *out, image *mask, image *composite,
                 err *e)
{
    image *picture = &sampled->picture;
    const image *overlay = &f->overlay;
    int rc = f->colours.px ? image_match_colours(picture, &f->colours, e) : 0;
    if (rc)
        return rc;
    if (!f->original.px) {
        *out = *picture;
        *picture = (image){0};
        return 0;
    }
    rc = image_paste_back(out, &f->original, overlay, picture, f->region, e);
    if (!rc && mask)
        rc = mask_to_rgb(mask, overlay, e);
    if (!rc && composite)
        rc = image_cut_out(composite, overlay, picture, f->region, e);
    return rc;
}
