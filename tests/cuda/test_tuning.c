/* Tuning tables: what is written is read back, and nothing else is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cuda/tuning.h"

#define HEAD                                                                                       \
    "overpaint tuning 1\ngpu NVIDIA H200\nsms 132\ndriver 13000\ncudnn 91900\ncublaslt 130100\n"
#define ALGO                                                                                       \
    "algo 00112233445566778899aabbccddeeff00000000000000000000000000000000"                        \
    "00000000000000000000000000000000ffffffffffffffff0000000000000001"

static const char table[] = HEAD "conv f16 64x64 320>320 k3 s1 +bias = engine 41 2:19 12:-1 25:1\n"
                                 "product f16 4096 320>320 = " ALGO "\n"
                                 "upsample f16 64x64 512>512 k4 s2 = off\n"
                                 "upsample f16 8x16 64>32 k4 s2, rows 2 = on\n"
                                 "zebra = engine 0\n"
                                 "zero = on\n";

static void what_is_written_is_read(void **state)
{
    (void)state;
    tuning t;
    char why[TUNING_WHY_BYTES];
    if (!tuning_read(&t, table, strlen(table), why))
        fail_msg("%s", why);
    assert_string_equal(t.device.gpu, "NVIDIA H200");
    assert_int_equal(t.device.cublaslt, 130100);
    assert_int_equal(t.entries, 6);
    const choice *c = tuning_find(&t, "conv f16 64x64 320>320 k3 s1 +bias");
    assert_non_null(c);
    assert_int_equal(c->engine, 41);
    assert_int_equal(c->knobs, 3);
    assert_int_equal(c->knob[1].value, -1);
    c = tuning_find(&t, "product f16 4096 320>320");
    assert_true(c && c->kind == CHOICE_ALGO && c->algo[0] == 0x0011223344556677 && c->algo[7] == 1);
    assert_null(tuning_find(&t, "conv"));
    assert_null(tuning_find(&t, "zz"));
    assert_true(tuning_wants(&t, "zero") && tuning_wants(&t, "zebra"));
    assert_false(tuning_wants(&t, "upsample f16 64x64 512>512 k4 s2") || tuning_wants(&t, "zz"));
    char *text = tuning_write(&t);
    assert_string_equal(text, table);
    free(text);
    tuning_done(&t);
}

/* Of any size, at any number of rows; of these channels and this type alone, and not switched off.
 */
static void an_upsample_is_wanted_by_its_channels(void **state)
{
    (void)state;
    tuning t;
    char why[TUNING_WHY_BYTES];
    assert_true(tuning_read(&t, table, strlen(table), why));
    assert_true(tuning_wants_upsample(&t, F16, 64, 32));
    assert_false(tuning_wants_upsample(&t, BF16, 64, 32));
    assert_false(tuning_wants_upsample(&t, F16, 6, 32));
    assert_false(tuning_wants_upsample(&t, F16, 64, 3));
    assert_false(tuning_wants_upsample(&t, F16, 64, 320));
    assert_false(tuning_wants_upsample(&t, F16, 512, 512));
    tuning_done(&t);
}

static void entries_are_set_in_order(void **state)
{
    (void)state;
    tuning t = {.device = {.gpu = "x"}};
    char name[8], why[TUNING_WHY_BYTES];
    const choice on = {.kind = CHOICE_SWITCH, .on = true}, off = {.kind = CHOICE_SWITCH};
    uint64_t empty = tuning_hash(&t);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "s%d", i * 7919 % 500);
        assert_true(tuning_set(&t, name, i < 500 ? &off : &on));
    }
    assert_int_equal(t.entries, 500);
    for (int i = 0; i < 500; i++)
        assert_true(t.entry[i].choice.on &&
                    (i == 0 || strcmp(t.entry[i - 1].name, t.entry[i].name) < 0));
    char *text = tuning_write(&t);
    tuning again;
    assert_true(tuning_read(&again, text, strlen(text), why));
    assert_true(tuning_hash(&t) == tuning_hash(&again) && tuning_hash(&t) != empty);
    assert_true(tuning_set(&again, "s7", &off));
    assert_true(tuning_hash(&t) != tuning_hash(&again));
    free(text);
    tuning_done(&again);
    tuning_done(&t);
}

static void devices_are_told_apart(void **state)
{
    (void)state;
    const tuning_device a = {"NVIDIA H200", 132, 13000, 91900, 130100};
    tuning_device b = a;
    assert_true(tuning_device_equal(&a, &b));
    b.sms = 131;
    assert_false(tuning_device_equal(&a, &b));
    b = a;
    b.cublaslt++;
    assert_false(tuning_device_equal(&a, &b));
    b = a;
    b.gpu[0] = 'n';
    assert_false(tuning_device_equal(&a, &b));
    const tuning one = {.device = a}, other = {.device = b};
    assert_true(tuning_hash(&one) != tuning_hash(&other));
}

