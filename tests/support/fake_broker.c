/* A scripted broker: see fake_broker.h. */
#include "tests/support/fake_broker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 5, PICTURES_MAX = 8 };

static wire_header new_header(Overpaint__Header__BodyCase body, const wire_message *m)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    h.has_version = h.has_request = 1;
    h.version = WIRE_VERSION;
    h.request = m ? m->header->request : 0;
    h.body_case = body;
    return h;
}

void fake_cancelled(fake_broker *f, const wire_message *m, const job_id *id)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_CANCELLED, m);
    Overpaint__Cancelled c = OVERPAINT__CANCELLED__INIT;
    h.cancelled = &c;
    c.has_id = c.has_state = 1;
    c.id = wire_id_bytes(id);
    c.state = OVERPAINT__STATE__CANCELLED_STATE;
    fake_send(f, &h, NULL, 0);
    fake_ended(f, NULL, id, OVERPAINT__STATE__CANCELLED_STATE, "cancelled");
}

void fake_send(fake_broker *f, wire_header *h, zmq_msg_t *frames, size_t count)
{
    for (int tries = 0; tries < 200; tries++) {
        err e = {0};
        int rc = wire_send(f->socket, &f->peer, h, frames, count, &e);
        if (rc != ERR_BUSY)
            break;
        usleep(1000);
    }
}

void fake_raw(fake_broker *f, const void *bytes, size_t size)
{
    for (int tries = 0; tries < 200; tries++) {
        if (zmq_send(f->socket, f->peer.id, f->peer.size, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0) {
            zmq_send(f->socket, bytes, size, ZMQ_DONTWAIT);
            return;
        }
        usleep(1000);
    }
}

static void welcome(fake_broker *f, const wire_message *m)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_WELCOME, m);
    Overpaint__Welcome w = OVERPAINT__WELCOME__INIT;
    Overpaint__Limits l = OVERPAINT__LIMITS__INIT;
    h.welcome = &w;
    w.has_epoch = 1;
    w.epoch = f->epoch;
    w.limits = &l;
    w.has_lost_after_ms = f->lost_after_ms != 0;
    w.lost_after_ms = f->lost_after_ms;
    l.has_message_bytes = f->message_bytes != 0;
    l.message_bytes = f->message_bytes;
    fake_send(f, &h, NULL, 0);
}

void fake_accept(fake_broker *f, const wire_message *m, const job_id *id, Overpaint__State state,
                 int64_t seed)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_ACCEPTED, m);
    Overpaint__Accepted a = OVERPAINT__ACCEPTED__INIT;
    h.accepted = &a;
    a.has_id = a.has_state = a.has_seed = 1;
    a.id = wire_id_bytes(id);
    a.state = state;
    a.seed = seed;
    fake_send(f, &h, NULL, 0);
}

void fake_reject(fake_broker *f, const wire_message *m, const job_id *id, const char *code,
                 uint32_t retry_after_ms)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_REJECTED, m);
    Overpaint__Rejected r = OVERPAINT__REJECTED__INIT;
    h.rejected = &r;
    r.has_id = r.has_retry_after_ms = 1;
    r.id = wire_id_bytes(id);
    r.code = (char *)code;
    r.text = (char *)"the fake broker refuses";
    r.retry_after_ms = retry_after_ms;
    fake_send(f, &h, NULL, 0);
}

void fake_fail(fake_broker *f, const wire_message *m, const char *code)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_FAILURE, m);
    Overpaint__Failure failure = OVERPAINT__FAILURE__INIT;
    h.failure = &failure;
    failure.code = (char *)code;
    failure.text = (char *)"the fake broker fails";
    fake_send(f, &h, NULL, 0);
}

static void text_frame(zmq_msg_t *frame, wire_blob *blob, uint32_t number, const char *text)
{
    overpaint__blob__init(blob);
    zmq_msg_init_size(frame, strlen(text));
    memcpy(zmq_msg_data(frame), text, strlen(text));
    blob->has_frame = blob->has_size = 1;
    blob->frame = number;
    blob->size = strlen(text);
    blob->media = (char *)"image/png";
}

void fake_progress(fake_broker *f, const wire_message *m, const job_id *id, uint32_t step,
                   const char *preview)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_PROGRESS, m);
    Overpaint__Progress p = OVERPAINT__PROGRESS__INIT;
    wire_blob blob;
    zmq_msg_t frame;
    h.progress = &p;
    p.has_id = p.has_state = p.has_steps_done = p.has_steps = 1;
    p.id = wire_id_bytes(id);
    p.state = OVERPAINT__STATE__RUNNING;
    p.steps_done = step;
    p.steps = 4;
    if (preview) {
        text_frame(&frame, &blob, 1, preview);
        p.preview = &blob;
    }
    fake_send(f, &h, &frame, preview != NULL);
}

