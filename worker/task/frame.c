/* Frames: see frame.h. The one idea: the order of the web UI's img2img, once, for every task. */
#include "worker/task/frame.h"

#include "worker/image/compose.h"
#include "worker/image/mask.h"
#include "worker/image/match.h"
#include "worker/image/soft.h"

/* ---------------------------------------------------------------- masks */

/* Which pixels of the source are to be repainted, softened at the edges. */
static int soften_mask(image *out, const frame_source *from, err *e)
{
    int rc = image_copy(out, from->mask, e);
    if (!rc && from->options.invert)
        mask_invert(out);
    return rc ? rc : mask_blur(out, from->options.blur_x, from->options.blur_y, e);
}

/* Blurring, resizing and cutting may leave nothing of a small mask. */
static int check_left(image_box *bounds, const image *mask, err *e)
{
    if (mask_bounds(bounds, mask))
        return 0;
    return err_set(e, ERR_INVALID,
                   "nothing of the mask is left to be repainted: it is too small for its blur and "
                   "the size, or lies outside what is sampled");
}

/* Only masked: the region of the source that is sampled. */
static int find_region(image_box *out, const image *mask, const frame_source *from, err *e)
{
    const region_options o = {.padding = from->options.padding,
                              .image_w = from->source->w,
                              .image_h = from->source->h,
                              .w = from->width,
                              .h = from->height};
    image_box bounds = {0};
    int rc = check_left(&bounds, mask, e);
    if (!rc)
        *out = mask_region(bounds, &o);
    return rc;
}

/* Only masked: the mask of the region, at the sampled size; the whole of it is the overlay. */
static int crop_mask(frame *f, image *out, image *mask, const frame_source *from, err *e)
{
    image cropped = {0};
    int rc = find_region(&f->region, mask, from, e);
    if (!rc)
        rc = image_crop(&cropped, mask, f->region, e);
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
    image_box ignored;
    int rc = soften_mask(&mask, from, e);
    if (!rc && from->options.only_masked)
        rc = crop_mask(f, &input->mask, &mask, from, e);
    else if (!rc) {
        rc = mask_fit(&input->mask, &mask, from->resize, from->width, from->height, e);
        if (!rc)
            rc = mask_overlay(&f->overlay, &input->mask, e);
    }
    image_done(&mask);
    if (!rc)
        rc = check_left(&ignored, &input->mask, e);
    if (!rc && from->latent_mask)
        rc = mask_fit(&input->latent_mask, from->latent_mask, from->resize, from->width,
                      from->height, e);
    return rc;
}

/* ---------------------------------------------------------------- pictures */

static bool is_cropped(const frame_source *from)
{
    return from->mask && from->options.only_masked;
}

static resize_mode mode_of(const frame_source *from)
{
    return is_cropped(from) ? RESIZE_FILL : from->resize;
}

int frame_part(image *part, double *factor, const frame_source *from, err *e)
{
    image mask = {0};
    image_box box = {0, 0, from->source->w, from->source->h};
    int rc = is_cropped(from) ? soften_mask(&mask, from, e) : 0;
    if (!rc && is_cropped(from))
        rc = find_region(&box, &mask, from, e);
    image_done(&mask);
    *factor = image_fit_factor(box.w, box.h, mode_of(from), from->width, from->height);
    return rc ? rc : image_crop(part, from->source, box, e);
}

/* The part of the source that is sampled, at the sampled size; the original beside it. */
static int make_init(frame *f, image *init, const frame_source *from, err *e)
{
    const image *source = from->source;
    const image_box whole = {0, 0, source->w, source->h};
    const image_box box = is_cropped(from) ? f->region : whole;
    image cropped = {0};
    int rc = from->enlarged || !is_cropped(from) ? 0 : image_crop(&cropped, source, box, e);
    const image *in = from->enlarged ? from->enlarged : cropped.px ? &cropped : source;
    if (!rc)
        rc =
            image_fit_enlarged(init, in, box.w, box.h, mode_of(from), from->width, from->height, e);
    image_done(&cropped);
    if (rc || !from->mask)
        return rc;
    return image_copy(&f->original, is_cropped(from) ? source : init, e);
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
    if (!rc && from->mask && from->options.soft.on)
        rc = image_copy(&f->mask, &input->mask, e);
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
    image_done(&f->mask);
    image_done(&f->colours);
    *f = (frame){0};
}

/* ---------------------------------------------------------------- the way back */

/* A grey picture of the region on a black one of the original's size. */
static int place(image *out, const frame *f, const image *part, err *e)
{
    image fitted = {0};
    int rc = mask_fit(&fitted, part, RESIZE_JUST, f->region.w, f->region.h, e);
    if (!rc)
        rc = image_new(out, f->original.w, f->original.h, 1, e);
    if (!rc)
        image_put(out, &fitted, f->region.x, f->region.y);
    image_done(&fitted);
    return rc;
}

/* Soft inpainting: the overlay follows from what the sampling changed. */
static int soft_overlay_of(image *out, const frame *f, const scene_result *sampled, err *e)
{
    image small = {0}, part = {0};
    int rc = mask_latent(&small, &f->mask, sampled->latent_w, sampled->latent_h, false, e);
    if (!rc)
        rc = soft_overlay(&part, sampled->change, &small, f->width, f->height, &f->soft, e);
    if (!rc)
        rc = place(out, f, &part, e);
    image_done(&small);
    image_done(&part);
    return rc;
}

static int paste(const frame *f, const image *overlay, const image *picture, image *out,
                 image *mask, image *composite, err *e)
{
    int rc = image_paste_back(out, &f->original, overlay, picture, f->region, e);
    if (!rc && mask)
        rc = mask_to_rgb(mask, overlay, e);
    if (!rc && composite)
        rc = image_cut_out(composite, overlay, picture, f->region, e);
    return rc;
}

int frame_finish(const frame *f, scene_result *sampled, image *out, image *mask, image *composite,
                 err *e)
{
    image *picture = &sampled->picture, soft = {0};
    int rc = f->colours.px ? image_match_colours(picture, &f->colours, e) : 0;
    if (!rc && !f->original.px) {
        *out = *picture;
        *picture = (image){0};
        return 0;
    }
    if (!rc && sampled->change)
        rc = soft_overlay_of(&soft, f, sampled, e);
    if (!rc)
        rc = paste(f, soft.px ? &soft : &f->overlay, picture, out, mask, composite, e);
    image_done(&soft);
    return rc;
}
