/* liboverpaint's calls about a service and its jobs: see client.h. Every call clears the error,
 * does one thing, and leaves its own; the conversation is handle.c. */
#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/draft.h"
#include "client/handle.h"
#include "proto/clock.h"

enum { WELCOME_MS = 2000 };

_Static_assert(sizeof(overpaint_id) == sizeof(job_id), "ids are the same bytes");

#define SAME(name)                                                                                 \
    _Static_assert((int)OVERPAINT_ERROR_##name == (int)ERR_##name, "the public codes are ours")
SAME(INVALID);
SAME(NOT_FOUND);
SAME(IO);
SAME(NO_MEMORY);
SAME(TOO_LARGE);
SAME(BUSY);
SAME(TIMEOUT);
SAME(CANCELLED);
SAME(CONFLICT);
SAME(DEVICE);
SAME(PROTOCOL);
SAME(LOST);
#undef SAME

static job_id inner_id(const overpaint_id *id)
{
    job_id to;
    memcpy(to.byte, id->byte, sizeof to.byte);
    return to;
}

/* The error of a new call: none, or why no call can work. */
static int begin(overpaint *o)
{
    if (!o)
        return ERR_NO_MEMORY;
    o->error = o->broken;
    return o->error.code;
}

/* Where `overpaint up` serves by default: below the user's runtime folder if a broker's socket is
 * there. (The command line asks XDG_RUNTIME_DIR; a library leaves the environment alone.) */
static int default_endpoint(char *to, size_t size, err *e)
{
    char folder[64], socket[128];
    snprintf(folder, sizeof folder, "/run/user/%u", (unsigned)getuid());
    snprintf(socket, sizeof socket, "%s/overpaint/broker", folder);
    return wire_default_endpoint(access(socket, F_OK) ? NULL : folder, to, size, e);
}

static int open_handle(overpaint *o, const char *endpoint, const char *name, err *e)
{
    char fallback[256];
    int rc = 0;
    if (!endpoint) {
        rc = default_endpoint(fallback, sizeof fallback, e);
        endpoint = fallback;
    }
    if (!rc)
        rc = connection_init(&o->link, endpoint, name, e);
    const int64_t end = clock_ms() + WELCOME_MS;
    while (!rc && !o->link.welcome) {
        const int64_t left = end - clock_ms();
        if (left <= 0)
            return connection_missing(&o->link, e);
        handle_step(o, left);
    }
    return rc;
}

overpaint *overpaint_open(const char *endpoint, const char *name)
{
    overpaint *o = calloc(1, sizeof *o);
    err e = {0};
    if (!o)
        return NULL;
    if (open_handle(o, endpoint, name, &e))
        o->broken = e;
    o->error = o->broken;
    return o;
}

void overpaint_close(overpaint **at)
{
    if (!at || !*at)
        return;
    overpaint *o = *at;
    jobs_done(&o->jobs);
    connection_done(&o->link);
    free(o->in);
    free(o->text);
    free(o);
    *at = NULL;
}

const char *overpaint_error(const overpaint *o)
{
    return o ? o->error.text : "no memory for a handle";
}

int overpaint_error_code(const overpaint *o)
{
    return o ? o->error.code : ERR_NO_MEMORY;
}

unsigned overpaint_retry_after_ms(const overpaint *o)
{
    return o && o->error.code == ERR_BUSY ? o->asked.retry_after_ms : 0;
}

const char *overpaint_code_name(int code)
{
    return err_name((err_code)code);
}

bool overpaint_connected(const overpaint *o)
{
    return o && o->link.welcome;
}

void overpaint_set_progress(overpaint *o, overpaint_on_progress *callback, void *arg)
{
    if (!o)
        return;
    o->on_progress = callback;
    o->progress_arg = arg;
}

/* ---------------------------------------------------------------- submitting */

/* What the broker would refuse is refused here, before megabytes travel. */
static int check_limits(const overpaint *o, const job_entry *j, err *e)
{
    size_t bytes = overpaint__header__get_packed_size(j->submit);
    for (size_t i = 0; i < j->frames; i++)
        bytes += zmq_msg_size(&j->frame[i]);
    if (bytes > o->link.most_bytes)
        return err_set(e, ERR_TOO_LARGE,
                       "the job with its pictures has %zu bytes, the broker takes at most %llu",
                       bytes, (unsigned long long)o->link.most_bytes);
    return 0;
}

static int submit(overpaint *o, job *j, err *e)
{
    char text[JOB_ID_TEXT];
    int rc = job_check(j, e);
    if (rc)
        return rc;
    if (jobs_find(&o->jobs, &j->id)) {
        job_id_text(&j->id, text);
        return err_set(e, ERR_CONFLICT, "job %s was submitted through this handle already", text);
    }
    job_entry *entry = jobs_add(&o->jobs, &j->id);
    if (!entry)
        return err_set(e, ERR_NO_MEMORY, "no memory for a job");
    rc = job_entry_pack(entry, j, e);
    if (!rc)
        rc = check_limits(o, entry, e);
    if (!rc)
        rc = handle_ask(o, entry->submit, entry->frame, entry->frames, e);
    if (rc)
        jobs_remove(&o->jobs, &j->id);
    return rc;
}

int overpaint_submit(overpaint *o, const overpaint_job *d, overpaint_id *id)
{
    if (begin(o))
        return overpaint_error_code(o);
    if (!d)
        return err_set(&o->error, ERR_NO_MEMORY, "no memory for a job");
    if (d->broken.code)
        return err_set(&o->error, d->broken.code, "%s", d->broken.text);
    job j = d->job; /* borrows texts and pictures */
    if (!d->has_id)
        job_id_new(&j.id);
    j.paths_allowed = wire_is_local(o->link.endpoint);
    memcpy(id->byte, j.id.byte, sizeof id->byte);
    return submit(o, &j, &o->error);
}

/* ---------------------------------------------------------------- waiting */

/* The job's entry; one of an earlier handle is watched from now on. */
static job_entry *follow(overpaint *o, const job_id *id)
{
    job_entry *j = jobs_find(&o->jobs, id);
    if (j)
        return j;
    j = jobs_add(&o->jobs, id);
    if (j) {
        j->due = DUE_WATCH;
        j->heard_ms = clock_ms();
    } else {
        err_set(&o->error, ERR_NO_MEMORY, "no memory for a job");
    }
    return j;
}

/* How a job ended, as a call's error; what was never found is forgotten again. */
static int outcome(overpaint *o, job_entry *j)
{
    if (j->error.code)
        err_set(&o->error, j->error.code, "%s", j->error.text);
    if (!j->result)
        jobs_remove(&o->jobs, &j->id);
    return o->error.code;
}

static int not_yet(overpaint *o, const job_entry *j)
{
    char text[JOB_ID_TEXT];
    job_id_text(&j->id, text);
    if (!o->link.welcome)
        return connection_missing(&o->link, &o->error);
    return err_set(&o->error, ERR_TIMEOUT, "job %s has not ended yet, it is %s", text,
                   j->state == OVERPAINT_RUNNING ? "running" : "queued");
}

int overpaint_wait(overpaint *o, const overpaint_id *id, int timeout_ms)
{
    if (begin(o))
        return overpaint_error_code(o);
    const job_id inner = inner_id(id);
    job_entry *j = follow(o, &inner);
    const int64_t start = clock_ms();
    int64_t left = CONNECTION_BEAT_MS;
    if (!j)
        return o->error.code;
    while (!j->ended) {
        if (timeout_ms >= 0)
            left = start + timeout_ms - clock_ms();
        if (left < 0)
            return not_yet(o, j);
        handle_step(o, left);
        if (o->broken.code)
            return begin(o);
        if (!j->ended && timeout_ms >= 0 && clock_ms() - start >= timeout_ms)
            return not_yet(o, j);
    }
    return outcome(o, j);
}

int overpaint_poll(overpaint *o, int timeout_ms)
{
    if (begin(o))
        return overpaint_error_code(o);
    handle_step(o, timeout_ms < 0 ? CONNECTION_BEAT_MS : timeout_ms);
    return begin(o);
}

int overpaint_fetch(overpaint *o, const overpaint_id *id)
{
    if (begin(o))
        return overpaint_error_code(o);
    const job_id inner = inner_id(id);
    const bool known = jobs_find(&o->jobs, &inner);
    job_entry *j = follow(o, &inner);
    if (!j)
        return o->error.code;
    wire_header h = connection_header(OVERPAINT__HEADER__BODY_FETCH, 0);
    Overpaint__Fetch fetch = OVERPAINT__FETCH__INIT;
    fetch.has_id = 1;
    fetch.id = wire_id_bytes(&inner);
    h.fetch = &fetch;
    if (!known)
        j->due = DUE_NOTHING;
    int rc = j->ended ? 0 : handle_ask(o, &h, NULL, 0, &o->error);
    if (!rc && j->ended)
        return outcome(o, j);
    if (!rc)
        rc = not_yet(o, j);
    if (!known)
        jobs_remove(&o->jobs, &inner);
    return rc;
}

/* ---------------------------------------------------------------- cancel, status, forget */

int overpaint_cancel(overpaint *o, const overpaint_id *id)
{
    if (begin(o))
        return overpaint_error_code(o);
    const job_id inner = inner_id(id);
    char text[JOB_ID_TEXT];
    wire_header h = connection_header(OVERPAINT__HEADER__BODY_CANCEL, 0);
    Overpaint__Cancel cancel = OVERPAINT__CANCEL__INIT;
    cancel.has_id = 1;
    cancel.id = wire_id_bytes(&inner);
    h.cancel = &cancel;
    int rc = handle_ask(o, &h, NULL, 0, &o->error);
    const overpaint_state state = o->asked.state;
    if (rc || (state != OVERPAINT_FINISHED && state != OVERPAINT_FAILED))
        return rc;
    job_id_text(&inner, text);
    return err_set(&o->error, ERR_CONFLICT, "job %s has %s already", text,
                   state == OVERPAINT_FINISHED ? "finished" : "failed");
}

const char *overpaint_status_json(overpaint *o, const overpaint_id *id)
{
    if (begin(o))
        return NULL;
    const job_id inner = id ? inner_id(id) : (job_id){0};
    wire_header h = connection_header(OVERPAINT__HEADER__BODY_STATUS, 0);
    Overpaint__Status status = OVERPAINT__STATUS__INIT;
    if (id) {
        status.has_id = 1;
        status.id = wire_id_bytes(&inner);
    }
    h.status = &status;
    return handle_ask(o, &h, NULL, 0, &o->error) ? NULL : o->text;
}

void overpaint_forget(overpaint *o, const overpaint_id *id)
{
    const job_id inner = inner_id(id);
    const job_entry *j = begin(o) ? NULL : jobs_find(&o->jobs, &inner);
    if (!j)
        return;
    wire_header h = connection_header(OVERPAINT__HEADER__BODY_ACK, 0);
    Overpaint__Ack ack = OVERPAINT__ACK__INIT;
    err ignored = {0}; /* an ACK that is lost costs the broker some memory for some minutes */
    ack.has_id = 1;
    ack.id = wire_id_bytes(&inner);
    h.ack = &ack;
    if (j->result)
        connection_send(&o->link, &h, NULL, 0, &ignored);
    jobs_remove(&o->jobs, &inner);
}

/* ---------------------------------------------------------------- ids */

void overpaint_id_text(const overpaint_id *id, char text[37])
{
    const job_id inner = inner_id(id);
    job_id_text(&inner, text);
}

int overpaint_id_parse(const char *text, overpaint_id *id)
{
    job_id inner;
    if (!text || !job_id_parse(text, &inner))
        return ERR_INVALID;
    memcpy(id->byte, inner.byte, sizeof id->byte);
    return 0;
}
