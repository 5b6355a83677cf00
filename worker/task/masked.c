/* Masked inputs: see masked.h. The one idea: whatever a mask comes from, it is a grey picture of
 * the input's size before anything else happens. */
#include "worker/task/masked.h"

#include <stdio.h>
#include <string.h>

#include "worker/image/mask.h"

/* ---------------------------------------------------------------- where masks come from */

/* The colours of a picture whatever its alpha says: what is under the mask counts, too. */
static int without_alpha(image *out, const image *in, err *e)
{
    int rc = image_new(out, in->w, in->h, 3, e);
    const size_t pixels = (size_t)in->w * (size_t)in->h;
    for (size_t i = 0; i < pixels && !rc; i++)
        memcpy(out->px + 3 * i, in->px + (size_t)in->channels * i, 3);
    return rc;
}

static bool same_shape(const image *a, const image *b)
{
    const int64_t across = (int64_t)a->w * b->h, down = (int64_t)a->h * b->w;
    const int64_t a_pixel = (a->w > a->h ? a->w : a->h) + (b->w > b->h ? b->w : b->h);
    return across - down <= a_pixel && down - across <= a_pixel;
}

/* The mask at the size of the picture. */
static int match_size(image *mask, const image *picture, task *t, err *e)
{
    image resized = {0};
    if (mask->w == picture->w && mask->h == picture->h)
        return 0;
    if (!same_shape(mask, picture))
        return err_set(e, ERR_INVALID,
                       "the mask has %dx%d pixels, the picture %dx%d: expected the same shape",
                       mask->w, mask->h, picture->w, picture->h);
    snprintf(t->note, sizeof t->note, "the mask of %dx%d pixels was resized to the picture's %dx%d",
             mask->w, mask->h, picture->w, picture->h);
    int rc = mask_fit(&resized, mask, RESIZE_JUST, picture->w, picture->h, e);
    if (rc)
        return rc;
    image_done(mask);
    *mask = resized;
    return 0;
}

static int read_mask(image *mask, const job_picture *in, const job *j, err *e)
{
    image decoded = {0};
    int rc = task_read(&decoded, in, e);
    if (!rc)
        rc = mask_from_picture(mask, &decoded, !j->inpaint.soft.on, e);
    image_done(&decoded);
    return rc;
}

/* `picture` becomes the sketch, softened into what it was. */
static int read_sketch(image *picture, image *mask, const job_picture *in, const job *j, err *e)
{
    image decoded = {0}, sketch = {0}, painted = {0};
    int rc = task_read(&decoded, in, e);
    if (!rc)
        rc = image_flatten(&sketch, &decoded, j->background, e);
    image_done(&decoded);
    if (!rc)
        rc = mask_from_sketch(mask, &painted, &sketch, picture,
                              j->inpaint.sketch_transparency / 100, j->inpaint.blur_x, e);
    image_done(&sketch);
    if (rc)
        return rc;
    image_done(picture);
    *picture = painted;
    return 0;
}

/* ---------------------------------------------------------------- reading */

static bool is_all(const image *mask, uint8_t value)
{
    const size_t pixels = (size_t)mask->w * (size_t)mask->h;
    for (size_t i = 0; i < pixels; i++)
        if (mask->px[i] != value)
            return false;
    return true;
}

static int check_not_empty(const image *mask, const job *j, err *e)
{
    if (!is_all(mask, j->inpaint.invert ? 255 : 0))
        return 0;
    return err_set(
        e, ERR_INVALID,
        j->inpaint.invert
            ? "the mask is all white and what is not masked is to be repainted: nothing is"
            : "the mask is all black, or differs nowhere from the picture: nothing is to "
              "be repainted (white is)");
}

/* A picture with transparent pixels is its own mask: those are repainted. */
static int read_transparent(image *picture, image *mask, const image *decoded, const job *j, err *e)
{
    int rc = mask_from_transparency(mask, decoded, e);
    if (!rc && !is_all(mask, 0))
        return without_alpha(picture, decoded, e);
    image_done(mask);
    return rc ? rc : image_flatten(picture, decoded, j->background, e);
}

