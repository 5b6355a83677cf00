/* What workers say. Whatever is said under a lease that is over is answered SETTLED stale. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_inside.h"
#include "proto/log.h"

/* More leases of one message are not looked at; names of models likewise. */
enum { LEASES_MAX = 1024, MODELS_MAX = 4096 };

static void send_settled(broker *b, peer *to, uint64_t request, uint64_t lease, const job_id *id)
{
    wire_header h;
    Overpaint__Settled s = OVERPAINT__SETTLED__INIT;
    broker_header(&h, request);
    h.body_case = OVERPAINT__HEADER__BODY_SETTLED;
    h.settled = &s;
    s.has_lease = s.has_stale = 1;
    s.lease = lease;
    s.stale = id == NULL;
    s.has_id = id != NULL;
    if (id)
        s.id = wire_id_bytes(id);
    broker_send(b, to, &h, NULL, 0, false);
}

static int not_ready(err *e)
{
    return err_set(e, ERR_PROTOCOL, "this broker does not have you as a worker, say READY");
}

/* ---------------------------------------------------------------- the worker itself */

static size_t read_resident(uint64_t *to, Overpaint__DeviceStatus *const *device, size_t devices)
{
    size_t n = 0;
    for (size_t d = 0; d < devices; d++)
        for (size_t i = 0; i < device[d]->n_model && n < QUEUE_RESIDENT; i++)
            to[n++] = broker_hash(device[d]->model[i]);
    return n;
}

static void extend_leases(broker *b, peer *from, const uint64_t *lease, size_t leases)
{
    for (size_t i = 0; i < leases && i < LEASES_MAX; i++)
        if (!queue_extend(b->queue, from->handle, lease[i], b->now))
            send_settled(b, from, 0, lease[i], NULL);
}

/* Takes the header over, for STATUS. */
static void keep_header(wire_header **kept, wire_message *m)
{
    if (*kept)
        overpaint__header__free_unpacked(*kept, NULL);
    *kept = m->header;
    m->header = NULL;
}

int on_ready(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Ready *ready = m->header->ready;
    queue_worker_spec s = {0};
    s.models = ready->n_model < MODELS_MAX ? ready->n_model : MODELS_MAX;
    s.model = malloc((s.models + 1) * sizeof *s.model);
    if (!s.model)
        return err_set(e, ERR_NO_MEMORY, "no memory for %zu names of models", s.models);
    for (size_t i = 0; i < s.models; i++)
        s.model[i] = broker_hash(ready->model[i]);
    snprintf(s.name, sizeof s.name, "%s", ready->name ? ready->name : from->name);
    broker_text(s.name);
    s.classes = ready->n_device < QUEUE_DEVICES ? ready->n_device : QUEUE_DEVICES;
    for (size_t i = 0; i < s.classes; i++)
        s.device_class[i] = broker_hash(ready->device[i]->device_class);
    s.residents = read_resident(s.resident, ready->device, ready->n_device);
    int rc = queue_ready(b->queue, from->handle, &s, b->now, e);
    free(s.model);
    if (rc)
        return rc;
    char name[2 * PEER_NAME];
    log_event(LOG_INFO, "broker", "worker", "name=%s devices=%zu models=%zu leases=%zu",
              log_quote(name, sizeof name, s.name), ready->n_device, ready->n_model,
              ready->n_lease);
    extend_leases(b, from, ready->lease, ready->n_lease);
    keep_header(&from->ready, m);
    return 0;
}

int on_credit(broker *b, peer *from, wire_message *m, err *e)
{
    if (!queue_knows(b->queue, from->handle))
        return not_ready(e);
    queue_credit(b->queue, from->handle, m->header->credit->jobs, b->now);
    return 0;
}

int on_heartbeat(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Heartbeat *beat = m->header->heartbeat;
    uint64_t resident[QUEUE_RESIDENT];
    if (!queue_knows(b->queue, from->handle))
        return not_ready(e);
    wire_header h;
    Overpaint__Heartbeat answer = OVERPAINT__HEARTBEAT__INIT;
    broker_header(&h, m->header->request);
    h.body_case = OVERPAINT__HEADER__BODY_HEARTBEAT;
    h.heartbeat = &answer;
    const size_t residents = read_resident(resident, beat->device, beat->n_device);
    extend_leases(b, from, beat->lease, beat->n_lease);
    queue_beat(b->queue, from->handle, resident, residents, beat->draining, b->now);
    broker_send(b, from, &h, NULL, 0, false);
    keep_header(&from->beat, m);
    return 0;
}

int on_bye(broker *b, peer *from, wire_message *m, err *e)
{
    (void)m;
    (void)e;
    queue_bye(b->queue, from->handle, b->now);
    return 0;
}

/* ---------------------------------------------------------------- under a lease */

int on_started(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Started *started = m->header->started;
    (void)e;
    if (!queue_started(b->queue, from->handle, started->lease, b->now))
        send_settled(b, from, m->header->request, started->lease, NULL);
    return 0;
}

