/* Carries out what the queue decided: assignments and revocations to workers, progress and results
 * to clients, and what the store may forget. */
#include <stdlib.h>
#include <string.h>

#include "broker/broker_inside.h"
#include "proto/log.h"

/* ---------------------------------------------------------------- to workers */

static void log_job(log_level level, const char *event, const queue_job *j, const char *text)
{
    char id[JOB_ID_TEXT], quoted[512];
    if (level < log_threshold)
        return;
    job_id_text(&j->id, id);
    log_event(level, "broker", event, "job=%s attempts=%u text=%s", id, j->attempts,
              log_quote(quoted, sizeof quoted, text));
}

/* The stored message is a packed Job; the payload goes as it came. */
static int send_assign(broker *b, peer *to, const queue_action *a, store_record *r, err *e)
{
    wire_header h;
    Overpaint__Assign assign = OVERPAINT__ASSIGN__INIT;
    assign.job =
        overpaint__job__unpack(NULL, zmq_msg_size(&r->frame[0]), zmq_msg_data(&r->frame[0]));
    if (!assign.job)
        return err_set(e, ERR_NO_MEMORY, "no memory for the job's message");
    broker_header(&h, 0);
    h.body_case = OVERPAINT__HEADER__BODY_ASSIGN;
    h.assign = &assign;
    assign.has_lease = assign.has_attempt = assign.has_local = 1;
    assign.lease = a->lease;
    assign.attempt = a->attempt;
    assign.local = b->local;
    broker_send(b, to, &h, r->frame + 1, r->frames - 1, false);
    overpaint__job__free_unpacked(assign.job, NULL);
    return 0;
}

static void do_assign(broker *b, const queue_action *a)
{
    err e = {0};
    store_record r = {0};
    const queue_job *j = queue_find(b->queue, &a->id);
    peer *to = peers_get(b->peers, a->peer);
    if (!j || j->lease != a->lease)
        return; /* it has ended or moved on meanwhile */
    if (!to || to->lost) {
        queue_unreachable(b->queue, a->peer, a->lease, b->now);
        return;
    }
    int rc = store_take(b->store, &a->id, a->attempt, &b->written, &e);
    if (!rc)
        rc = store_read(b->store, &a->id, STORE_JOB, &r, &e);
    if (!rc)
        rc = send_assign(b, to, a, &r, &e);
    store_record_done(&r);
    if (!rc && to->lost)
        queue_unreachable(b->queue, a->peer, a->lease, b->now);
    if (rc) {
        b->counts.store_errors++;
        log_job(LOG_ERROR, "unreadable", j, e.text);
        queue_fail(b->queue, a->peer, a->lease, e.code, e.text, false, b->now);
    }
}

static void do_revoke(broker *b, const queue_action *a)
{
    wire_header h;
    Overpaint__Revoke revoke = OVERPAINT__REVOKE__INIT;
    peer *to = peers_get(b->peers, a->peer);
    if (!to)
        return;
    broker_header(&h, 0);
    h.body_case = OVERPAINT__HEADER__BODY_REVOKE;
    h.revoke = &revoke;
    revoke.has_id = revoke.has_lease = 1;
    revoke.id = wire_id_bytes(&a->id);
    revoke.lease = a->lease;
    broker_send(b, to, &h, NULL, 0, false);
}

/* ---------------------------------------------------------------- to clients */

static void send_progress(broker *b, peer *to, uint64_t request, const queue_job *j)
{
    wire_header h;
    Overpaint__Progress p = OVERPAINT__PROGRESS__INIT;
    broker_header(&h, request);
    h.body_case = OVERPAINT__HEADER__BODY_PROGRESS;
    h.progress = &p;
    status_progress(b, &p, j);
    broker_send(b, to, &h, NULL, 0, request == 0);
}

