/* What clients ask. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker/broker_inside.h"

/* Room that ASSIGN and the broker's own fields take beside the job in a header. */
enum {
    ASSIGN_ROOM = 1024,
    JOB_HEADER_MAX = WIRE_HEADER_MAX - ASSIGN_ROOM,
    JOB_BYTES_MAX = WIRE_MESSAGE_MAX - ASSIGN_ROOM,
};

uint64_t broker_hash(const char *name)
{
    return name && *name ? hash_bytes(0, name, strlen(name)) | 1 : 0;
}

/* ---------------------------------------------------------------- SUBMIT */

/* -1 becomes one of the seeds that web UIs draw. */
static int resolve_seed(job *j, err *e)
{
    uint32_t drawn;
    while (j->seed < 0) {
        if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn)
            return err_set(e, ERR_IO, "no random numbers: %s", strerror(errno));
        if (drawn < UINT32_MAX)
            j->seed = drawn;
    }
    return 0;
}

/* What makes two submissions the same job: every field but id and seed, and the payload. */
static int hash_contents(uint64_t *hash, const wire_job *from, wire_message *m, err *e)
{
    wire_job plain = *from;
    plain.has_id = plain.has_seed = 0;
    const size_t size = overpaint__job__get_packed_size(&plain);
    uint8_t *bytes = malloc(size + 1);
    if (!bytes)
        return err_set(e, ERR_NO_MEMORY, "no memory for a job of %zu bytes", size);
    overpaint__job__pack(&plain, bytes);
    *hash = hash_bytes(0, bytes, size);
    for (size_t i = 0; i < m->frames; i++)
        *hash = hash_bytes(*hash, zmq_msg_data(&m->frame[i]), zmq_msg_size(&m->frame[i]));
    free(bytes);
    return 0;
}

/* The job as it is stored and sent to workers: every setting in it, the client's texts, pictures
 * and unknown fields as they came. */
static int pack_effective(zmq_msg_t *to, const wire_job *from, const job *j, err *e)
{
    wire_job effective = *from;
    wire_job_options room;
    wire_job_settings(&effective, &room, j);
    const size_t size = overpaint__job__get_packed_size(&effective);
    if (size > JOB_HEADER_MAX)
        return err_set(e, ERR_TOO_LARGE,
                       "the job's fields take %zu bytes, at most %d are allowed; send long prompts "
                       "as payload",
                       size, JOB_HEADER_MAX);
    if (zmq_msg_init_size(to, size))
        return err_set(e, ERR_NO_MEMORY, "no memory for a job of %zu bytes", size);
    overpaint__job__pack(&effective, zmq_msg_data(to));
    return 0;
}

static size_t payload_bytes(wire_message *m)
{
    size_t total = 0;
    for (size_t i = 0; i < m->frames; i++)
        total += zmq_msg_size(&m->frame[i]);
    return total;
}

/* Checked and resolved: into the queue, and into the store unless it is there already. */
static int take_job(broker *b, wire_message *m, const job *j, int64_t seed_asked,
                    queue_peer watcher, queue_receipt *receipt, err *e)
{
    const wire_job *from = m->header->submit->job;
    queue_submission s = {.id = j->id,
                          .priority = j->priority,
                          .task = j->task,
                          .model = j->task == TASK_NOOP ? 0 : broker_hash(j->model),
                          .seed_asked = seed_asked,
                          .seed = j->seed,
                          .deadline_ms = j->deadline_ms,
                          .watcher = watcher};
    zmq_msg_t packed;
    store_record r = {0};
    int rc = hash_contents(&s.contents, from, m, e);
    if (rc || (rc = pack_effective(&packed, from, j, e)))
        return rc;
    s.bytes = zmq_msg_size(&packed) + payload_bytes(m);
    rc = s.bytes <= JOB_BYTES_MAX
             ? queue_submit(b->queue, &s, b->now, receipt, e)
             : err_set(e, ERR_TOO_LARGE, "the job has %zu bytes, at most %d are allowed", s.bytes,
                       JOB_BYTES_MAX);
    if (!rc && !receipt->duplicate) {
        rc = store_record_make(&r, &packed, m->frame, m->frames)
                 ? store_append(b->store, &s.id, &r, &b->written, e)
                 : err_set(e, ERR_NO_MEMORY, "no memory for a job of %zu frames", m->frames);
        if (rc) {
            b->counts.store_errors++;
            queue_withdraw(b->queue, &s.id);
        }
    }
    zmq_msg_close(&packed);
    store_record_done(&r);
    return rc;
}

