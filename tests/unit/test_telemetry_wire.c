/* Telemetry on its way: what a worker says of its devices, good or rubbish, through the real broker
 * and the real client library to the JSON of `overpaint status`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/report.h"
#include "proto/clock.h"
#include "tests/support/body.h"
#include "tests/support/scene.h"

enum { ROOM = 256, PATIENCE_MS = 10000 };

typedef struct {
    uint8_t byte[ROOM];
    size_t size;
} bytes;

/* A message's field that is a message. */
static bytes field(unsigned number, const bytes *inside)
{
    bytes b = {{(uint8_t)(number << 3 | 2), (uint8_t)inside->size}, inside->size + 2};
    assert_true(number < 16 && inside->size < 128);
    memcpy(b.byte + 2, inside->byte, inside->size);
    return b;
}

static bytes whole(Overpaint__Header__BodyCase body, const bytes *inside)
{
    bytes b;
    b.size = body_wrap(b.byte, body, inside->byte, inside->size);
    return b;
}

/* A heartbeat, and an answer to STATUS, whose one device has these bytes as its telemetry. */
static bytes heartbeat(const bytes *telemetry)
{
    const bytes t = field(8, telemetry), device = field(2, &t);
    return whole(BODY(HEARTBEAT), &device);
}

static bytes reply(const bytes *telemetry)
{
    const bytes t = field(8, telemetry), device = field(7, &t), worker = field(7, &device);
    return whole(BODY(STATUS_REPLY), &worker);
}

/* The telemetry of the first device of the first worker, as text for comparing; the caller's. */
static char *telemetry_of(const char *status)
{
    json_t *s = json_loads(status, 0, NULL);
    assert_non_null(s);
    const json_t *worker = json_array_get(json_object_get(s, "workers"), 0);
    const json_t *device = json_array_get(json_object_get(worker, "devices"), 0);
    char *text = device ? json_dumps(json_object_get(device, "telemetry"),
                                     JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)
                        : strdup("no device");
    json_decref(s);
    assert_non_null(text);
    return text;
}

#define ALL "\x08\x01\x10\x02\x18\x03\x20\x04\x28\x05\x30\x06\x38\x07\x40\x08"
#define ALL_TEXT                                                                                   \
    "{\"ecc_errors\":6,\"last_xid\":8,\"memory_total_bytes\":2,\"memory_used_bytes\":1,"           \
    "\"power_milliwatts\":5,\"temperature_celsius\":4,\"utilisation_percent\":3,\"xid_errors\":7}"
#define HUGE "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"

static const struct {
    const char *telemetry;
    size_t size;
    const char *text; /* NULL: the message is refused */
} cases[] = {
#define CASE(telemetry, text)                                                                      \
    {                                                                                              \
        telemetry, sizeof telemetry - 1, text                                                      \
    }
    CASE(ALL, ALL_TEXT),
    CASE("", "null"),
    CASE("\x30\x00", "{\"ecc_errors\":0}"),
    CASE("\x18\x00\x38\x00", "{\"utilisation_percent\":0,\"xid_errors\":0}"),
    CASE("\x18\x01\x18\x02", "{\"utilisation_percent\":2}"),
    CASE("\x78\x01\x18\x05", "{\"utilisation_percent\":5}"), /* a field of a later version */
    CASE("\x7a\x01x\x18\x05", "{\"utilisation_percent\":5}"),
    CASE("\x08" HUGE "\x18\x05", "{\"utilisation_percent\":5}"), /* no number of this world */
    CASE("\x08" HUGE, "null"),
    CASE("\x18\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
         "{\"utilisation_percent\":9223372036854775807}"),
    CASE("\x1a\x01x", NULL),              /* a text, not a number */
    CASE("\x09\x01\0\0\0\0\0\0\0", NULL), /* of eight bytes */
    CASE("\x1d\x01\0\0\0", NULL),         /* of four */
    CASE("\x1b\x1c", NULL),               /* a group */
    CASE("\x08", NULL),
    CASE("\x08\xff", NULL),
    CASE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", NULL),
    CASE("\x00\x01", NULL),
    CASE("\x7a\x05x", NULL),
    CASE("\x1f\x01", NULL),
    CASE("rubbish", NULL),
#undef CASE
};

static bytes case_bytes(size_t i)
{
    bytes b = {.size = cases[i].size};
    memcpy(b.byte, cases[i].telemetry, b.size);
    return b;
}

/* ---------------------------------------------------------------- worker, broker, client */

/* Asks until the answer is `text`: heartbeats and questions are not ordered. */
static void expect_status(overpaint *o, const char *text)
{
    const int64_t give_up = clock_ms() + PATIENCE_MS;
    for (bool same = false; !same;) {
        const char *status = overpaint_status_json(o, NULL);
        assert_non_null(status);
        char *now = telemetry_of(status);
        same = !strcmp(now, text);
        if (!same && clock_ms() > give_up)
            fail_msg("%s, expected %s", now, text);
        free(now);
    }
}

static void send_raw(party *p, const bytes *b)
{
    assert_int_equal(zmq_send(p->socket, b->byte, b->size, 0), b->size);
}

static void through_broker_and_client(void **state)
{
    const bytes good = {ALL, sizeof ALL - 1}, beat = heartbeat(&good);
    scene s;
    (void)state;
    scene_open(&s, NULL);
    overpaint *o = overpaint_open(s.broker.clients, NULL);
    assert_int_equal(overpaint_error_code(o), 0);
    expect_status(o, "null"); /* a worker that says nothing of it */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bytes telemetry = case_bytes(i), said = heartbeat(&telemetry);
        send_raw(&s.worker, &beat);
        expect_status(o, ALL_TEXT);
        send_raw(&s.worker, &said);
        if (!cases[i].text)
            assert_string_equal(party_expect(&s.worker, BODY(FAILURE))->failure->code, "protocol");
        expect_status(o, cases[i].text ? cases[i].text : ALL_TEXT);
    }
    party_beat(&s.worker, NULL, 0);
    expect_status(o, "no device");
    overpaint_close(&o);
    scene_close(&s);
}

/* ---------------------------------------------------------------- what a client may be told */

/* 1, or negative: the message is refused; then *text stays as it is. */
static int report(const uint8_t *message, size_t size, char **text)
{
    wire_message m = {.frames = 0};
    zmq_msg_t frame;
    err e = {0};
    assert_int_equal(zmq_msg_init_size(&frame, size), 0);
    if (size)
        memcpy(zmq_msg_data(&frame), message, size);
    const int rc = wire_parse(&m, &frame, 1, &e);
    assert_true(rc == 1 || rc == ERR_PROTOCOL);
    if (rc == 1) {
        char *status = report_status(m.header->status_reply, false, &e);
        assert_non_null(status);
        *text = telemetry_of(status);
        free(status);
    }
    wire_message_done(&m);
    return rc;
}

static void answers_of_any_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bytes telemetry = case_bytes(i), said = reply(&telemetry);
        char *text = NULL;
        assert_int_equal(report(said.byte, said.size, &text), cases[i].text ? 1 : ERR_PROTOCOL);
        if (cases[i].text)
            assert_string_equal(text, cases[i].text);
        free(text);
    }
}

static void answers_cut_off_anywhere(void **state)
{
    const bytes good = {ALL, sizeof ALL - 1}, said = reply(&good);
    (void)state;
    for (size_t size = 0; size < said.size; size++) {
        char *text = NULL;
        assert_int_equal(report(said.byte, size, &text), ERR_PROTOCOL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(through_broker_and_client),
        cmocka_unit_test(answers_of_any_bytes),
        cmocka_unit_test(answers_cut_off_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
