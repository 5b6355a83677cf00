/* Talking with the broker about jobs: see handle.h. The one idea: every message finds its job by id
 * and its question by request number, so answers may come late, twice or in any order. What a
 * session with the broker has lost is marked as due and said again. */
#include "client/handle.h"

#include <stdlib.h>
#include <string.h>

#include "client/report.h"
#include "proto/clock.h"

enum {
    ASK_MS = 10000,
    ASK_SESSIONS = 5,    /* a broker that refuses the same question so often will not answer it */
    REFRESH_MS = 5000,   /* a job nothing is heard of is asked for */
    CROWDED_MS = 20,     /* between tries while the socket takes no more */
    RETRY_MS = 1000,     /* a refused resubmission without retry_after_ms */
    STEP_MESSAGES = 256, /* handled at once, so that nobody can hold a caller for ever */
};

/* ---------------------------------------------------------------- saying what is due */

static int say_due(overpaint *o, job_entry *j)
{
    Overpaint__Watch watch = OVERPAINT__WATCH__INIT;
    wire_header ask = connection_header(OVERPAINT__HEADER__BODY_WATCH, 0), *h = &ask;
    zmq_msg_t frame[WIRE_FRAMES_MAX];
    size_t frames = 0;
    err e = {0};
    watch.has_id = 1;
    watch.id = wire_id_bytes(&j->id);
    ask.watch = &watch;
    if (j->due == DUE_SUBMIT) {
        h = j->submit;
        frames = j->frames;
        wire_frames_copy(frame, j->frame, frames);
    }
    h->has_request = 1;
    h->request = o->requests + 1;
    int rc = connection_send(&o->link, h, frame, frames, &e);
    if (rc)
        wire_frames_close(frame, frames);
    if (rc == ERR_BUSY)
        return rc;
    if (rc) {
        job_entry_fail(j, &e);
        return 0;
    }
    j->request = ++o->requests;
    j->due = DUE_NOTHING;
    return 0;
}

/* Not a job whose first SUBMIT is a question of its own (handle_ask). */
static bool is_followed(const job_entry *j)
{
    return !j->ended && (j->accepted || !j->submit);
}

/* True when something is left that could be said soon. */
static bool say_all_due(overpaint *o, int64_t now)
{
    for (size_t i = 0; i < o->jobs.count; i++) {
        job_entry *j = o->jobs.at[i];
        if (!is_followed(j))
            continue;
        if (!j->due && now - j->heard_ms > REFRESH_MS) {
            j->due = DUE_WATCH;
            j->heard_ms = now;
        }
        if (j->due && j->due_ms <= now && say_due(o, j))
            return o->link.welcome;
    }
    return false;
}

/* A session began: another broker wants the jobs again, the same one only who watches them. */
static void note_session(overpaint *o)
{
    if (o->sessions == o->link.sessions)
        return;
    o->sessions = o->link.sessions;
    for (size_t i = 0; i < o->jobs.count; i++) {
        job_entry *j = o->jobs.at[i];
        if (!is_followed(j))
            continue;
        j->due = j->submit && j->epoch != o->link.epoch ? DUE_SUBMIT : DUE_WATCH;
        j->due_ms = 0;
    }
}

/* ---------------------------------------------------------------- what the broker says */

/* The job a message is about, and that it was heard of; NULL for none of ours. */
static job_entry *heard(overpaint *o, const ProtobufCBinaryData *bytes)
{
    job_id id;
    job_entry *j = wire_id(&id, bytes) ? jobs_find(&o->jobs, &id) : NULL;
    if (j)
        j->heard_ms = clock_ms();
    return j;
}

static bool is_answer(const overpaint *o, const wire_message *m)
{
    return o->asked.request && !o->asked.answered && m->header->request == o->asked.request;
}

static void tell(overpaint *o, const overpaint_progress *p)
{
    if (o->on_progress)
        o->on_progress(o->progress_arg, p);
}

static overpaint_id public_id(const job_id *id)
{
    overpaint_id to;
    memcpy(to.byte, id->byte, sizeof to.byte);
    return to;
}

static void tell_ended(overpaint *o, const job_entry *j)
{
    const overpaint_progress p = {.id = public_id(&j->id), .state = j->state, .eta_seconds = -1};
    tell(o, &p);
}

/* The seed the broker drew makes a resubmitted job the same job. */
static void keep_seed(job_entry *j, const Overpaint__Accepted *a)
{
    if (!j->submit || !a->has_seed || a->seed < 0)
        return;
    wire_job *message = j->submit->submit->job;
    message->has_seed = 1;
    message->seed = a->seed;
}

