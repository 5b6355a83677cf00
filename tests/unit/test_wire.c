/* Messages and sockets: jobs survive the way there, and nothing that breaks a rule gets through:
 * truncated headers, oversized ones, too many frames, blobs that lie, names nobody knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/wire.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define BODY(name)  OVERPAINT__HEADER__BODY_##name

enum { LONG_TEXT = 60000 };

static zmq_msg_t new_frame(const void *bytes, size_t size)
{
    zmq_msg_t f;
    zmq_msg_init_size(&f, size);
    if (size)
        memcpy(zmq_msg_data(&f), bytes, size);
    return f;
}

/* A job in which no field has its default. */
static job full_job(void)
{
    static const uint8_t picture[] = "\x89PNG \0 picture";
    job j;
    job_init(&j);
    job_id_new(&j.id);
    j.task = TASK_IMG2IMG;
    j.priority = 77;
    j.noop_engine = true;
    j.deadline_ms = INT64_C(123456789);
    strcpy(j.model, "some/model");
    j.steps = 33;
    j.sampler = SAMPLER_HEUN;
    j.scheduler = SCHEDULE_KARRAS;
    j.cfg_scale = 7.1;
    j.denoising_strength = 0.1 + 0.2; /* a float would lose it */
    j.fix_steps = true;
    j.seed = INT64_C(1) << 62;
    j.width = 640;
    j.height = 384;
    j.resize = RESIZE_FILL;
    j.batch_size = 3;
    j.n_iter = 2;
    j.clip_skip = 2;
    j.rng = RNG_CPU;
    j.format = FORMAT_WEBP;
    j.quality = 101;
    memcpy(j.background, (uint8_t[]){1, 2, 3}, 3);
    j.want_preview = true;
    assert_int_equal(job_set_text(&j.prompt, "a fox", 5, NULL), 0);
    char *text = malloc(LONG_TEXT);
    memset(text, 'n', LONG_TEXT);
    assert_int_equal(job_set_text(&j.negative_prompt, text, LONG_TEXT, NULL), 0);
    free(text);
    job_add_input(&j, (job_picture){.bytes = picture, .size = sizeof picture}, NULL);
    job_add_input(&j, (job_picture){.path = "/shared/picture.png"}, NULL);
    return j;
}

/* A job as it arrives: packed, cut into frames, parsed. */
static void deliver(wire_message *m, const job *j)
{
    wire_job_packed p;
    zmq_msg_t frames[WIRE_FRAMES_MAX + 1];
    err e = {0};
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Submit submit = OVERPAINT__SUBMIT__INIT;
    *m = (wire_message){.frames = 0};
    assert_int_equal(wire_job_pack(&p, j, &e), 0);
    h.has_version = 1;
    h.version = WIRE_VERSION;
    h.body_case = BODY(SUBMIT);
    h.submit = &submit;
    submit.job = &p.message;
    assert_int_equal(wire_pack(&frames[0], &h, p.frame, p.frames, &e), 0);
    for (size_t i = 0; i < p.frames; i++)
        frames[i + 1] = p.frame[i];
    assert_int_equal(wire_parse(m, frames, p.frames + 1, &e), 1);
}

static void test_round_trip(void **state)
{
    job j = full_job(), got;
    wire_message m;
    err e = {0};
    (void)state;
    deliver(&m, &j);
    assert_int_equal(m.frames, 2); /* the long text and the picture */
    assert_int_equal(wire_job_unpack(&got, m.header->submit->job, &m, &e), 0);
    assert_true(job_id_equal(&got.id, &j.id));
#define SAME(field) assert_true(got.field == j.field);
    SAME(task) SAME(priority) SAME(noop_engine) SAME(deadline_ms) SAME(steps) SAME(sampler);
    SAME(scheduler) SAME(cfg_scale) SAME(denoising_strength) SAME(fix_steps) SAME(seed);
    SAME(width) SAME(height) SAME(resize) SAME(batch_size) SAME(n_iter) SAME(clip_skip);
    SAME(rng) SAME(format) SAME(quality) SAME(want_preview) SAME(inputs);
#undef SAME
    assert_string_equal(got.model, j.model);
    assert_string_equal(got.prompt, j.prompt);
    assert_string_equal(got.negative_prompt, j.negative_prompt);
    assert_memory_equal(got.background, j.background, 3);
    assert_int_equal(got.input[0].size, j.input[0].size);
    assert_memory_equal(got.input[0].bytes, j.input[0].bytes, j.input[0].size);
    assert_string_equal(got.input[1].path, j.input[1].path);
    assert_false(got.paths_allowed); /* never from the wire */
    job_done(&got);
    job_done(&j);
    wire_message_done(&m);
}