static const char *const hostile[] = {
    "",
    "\n",
    "overpaint tuning 1",
    "overpaint tuning 2\n",
    "overpaint tuning 1\r\n",
    "overpaint tuning 1\ngpu \nsms 132\ndriver 1\ncudnn 1\ncublaslt 1\n",
    "overpaint tuning 1\ngpu a\tb\nsms 132\ndriver 1\ncudnn 1\ncublaslt 1\n",
    "overpaint tuning 1\ngpu "
    "0123456789012345678901234567890123456789012345678901234567890123\nsms 132\ndriver 1\ncudnn "
    "1\ncublaslt 1\n",
    "overpaint tuning 1\ngpu a\nsms 0132\ndriver 1\ncudnn 1\ncublaslt 1\n",
    "overpaint tuning 1\ngpu a\nsms -1\ndriver 1\ncudnn 1\ncublaslt 1\n",
    "overpaint tuning 1\ngpu a\nsms 12345678901\ndriver 1\ncudnn 1\ncublaslt 1\n",
    "overpaint tuning 1\ngpu a\nsms 77777777777777777777777\ndriver 1\ncudnn 1\ncublaslt 1\n",
    "overpaint tuning 1\ngpu a\nsms 1 \ndriver 1\ncudnn 1\ncublaslt 1\n",
    "overpaint tuning 1\ngpu a\ndriver 1\nsms 1\ncudnn 1\ncublaslt 1\n",
    HEAD "a\n",
    HEAD "a = \n",
    HEAD " = on\n",
    HEAD "a= on\n",
    HEAD "a = on",
    HEAD "a = on \n",
    HEAD "a = maybe\n",
    HEAD "\n",
    HEAD "a = on\na = off\n",
    HEAD "b = on\na = on\n",
    HEAD "a\x80 = on\n",
    HEAD "a = engine\n",
    HEAD "a = engine \n",
    HEAD "a = engine -1\n",
    HEAD "a = engine 01\n",
    HEAD "a = engine 1 \n",
    HEAD "a = engine 1 2\n",
    HEAD "a = engine 1 2:\n",
    HEAD "a = engine 1 2:-\n",
    HEAD "a = engine 1 2:-0\n",
    HEAD "a = engine 1 2:03\n",
    HEAD "a = engine 1 -2:3\n",
    HEAD "a = engine 1 3:1 2:1\n",
    HEAD "a = engine 1 2:1 2:1\n",
    HEAD "a = engine 1  2:1\n",
    HEAD "a = engine 1 99999:1\n",
    HEAD "a = engine 1 2:1234567890123456789\n",
    HEAD
    "a = engine 1 0:1 1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1 9:1 10:1 11:1 12:1 13:1 14:1 15:1 16:1\n",
    HEAD "a = algo 00\n",
    HEAD "a = " ALGO "0\n",
    HEAD "a = algo 00112233445566778899AABBCCDDEEFF00000000000000000000000000000000"
         "00000000000000000000000000000000ffffffffffffffff0000000000000001\n",
};

static void nothing_else_is_read(void **state)
{
    (void)state;
    tuning t;
    char why[TUNING_WHY_BYTES];
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        if (tuning_read(&t, hostile[i], strlen(hostile[i]), why))
            fail_msg("read: %s", hostile[i]);
        assert_true(why[0] && t.entries == 0 && !t.entry);
    }
    assert_false(tuning_read(&t, HEAD "a\0b = on\n", sizeof(HEAD "a\0b = on\n") - 1, why));
    char *big = calloc(1, TUNING_TEXT_MOST + 1);
    assert_non_null(big);
    assert_false(tuning_read(&t, big, TUNING_TEXT_MOST + 1, why));
    free(big);
}

/* Every shorter text is refused, unless it ends where a line does: then it is a shorter table. */
static void cut_tables_are_refused(void **state)
{
    (void)state;
    tuning t;
    char why[TUNING_WHY_BYTES];
    for (size_t n = 0; n < strlen(table); n++) {
        char *copy = malloc(n + 1); /* of its size, so that a read beyond it is seen */
        assert_non_null(copy);
        memcpy(copy, table, n);
        bool whole = n >= strlen(HEAD) && table[n - 1] == '\n';
        assert_int_equal(tuning_read(&t, copy, n, why), whole);
        tuning_done(&t);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(an_upsample_is_wanted_by_its_channels),
        cmocka_unit_test(entries_are_set_in_order),
        cmocka_unit_test(devices_are_told_apart),
        cmocka_unit_test(nothing_else_is_read),
        cmocka_unit_test(cut_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
