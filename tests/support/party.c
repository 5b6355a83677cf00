/* Processes and messages for tests of the broker: see party.h. */
#include "tests/support/party.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clock.h"

enum { PATIENCE_MS = 10000, ARGUMENTS_MAX = 16 };

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "party: %s\n", what);
    abort();
}

/* ---------------------------------------------------------------- the process */

static void run_broker(const party_broker *b, const char *const *arguments, int out)
{
    char program[] = BIN_DIR "/overpaint-broker", endpoint[] = "--endpoint";
    char *argv[ARGUMENTS_MAX] = {program, endpoint, (char *)b->clients};
    int n = 3;
    for (; arguments && *arguments && n < ARGUMENTS_MAX - 1; arguments++)
        argv[n++] = (char *)*arguments;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
    dup2(out, STDOUT_FILENO);
    execv(program, argv);
    _exit(127);
}

void party_restart(party_broker *b, const char *const *arguments)
{
    int out[2];
    char line[256] = "";
    must(!pipe(out), "no pipe");
    b->pid = fork();
    must(b->pid >= 0, "no process");
    if (!b->pid) {
        close(out[0]);
        run_broker(b, arguments, out[1]);
    }
    close(out[1]);
    b->lines = out[0];
    for (size_t n = 0; n + 1 < sizeof line && !strchr(line, '\n'); n++)
        if (read(b->lines, line + n, 1) <= 0)
            break;
    must(!strncmp(line, "ready ipc://", 12), "the broker is not ready");
}

party_broker party_start(const char *const *arguments)
{
    party_broker b = {.folder = "/tmp/overpaint-test-XXXXXX"};
    must(mkdtemp(b.folder) != NULL, "no temporary folder");
    snprintf(b.clients, sizeof b.clients, "ipc://%s/b", b.folder);
    snprintf(b.workers, sizeof b.workers, "ipc://%s/b.worker", b.folder);
    party_restart(&b, arguments);
    return b;
}

int party_wait(party_broker *b)
{
    int status;
    must(waitpid(b->pid, &status, 0) == b->pid, "the broker cannot be waited for");
    close(b->lines);
    b->pid = 0;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void party_kill(party_broker *b, int signal)
{
    kill(b->pid, signal);
    party_wait(b);
}

void party_finish(party_broker *b)
{
    static const char *const names[] = {"b", "b.worker", "b.lock", "b.worker.lock"};
    char path[128];
    if (b->pid) {
        kill(b->pid, SIGTERM);
        must(party_wait(b) == 0, "the broker did not end with 0");
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", b->folder, names[i]);
        unlink(path);
    }
    must(!rmdir(b->folder), "something is left in the folder");
}

/* ---------------------------------------------------------------- messages */

wire_header party_header(Overpaint__Header__BodyCase body)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    h.has_version = 1;
    h.version = WIRE_VERSION;
    h.body_case = body;
    return h;
}

void party_send(party *p, const wire_header *h, zmq_msg_t *frames, size_t count)
{
    const int64_t end = clock_ms() + PATIENCE_MS;
    for (;;) {
        err e = {0};
        int rc = wire_send(p->socket, NULL, h, frames, count, &e);
        if (!rc)
            return;
        must(rc == ERR_BUSY && clock_ms() < end, e.text);
        zmq_pollitem_t item = {p->socket, 0, ZMQ_POLLOUT, 0};
        zmq_poll(&item, 1, PATIENCE_MS);
    }
}

const wire_header *party_receive(party *p, int ms)
{
    const int64_t end = clock_ms() + ms;
    for (;;) {
        err e = {0};
        wire_message_done(&p->in);
        int rc = wire_receive(p->socket, false, &p->in, &e);
        must(rc >= 0, e.text);
        if (rc && p->in.header->body_case != OVERPAINT__HEADER__BODY_HEARTBEAT)
            return p->in.header;
        const int64_t left = end - clock_ms();
        if (!rc && left <= 0)
            return NULL;
        zmq_pollitem_t item = {p->socket, 0, ZMQ_POLLIN, 0};
        if (!rc)
            zmq_poll(&item, 1, left);
    }
}

