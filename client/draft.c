/* overpaint_job: a job being written, see client.h. */
#include "client/draft.h"

#include <stdlib.h>
#include <string.h>

#include "client/file.h"
#include "client/settings.h"

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

int overpaint_job_set(overpaint_job *d, const char *name, const char *value)
{
    if (!d)
        return ERR_NO_MEMORY;
    d->error = (err){0};
    if (!name || !value)
        return err_set(&d->error, ERR_INVALID, "overpaint_job_set: a name and a value are needed");
    return setting_set(&d->job, name, value, &d->error);
}

/* Takes over the bytes. */
static int add_picture(overpaint_job *d, uint8_t *bytes, size_t size)
{
    int rc = job_add_input(&d->job, (job_picture){.bytes = bytes, .size = size}, &d->error);
    if (rc)
        free(bytes);
    return rc;
}

int overpaint_job_add_file(overpaint_job *d, const char *path)
{
    unsigned char *bytes;
    size_t size;
    if (!d)
        return ERR_NO_MEMORY;
    d->error = (err){0};
    int rc = file_read(path, JOB_INPUT_BYTES_MAX, &bytes, &size, &d->error);
    return rc ? rc : add_picture(d, bytes, size);
}

int overpaint_job_add_bytes(overpaint_job *d, const void *bytes, size_t size)
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
    return add_picture(d, copy, size);
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