void fake_result(fake_broker *f, const wire_message *m, const job_id *id, const char *const *texts)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_RESULT, m);
    Overpaint__Result r = OVERPAINT__RESULT__INIT;
    Overpaint__Picture picture[PICTURES_MAX], *at[PICTURES_MAX];
    wire_blob blob[PICTURES_MAX];
    zmq_msg_t frame[PICTURES_MAX];
    char *info[PICTURES_MAX];
    size_t n = 0;
    for (; texts[n]; n++) {
        assert(n < PICTURES_MAX);
        text_frame(&frame[n], &blob[n], (uint32_t)n + 1, texts[n]);
        overpaint__picture__init(&picture[n]);
        picture[n].blob = &blob[n];
        picture[n].has_seed = 1;
        picture[n].seed = 77 + (int64_t)n;
        at[n] = &picture[n];
        info[n] = (char *)"a fox\nSteps: 4";
    }
    h.result = &r;
    r.has_id = r.has_state = r.has_attempts = 1;
    r.id = wire_id_bytes(id);
    r.state = OVERPAINT__STATE__FINISHED;
    r.attempts = 1;
    r.n_picture = r.n_info = n;
    r.picture = at;
    r.info = info;
    r.device_class = (char *)"fake";
    fake_send(f, &h, frame, n);
}

void fake_ended(fake_broker *f, const wire_message *m, const job_id *id, Overpaint__State state,
                const char *code)
{
    wire_header h = new_header(OVERPAINT__HEADER__BODY_RESULT, m);
    Overpaint__Result r = OVERPAINT__RESULT__INIT;
    h.result = &r;
    r.has_id = r.has_state = 1;
    r.id = wire_id_bytes(id);
    r.state = state;
    r.code = (char *)code;
    r.text = (char *)"as the fake broker wants it";
    fake_send(f, &h, NULL, 0);
}

job_id fake_id(const wire_message *m)
{
    const wire_header *h = m->header;
    job_id id = {{0}};
    switch (h->body_case) {
    case OVERPAINT__HEADER__BODY_SUBMIT: wire_id(&id, &h->submit->job->id); break;
    case OVERPAINT__HEADER__BODY_FETCH: wire_id(&id, &h->fetch->id); break;
    case OVERPAINT__HEADER__BODY_WATCH: wire_id(&id, &h->watch->id); break;
    case OVERPAINT__HEADER__BODY_CANCEL: wire_id(&id, &h->cancel->id); break;
    case OVERPAINT__HEADER__BODY_STATUS: wire_id(&id, &h->status->id); break;
    default: break;
    }
    return id;
}

static void handle(fake_broker *f, wire_message *m)
{
    f->peer = m->peer;
    atomic_fetch_add(&f->seen[m->header->body_case % FAKE_BODIES], 1);
    if (f->mute)
        return;
    if (m->header->body_case == OVERPAINT__HEADER__BODY_HELLO) {
        f->known = true;
        welcome(f, m);
    } else if (!f->known) {
        fake_fail(f, m, "protocol");
    } else {
        f->script(f, m);
    }
}

static void bind_socket(fake_broker *f)
{
    err e = {0};
    f->socket = wire_bind(f->context, f->endpoint, &f->lock, &e);
    if (!f->socket)
        fprintf(stderr, "fake broker: %s\n", e.text);
    assert(f->socket);
}

static void close_socket(fake_broker *f)
{
    const int linger = 200;
    zmq_setsockopt(f->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(f->socket);
    close(f->lock);
}

static void *run(void *arg)
{
    fake_broker *f = arg;
    wire_message m;
    while (!atomic_load(&f->stop)) {
        zmq_pollitem_t item = {f->socket, 0, ZMQ_POLLIN, 0};
        err e = {0};
        zmq_poll(&item, 1, POLL_MS);
        while (wire_receive(f->socket, true, &m, &e) > 0) {
            handle(f, &m);
            wire_message_done(&m);
        }
        if (f->restart) {
            close_socket(f);
            f->restart = f->known = false;
            f->epoch++;
            bind_socket(f);
        }
    }
    return NULL;
}

void fake_start(fake_broker *f, fake_script *script, void *arg)
{
    static int count;
    memset(f, 0, sizeof *f);
    f->script = script;
    f->arg = arg;
    f->epoch = 1000;
    snprintf(f->endpoint, sizeof f->endpoint, "ipc:///tmp/overpaint-test-%d-%d", (int)getpid(),
             count++);
    f->context = zmq_ctx_new();
    bind_socket(f);
    int rc = pthread_create(&f->thread, NULL, run, f);
    assert(rc == 0);
    (void)rc;
}

void fake_stop(fake_broker *f)
{
    char path[120];
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
    close_socket(f);
    zmq_ctx_term(f->context);
    snprintf(path, sizeof path, "%s.lock", f->endpoint + strlen("ipc://"));
    unlink(path);
    unlink(f->endpoint + strlen("ipc://"));
}
