/* Messages through real sockets, with peers that break rules, do not read or go away; and which
 * endpoints there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/parcel.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

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
    h.body_case = OVERPAINT__HEADER__BODY_HELLO;
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
    zmq_msg_t frame = parcel_frame("payload", 7);
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
