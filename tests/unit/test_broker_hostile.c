/* The real broker process and peers that want too much: connections, messages, answers that nobody
 * reads. Others must be served all the while, within the memory that PROTOCOL.md's limits allow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/scene.h"

static job new_noop(int priority)
{
    job j = scene_noop();
    j.priority = priority;
    return j;
}

/* A job goes all the way, before whatever else waits; the worker then takes no more. */
static void expect_service(scene *s)
{
    job j = new_noop(100);
    party_submit(&s->client, &j, 1);
    party_expect(&s->client, BODY(ACCEPTED));
    party_credit(&s->worker, 1);
    const uint64_t lease = party_expect(&s->worker, BODY(ASSIGN))->assign->lease;
    party_credit(&s->worker, 0);
    party_done(&s->worker, lease, "class A", "p");
    const Overpaint__Result *r = party_expect(&s->client, BODY(RESULT))->result;
    assert_memory_equal(r->id.data, j.id.byte, JOB_ID_BYTES);
}

static long resident_mib(pid_t pid)
{
    char path[64];
    long pages, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &pages, &resident), 2);
    fclose(f);
    return resident * sysconf(_SC_PAGESIZE) >> 20;
}

/* ---------------------------------------------------------------- connections */

/* More connections than the descriptors a shell usually allows: ZeroMQ would end the process. */
static void test_more_connections_than_a_shell_allows(void **state)
{
    enum { FEW = 64, CONNECTIONS = 200 };
    static int connection[CONNECTIONS];
    struct rlimit usual, few;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    scene s;
    (void)state;
    getrlimit(RLIMIT_NOFILE, &usual);
    few = (struct rlimit){FEW, usual.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    scene_open(&s, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/b", s.broker.folder);
    for (int i = 0; i < CONNECTIONS; i++) {
        connection[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(connection[i], (void *)&address, sizeof address), 0);
    }
    party late; /* accepted after all of them */
    party_join(&late, s.context, s.broker.clients, OVERPAINT__ROLE__CLIENT, "late");
    expect_service(&s);
    for (int i = 0; i < CONNECTIONS; i++)
        close(connection[i]);
    party_leave(&late);
    scene_close(&s);
}

/* ---------------------------------------------------------------- messages */

static void ask_status(party *p)
{
    wire_header h = party_header(BODY(STATUS));
    Overpaint__Status status = OVERPAINT__STATUS__INIT;
    h.status = &status;
    party_send(p, &h, NULL, 0);
}

/* Thousands of jobs and questions, and not one answer read. */
static void test_client_that_never_reads(void **state)
{
    enum { JOBS = 5000, QUESTIONS = 5000, MIB_MOST = 400 };
    scene s;
    party greedy;
    (void)state;
    scene_open(&s, NULL);
    party_join(&greedy, s.context, s.broker.clients, OVERPAINT__ROLE__CLIENT, "greedy");
    for (int i = 0; i < JOBS; i++) {
        job j = new_noop(50);
        party_submit(&greedy, &j, 1);
    }
    expect_service(&s);
    party_hello(&greedy, OVERPAINT__ROLE__CLIENT, "greedy"); /* it was forgotten meanwhile */
    for (int i = 0; i < QUESTIONS; i++)
        ask_status(&greedy);
    expect_service(&s);
    assert_true(party_counter(&s.client, "peers_overflowed") >= 1);
    assert_true(resident_mib(s.broker.pid) < MIB_MOST);
    party_leave(&greedy);
    scene_close(&s);
}

/* ASSIGN is larger than the SUBMIT it comes from: what does not fit must be refused at once, not
 * lost on the way to a worker again and again. */
static void test_largest_job(void **state)
{
    enum { TOO_LARGE = WIRE_MESSAGE_MAX - 600, LARGEST = WIRE_MESSAGE_MAX - 2048 };
    uint8_t *bytes = calloc(1, TOO_LARGE);
    scene s;
    (void)state;
    assert_non_null(bytes);
    scene_open(&s, NULL);
    party_credit(&s.worker, 1);
    job_picture input = {.bytes = bytes, .size = TOO_LARGE};
    job j;
    job_init(&j);
    job_id_new(&j.id);
    j.task = TASK_IMG2IMG;
    j.input = &input;
    j.inputs = 1;
    party_submit(&s.client, &j, 1);
    assert_string_equal(party_expect(&s.client, BODY(REJECTED))->rejected->code, "too_large");
    input.size = LARGEST;
    party_submit(&s.client, &j, 2);
    party_expect(&s.client, BODY(ACCEPTED));
    const uint64_t lease = party_expect(&s.worker, BODY(ASSIGN))->assign->lease;
    assert_int_equal(zmq_msg_size(&s.worker.in.frame[0]), LARGEST);
    party_done(&s.worker, lease, "class A", "p");
    party_expect(&s.client, BODY(RESULT));
    scene_close(&s);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_connections_than_a_shell_allows),
        cmocka_unit_test(test_client_that_never_reads),
        cmocka_unit_test(test_largest_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