static int send_result(broker *b, peer *to, uint64_t request, const job_id *id, err *e)
{
    wire_header h;
    store_record r;
    int rc = store_read(b->store, id, STORE_RESULT, &r, e);
    if (rc)
        return rc;
    broker_header(&h, request);
    h.body_case = OVERPAINT__HEADER__BODY_RESULT;
    h.result =
        overpaint__result__unpack(NULL, zmq_msg_size(&r.frame[0]), zmq_msg_data(&r.frame[0]));
    if (h.result)
        broker_send(b, to, &h, r.frame + 1, r.frames - 1, false);
    else
        rc = err_set(e, ERR_NO_MEMORY, "no memory for the result's message");
    if (h.result)
        overpaint__result__free_unpacked(h.result, NULL);
    store_record_done(&r);
    return rc;
}

void deliver_job(broker *b, peer *to, uint64_t request, const queue_job *j)
{
    err e = {0};
    if (j->state < QUEUE_FINISHED)
        send_progress(b, to, request, j);
    else if (send_result(b, to, request, &j->id, &e))
        broker_failure(b, to, request, &e);
}

static void tell_watchers(broker *b, const queue_job *j)
{
    for (int i = 0; i < QUEUE_WATCHERS; i++) {
        peer *to = peers_get(b->peers, j->watcher[i]);
        if (to)
            deliver_job(b, to, 0, j);
    }
}

int deliver_settle(broker *b, const job_id *id, const Overpaint__Result *result, zmq_msg_t *payload,
                   size_t count, err *e)
{
    store_record r = {0};
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, overpaint__result__get_packed_size(result)))
        return err_set(e, ERR_NO_MEMORY, "no memory for the result's message");
    overpaint__result__pack(result, zmq_msg_data(&message));
    int rc = 0;
    if (!store_record_make(&r, &message, payload, count))
        rc = err_set(e, ERR_NO_MEMORY, "no memory for a result of %zu frames", count);
    if (!rc)
        rc = store_settle(b->store, id, &r, &b->written, e);
    zmq_msg_close(&message);
    store_record_done(&r);
    return rc;
}

/* How a job ended without a worker's result: its state and reasons make one. */
static int settle_without(broker *b, const queue_job *j, err *e)
{
    Overpaint__Result r = OVERPAINT__RESULT__INIT;
    err why = {ERR_NO_MEMORY, "the result could not be kept"};
    if (j->why)
        why = *j->why;
    broker_text(why.text);
    r.has_id = r.has_state = r.has_attempts = 1;
    r.id = wire_id_bytes(&j->id);
    r.state =
        j->state == QUEUE_CANCELLED ? OVERPAINT__STATE__CANCELLED_STATE : OVERPAINT__STATE__FAILED;
    r.code = (char *)err_name(why.code);
    r.text = why.text;
    r.attempts = j->attempts;
    return deliver_settle(b, &j->id, &r, NULL, 0, e);
}

static void do_ended(broker *b, const queue_action *a)
{
    err e = {0};
    store_record r;
    const queue_job *j = queue_find(b->queue, &a->id);
    if (!j)
        return; /* crowded out at once */
    if (store_read(b->store, &a->id, STORE_RESULT, &r, NULL) == 0)
        store_record_done(&r);
    else if (settle_without(b, j, &e)) {
        b->counts.store_errors++;
        log_job(LOG_ERROR, "unstorable", j, e.text);
    }
    log_job(j->state == QUEUE_FAILED ? LOG_WARN : LOG_DEBUG, "ended", j,
            j->why ? j->why->text : "");
    tell_watchers(b, j);
}

static void do_requeued(broker *b, const queue_action *a)
{
    const queue_job *j = queue_find(b->queue, &a->id);
    if (!j)
        return;
    log_job(LOG_INFO, "requeued", j, j->why ? j->why->text : "");
    tell_watchers(b, j);
}

static void do_forget(broker *b, const queue_action *a)
{
    store_forget(b->store, &a->id, NULL); /* a job that could not be stored is not there */
}

void deliver_actions(broker *b)
{
    static void (*const perform[])(broker *, const queue_action *) = {
        [QUEUE_ASSIGN] = do_assign, [QUEUE_REVOKE] = do_revoke, [QUEUE_REQUEUED] = do_requeued,
        [QUEUE_ENDED] = do_ended,   [QUEUE_FORGET] = do_forget,
    };
    for (queue_action a; queue_next(b->queue, &a);)
        perform[a.kind](b, &a);
}