static bool on_accepted(overpaint *o, wire_message *m)
{
    const Overpaint__Accepted *a = m->header->accepted;
    job_entry *j = heard(o, &a->id);
    if (!j || j->ended)
        return j;
    j->accepted = true;
    j->epoch = o->link.epoch;
    j->state = job_state(a->state);
    j->settled = j->state > OVERPAINT_RUNNING;
    keep_seed(j, a);
    const overpaint_progress p = {.id = public_id(&j->id),
                                  .state = j->settled ? OVERPAINT_RUNNING : j->state,
                                  .position = a->position,
                                  .eta_seconds = -1};
    tell(o, &p);
    return true;
}

static err refused(const char *code, const char *text)
{
    err e = {0};
    err_set(&e, job_code(code), "%s", text && *text ? text : "refused without a reason");
    return e;
}

static bool on_rejected(overpaint *o, wire_message *m)
{
    const Overpaint__Rejected *r = m->header->rejected;
    job_entry *j = heard(o, &r->id);
    err why = refused(r->code, r->text);
    if (!j)
        return false;
    if (is_answer(o, m)) {
        o->asked.error = why;
        o->asked.retry_after_ms = r->retry_after_ms;
        if (why.code == ERR_BUSY && r->retry_after_ms)
            err_add(&o->asked.error, ERR_BUSY, "try again in %.1f s", r->retry_after_ms / 1000.0);
    } else if (!j->ended && m->header->request == j->request) {
        if (why.code == ERR_BUSY) {
            j->due = DUE_SUBMIT;
            j->due_ms = clock_ms() + (r->retry_after_ms ? r->retry_after_ms : RETRY_MS);
        } else {
            job_entry_fail(j, &why);
            tell_ended(o, j);
        }
    }
    return true;
}

static bool on_progress(overpaint *o, wire_message *m)
{
    const Overpaint__Progress *w = m->header->progress;
    job_entry *j = heard(o, &w->id);
    err ignored = {0};
    if (!j || j->ended)
        return j;
    j->accepted = true;
    if (!j->submit)
        j->epoch = o->link.epoch;
    j->state = job_state(w->state);
    overpaint_progress p = {.id = public_id(&j->id),
                            .state = j->state,
                            .position = w->position,
                            .evaluations_done = w->evaluations_done,
                            .evaluations = w->evaluations,
                            .steps_done = w->steps_done,
                            .steps = w->steps,
                            .eta_seconds = w->has_eta_seconds ? w->eta_seconds : -1};
    if (w->preview)
        p.preview = wire_blob_bytes(w->preview, m, &p.preview_size, &ignored);
    tell(o, &p);
    return true;
}

/* The first result of a job counts. A broken one ends the wait too: another would be as broken. */
static bool on_result(overpaint *o, wire_message *m)
{
    job_entry *j = heard(o, &m->header->result->id);
    err why = {0};
    if (!j || j->ended)
        return j;
    j->accepted = true;
    if (job_entry_end(j, &o->in, &why)) {
        o->link.dropped++;
        job_entry_fail(j, &why);
    }
    tell_ended(o, j);
    return true;
}

static bool on_cancelled(overpaint *o, wire_message *m)
{
    if (is_answer(o, m))
        o->asked.state = job_state(m->header->cancelled->state);
    return true;
}

/* The broker does not have a job: it is submitted again if we can, unless it was over already. */
static void on_missing(overpaint *o, job_entry *j, const err *why)
{
    if (j->submit && !j->settled && why->code == ERR_NOT_FOUND) {
        j->due = DUE_SUBMIT;
        j->due_ms = clock_ms() + CROWDED_MS;
        return;
    }
    job_entry_fail(j, why);
    tell_ended(o, j);
}

static bool on_failure(overpaint *o, wire_message *m)
{
    const Overpaint__Failure *f = m->header->failure;
    err why = refused(f->code, f->text);
    if (is_answer(o, m)) {
        o->asked.error = why;
        return true;
    }
    for (size_t i = 0; i < o->jobs.count; i++)
        if (o->jobs.at[i]->request == m->header->request && !o->jobs.at[i]->ended) {
            on_missing(o, o->jobs.at[i], &why);
            return true;
        }
    return false;
}

static bool on_status(overpaint *o, wire_message *m)
{
    if (!is_answer(o, m))
        return false;
    free(o->text);
    o->text = report_status(m->header->status_reply, o->asked.one_job, &o->asked.error);
    return true;
}

