/* The table of jobs: see jobs.h. The one idea: an entry keeps its SUBMIT as the message it was,
 * with frames that share the bytes of the pictures, so saying it again costs nothing. */
#include "client/jobs.h"

#include <stdlib.h>
#include <string.h>

static void free_result(job_entry *e)
{
    if (!e->result)
        return;
    for (size_t i = 0; e->info && i < e->result->header->result->n_picture; i++)
        free(e->info[i]);
    free(e->info);
    wire_message_done(e->result);
    free(e->result);
}

static void free_entry(job_entry *e)
{
    free_result(e);
    if (e->submit)
        overpaint__header__free_unpacked(e->submit, NULL);
    wire_frames_close(e->frame, e->frames);
    free(e);
}

job_entry *jobs_add(jobs *t, const job_id *id)
{
    job_entry **grown = realloc(t->at, (t->count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    t->at = grown;
    job_entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->id = *id;
    t->at[t->count++] = e;
    return e;
}

job_entry *jobs_find(const jobs *t, const job_id *id)
{
    for (size_t i = 0; i < t->count; i++)
        if (job_id_equal(&t->at[i]->id, id))
            return t->at[i];
    return NULL;
}

void jobs_remove(jobs *t, const job_id *id)
{
    for (size_t i = 0; i < t->count; i++)
        if (job_id_equal(&t->at[i]->id, id)) {
            free_entry(t->at[i]);
            t->at[i] = t->at[--t->count];
            return;
        }
}

void jobs_done(jobs *t)
{
    for (size_t i = 0; i < t->count; i++)
        free_entry(t->at[i]);
    free(t->at);
    *t = (jobs){0};
}

/* A message of its own with the contents of `from`, whose strings belong to others. */
static wire_header *copy_header(const wire_header *from)
{
    size_t size = overpaint__header__get_packed_size(from);
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return NULL;
    overpaint__header__pack(from, bytes);
    wire_header *copy = overpaint__header__unpack(NULL, size, bytes);
    free(bytes);
    return copy;
}

int job_entry_pack(job_entry *e, const job *j, err *error)
{
    wire_job_packed packed;
    int rc = wire_job_pack(&packed, j, error);
    if (rc)
        return rc;
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Submit submit = OVERPAINT__SUBMIT__INIT;
    h.has_version = h.has_request = submit.has_watch = 1;
    h.version = WIRE_VERSION;
    h.body_case = OVERPAINT__HEADER__BODY_SUBMIT;
    h.submit = &submit;
    submit.job = &packed.message;
    submit.watch = 1;
    e->submit = copy_header(&h);
    if (e->submit) {
        wire_frames_copy(e->frame, packed.frame, packed.frames);
        e->frames = packed.frames;
    }
    wire_job_packed_done(&packed);
    return e->submit ? 0 : err_set(error, ERR_NO_MEMORY, "no memory for a job");
}

err_code job_code(const char *name)
{
    for (int code = ERR_LOST; name && code < ERR_OK; code++)
        if (!strcmp(name, err_name((err_code)code)))
            return (err_code)code;
    return ERR_PROTOCOL;
}

overpaint_state job_state(Overpaint__State s)
{
    switch (s) {
    case OVERPAINT__STATE__RUNNING: return OVERPAINT_RUNNING;
    case OVERPAINT__STATE__FINISHED: return OVERPAINT_FINISHED;
    case OVERPAINT__STATE__FAILED: return OVERPAINT_FAILED;
    case OVERPAINT__STATE__CANCELLED_STATE: return OVERPAINT_CANCELLED;
    default: return OVERPAINT_QUEUED;
    }
}

void job_entry_fail(job_entry *e, const err *why)
{
    e->ended = true;
    e->state = why->code == ERR_CANCELLED ? OVERPAINT_CANCELLED : OVERPAINT_FAILED;
    e->error = *why;
}

/* Every picture must be where the result says. */
static int check_pictures(const Overpaint__Result *r, wire_message *m, err *error)
{
    size_t size;
    for (size_t i = 0; i < r->n_picture; i++)
        if (!wire_blob_bytes(r->picture[i]->blob, m, &size, error))
            return ERR_PROTOCOL;
    return 0;
}

int job_entry_end(job_entry *e, wire_message **m, err *error)
{
    const Overpaint__Result *r = (*m)->header->result;
    overpaint_state state = job_state(r->state);
    if (!r->has_state || state == OVERPAINT_QUEUED || state == OVERPAINT_RUNNING)
        return err_set(error, ERR_PROTOCOL, "a result of a job that has not ended");
    if (check_pictures(r, *m, error))
        return ERR_PROTOCOL;
    err why = {0};
    if (state == OVERPAINT_CANCELLED)
        err_set(&why, ERR_CANCELLED, "%s", r->text && *r->text ? r->text : "the job was cancelled");
    else if (state == OVERPAINT_FAILED)
        err_set(&why, job_code(r->code), "%s",
                r->text && *r->text ? r->text : "the job failed; no reason was given");
    e->ended = true;
    e->state = state;
    e->error = why;
    e->result = *m;
    *m = NULL;
    return 0;
}