static void send_accepted(broker *b, peer *to, uint64_t request, const job_id *id,
                          const queue_receipt *receipt)
{
    wire_header h;
    Overpaint__Accepted a = OVERPAINT__ACCEPTED__INIT;
    const queue_job *j = queue_find(b->queue, id);
    broker_header(&h, request);
    h.body_case = OVERPAINT__HEADER__BODY_ACCEPTED;
    h.accepted = &a;
    a.has_id = a.has_duplicate = a.has_state = a.has_position = a.has_seed = 1;
    a.id = wire_id_bytes(id);
    a.duplicate = receipt->duplicate;
    a.state = (Overpaint__State)(j ? j->state : receipt->state);
    a.position = j ? queue_position(b->queue, j) : 0;
    a.seed = receipt->seed;
    broker_send(b, to, &h, NULL, 0, false);
    if (receipt->kept && j && j->state >= QUEUE_FINISHED)
        deliver_job(b, to, 0, j);
}

static void send_rejected(broker *b, peer *to, uint64_t request, const wire_job *from, const err *e)
{
    wire_header h;
    Overpaint__Rejected r = OVERPAINT__REJECTED__INIT;
    broker_header(&h, request);
    h.body_case = OVERPAINT__HEADER__BODY_REJECTED;
    h.rejected = &r;
    if (from && from->has_id && from->id.len == JOB_ID_BYTES) {
        r.has_id = 1;
        r.id = from->id;
    }
    r.code = (char *)err_name(e->code);
    r.text = (char *)e->text;
    if (e->code == ERR_BUSY) {
        r.has_retry_after_ms = 1;
        r.retry_after_ms = queue_retry_after_ms(b->queue);
    }
    broker_send(b, to, &h, NULL, 0, false);
}

int on_submit(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Submit *submit = m->header->submit;
    queue_receipt receipt;
    err why = {0};
    job j;
    (void)e;
    int rc = wire_job_unpack(&j, submit->job, m, &why);
    j.paths_allowed = b->local;
    if (!rc)
        rc = job_check(&j, &why);
    if (!rc && b->draining)
        rc = err_set(&why, ERR_BUSY, "this broker is going away, submit to the next one");
    const int64_t seed_asked = j.seed;
    if (!rc)
        rc = resolve_seed(&j, &why);
    if (!rc)
        rc = take_job(b, m, &j, seed_asked, submit->watch ? from->handle : 0, &receipt, &why);
    if (rc)
        send_rejected(b, from, m->header->request, submit->job, &why);
    else
        send_accepted(b, from, m->header->request, &j.id, &receipt);
    job_done(&j);
    return 0;
}

/* ---------------------------------------------------------------- by id */

static int read_id(job_id *id, protobuf_c_boolean has, const ProtobufCBinaryData *bytes, err *e)
{
    if (has && wire_id(id, bytes))
        return 0;
    return err_set(e, ERR_PROTOCOL, "job id of %zu bytes, expected %d", has ? bytes->len : 0,
                   JOB_ID_BYTES);
}

static int no_such_job(err *e)
{
    return err_set(e, ERR_NOT_FOUND,
                   "no such job: it was never accepted here, or its result was acknowledged, or "
                   "nobody fetched it in time");
}

int on_fetch(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Fetch *fetch = m->header->fetch;
    job_id id;
    int rc = read_id(&id, fetch->has_id, &fetch->id, e);
    if (rc)
        return rc;
    const queue_job *j = queue_find(b->queue, &id);
    if (!j)
        return no_such_job(e);
    deliver_job(b, from, m->header->request, j);
    return 0;
}

int on_watch(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Watch *watch = m->header->watch;
    job_id id;
    int rc = read_id(&id, watch->has_id, &watch->id, e);
    if (rc)
        return rc;
    const queue_job *j = queue_watch(b->queue, &id, from->handle, b->now);
    if (!j)
        return no_such_job(e);
    deliver_job(b, from, m->header->request, j);
    return 0;
}

int on_cancel(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Cancel *cancel = m->header->cancel;
    wire_header h;
    Overpaint__Cancelled c = OVERPAINT__CANCELLED__INIT;
    job_id id;
    int rc = read_id(&id, cancel->has_id, &cancel->id, e);
    if (rc)
        return rc;
    const queue_job *j = queue_cancel(b->queue, &id, b->now);
    if (!j)
        return no_such_job(e);
    broker_header(&h, m->header->request);
    h.body_case = OVERPAINT__HEADER__BODY_CANCELLED;
    h.cancelled = &c;
    c.has_id = c.has_state = 1;
    c.id = wire_id_bytes(&id);
    c.state = (Overpaint__State)j->state;
    broker_send(b, from, &h, NULL, 0, false);
    return 0;
}

int on_ack(broker *b, peer *from, wire_message *m, err *e)
{
    const Overpaint__Ack *ack = m->header->ack;
    job_id id;
    (void)from;
    int rc = read_id(&id, ack->has_id, &ack->id, e);
    if (!rc)
        queue_acknowledge(b->queue, &id);
    return rc;
}