const wire_header *party_expect(party *p, Overpaint__Header__BodyCase body)
{
    const int64_t end = clock_ms() + PATIENCE_MS;
    for (int64_t left; (left = end - clock_ms()) > 0;) {
        const wire_header *h = party_receive(p, (int)left);
        if (h && h->body_case == body)
            return h;
        if (h && h->body_case == OVERPAINT__HEADER__BODY_REJECTED)
            fprintf(stderr, "party: rejected: %s\n", h->rejected->text);
    }
    fprintf(stderr, "party: expected body %d\n", (int)body);
    abort();
}

void party_expect_none(party *p, Overpaint__Header__BodyCase body, int ms)
{
    const int64_t end = clock_ms() + ms;
    for (int64_t left; (left = end - clock_ms()) > 0;) {
        const wire_header *h = party_receive(p, (int)left);
        must(!h || h->body_case != body, "a message came that should not");
    }
}

void party_hello(party *p, Overpaint__Role role, const char *name)
{
    wire_header h = party_header(OVERPAINT__HEADER__BODY_HELLO);
    Overpaint__Hello hello = OVERPAINT__HELLO__INIT;
    h.hello = &hello;
    hello.has_role = 1;
    hello.role = role;
    hello.name = (char *)name;
    party_send(p, &h, NULL, 0);
    p->epoch = party_expect(p, OVERPAINT__HEADER__BODY_WELCOME)->welcome->epoch;
}

void party_join(party *p, void *context, const char *endpoint, Overpaint__Role role,
                const char *name)
{
    err e = {0};
    *p = (party){.socket = wire_connect(context, endpoint, &e)};
    must(p->socket != NULL, e.text);
    party_hello(p, role, name);
}

void party_leave(party *p)
{
    wire_message_done(&p->in);
    if (p->socket)
        zmq_close(p->socket);
    *p = (party){0};
}

void party_submit(party *p, const job *j, uint64_t request)
{
    wire_job_packed packed;
    err e = {0};
    wire_header h = party_header(OVERPAINT__HEADER__BODY_SUBMIT);
    Overpaint__Submit submit = OVERPAINT__SUBMIT__INIT;
    must(!wire_job_pack(&packed, j, &e), e.text);
    h.has_request = 1;
    h.request = request;
    h.submit = &submit;
    submit.job = &packed.message;
    submit.has_watch = submit.watch = 1;
    party_send(p, &h, packed.frame, packed.frames);
}

void party_by_id(party *p, Overpaint__Header__BodyCase body, const job_id *id)
{
    wire_header h = party_header(body);
    Overpaint__Fetch fetch = OVERPAINT__FETCH__INIT;
    Overpaint__Watch watch = OVERPAINT__WATCH__INIT;
    Overpaint__Cancel cancel = OVERPAINT__CANCEL__INIT;
    Overpaint__Ack ack = OVERPAINT__ACK__INIT;
    Overpaint__Status status = OVERPAINT__STATUS__INIT;
    const ProtobufCBinaryData bytes = wire_id_bytes(id);
    fetch.has_id = watch.has_id = cancel.has_id = ack.has_id = status.has_id = 1;
    fetch.id = watch.id = cancel.id = ack.id = status.id = bytes;
    switch ((int)body) {
    case OVERPAINT__HEADER__BODY_FETCH: h.fetch = &fetch; break;
    case OVERPAINT__HEADER__BODY_WATCH: h.watch = &watch; break;
    case OVERPAINT__HEADER__BODY_CANCEL: h.cancel = &cancel; break;
    case OVERPAINT__HEADER__BODY_ACK: h.ack = &ack; break;
    case OVERPAINT__HEADER__BODY_STATUS: h.status = &status; break;
    default: must(false, "no message by id");
    }
    party_send(p, &h, NULL, 0);
}

