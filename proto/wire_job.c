/* Jobs as messages. Numbers and names travel in the header, an absent field means its default;
 * pictures and texts too long for the header travel as payload frames. */
#include "proto/wire.h"

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

static int pack_input(wire_job_packed *to, size_t i, const job_picture *p, err *e)
{
    wire_blob *b = &to->input[i];
    overpaint__blob__init(b);
    to->input_at[i] = b;
    if (p->path[0]) {
        b->path = (char *)p->path;
        return 0;
    }
    return add_frame(to, b, p->bytes, p->size, e);
}

void wire_job_settings(wire_job *m, const job *j)
{
    m->has_task = 1;
    m->task = (Overpaint__Task)j->task;
#define PUT(name)                                                                                  \
    m->has_##name = 1;                                                                             \
    m->name = j->name;
    JOB_NUMBERS(PUT)
#undef PUT
    m->model = j->model[0] ? (char *)j->model : NULL;
    m->sampler = (char *)catalog_sampler(j->sampler)->name;
    m->scheduler = (char *)catalog_schedule(j->scheduler);
    m->has_resize_mode = 1;
    m->resize_mode = j->resize;
    m->rng = (char *)rng_names[j->rng];
    m->format = (char *)format_names[j->format];
    m->has_background = 1;
    m->background =
        (uint32_t)j->background[0] << 16 | (uint32_t)j->background[1] << 8 | j->background[2];
}

int wire_job_pack(wire_job_packed *to, const job *j, err *e)
{
    memset(to, 0, sizeof *to);
    wire_job *m = &to->message;
    overpaint__job__init(m);
    wire_job_settings(m, j);
    m->has_id = 1;
    m->id = wire_id_bytes(&j->id);
    m->input = to->input_at;
    m->n_input = j->inputs;
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

static int unpack_input(job *j, const wire_blob *b, wire_message *m, err *e)
{
    job_picture p = {0};
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
    if (!rc && from->model) {
        if (strlen(from->model) >= sizeof j->model)
            return err_set(e, ERR_INVALID, "model name has %zu bytes, at most %zu are allowed",
                           strlen(from->model), sizeof j->model - 1);
        strcpy(j->model, from->model);
    }
    return rc;
}

int wire_job_unpack(job *j, const wire_job *from, wire_message *m, err *e)
{
    job_init(j);
    if (!from || !from->has_id || !wire_id(&j->id, &from->id))
        return err_set(e, ERR_PROTOCOL, "job without an id of %d bytes", JOB_ID_BYTES);
    if (from->has_task)
        j->task = (task_kind)from->task;
#define GET(name)                                                                                  \
    if (from->has_##name)                                                                          \
        j->name = from->name;
    JOB_NUMBERS(GET)
#undef GET
    if (from->has_resize_mode)
        j->resize = (resize_mode)from->resize_mode;
    if (from->has_background)
        for (int i = 0; i < 3; i++)
            j->background[i] = (uint8_t)(from->background >> (16 - 8 * i));
    int rc = unpack_names(j, from, e);
    if (!rc)
        rc = unpack_text(&j->prompt, from->prompt, from->prompt_blob, m, e);
    if (!rc)
        rc = unpack_text(&j->negative_prompt, from->negative_prompt, from->negative_prompt_blob, m,
                         e);
    if (!rc && from->n_input > JOB_INPUTS_MAX)
        rc = err_set(e, ERR_INVALID, "%zu pictures, at most %d are allowed", from->n_input,
                     JOB_INPUTS_MAX);
    for (size_t i = 0; !rc && i < from->n_input; i++)
        rc = unpack_input(j, from->input[i], m, e);
    return rc;
}
