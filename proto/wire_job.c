/* Jobs as messages. Numbers and names travel in the header, an absent field means its default;
 * pictures and texts too long for the header travel as payload frames. */
#include "proto/wire_options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Texts up to this size stay in the header, both together well below WIRE_HEADER_MAX. */
enum { TEXT_IN_HEADER = 16384 };

/* The plain fields, once for both directions: name in job, name in the message. */
#define JOB_NUMBERS(F)                                                                             \
    F(priority)                                                                                    \
    F(deadline_ms)                                                                                 \
    F(noop_engine)                                                                                 \
    F(steps)                                                                                       \
    F(cfg_scale)                                                                                   \
    F(denoising_strength)                                                                          \
    F(fix_steps)                                                                                   \
    F(seed)                                                                                        \
    F(width)                                                                                       \
    F(height)                                                                                      \
    F(batch_size)                                                                                  \
    F(n_iter)                                                                                      \
    F(clip_skip)                                                                                   \
    F(quality)                                                                                     \
    F(want_preview)

static const char *const rng_names[] = {"NV", "CPU", NULL};
static const char *const format_names[] = {"png", "jpeg", "webp", NULL};

/* ---------------------------------------------------------------- to a message */

static int add_frame(wire_job_packed *to, wire_blob *blob, const void *bytes, size_t size, err *e)
{
    if (to->frames == WIRE_FRAMES_MAX)
        return err_set(e, ERR_TOO_LARGE, "more than %d payload frames", WIRE_FRAMES_MAX);
    zmq_msg_t *f = &to->frame[to->frames];
    if (zmq_msg_init_size(f, size))
        return err_set(e, ERR_NO_MEMORY, "no memory for a frame of %zu bytes", size);
    if (size)
        memcpy(zmq_msg_data(f), bytes, size);
    blob->frame = (uint32_t)++to->frames;
    blob->has_frame = 1;
    blob->size = size;
    blob->has_size = 1;
    return 0;
}

static int pack_text(wire_job_packed *to, char *text, char **field, wire_blob *blob, wire_blob **at,
                     err *e)
{
    size_t size = text ? strlen(text) : 0;
    if (size <= TEXT_IN_HEADER) {
        *field = size ? text : NULL;
        return 0;
    }
    overpaint__blob__init(blob);
    blob->media = (char *)"text/plain";
    *at = blob;
    return add_frame(to, blob, text, size, e);
}

/* Where the message refers to a picture of that role; NULL: there is one already. */
static wire_blob **blob_place(wire_job_packed *to, input_role role)
{
    wire_blob **mask = role == INPUT_MASK ? &to->options.inpaint.mask : &to->options.inpaint.sketch;
    if (role == INPUT_PICTURE)
        return &to->input_at[to->message.n_input++];
    return *mask ? NULL : mask;
}

static int pack_input(wire_job_packed *to, size_t i, const job_picture *p, err *e)
{
    wire_blob *b = &to->input[i], **place = blob_place(to, p->role);
    if (!place)
        return err_set(e, ERR_INVALID, "two masks or two sketches, expected one at most");
    overpaint__blob__init(b);
    *place = b;
    if (p->path[0]) {
        b->path = (char *)p->path;
        return 0;
    }
    return add_frame(to, b, p->bytes, p->size, e);
}

#define PUT(name)                                                                                  \
    m->has_##name = 1;                                                                             \
    m->name = from->name;

void wire_job_settings(wire_job *m, wire_job_options *room, const job *from)
{
    m->has_task = 1;
    m->task = (Overpaint__Task)from->task;
    JOB_NUMBERS(PUT)
    m->model = from->model[0] ? (char *)from->model : NULL;
    m->img2img_upscaler = from->img2img_upscaler[0] ? (char *)from->img2img_upscaler : NULL;
    m->sampler = (char *)catalog_sampler(from->sampler)->name;
    m->scheduler = (char *)catalog_schedule(from->scheduler);
    m->has_resize_mode = 1;
    m->resize_mode = from->resize;
    m->rng = (char *)rng_names[from->rng];
    m->format = (char *)format_names[from->format];
    m->has_background = 1;
    m->background = (uint32_t)from->background[0] << 16 | (uint32_t)from->background[1] << 8 |
                    from->background[2];
    wire_options_put(m, room, from);
}
#undef PUT

int wire_job_pack(wire_job_packed *to, const job *j, err *e)
{
    memset(to, 0, sizeof *to);
    wire_job *m = &to->message;
    overpaint__job__init(m);
    wire_job_settings(m, &to->options, j);
    m->has_id = 1;
    m->id = wire_id_bytes(&j->id);
    m->input = to->input_at;
    assert(j->inputs <= JOB_INPUTS_MAX);

    int rc = pack_text(to, j->prompt, &m->prompt, &to->prompt, &m->prompt_blob, e);
    if (!rc)
        rc = pack_text(to, j->negative_prompt, &m->negative_prompt, &to->negative_prompt,
                       &m->negative_prompt_blob, e);
    for (size_t i = 0; !rc && i < j->inputs; i++)
        rc = pack_input(to, i, &j->input[i], e);
    if (rc)
        wire_job_packed_done(to);
    return rc;
}

