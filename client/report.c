/* Replies as JSON: see report.h. The one idea: a message becomes a JSON object by one function, and
 * a list of messages a JSON array by another. Texts of others that are no UTF-8 become null. */
#include "client/report.h"

#include <jansson.h>

#include "proto/job.h"
#include "proto/wire.h"

static json_t *text(const char *value)
{
    json_t *string = value ? json_string(value) : NULL;
    return string ? string : json_null();
}

static json_t *whole(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *id_text(const ProtobufCBinaryData *bytes)
{
    char written[JOB_ID_TEXT];
    job_id id;
    if (!wire_id(&id, bytes))
        return json_null();
    job_id_text(&id, written);
    return json_string(written);
}

static json_t *texts(char **list, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, text(list[i]));
    return array;
}

static const char *state_name(Overpaint__State s)
{
    switch (s) {
    case OVERPAINT__STATE__QUEUED: return "queued";
    case OVERPAINT__STATE__RUNNING: return "running";
    case OVERPAINT__STATE__FINISHED: return "finished";
    case OVERPAINT__STATE__FAILED: return "failed";
    case OVERPAINT__STATE__CANCELLED_STATE: return "cancelled";
    default: return "unknown";
    }
}

/* ---------------------------------------------------------------- status */

static json_t *row_json(const Overpaint__RowStatus *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", id_text(&r->id));
    json_object_set_new(o, "picture", whole(r->picture));
    json_object_set_new(o, "sampler", text(r->sampler));
    json_object_set_new(o, "step", whole(r->step));
    json_object_set_new(o, "steps", whole(r->steps));
    return o;
}

static void set_known(json_t *o, const char *key, bool known, uint64_t value)
{
    if (known && value <= INT64_MAX)
        json_object_set_new(o, key, whole(value));
}

/* Only what is known; null: nothing is. */
static json_t *telemetry_json(const Overpaint__Telemetry *t)
{
    json_t *o = json_object();
#define SET(name) set_known(o, #name, t && t->has_##name, t ? t->name : 0)
    SET(memory_used_bytes);
    SET(memory_total_bytes);
    SET(utilisation_percent);
    SET(temperature_celsius);
    SET(power_milliwatts);
    SET(ecc_errors);
    SET(xid_errors);
    SET(last_xid);
#undef SET
    if (json_object_size(o))
        return o;
    json_decref(o);
    return json_null();
}

static json_t *device_json(const Overpaint__DeviceStatus *d)
{
    json_t *o = json_object(), *rows = json_array();
    for (size_t i = 0; i < d->n_row; i++)
        json_array_append_new(rows, row_json(d->row[i]));
    json_object_set_new(o, "name", text(d->name));
    json_object_set_new(o, "class", text(d->device_class));
    json_object_set_new(o, "memory_bytes", whole(d->memory_bytes));
    json_object_set_new(o, "budget_bytes", whole(d->budget_bytes));
    json_object_set_new(o, "memory_mode", text(d->memory_mode));
    json_object_set_new(o, "evaluations", whole(d->steps));
    json_object_set_new(o, "models", texts(d->model, d->n_model));
    json_object_set_new(o, "telemetry", telemetry_json(d->telemetry));
    json_object_set_new(o, "rows", rows);
    return o;
}

static json_t *worker_json(const Overpaint__WorkerStatus *w)
{
    json_t *o = json_object(), *devices = json_array();
    for (size_t i = 0; i < w->n_device; i++)
        json_array_append_new(devices, device_json(w->device[i]));
    json_object_set_new(o, "name", text(w->name));
    json_object_set_new(o, "state", text(w->state));
    json_object_set_new(o, "running", whole(w->running));
    json_object_set_new(o, "credit", whole(w->credit));
    json_object_set_new(o, "finished", whole(w->finished));
    json_object_set_new(o, "failed", whole(w->failed));
    json_object_set_new(o, "models", texts(w->model, w->n_model));
    json_object_set_new(o, "devices", devices);
    return o;
}

static json_t *progress_json(const Overpaint__Progress *p)
{
    json_t *o = json_object();
    json_object_set_new(o, "evaluations_done", whole(p->evaluations_done));
    json_object_set_new(o, "evaluations", whole(p->evaluations));
    json_object_set_new(o, "steps_done", whole(p->steps_done));
    json_object_set_new(o, "steps", whole(p->steps));
    json_object_set_new(o, "eta_seconds",
                        p->has_eta_seconds ? json_real(p->eta_seconds) : json_null());
    return o;
}