static void test_absent_fields_are_defaults(void **state)
{
    wire_job from = OVERPAINT__JOB__INIT;
    wire_message m = {.frames = 0};
    uint8_t id[JOB_ID_BYTES] = {9};
    job got, plain;
    err e = {0};
    (void)state;
    from.has_id = 1;
    from.id = (ProtobufCBinaryData){sizeof id, id};
    assert_int_equal(wire_job_unpack(&got, &from, &m, &e), 0);
    job_init(&plain);
    memcpy(plain.id.byte, id, sizeof id);
    assert_memory_equal(&got.task, &plain.task, sizeof got - offsetof(job, task));
    job_done(&got);
    wire_job_settings(&from, &plain); /* and written out they are the same */
    assert_int_equal(wire_job_unpack(&got, &from, &m, &e), 0);
    assert_int_equal(got.sampler, plain.sampler);
    assert_int_equal(got.seed, -1);
    assert_int_equal(got.task, plain.task);
    job_done(&got);
}

/* Every task, sampler, scheduler, … goes there and back. */
static void test_every_choice(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLER_COUNT * SCHEDULE_COUNT; i++) {
        job j, got;
        wire_message m;
        err e = {0};
        job_init(&j);
        job_id_new(&j.id);
        j.sampler = (sampler_kind)(i % SAMPLER_COUNT);
        j.scheduler = (schedule)(i / SAMPLER_COUNT);
        j.task = (task_kind)(i % TASK_COUNT);
        j.resize = (resize_mode)(i % RESIZE_COUNT);
        j.rng = (rng_source)(i % RNG_COUNT);
        j.format = (picture_format)(i % FORMAT_COUNT);
        deliver(&m, &j);
        assert_int_equal(wire_job_unpack(&got, m.header->submit->job, &m, &e), 0);
        assert_memory_equal(&got.task, &j.task, sizeof got - offsetof(job, task));
        job_done(&got);
        job_done(&j);
        wire_message_done(&m);
    }
}

/* ---------------------------------------------------------------- hostile messages */

static size_t pack_hello(uint8_t *to, uint32_t version)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Hello hello = OVERPAINT__HELLO__INIT;
    h.has_version = h.has_request = 1;
    h.version = version;
    h.request = UINT64_MAX;
    h.body_case = BODY(HELLO);
    h.hello = &hello;
    hello.name = (char *)"somebody";
    hello.program = (char *)"test";
    return overpaint__header__pack(&h, to);
}

/* Parses one header and `payload` empty frames. */
static int parse(wire_message *m, const void *header, size_t size, size_t payload, err *e)
{
    zmq_msg_t *frames = malloc((payload + 1) * sizeof *frames);
    *m = (wire_message){.frames = 0};
    *e = (err){0};
    frames[0] = new_frame(header, size);
    for (size_t i = 1; i <= payload; i++)
        frames[i] = new_frame(NULL, 0);
    int rc = wire_parse(m, frames, payload + 1, e);
    free(frames);
    return rc;
}

static void test_truncation_at_every_byte(void **state)
{
    uint8_t bytes[256];
    wire_message m;
    err e;
    (void)state;
    const size_t size = pack_hello(bytes, WIRE_VERSION);
    size_t accepted = 0;
    for (size_t cut = 0; cut < size; cut++) {
        int rc = parse(&m, bytes, cut, 0, &e);
        accepted += rc == 1;
        assert_true(rc == 1 || (rc == ERR_PROTOCOL && e.text[0] && !m.header));
        wire_message_done(&m);
    }
    assert_int_equal(accepted, 0); /* the body comes last, so no prefix has it whole */
    assert_int_equal(parse(&m, bytes, size, 3, &e), 1);
    assert_int_equal(m.frames, 3);
    assert_true(m.header->request == UINT64_MAX);
    wire_message_done(&m);

    job j = full_job();
    deliver(&m, &j);
    const size_t whole = overpaint__header__get_packed_size(m.header);
    uint8_t *packed = malloc(whole);
    overpaint__header__pack(m.header, packed);
    wire_message_done(&m);
    for (size_t cut = 0; cut < whole; cut++) {
        assert_int_equal(parse(&m, packed, cut, 2, &e), ERR_PROTOCOL);
        wire_message_done(&m);
    }
    free(packed);
    job_done(&j);
}