void party_ready(party *p, const char *name, const char *device_class, const char *model,
                 const uint64_t *lease, size_t leases)
{
    wire_header h = party_header(OVERPAINT__HEADER__BODY_READY);
    Overpaint__Ready ready = OVERPAINT__READY__INIT;
    Overpaint__DeviceStatus device = OVERPAINT__DEVICE_STATUS__INIT, *device_at = &device;
    char *models[] = {(char *)model};
    h.ready = &ready;
    ready.name = (char *)name;
    ready.n_device = 1;
    ready.device = &device_at;
    device.device_class = (char *)device_class;
    ready.n_model = model != NULL;
    ready.model = models;
    ready.n_lease = leases;
    ready.lease = (uint64_t *)lease;
    party_send(p, &h, NULL, 0);
}

void party_credit(party *p, uint32_t jobs)
{
    wire_header h = party_header(OVERPAINT__HEADER__BODY_CREDIT);
    Overpaint__Credit credit = OVERPAINT__CREDIT__INIT;
    h.credit = &credit;
    credit.has_jobs = 1;
    credit.jobs = jobs;
    party_send(p, &h, NULL, 0);
}

void party_beat(party *p, const uint64_t *lease, size_t leases)
{
    wire_header h = party_header(OVERPAINT__HEADER__BODY_HEARTBEAT);
    Overpaint__Heartbeat beat = OVERPAINT__HEARTBEAT__INIT;
    h.heartbeat = &beat;
    beat.n_lease = leases;
    beat.lease = (uint64_t *)lease;
    party_send(p, &h, NULL, 0);
}

void party_done(party *p, uint64_t lease, const char *device_class, const char *picture)
{
    wire_header h = party_header(OVERPAINT__HEADER__BODY_DONE);
    Overpaint__Done done = OVERPAINT__DONE__INIT;
    Overpaint__Result result = OVERPAINT__RESULT__INIT;
    Overpaint__Picture one = OVERPAINT__PICTURE__INIT, *at = &one;
    wire_blob blob = OVERPAINT__BLOB__INIT;
    zmq_msg_t frame;
    zmq_msg_init_size(&frame, strlen(picture));
    memcpy(zmq_msg_data(&frame), picture, strlen(picture));
    h.done = &done;
    done.has_lease = 1;
    done.lease = lease;
    done.result = &result;
    result.device_class = (char *)device_class;
    result.n_picture = 1;
    result.picture = &at;
    one.blob = &blob;
    blob.has_frame = blob.has_size = 1;
    blob.frame = 1;
    blob.size = strlen(picture);
    party_send(p, &h, &frame, 1);
}

void party_fail(party *p, uint64_t lease, err_code code, bool again)
{
    wire_header h = party_header(OVERPAINT__HEADER__BODY_FAIL);
    Overpaint__Fail fail = OVERPAINT__FAIL__INIT;
    h.fail = &fail;
    fail.has_lease = fail.has_again = 1;
    fail.lease = lease;
    fail.again = again;
    fail.code = (char *)err_name(code);
    fail.text = (char *)"the test says so";
    party_send(p, &h, NULL, 0);
}

uint64_t party_counter(party *p, const char *name)
{
    wire_header h = party_header(OVERPAINT__HEADER__BODY_STATUS);
    Overpaint__Status status = OVERPAINT__STATUS__INIT;
    h.status = &status;
    party_send(p, &h, NULL, 0);
    const Overpaint__StatusReply *r =
        party_expect(p, OVERPAINT__HEADER__BODY_STATUS_REPLY)->status_reply;
    for (size_t i = 0; i < r->n_counter; i++)
        if (!strcmp(r->counter[i]->name, name))
            return r->counter[i]->value;
    fprintf(stderr, "party: no counter %s\n", name);
    abort();
}
