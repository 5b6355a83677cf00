/* The options of the picture tasks in a job's message: one list of fields for each struct, read by
 * both directions. A choice travels as its number in job.h; job_check refuses what is none. */
#include "proto/wire_options.h"

#include <string.h>

#define INPAINT_NUMBERS(F)                                                                         \
    F(blur_x)                                                                                      \
    F(blur_y)                                                                                      \
    F(content)                                                                                     \
    F(only_masked)                                                                                 \
    F(padding)                                                                                     \
    F(invert)                                                                                      \
    F(mask_weight)                                                                                 \
    F(colour_correction)                                                                           \
    F(sketch_transparency)                                                                         \
    F(give_mask)                                                                                   \
    F(give_composite)

#define SOFT_NUMBERS(F)                                                                            \
    F(on)                                                                                          \
    F(schedule_bias)                                                                               \
    F(preservation_strength)                                                                       \
    F(transition_contrast_boost)                                                                   \
    F(mask_influence)                                                                              \
    F(difference_threshold)                                                                        \
    F(difference_contrast)

#define OUTPAINT_NUMBERS(F)                                                                        \
    F(method)                                                                                      \
    F(left)                                                                                        \
    F(right)                                                                                       \
    F(up)                                                                                          \
    F(down)                                                                                        \
    F(pixels)                                                                                      \
    F(mask_blur)                                                                                   \
    F(content)                                                                                     \
    F(falloff)                                                                                     \
    F(colour_variation)

#define LOOPBACK_NUMBERS(F)                                                                        \
    F(loops)                                                                                       \
    F(final_strength)                                                                              \
    F(curve)

#define UPSCALE_NUMBERS(F)                                                                         \
    F(visibility_2)                                                                                \
    F(scale)                                                                                       \
    F(width)                                                                                       \
    F(height)                                                                                      \
    F(crop)                                                                                        \
    F(tile_overlap)

/* ---------------------------------------------------------------- to a message */

#define PUT(name)                                                                                  \
    m->has_##name = 1;                                                                             \
    m->name = from->name;

static void put_inpaint(Overpaint__InpaintOptions *m, Overpaint__SoftInpainting *soft,
                        const inpaint_options *from)
{
    INPAINT_NUMBERS(PUT)
    m->soft = soft;
}

static void put_soft(Overpaint__SoftInpainting *m, const soft_inpainting *from)
{
    SOFT_NUMBERS(PUT)
}

static void put_outpaint(Overpaint__OutpaintOptions *m, const outpaint_options *from)
{
    OUTPAINT_NUMBERS(PUT)
}

static void put_loopback(Overpaint__LoopbackOptions *m, const loopback_options *from)
{
    LOOPBACK_NUMBERS(PUT)
}

static void put_upscale(Overpaint__UpscaleOptions *m, const upscale_options *from)
{
    UPSCALE_NUMBERS(PUT)
    m->upscaler = (char *)from->upscaler;
    m->upscaler_2 = from->upscaler_2[0] ? (char *)from->upscaler_2 : NULL;
}

/* The options as they came, or new ones, in `room`: what is unknown here travels on. */
static void make_room(wire_job *m, wire_job_options *room)
{
    *room = (wire_job_options){OVERPAINT__INPAINT_OPTIONS__INIT, OVERPAINT__SOFT_INPAINTING__INIT,
                               OVERPAINT__OUTPAINT_OPTIONS__INIT, OVERPAINT__LOOPBACK_OPTIONS__INIT,
                               OVERPAINT__UPSCALE_OPTIONS__INIT};
    if (m->inpaint)
        room->inpaint = *m->inpaint;
    if (room->inpaint.soft)
        room->soft = *room->inpaint.soft;
    if (m->outpaint)
        room->outpaint = *m->outpaint;
    if (m->loopback)
        room->loopback = *m->loopback;
    if (m->upscale)
        room->upscale = *m->upscale;
    m->inpaint = &room->inpaint;
    m->outpaint = &room->outpaint;
    m->loopback = &room->loopback;
    m->upscale = &room->upscale;
}

void wire_options_put(wire_job *m, wire_job_options *room, const job *j)
{
    make_room(m, room);
    put_soft(&room->soft, &j->inpaint.soft);
    put_inpaint(&room->inpaint, &room->soft, &j->inpaint);
    put_outpaint(&room->outpaint, &j->outpaint);
    put_loopback(&room->loopback, &j->loopback);
    put_upscale(&room->upscale, &j->upscale);
}

#undef PUT

/* ---------------------------------------------------------------- from a message */

int wire_name_get(char *to, size_t room, const char *what, const char *name, err *e)
{
    if (!name)
        return 0;
    if (strlen(name) >= room)
        return err_set(e, ERR_INVALID, "%s has %zu bytes, at most %zu are allowed", what,
                       strlen(name), room - 1);
    strcpy(to, name);
    return 0;
}

#define GET(name)                                                                                  \
    if (from->has_##name)                                                                          \
        to->name = from->name;

static void get_soft(soft_inpainting *to, const Overpaint__SoftInpainting *from)
{
    SOFT_NUMBERS(GET)
}

static void get_inpaint(inpaint_options *to, const Overpaint__InpaintOptions *from)
{
    INPAINT_NUMBERS(GET)
    if (from->soft)
        get_soft(&to->soft, from->soft);
}

static void get_outpaint(outpaint_options *to, const Overpaint__OutpaintOptions *from)
{
    OUTPAINT_NUMBERS(GET)
}

static void get_loopback(loopback_options *to, const Overpaint__LoopbackOptions *from)
{
    LOOPBACK_NUMBERS(GET)
}

static int get_upscale(upscale_options *to, const Overpaint__UpscaleOptions *from, err *e)
{
    UPSCALE_NUMBERS(GET)
    int rc = wire_name_get(to->upscaler, sizeof to->upscaler, "upscaler", from->upscaler, e);
    return rc ? rc
              : wire_name_get(to->upscaler_2, sizeof to->upscaler_2, "upscaler", from->upscaler_2,
                              e);
}

#undef GET

int wire_options_get(job *j, const wire_job *from, err *e)
{
    if (from->inpaint)
        get_inpaint(&j->inpaint, from->inpaint);
    if (from->outpaint)
        get_outpaint(&j->outpaint, from->outpaint);
    if (from->loopback)
        get_loopback(&j->loopback, from->loopback);
    return from->upscale ? get_upscale(&j->upscale, from->upscale, e) : 0;
}