static void expect_dropped(const void *header, size_t size, size_t payload, const char *reason)
{
    wire_message m;
    err e;
    assert_int_equal(parse(&m, header, size, payload, &e), ERR_PROTOCOL);
    if (!strstr(e.text, reason))
        fail_msg("\"%s\", expected \"%s\"", e.text, reason);
    assert_null(m.header);
    assert_int_equal(m.frames, 0);
}

static void test_bad_messages(void **state)
{
    static uint8_t big[WIRE_HEADER_MAX + 1];
    uint8_t bytes[256];
    wire_message m = {.frames = 0};
    err e = {0};
    (void)state;
    assert_int_equal(wire_parse(&m, NULL, 0, &e), ERR_PROTOCOL);
    expect_dropped("", 0, 0, "protocol version 0");
    expect_dropped("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11, 0, "not a protobuf");
    expect_dropped(bytes, pack_hello(bytes, 2), 0, "protocol version 2");
    expect_dropped("\x08\x01", 2, 0, "without a body");
    expect_dropped("\x08\x01\x9a\x3f\x00", 5, 0, "without a body"); /* body 1011: not ours */
    expect_dropped("\x08\x01\x52\x7f", 4, 0, "not a protobuf");     /* longer than there is */
    expect_dropped("\x0d\x01\x00\x00\x00\x52\x00", 7, 0, "not a protobuf"); /* wrong type */
    expect_dropped(big, sizeof big, 0, "header of 65537 bytes");
    expect_dropped(bytes, pack_hello(bytes, 1), WIRE_FRAMES_MAX + 1, "more than 64");
    assert_int_equal(parse(&m, bytes, pack_hello(bytes, 1), WIRE_FRAMES_MAX, &e), 1);
    wire_message_done(&m);
}

static void test_message_too_large(void **state)
{
    enum { HALF = WIRE_MESSAGE_MAX / 2 };
    uint8_t bytes[256];
    zmq_msg_t frames[3];
    wire_message m = {.frames = 0};
    err e = {0};
    (void)state;
    frames[0] = new_frame(bytes, pack_hello(bytes, 1));
    zmq_msg_init_size(&frames[1], HALF);
    zmq_msg_init_size(&frames[2], HALF);
    assert_int_equal(wire_parse(&m, frames, 3, &e), ERR_PROTOCOL);
    assert_non_null(strstr(e.text, "at most 67108864"));

    wire_header h = OVERPAINT__HEADER__INIT; /* and nobody sends one */
    zmq_msg_t many[WIRE_FRAMES_MAX + 1];
    for (size_t i = 0; i < COUNT(many); i++)
        zmq_msg_init(&many[i]);
    assert_int_equal(wire_send(NULL, NULL, &h, many, COUNT(many), NULL), ERR_TOO_LARGE);
    wire_frames_close(many, COUNT(many));
}

static void test_unknown_fields_are_ignored(void **state)
{
    static const uint8_t unknown[] = {0x8a, 0x7d, 3, 'n', 'e', 'w'}; /* field 2001 */
    uint8_t bytes[256];
    wire_message m;
    err e;
    (void)state;
    const size_t size = pack_hello(bytes, 1);
    memcpy(bytes + size, unknown, sizeof unknown);
    assert_int_equal(parse(&m, bytes, size + sizeof unknown, 0, &e), 1);
    assert_string_equal(m.header->hello->name, "somebody");
    wire_message_done(&m);
}

/* One change to a good job, and what is said about it. */
typedef struct {
    const char *reason;
    int code;
    void (*spoil)(wire_job *j);
} spoiled;

static wire_blob *first_input(wire_job *j)
{
    return j->input[0];
}

static char *repeat(char **field, char c, size_t n)
{
    free(*field);
    *field = malloc(n + 1);
    memset(*field, c, n);
    (*field)[n] = 0;
    return *field;
}

static void short_id(wire_job *j)
{
    j->id.len = 15;
}
static void no_id(wire_job *j)
{
    j->has_id = 0;
}
static void frame_zero(wire_job *j)
{
    first_input(j)->frame = 0;
}
static void frame_beyond(wire_job *j)
{
    first_input(j)->frame = 3;
}
static void frame_huge(wire_job *j)
{
    first_input(j)->frame = UINT32_MAX;
}
static void size_less(wire_job *j)
{
    first_input(j)->size--;
}
static void size_more(wire_job *j)
{
    first_input(j)->size = UINT64_MAX;
}
static void text_frame(wire_job *j)
{
    j->negative_prompt_blob->frame = 9;
}
static void bad_sampler(wire_job *j)
{
    repeat(&j->sampler, 'z', 9);
}
static void bad_scheduler(wire_job *j)
{
    repeat(&j->scheduler, 'z', 9);
}
static void bad_rng(wire_job *j)
{
    repeat(&j->rng, 'z', 300);
}
static void bad_format(wire_job *j)
{
    repeat(&j->format, 'z', 3);
}
static void long_model(wire_job *j)
{
    repeat(&j->model, 'm', 256);
}
static void long_path(wire_job *j)
{
    repeat(&j->input[1]->path, '/', 256);
}
static void long_prompt(wire_job *j)
{
    repeat(&j->prompt, 'p', JOB_TEXT_MAX + 1);
}
static void bad_task(wire_job *j)
{
    j->task = 99;
}
static void negative_task(wire_job *j)
{
    j->task = -1;
}
static void bad_resize(wire_job *j)
{
    j->resize_mode = 3;
}
static void bad_steps(wire_job *j)
{
    j->steps = INT32_MIN;
}
static void bad_scale(wire_job *j)
{
    j->cfg_scale = NAN;
}

static void test_bad_jobs(void **state)
{
    static const spoiled rows[] = {
        {"without an id", ERR_PROTOCOL, short_id},
        {"without an id", ERR_PROTOCOL, no_id},
        {"frame 0 of 2", ERR_PROTOCOL, frame_zero},
        {"frame 3 of 2", ERR_PROTOCOL, frame_beyond},
        {"frame 4294967295 of 2", ERR_PROTOCOL, frame_huge},
        {"its frame has", ERR_PROTOCOL, size_less},
        {"its frame has", ERR_PROTOCOL, size_more},
        {"frame 9 of 2", ERR_PROTOCOL, text_frame},
        {"sampler", ERR_INVALID, bad_sampler},
        {"schedule", ERR_INVALID, bad_scheduler},
        {"rng is", ERR_INVALID, bad_rng},
        {"format is", ERR_INVALID, bad_format},
        {"model name has 256", ERR_INVALID, long_model},
        {"path of a picture has 256", ERR_INVALID, long_path},
        {"65537 bytes", ERR_TOO_LARGE, long_prompt},
        {"task", ERR_INVALID, bad_task},
        {"task", ERR_INVALID, negative_task},
        {"resize", ERR_INVALID, bad_resize},
        {"steps is -2147483648", ERR_INVALID, bad_steps},
        {"cfg_scale is", ERR_INVALID, bad_scale},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        job j = full_job(), got;
        wire_message m;
        err e = {0};
        j.quality = 90;
        deliver(&m, &j);
        rows[i].spoil(m.header->submit->job);
        int rc = wire_job_unpack(&got, m.header->submit->job, &m, &e);
        got.paths_allowed = true;
        if (!rc)
            rc = job_check(&got, &e);
        if (rc != rows[i].code || !strstr(e.text, rows[i].reason))
            fail_msg("row %zu: %d \"%s\", expected %d \"%s\"", i, rc, e.text, rows[i].code,
                     rows[i].reason);
        job_done(&got);
        job_done(&j);
        wire_message_done(&m);
    }
}

static void test_too_many_pictures(void **state)
{
    wire_blob blob = OVERPAINT__BLOB__INIT, *at[JOB_INPUTS_MAX + 1];
    wire_job from = OVERPAINT__JOB__INIT;
    wire_message m = {.frames = 0};
    uint8_t id[JOB_ID_BYTES] = {1};
    job got;
    err e = {0};
    (void)state;
    blob.path = (char *)"/p";
    for (size_t i = 0; i < COUNT(at); i++)
        at[i] = &blob;
    from.has_id = 1;
    from.id = (ProtobufCBinaryData){sizeof id, id};
    from.input = at;
    from.n_input = COUNT(at);
    assert_int_equal(wire_job_unpack(&got, &from, &m, &e), ERR_INVALID);
    job_done(&got);
}

/* ---------------------------------------------------------------- sockets */

typedef struct {
    char folder[64], endpoint[128];
    void *context, *router, *dealer;
    int lock;
} line;

static void open_line(line *l)
{
    err e = {0};
    strcpy(l->folder, "/tmp/overpaint-wire-XXXXXX");
    assert_non_null(mkdtemp(l->folder));
    snprintf(l->endpoint, sizeof l->endpoint, "ipc://%s/s", l->folder);
    l->context = zmq_ctx_new();
    l->router = wire_bind(l->context, l->endpoint, &l->lock, &e);
    assert_non_null(l->router);
    l->dealer = wire_connect(l->context, l->endpoint, &e);
    assert_non_null(l->dealer);
}

static void close_line(line *l)
{
    char path[128];
    if (l->dealer)
        zmq_close(l->dealer);
    zmq_close(l->router);
    zmq_ctx_term(l->context);
    wire_unbind(l->endpoint, l->lock);
    snprintf(path, sizeof path, "%s/s", l->folder);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/s.lock", l->folder);
    unlink(path);
    assert_int_equal(rmdir(l->folder), 0);
}

static int wait_receive(void *socket, bool router, wire_message *m, err *e)
{
    zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};
    *e = (err){0};
    assert_int_equal(zmq_poll(&item, 1, 5000), 1);
    return wire_receive(socket, router, m, e);
}