int masked_read(image *picture, image *mask, task *t, const job *j, err *e)
{
    const job_picture *given = job_find_input(j, INPUT_MASK);
    const job_picture *sketch = job_find_input(j, INPUT_SKETCH);
    image decoded = {0};
    int rc = task_read(&decoded, job_find_input(j, INPUT_PICTURE), e);
    if (!rc && (given || sketch))
        rc = image_flatten(picture, &decoded, j->background, e);
    else if (!rc)
        rc = read_transparent(picture, mask, &decoded, j, e);
    image_done(&decoded);
    if (!rc && given)
        rc = read_mask(mask, given, j, e);
    if (!rc && sketch)
        rc = read_sketch(picture, mask, sketch, j, e);
    if (!rc && mask->px)
        rc = match_size(mask, picture, t, e);
    return rc || !mask->px ? rc : check_not_empty(mask, j, e);
}

/* ---------------------------------------------------------------- results */

int masked_results(const job *j)
{
    return 1 + j->inpaint.give_mask + j->inpaint.give_composite;
}

int masked_emit(task_outputs *out, const frame *f, const job *j, int index, scene_result *sampled,
                int scene, int number, err *e)
{
    image picture = {0}, mask = {0}, composite = {0};
    int rc = frame_finish(f, sampled, &picture, j->inpaint.give_mask ? &mask : NULL,
                          j->inpaint.give_composite ? &composite : NULL, e);
    if (!rc)
        rc = task_emit(out, index++, &picture, scene, number, e);
    if (!rc && mask.px)
        rc = task_emit(out, index++, &mask, scene, number, e);
    if (!rc && composite.px)
        rc = task_emit(out, index, &composite, scene, number, e);
    image_done(&picture);
    image_done(&mask);
    image_done(&composite);
    return rc;
}

/* ---------------------------------------------------------------- metadata */

static int soft_settings(infotext *text, const soft_inpainting *s, err *e)
{
    const struct {
        const char *key;
        double value;
    } rows[] = {
        {"Soft inpainting schedule bias", s->schedule_bias},
        {"Soft inpainting preservation strength", s->preservation_strength},
        {"Soft inpainting transition contrast boost", s->transition_contrast_boost},
        {"Soft inpainting mask influence", s->mask_influence},
        {"Soft inpainting difference threshold", s->difference_threshold},
        {"Soft inpainting difference contrast", s->difference_contrast},
    };
    int rc = infotext_add(text, "Soft inpainting enabled", "True", e);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !rc; i++)
        rc = infotext_add_number(text, rows[i].key, rows[i].value, e);
    return rc;
}

int masked_settings(infotext *text, const inpaint_options *o, err *e)
{
    static const char *const contents[] = {[CONTENT_FILL] = "fill",
                                           [CONTENT_LATENT_NOISE] = "latent noise",
                                           [CONTENT_LATENT_NOTHING] = "latent nothing"};
    int rc = 0;
    if (o->invert)
        rc = infotext_add(text, "Mask mode", "Inpaint not masked", e);
    if (!rc) /* 0 too, which the web UI leaves out: who reads it would take the default */
        rc = infotext_add_number(text, "Mask blur", o->blur_x, e);
    if (!rc && o->blur_x != o->blur_y)
        rc = infotext_add_number(text, "Mask blur y", o->blur_y, e);
    if (!rc && o->only_masked)
        rc = infotext_add(text, "Inpaint area", "Only masked", e);
    if (!rc && o->only_masked)
        rc = infotext_add_number(text, "Masked area padding", o->padding, e);
    if (!rc && o->content != CONTENT_ORIGINAL)
        rc = infotext_add(text, "Masked content", contents[o->content], e);
    return rc || !o->soft.on ? rc : soft_settings(text, &o->soft, e);
}
