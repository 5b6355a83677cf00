/* liboverpaint's calls about finished jobs: see client.h. A picture is a frame of the RESULT, which
 * the job keeps; nothing is copied until it is saved. */
#include <stdlib.h>
#include <string.h>

#include "client/file.h"
#include "client/handle.h"
#include "client/report.h"
#include "proto/infotext.h"

/* The finished job `id`, with picture `index` if index >= 0; NULL with the handle's error set. */
static job_entry *finished(overpaint *o, const overpaint_id *id, int64_t index)
{
    job_id inner;
    if (!o)
        return NULL;
    memcpy(inner.byte, id->byte, sizeof inner.byte);
    job_entry *j = jobs_find(&o->jobs, &inner);
    o->error = (err){0};
    if (!j || !j->result) {
        err_set(&o->error, ERR_NOT_FOUND, "this handle has no result of such a job");
        return NULL;
    }
    const size_t pictures = j->result->header->result->n_picture;
    if (index >= 0 && (uint64_t)index >= pictures) {
        err_set(&o->error, ERR_NOT_FOUND, "picture %lld of a job with %zu pictures",
                (long long)index, pictures);
        return NULL;
    }
    return j;
}

unsigned overpaint_pictures(overpaint *o, const overpaint_id *id)
{
    job_entry *j = finished(o, id, -1);
    return j ? (unsigned)j->result->header->result->n_picture : 0;
}

const unsigned char *overpaint_picture(overpaint *o, const overpaint_id *id, unsigned index,
                                       size_t *size)
{
    job_entry *j = finished(o, id, index);
    size_t ignored;
    if (!j)
        return NULL;
    return wire_blob_bytes(j->result->header->result->picture[index]->blob, j->result,
                           size ? size : &ignored, &o->error);
}

int64_t overpaint_picture_seed(overpaint *o, const overpaint_id *id, unsigned index)
{
    job_entry *j = finished(o, id, index);
    return j ? j->result->header->result->picture[index]->seed : -1;
}

const char *overpaint_picture_info(overpaint *o, const overpaint_id *id, unsigned index)
{
    job_entry *j = finished(o, id, index);
    size_t size;
    if (!j)
        return NULL;
    const Overpaint__Result *r = j->result->header->result;
    if (index < r->n_info && r->info[index][0])
        return r->info[index];
    /* Texts too long for the header are in the picture only. */
    if (!j->info)
        j->info = calloc(r->n_picture, sizeof *j->info);
    if (!j->info) {
        err_set(&o->error, ERR_NO_MEMORY, "no memory for a text");
        return NULL;
    }
    const unsigned char *bytes =
        wire_blob_bytes(r->picture[index]->blob, j->result, &size, &o->error);
    if (bytes && !j->info[index])
        metadata_parameters(&j->info[index], bytes, size, &o->error);
    return j->info[index];
}

int overpaint_save(overpaint *o, const overpaint_id *id, unsigned index, const char *path)
{
    size_t size;
    const unsigned char *bytes = overpaint_picture(o, id, index, &size);
    return bytes ? file_write(path, bytes, size, &o->error) : overpaint_error_code(o);
}

const char *overpaint_result_note(overpaint *o, const overpaint_id *id)
{
    job_entry *j = finished(o, id, -1);
    const char *note = j ? j->result->header->result->note : NULL;
    return note && *note ? note : NULL;
}

const char *overpaint_result_json(overpaint *o, const overpaint_id *id)
{
    job_entry *j = finished(o, id, -1);
    if (!j)
        return NULL;
    free(o->text);
    o->text = report_result(j->result->header->result, &o->error);
    return o->text;
}
