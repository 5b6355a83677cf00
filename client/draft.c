/* overpaint_job: a job being written, see client.h. */
#include "client/draft.h"

#include <stdlib.h>
#include <string.h>

#include "client/file.h"
#include "client/settings.h"
#include "proto/job_infotext.h"

overpaint_job *overpaint_job_new(const char *task)
{
    overpaint_job *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    job_init(&d->job);
    d->job.owns_bytes = true;
    if (!task || !task_find(task, &d->job.task))
        err_set(&d->broken, ERR_INVALID, "unknown task \"%.40s\", expected img2img or txt2img",
                task ? task : "");
    else
        settings_defaults(&d->job, &d->broken);
    d->error = d->broken;
    return d;
}

void overpaint_job_free(overpaint_job **d)
{
    if (!d || !*d)
        return;
    job_done(&(*d)->job);
    free(*d);
    *d = NULL;
}

/* An upscale has a factor or a size. Where a picture (overpaint_job_from) said one of them, the
 * first setting of the other takes its place; two that were both set are an error. */
static void make_way(overpaint_job *d, const char *name)
{
    upscale_options *u = &d->job.upscale;
    const bool factor = !strcmp(name, "scale");
    if (!d->goal_from || (!factor && strcmp(name, "width") && strcmp(name, "height")))
        return;
    d->goal_from = false;
    u->scale = factor ? u->scale : 0;
    if (factor)
        u->width = u->height = 0;
}

int overpaint_job_set(overpaint_job *d, const char *name, const char *value)
{
    if (!d)
        return ERR_NO_MEMORY;
    d->error = (err){0};
    if (!name || !value)
        return err_set(&d->error, ERR_INVALID, "overpaint_job_set: a name and a value are needed");
    make_way(d, name);
    return setting_set(&d->job, name, value, &d->error);
}

/* Takes over the bytes. */
static int add_picture(overpaint_job *d, input_role role, uint8_t *bytes, size_t size)
{
    const job_picture picture = {.role = role, .bytes = bytes, .size = size};
    int rc = setting_input(&d->job, picture, &d->error);
    if (rc)
        free(bytes);
    return rc;
}

static int add_bytes(overpaint_job *d, input_role role, const void *bytes, size_t size)
{
    if (!d)
        return ERR_NO_MEMORY;
    d->error = (err){0};
    if (size > JOB_INPUT_BYTES_MAX)
        return err_set(&d->error, ERR_TOO_LARGE, "a picture of %zu bytes, expected at most %d",
                       size, JOB_INPUT_BYTES_MAX);
    uint8_t *copy = malloc(size + 1);
    if (!copy)
        return err_set(&d->error, ERR_NO_MEMORY, "no memory for a picture of %zu bytes", size);
    if (size)
        memcpy(copy, bytes, size);
    return add_picture(d, role, copy, size);
}

int overpaint_job_add_file(overpaint_job *d, const char *path)
{
    unsigned char *bytes;
    size_t size;
    if (!d)
        return ERR_NO_MEMORY;
    d->error = (err){0};
    int rc = file_read(path, JOB_INPUT_BYTES_MAX, &bytes, &size, &d->error);
    return rc ? rc : add_picture(d, INPUT_PICTURE, bytes, size);
}

int overpaint_job_add_bytes(overpaint_job *d, const void *bytes, size_t size)
{
    return add_bytes(d, INPUT_PICTURE, bytes, size);
}

int overpaint_job_add_mask(overpaint_job *d, const void *bytes, size_t size)
{
    return add_bytes(d, INPUT_MASK, bytes, size);
}

int overpaint_job_add_sketch(overpaint_job *d, const void *bytes, size_t size)
{
    return add_bytes(d, INPUT_SKETCH, bytes, size);
}

int overpaint_job_from(overpaint_job *d, const char *path)
{
    unsigned char *bytes = NULL;
    char *text = NULL;
    infotext t = {0};
    size_t size;
    err why = {0};
    if (!d)
        return ERR_NO_MEMORY;
    d->error = d->notes = (err){0};
    int rc = file_read(path, JOB_INPUT_BYTES_MAX, &bytes, &size, &d->error);
    if (rc)
        return rc;
    rc = metadata_parameters(&text, bytes, size, &why);
    if (!rc)
        rc = infotext_read(&t, text, &why);
    if (!rc)
        rc = job_from_infotext(&d->job, &t, &d->notes, &why);
    d->goal_from = d->job.task == TASK_UPSCALE;
    infotext_done(&t);
    free(text);
    free(bytes);
    return rc ? err_set(&d->error, rc, "%.200s: %s", path, why.text) : 0;
}

const char *overpaint_job_notes(const overpaint_job *d)
{
    return d ? d->notes.text : "";
}

int overpaint_job_check(overpaint_job *d)
{
    if (!d)
        return ERR_NO_MEMORY;
    job j = d->job; /* borrows texts and pictures */
    if (!d->has_id)
        job_id_new(&j.id);
    j.paths_allowed = true; /* whether they are depends on the endpoint */
    d->error = d->broken;
    return d->error.code ? (int)d->error.code : job_check(&j, &d->error);
}

const char *overpaint_job_error(const overpaint_job *d)
{
    return d ? d->error.text : "no memory for a job";
}

void overpaint_job_use_id(overpaint_job *d, const overpaint_id *id)
{
    if (!d)
        return;
    memcpy(d->job.id.byte, id->byte, sizeof d->job.id.byte);
    d->has_id = true;
}