static int send_hello(void *socket, const wire_peer *to, zmq_msg_t *frames, size_t count, err *e)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Hello hello = OVERPAINT__HELLO__INIT;
    h.has_version = 1;
    h.version = WIRE_VERSION;
    h.body_case = BODY(HELLO);
    h.hello = &hello;
    return wire_send(socket, to, &h, frames, count, e);
}

static void test_there_and_back(void **state)
{
    line l;
    wire_message m;
    err e = {0};
    (void)state;
    open_line(&l);
    assert_int_equal(wire_receive(l.dealer, false, &m, &e), 0); /* nothing there yet */
    zmq_msg_t frame = new_frame("payload", 7);
    assert_int_equal(send_hello(l.dealer, NULL, &frame, 1, &e), 0);
    assert_int_equal(wait_receive(l.router, true, &m, &e), 1);
    assert_in_range(m.peer.size, 1, WIRE_PEER_MAX);
    assert_int_equal(m.frames, 1);
    assert_memory_equal(zmq_msg_data(&m.frame[0]), "payload", 7);
    const wire_peer peer = m.peer;
    wire_message_done(&m);
    assert_int_equal(send_hello(l.router, &peer, NULL, 0, &e), 0);
    assert_int_equal(wait_receive(l.dealer, false, &m, &e), 1);
    assert_int_equal(m.peer.size, 0);
    wire_message_done(&m);
    close_line(&l);
}

