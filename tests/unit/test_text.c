/* proto/text: numbers, UTF-8, case and nearest names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <string.h>

#include "proto/text.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"-1", -1},
        {"+7", 7},
        {"007", 7},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        int64_t value = 99;
        assert_true(text_whole(good[i].text, &value));
        assert_int_equal(value, good[i].value);
    }
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "1\n",
                                      "0x10",
                                      "1.0",
                                      "1e3",
                                      "--1",
                                      "1-",
                                      "1,000",
                                      "one",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "\xd9\xa1"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        int64_t value = 99;
        assert_false(text_whole(bad[i], &value));
        assert_int_equal(value, 99);
    }
}

static void real_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0", 0},
        {"-1", -1},
        {"+7.5", 7.5},
        {".5", 0.5},
        {"5.", 5},
        {"1e3", 1000},
        {"1.5E-3", 0.0015},
        {"1e-999", 0},
        {"0.30000000000000004", 0.1 + 0.2},
        {"1.7976931348623157e308", 1.7976931348623157e308},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        double value = 99;
        assert_true(text_real(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    static const char *const bad[] = {"",   ".",     "-",   "e3",  "1e",   "1e+",   "1,5",
                                      " 1", "1 ",    "nan", "inf", "-inf", "0x1",   "1.2.3",
                                      "1f", "1e999", "--1", "1_0", "+-1",  "1e1.5", "infinity"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        double value = 99;
        assert_false(text_real(bad[i], &value));
        assert_true(value == 99);
    }
}

/* Whatever the program's locale says, '.' is the point. */
static void numbers_ignore_the_locale(void **state)
{
    (void)state;
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", NULL};
    bool found = false;
    for (size_t i = 0; commas[i] && !found; i++)
        found = setlocale(LC_ALL, commas[i]) != NULL;
    double value = 0;
    bool point = text_real("0.75", &value), comma = text_real("0,75", &value);
    setlocale(LC_ALL, "C");
    assert_true(point);
    assert_true(value == 0.75);
    assert_false(comma);
    if (!found)
        print_message("no locale with a decimal comma on this machine: checked in \"C\" only\n");
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size, at;
        bool valid;
    } rows[] = {
        {"", 0, 0, true},
        {"plain", 5, 0, true},
        {"a\0b", 3, 0, true},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, 0, true},
        {"\xf4\x8f\xbf\xbf", 4, 0, true},
        {"ab\xff", 3, 2, false},
        {"a\x80", 2, 1, false},
        {"\xc0\xaf", 2, 0, false},         /* overlong '/' */
        {"\xe0\x80\xaf", 3, 0, false},     /* overlong '/' */
        {"\xed\xa0\x80", 3, 0, false},     /* a surrogate */
        {"\xf4\x90\x80\x80", 4, 0, false}, /* above 10FFFF */
        {"\xf8\x88\x80\x80\x80", 5, 0, false},
        {"x\xe2\x82", 3, 1, false}, /* cut */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t at = 99;
        assert_int_equal(text_is_utf8(rows[i].bytes, rows[i].size, &at), rows[i].valid);
        assert_int_equal(at, rows[i].valid ? 99 : rows[i].at);
        assert_int_equal(text_is_utf8(rows[i].bytes, rows[i].size, NULL), rows[i].valid);
    }
}

static void case_of_letters(void **state)
{
    (void)state;
    assert_true(text_same("DPM++ 2M", "dpm++ 2m"));
    assert_true(text_same("", ""));
    assert_false(text_same("a", "ab"));
    assert_false(text_same("ab", "a"));
    assert_false(text_same("[", "{"));
    assert_int_equal((unsigned char)text_lower_ascii('\xc4'), 0xc4);
}

static void distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int edits;
    } rows[] = {
        {"", "", 0},           {"", "abc", 3},       {"kitten", "sitting", 3},
        {"Euler", "euler", 0}, {"steps", "step", 1}, {"abc", "cba", 2},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(text_distance(rows[i].a, rows[i].b), rows[i].edits);
        assert_int_equal(text_distance(rows[i].b, rows[i].a), rows[i].edits);
    }
    char huge[4096];
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    assert_int_equal(text_distance(huge, ""), 64);
}

static void nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"steps", "sampler", "scheduler", "seed", NULL};
    static const char *const none[] = {NULL};
    assert_string_equal(text_nearest("stpes", names), "steps");
    assert_string_equal(text_nearest("SCHEDULE", names), "scheduler");
    assert_string_equal(text_nearest("", names), "seed");
    assert_null(text_nearest("steps", none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(real_numbers),
        cmocka_unit_test(numbers_ignore_the_locale),
        cmocka_unit_test(utf8),
        cmocka_unit_test(case_of_letters),
        cmocka_unit_test(distances),
        cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