void wire_job_packed_done(wire_job_packed *p)
{
    wire_frames_close(p->frame, p->frames);
    p->frames = 0;
}

/* ---------------------------------------------------------------- from a message */

static int unpack_text(char **field, const char *text, const wire_blob *blob, wire_message *m,
                       err *e)
{
    if (!blob)
        return text ? job_set_text(field, text, strlen(text), e) : 0;
    size_t size;
    const uint8_t *bytes = wire_blob_bytes(blob, m, &size, e);
    if (!bytes)
        return ERR_PROTOCOL;
    return job_set_text(field, (const char *)bytes, size, e);
}

static int unpack_input(job *j, input_role role, const wire_blob *b, wire_message *m, err *e)
{
    job_picture p = {.role = role};
    if (b->path) {
        if (strlen(b->path) >= sizeof p.path)
            return err_set(e, ERR_INVALID,
                           "path of a picture has %zu bytes, at most %zu are allowed",
                           strlen(b->path), sizeof p.path - 1);
        strcpy(p.path, b->path);
    } else {
        p.bytes = wire_blob_bytes(b, m, &p.size, e);
        if (!p.bytes)
            return ERR_PROTOCOL;
    }
    return job_add_input(j, p, e);
}

static int unpack_choice(int *value, const char *what, const char *name, const char *const *names,
                         err *e)
{
    if (!name)
        return 0;
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], name)) {
            *value = i;
            return 0;
        }
    return err_set(e, ERR_INVALID, "%s is \"%.40s\", expected %s or %s", what, name, names[0],
                   names[1]);
}

static int unpack_names(job *j, const wire_job *from, err *e)
{
    int rng = j->rng, format = j->format, rc = 0;
    if (from->sampler)
        rc = catalog_find_sampler(from->sampler, &j->sampler, &j->scheduler, e);
    if (!rc && from->scheduler)
        rc = catalog_find_schedule(from->scheduler, &j->scheduler, e);
    if (!rc)
        rc = unpack_choice(&rng, "rng", from->rng, rng_names, e);
    if (!rc)
        rc = unpack_choice(&format, "format", from->format, format_names, e);
    j->rng = (rng_source)rng;
    j->format = (picture_format)format;
    if (!rc)
        rc = wire_name_get(j->model, sizeof j->model, "model name", from->model, e);
    if (!rc)
        rc = wire_name_get(j->img2img_upscaler, sizeof j->img2img_upscaler, "img2img upscaler",
                           from->img2img_upscaler, e);
    return rc;
}

#define GET(name)                                                                                  \
    if (from->has_##name)                                                                          \
        to->name = from->name;

static void get_numbers(job *to, const wire_job *from)
{
    if (from->has_task)
        to->task = (task_kind)from->task;
    JOB_NUMBERS(GET)
    if (from->has_resize_mode)
        to->resize = (resize_mode)from->resize_mode;
    if (from->has_background)
        for (int i = 0; i < 3; i++)
            to->background[i] = (uint8_t)(from->background >> (16 - 8 * i));
}
#undef GET

static int get_inputs(job *j, const wire_job *from, wire_message *m, err *e)
{
    const Overpaint__InpaintOptions *i = from->inpaint;
    int rc = 0;
    if (from->n_input > JOB_INPUTS_MAX)
        return err_set(e, ERR_INVALID, "%zu pictures, at most %d are allowed", from->n_input,
                       JOB_INPUTS_MAX);
    for (size_t k = 0; !rc && k < from->n_input; k++)
        rc = unpack_input(j, INPUT_PICTURE, from->input[k], m, e);
    if (!rc && i && i->mask)
        rc = unpack_input(j, INPUT_MASK, i->mask, m, e);
    if (!rc && i && i->sketch)
        rc = unpack_input(j, INPUT_SKETCH, i->sketch, m, e);
    return rc;
}

int wire_job_unpack(job *j, const wire_job *from, wire_message *m, err *e)
{
    job_init(j);
    if (!from || !from->has_id || !wire_id(&j->id, &from->id))
        return err_set(e, ERR_PROTOCOL, "job without an id of %d bytes", JOB_ID_BYTES);
    get_numbers(j, from);
    int rc = unpack_names(j, from, e);
    if (!rc)
        rc = unpack_text(&j->prompt, from->prompt, from->prompt_blob, m, e);
    if (!rc)
        rc = unpack_text(&j->negative_prompt, from->negative_prompt, from->negative_prompt_blob, m,
                         e);
    if (!rc)
        rc = wire_options_get(j, from, e);
    if (!rc)
        rc = get_inputs(j, from, m, e);
    return rc;
}