static void test_bad_messages_over_a_socket(void **state)
{
    line l;
    wire_message m;
    err e;
    (void)state;
    open_line(&l);
    zmq_send(l.dealer, "", 0, 0); /* an empty header */
    assert_int_equal(wait_receive(l.router, true, &m, &e), ERR_PROTOCOL);
    assert_true(m.peer.size > 0); /* who it was is known: it can be told */
    for (int i = 0; i < 200; i++) /* more frames than there is room for */
        zmq_send(l.dealer, "x", 1, i < 199 ? ZMQ_SNDMORE : 0);
    assert_int_equal(wait_receive(l.router, true, &m, &e), ERR_PROTOCOL);
    assert_non_null(strstr(e.text, "199 payload frames"));
    assert_int_equal(send_hello(l.dealer, NULL, NULL, 0, &e), 0);
    assert_int_equal(wait_receive(l.router, true, &m, &e), 1); /* nothing was left over */
    wire_message_done(&m);

    void *named = zmq_socket(l.context, ZMQ_DEALER); /* a routing id of its own choice, too long */
    char name[WIRE_PEER_MAX + 2];
    memset(name, 'n', sizeof name);
    zmq_setsockopt(named, ZMQ_ROUTING_ID, name, sizeof name);
    zmq_connect(named, l.endpoint);
    assert_int_equal(send_hello(named, NULL, NULL, 0, &e), 0);
    assert_int_equal(wait_receive(l.router, true, &m, &e), ERR_PROTOCOL);
    assert_non_null(strstr(e.text, "routing id of 17 bytes"));
    zmq_close(named);
    close_line(&l);
}