static void forward_progress(broker *b, const queue_job *j, const Overpaint__Progress *p,
                             wire_message *m)
{
    wire_header h;
    Overpaint__Progress said = *p;
    broker_header(&h, 0);
    h.body_case = OVERPAINT__HEADER__BODY_PROGRESS;
    h.progress = &said;
    said.has_id = said.has_state = 1;
    said.id = wire_id_bytes(&j->id);
    said.state = OVERPAINT__STATE__RUNNING;
    said.has_lease = 0;
    for (int i = 0; i < QUEUE_WATCHERS; i++) {
        zmq_msg_t frames[WIRE_FRAMES_MAX];
        peer *to = peers_get(b->peers, j->watcher[i]);
        if (!to)
            continue;
        wire_frames_copy(frames, m->frame, m->frames);
        broker_send(b, to, &h, frames, m->frames, true);
        wire_frames_close(frames, m->frames);
    }
}

int on_progress(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Progress *p = m->header->progress;
    size_t size;
    if (p->preview && !wire_blob_bytes(p->preview, m, &size, e))
        return ERR_PROTOCOL;
    const queue_progress said = {p->evaluations_done, p->evaluations, p->steps_done, p->steps,
                                 p->has_eta_seconds ? p->eta_seconds : -1};
    const queue_job *j = queue_note(b->queue, from->handle, p->lease, &said, b->now);
    if (j)
        forward_progress(b, j, p, m);
    else
        send_settled(b, from, m->header->request, p->lease, NULL);
    return 0;
}

/* What clients may rely on in a RESULT, before it is stored. */
static int check_result(const Overpaint__Result *r, wire_message *m, size_t payload, err *e)
{
    enum { OWN_FIELDS = 256 };
    if (!r)
        return err_set(e, ERR_PROTOCOL, "DONE without a result");
    for (size_t i = 0; i < r->n_picture; i++) {
        size_t size;
        if (!wire_blob_bytes(r->picture[i]->blob, m, &size, e))
            return ERR_PROTOCOL;
    }
    const size_t size = overpaint__result__get_packed_size(r);
    if (size > (size_t)WIRE_HEADER_MAX - OWN_FIELDS)
        return err_set(e, ERR_TOO_LARGE, "the result's fields take %zu bytes, at most %d fit", size,
                       WIRE_HEADER_MAX - OWN_FIELDS);
    if (size + payload > (size_t)WIRE_MESSAGE_MAX - OWN_FIELDS)
        return err_set(e, ERR_TOO_LARGE, "the result has %zu bytes, at most %d fit", size + payload,
                       WIRE_MESSAGE_MAX - OWN_FIELDS);
    return 0;
}

/* The worker's result with what the broker knows. */
static Overpaint__Result complete_result(broker *b, const queue_job *j,
                                         const Overpaint__Result *from)
{
    Overpaint__Result r = *from;
    r.has_id = r.has_state = r.has_attempts = r.has_queue_ms = r.has_run_ms = 1;
    r.id = wire_id_bytes(&j->id);
    r.state = OVERPAINT__STATE__FINISHED;
    r.code = r.text = NULL;
    r.attempts = j->attempts;
    r.queue_ms = (uint32_t)(j->assigned_ms - j->accepted_ms);
    if (!from->has_run_ms)
        r.run_ms = (uint32_t)(b->now - j->assigned_ms);
    r.has_class_changed = j->class_changed;
    r.class_changed = j->class_changed;
    return r;
}

static void keep_result(broker *b, const queue_job *j, wire_message *m)
{
    err e = {0};
    const Overpaint__Result r = complete_result(b, j, m->header->done->result);
    if (deliver_settle(b, &j->id, &r, m->frame, m->frames, &e)) {
        b->counts.store_errors++; /* the watchers will be told, see do_ended */
        char text[sizeof e.text];
        log_event(LOG_ERROR, "broker", "unstorable", "text=%s",
                  log_quote(text, sizeof text, e.text));
    }
}

int on_done(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Done *done = m->header->done;
    err bad = {0};
    const queue_job *j;
    size_t bytes = 0;
    (void)e;
    for (size_t i = 0; i < m->frames; i++)
        bytes += zmq_msg_size(&m->frame[i]);
    if (check_result(done->result, m, bytes, &bad)) {
        j = queue_fail(b->queue, from->handle, done->lease, bad.code, bad.text,
                       bad.code == ERR_PROTOCOL, b->now);
    } else {
        j = queue_done(b->queue, from->handle, done->lease, broker_hash(done->result->device_class),
                       bytes, b->now);
        if (j && j->state == QUEUE_FINISHED)
            keep_result(b, j, m);
    }
    send_settled(b, from, m->header->request, done->lease, j ? &j->id : NULL);
    return 0;
}

static err_code read_code(const char *name)
{
    for (int code = ERR_LOST; code < ERR_OK; code++)
        if (name && !strcmp(name, err_name((err_code)code)))
            return (err_code)code;
    return ERR_DEVICE;
}

int on_fail(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Fail *fail = m->header->fail;
    char text[256];
    (void)e;
    snprintf(text, sizeof text, "%s", fail->text ? fail->text : "no reason given");
    const queue_job *j = queue_fail(b->queue, from->handle, fail->lease, read_code(fail->code),
                                    text, fail->again, b->now);
    send_settled(b, from, m->header->request, fail->lease, j ? &j->id : NULL);
    return 0;
}

int on_release(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Release *release = m->header->release;
    (void)e;
    const queue_job *j = queue_release(b->queue, from->handle, release->lease, b->now);
    send_settled(b, from, m->header->request, release->lease, j ? &j->id : NULL);
    return 0;
}