static void dispatch(overpaint *o)
{
    static const struct {
        Overpaint__Header__BodyCase body;
        bool (*handle)(overpaint *, wire_message *); /* true: it made sense */
    } table[] = {
        {OVERPAINT__HEADER__BODY_ACCEPTED, on_accepted},
        {OVERPAINT__HEADER__BODY_REJECTED, on_rejected},
        {OVERPAINT__HEADER__BODY_PROGRESS, on_progress},
        {OVERPAINT__HEADER__BODY_RESULT, on_result},
        {OVERPAINT__HEADER__BODY_CANCELLED, on_cancelled},
        {OVERPAINT__HEADER__BODY_STATUS_REPLY, on_status},
        {OVERPAINT__HEADER__BODY_FAILURE, on_failure},
    };
    const bool answer = is_answer(o, o->in);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].body == o->in->header->body_case) {
            const bool sense = table[i].handle(o, o->in);
            o->asked.answered |= answer && sense;
            o->link.dropped += !sense;
            return;
        }
    o->link.dropped++;
}

void handle_message(overpaint *o)
{
    dispatch(o);
    if (o->in)
        wire_message_done(o->in);
}

/* ---------------------------------------------------------------- the loop */

static bool receive_one(overpaint *o)
{
    if (!o->in)
        o->in = malloc(sizeof *o->in);
    if (!o->in) {
        err_set(&o->broken, ERR_NO_MEMORY, "no memory for a message");
        return false;
    }
    if (!connection_receive(&o->link, o->in))
        return false;
    handle_message(o);
    return true;
}

void handle_step(overpaint *o, int64_t ms)
{
    const int64_t now = clock_ms();
    connection_keep(&o->link, now);
    const bool crowded = say_all_due(o, now);
    const int64_t most = crowded ? CROWDED_MS : CONNECTION_BEAT_MS;
    connection_wait(&o->link, ms < most ? ms : most);
    for (int i = 0; i < STEP_MESSAGES && receive_one(o); i++)
        note_session(o);
    note_session(o);
    say_all_due(o, clock_ms());
}

/* Once a session: 0 when it was said or need not be said again, ERR_BUSY to try again soon. */
static int say_question(overpaint *o, const wire_header *header, zmq_msg_t *frames, size_t count,
                        uint64_t *session, err *e)
{
    zmq_msg_t copy[WIRE_FRAMES_MAX];
    err busy = {0};
    if (!o->link.welcome || *session == o->link.sessions)
        return 0;
    wire_frames_copy(copy, frames, count);
    int rc = connection_send(&o->link, header, copy, count, &busy);
    if (!rc) {
        *session = o->link.sessions;
        return 0;
    }
    wire_frames_close(copy, count);
    return rc == ERR_BUSY ? rc : err_set(e, rc, "%s", busy.text);
}

static int unanswered(const overpaint *o, err *e)
{
    if (o->broken.code)
        return err_set(e, o->broken.code, "%s", o->broken.text);
    if (!o->link.welcome)
        return connection_missing(&o->link, e);
    if (o->link.refusal.code)
        return err_set(e, o->link.refusal.code, "%s", o->link.refusal.text);
    return err_set(e, ERR_TIMEOUT, "the broker at %s did not answer within %d s", o->link.endpoint,
                   ASK_MS / 1000);
}

int handle_ask(overpaint *o, wire_header *header, zmq_msg_t *frames, size_t count, err *e)
{
    const int64_t end = clock_ms() + ASK_MS;
    const uint64_t first = o->link.sessions;
    uint64_t session = 0;
    o->asked = (question){.request = ++o->requests,
                          .one_job = header->body_case == OVERPAINT__HEADER__BODY_STATUS &&
                                     header->status->has_id};
    o->link.refusal = (err){0};
    header->has_request = 1;
    header->request = o->asked.request;
    int rc = 0;
    while (!o->asked.answered && !o->broken.code && (!rc || rc == ERR_BUSY) &&
           o->link.sessions - first < ASK_SESSIONS && clock_ms() < end) {
        rc = say_question(o, header, frames, count, &session, e);
        handle_step(o, rc ? CROWDED_MS : end - clock_ms());
    }
    o->asked.request = 0;
    if (o->asked.answered)
        return o->asked.error.code ? err_set(e, o->asked.error.code, "%s", o->asked.error.text) : 0;
    return rc && rc != ERR_BUSY ? rc : unanswered(o, e);
}
