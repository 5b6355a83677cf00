/* Headers and frames as they are parsed: nothing that breaks a rule gets through, be it truncated,
 * oversized, in too many frames or no message at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/parcel.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static size_t pack_hello(uint8_t *to, uint32_t version)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Hello hello = OVERPAINT__HELLO__INIT;
    h.has_version = h.has_request = 1;
    h.version = version;
    h.request = UINT64_MAX;
    h.body_case = OVERPAINT__HEADER__BODY_HELLO;
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
    frames[0] = parcel_frame(header, size);
    for (size_t i = 1; i <= payload; i++)
        frames[i] = parcel_frame(NULL, 0);
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

    job j = parcel_job();
    parcel_deliver(&m, &j);
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
    frames[0] = parcel_frame(bytes, pack_hello(bytes, 1));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncation_at_every_byte),
        cmocka_unit_test(test_bad_messages),
        cmocka_unit_test(test_message_too_large),
        cmocka_unit_test(test_unknown_fields_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