static void test_full_and_vanished_peers(void **state)
{
    enum { SIZE = 1 << 20 };
    line l;
    wire_message m;
    err e = {0};
    (void)state;
    open_line(&l);
    send_hello(l.dealer, NULL, NULL, 0, &e);
    assert_int_equal(wait_receive(l.router, true, &m, &e), 1);
    const wire_peer peer = m.peer, nobody = {.size = 5, .id = "none"};
    wire_message_done(&m);
    int rc = 0, sent = 0;
    zmq_msg_t frame;
    for (; !rc && sent < 1000; sent += !rc) { /* it does not read: bounded, and nothing is lost */
        e = (err){0};
        zmq_msg_init_size(&frame, SIZE);
        memset(zmq_msg_data(&frame), sent, SIZE);
        rc = send_hello(l.router, &peer, &frame, 1, &e);
    }
    assert_int_equal(rc, ERR_BUSY);
    assert_in_range(sent, 1, 200);
    assert_int_equal(zmq_msg_size(&frame), SIZE); /* still ours */
    assert_int_equal(((uint8_t *)zmq_msg_data(&frame))[7], sent & 255);
    zmq_msg_close(&frame);
    for (int i = 0; i < sent; i++) { /* whole, and in order */
        assert_int_equal(wait_receive(l.dealer, false, &m, &e), 1);
        assert_int_equal(m.frames, 1);
        assert_int_equal(((uint8_t *)zmq_msg_data(&m.frame[0]))[SIZE - 1], i & 255);
        wire_message_done(&m);
    }
    assert_int_equal(send_hello(l.router, &nobody, NULL, 0, &e), ERR_NOT_FOUND);
    zmq_close(l.dealer);
    l.dealer = NULL;
    for (int i = 0; i < 500; i++, usleep(10000)) {
        e = (err){0};
        rc = send_hello(l.router, &peer, NULL, 0, &e);
        if (rc == ERR_NOT_FOUND)
            break;
    }
    assert_int_equal(rc, ERR_NOT_FOUND);
    close_line(&l);
}

static void test_second_bind_is_refused(void **state)
{
    line l;
    err e = {0};
    int lock;
    (void)state;
    open_line(&l);
    assert_null(wire_bind(l.context, l.endpoint, &lock, &e));
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_int_equal(lock, -1);
    close_line(&l);
}

/* ---------------------------------------------------------------- endpoints */