static json_t *job_json(const Overpaint__JobStatus *j)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", id_text(&j->id));
    json_object_set_new(o, "state", text(state_name(j->state)));
    json_object_set_new(o, "task", text(task_name((task_kind)j->task)));
    json_object_set_new(o, "client", text(j->client));
    json_object_set_new(o, "worker", text(j->worker));
    json_object_set_new(o, "position", j->progress ? whole(j->progress->position) : json_null());
    json_object_set_new(o, "progress", j->progress ? progress_json(j->progress) : json_null());
    json_object_set_new(o, "attempts", whole(j->attempts));
    json_object_set_new(o, "waited_ms", whole(j->waited_ms));
    json_object_set_new(o, "text", text(j->text));
    return o;
}

static json_t *service_json(const Overpaint__StatusReply *r)
{
    json_t *o = json_object(), *workers = json_array(), *jobs = json_array(),
           *counters = json_object();
    char epoch[17];
    snprintf(epoch, sizeof epoch, "%016llx", (unsigned long long)r->epoch);
    for (size_t i = 0; i < r->n_worker; i++)
        json_array_append_new(workers, worker_json(r->worker[i]));
    for (size_t i = 0; i < r->n_job; i++)
        json_array_append_new(jobs, job_json(r->job[i]));
    for (size_t i = 0; i < r->n_counter; i++)
        if (r->counter[i]->name)
            json_object_set_new(counters, r->counter[i]->name, whole(r->counter[i]->value));
    json_object_set_new(o, "epoch", text(epoch));
    json_object_set_new(o, "uptime_ms", whole(r->uptime_ms));
    json_object_set_new(o, "queued", whole(r->queued));
    json_object_set_new(o, "running", whole(r->running));
    json_object_set_new(o, "kept", whole(r->kept));
    json_object_set_new(o, "bytes", whole(r->bytes));
    json_object_set_new(o, "workers", workers);
    json_object_set_new(o, "jobs", jobs);
    json_object_set_new(o, "counters", counters);
    return o;
}

/* Takes over `o`. Objects that ran out of memory on the way end here too. */
static char *dump(json_t *o, err *e)
{
    char *written = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (!written)
        err_set(e, ERR_NO_MEMORY, "no memory for a report");
    return written;
}

char *report_status(const Overpaint__StatusReply *r, bool one_job, err *e)
{
    if (one_job && r->n_job != 1) {
        err_set(e, ERR_NOT_FOUND, "the broker knows no such job");
        return NULL;
    }
    return dump(one_job ? job_json(r->job[0]) : service_json(r), e);
}

/* ---------------------------------------------------------------- results */

static json_t *picture_json(const Overpaint__Result *r, size_t i)
{
    const Overpaint__Picture *p = r->picture[i];
    json_t *o = json_object();
    json_object_set_new(o, "seed", p->seed < 0 ? json_null() : json_integer(p->seed));
    json_object_set_new(o, "width", json_integer(p->width));
    json_object_set_new(o, "height", json_integer(p->height));
    json_object_set_new(o, "media", text(p->blob ? p->blob->media : NULL));
    json_object_set_new(o, "bytes", whole(p->blob ? p->blob->size : 0));
    return o;
}

char *report_result(const Overpaint__Result *r, err *e)
{
    json_t *o = json_object(), *pictures = json_array();
    for (size_t i = 0; i < r->n_picture; i++)
        json_array_append_new(pictures, picture_json(r, i));
    json_object_set_new(o, "id", id_text(&r->id));
    json_object_set_new(o, "state", text(state_name(r->state)));
    json_object_set_new(o, "device_class", text(r->device_class));
    json_object_set_new(o, "class_changed", json_boolean(r->class_changed));
    json_object_set_new(o, "note", text(r->note));
    json_object_set_new(o, "attempts", whole(r->attempts));
    json_object_set_new(o, "queue_ms", whole(r->queue_ms));
    json_object_set_new(o, "run_ms", whole(r->run_ms));
    json_object_set_new(o, "pictures", pictures);
    return dump(o, e);
}