static void test_endpoints(void **state)
{
    static const struct {
        const char *endpoint, *worker; /* worker NULL: refused */
    } rows[] = {
        {"ipc:///run/user/1/overpaint/broker", "ipc:///run/user/1/overpaint/broker.worker"},
        {"tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556"},
        {"tcp://localhost:1", "tcp://localhost:2"},
        {"tcp://[::1]:65534", "tcp://[::1]:65535"},
        {"tcp://127.0.0.1:65535", NULL},
        {"tcp://127.0.0.1:0", NULL},
        {"tcp://127.0.0.1:", NULL},
        {"tcp://127.0.0.1:+5", NULL},
        {"tcp://127.0.0.1:80x", NULL},
        {"tcp://127.0.0.1:000000000000005555", NULL},
        {"tcp://127.0.0.1", NULL},
        {"tcp://0.0.0.0:5555", NULL},
        {"tcp://*:5555", NULL},
        {"tcp://example.org:5555", NULL},
        {"tcp://127.0.0.1.example.org:5555", NULL},
        {"tcp://:5555", NULL},
        {"ipc://relative", NULL},
        {"ipc://@abstract", NULL},
        {"ipc://*", NULL},
        {"ipc://", NULL},
        {"inproc://x", NULL},
        {"pgm://127.0.0.1:5555", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char worker[128];
        err e = {0};
        const int expected = rows[i].worker ? 0 : ERR_INVALID;
        assert_int_equal(wire_check_endpoint(rows[i].endpoint, NULL), expected);
        assert_int_equal(wire_worker_endpoint(rows[i].endpoint, worker, sizeof worker, &e),
                         expected);
        if (rows[i].worker)
            assert_string_equal(worker, rows[i].worker);
        else
            assert_true(e.text[0]);
    }
    char small[16];
    assert_int_equal(wire_worker_endpoint(rows[0].endpoint, small, sizeof small, NULL),
                     ERR_INVALID);
}

/* The longest path allowed has a worker side that binds; one more byte is refused. */
static void test_longest_path(void **state)
{
    enum { MOST = 100 };
    char folder[] = "/tmp/overpaint-wire-XXXXXX", endpoint[160], worker[160], path[160];
    err e = {0};
    int lock;
    (void)state;
    assert_non_null(mkdtemp(folder));
    int n = snprintf(endpoint, sizeof endpoint, "ipc://%s/", folder);
    memset(endpoint + n, 'p', sizeof endpoint - (size_t)n);
    endpoint[6 + MOST + 1] = 0;
    assert_int_equal(wire_check_endpoint(endpoint, NULL), ERR_INVALID);
    endpoint[6 + MOST] = 0;
    assert_int_equal(wire_check_endpoint(endpoint, &e), 0);
    assert_int_equal(wire_worker_endpoint(endpoint, worker, sizeof worker, &e), 0);
    void *context = zmq_ctx_new(), *socket = wire_bind(context, worker, &lock, &e);
    if (!socket)
        fail_msg("%s", e.text);
    void *other = wire_connect(context, worker, &e);
    assert_non_null(other);
    zmq_close(other);
    zmq_close(socket);
    zmq_ctx_term(context);
    wire_unbind(worker, lock);
    snprintf(path, sizeof path, "%s.lock", worker + 6);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void test_tcp_localhost(void **state)
{
    void *context = zmq_ctx_new(), *router = NULL;
    char endpoint[64];
    wire_message m;
    err e = {0};
    int lock;
    (void)state;
    for (int port = 41000; !router && port < 41100; port++) {
        e = (err){0};
        snprintf(endpoint, sizeof endpoint, "tcp://localhost:%d", port);
        router = wire_bind(context, endpoint, &lock, &e);
    }
    if (!router)
        fail_msg("%s", e.text);
    assert_int_equal(lock, -1);
    void *dealer = wire_connect(context, endpoint, &e);
    assert_int_equal(send_hello(dealer, NULL, NULL, 0, &e), 0);
    assert_int_equal(wait_receive(router, true, &m, &e), 1);
    wire_message_done(&m);
    zmq_close(dealer);
    zmq_close(router);
    zmq_ctx_term(context);
}

static void test_default_endpoint(void **state)
{
    char folder[] = "/tmp/overpaint-wire-XXXXXX", made[64], endpoint[128], expected[128];
    err e = {0};
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(wire_default_endpoint(folder, endpoint, sizeof endpoint, &e), 0);
    snprintf(expected, sizeof expected, "ipc://%s/overpaint/broker", folder);
    assert_string_equal(endpoint, expected);
    snprintf(made, sizeof made, "%s/overpaint", folder);
    assert_int_equal(stat(made, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(wire_default_endpoint(folder, endpoint, sizeof endpoint, &e), 0); /* again */
    chmod(made, 0755); /* others could put something into it */
    assert_int_equal(wire_default_endpoint(folder, endpoint, sizeof endpoint, &e), ERR_IO);
    rmdir(made);
    assert_int_equal(symlink("/tmp", made), 0); /* somebody else's idea of where it is */
    assert_int_equal(wire_default_endpoint(folder, endpoint, sizeof endpoint, NULL), ERR_IO);
    unlink(made);
    assert_int_equal(wire_default_endpoint(folder, endpoint, 10, NULL), ERR_INVALID);
    rmdir(made);
    rmdir(folder);
    assert_int_equal(wire_default_endpoint("/nowhere/at/all", endpoint, sizeof endpoint, NULL),
                     ERR_IO);
    char path[400];
    memset(path, '/', sizeof path);
    path[sizeof path - 1] = 0;
    assert_int_equal(wire_default_endpoint(path, endpoint, sizeof endpoint, NULL), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_absent_fields_are_defaults),
        cmocka_unit_test(test_every_choice),
        cmocka_unit_test(test_truncation_at_every_byte),
        cmocka_unit_test(test_bad_messages),
        cmocka_unit_test(test_message_too_large),
        cmocka_unit_test(test_unknown_fields_are_ignored),
        cmocka_unit_test(test_bad_jobs),
        cmocka_unit_test(test_too_many_pictures),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_bad_messages_over_a_socket),
        cmocka_unit_test(test_full_and_vanished_peers),
        cmocka_unit_test(test_second_bind_is_refused),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_longest_path),
        cmocka_unit_test(test_tcp_localhost),
        cmocka_unit_test(test_default_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
