/* Errors: the first message wins, later problems are added, texts stay whole characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/err.h"
#include "proto/text.h"

static void test_first_wins(void **state)
{
    (void)state;
    err e = {0};
    assert_int_equal(err_set(&e, ERR_IO, "disk %d", 1), ERR_IO);
    assert_int_equal(err_set(&e, ERR_INVALID, "other"), ERR_INVALID);
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.text, "disk 1");
    assert_int_equal(err_set(NULL, ERR_BUSY, "nobody reads it"), ERR_BUSY);
}

static void test_list(void **state)
{
    (void)state;
    err e = {0};
    err_add(&e, ERR_INVALID, "steps is 0");
    err_add(&e, ERR_TOO_LARGE, "width is 9999");
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.text, "steps is 0; width is 9999");
}

static void test_cut_texts_are_utf8(void **state)
{
    (void)state;
    static const char *const characters[] = {"x", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\xa6\x8a"};
    for (size_t c = 0; c < 4; c++)
        for (size_t shift = 0; shift < 5; shift++) {
            char text[2048] = "";
            err e = {0};
            for (size_t i = 0; i < shift; i++)
                strcat(text, "y");
            while (strlen(text) < 1100)
                strcat(text, characters[c]);
            err_set(&e, ERR_INVALID, "%s", text);
            assert_true(strlen(e.text) >= sizeof e.text - 5);
            assert_true(text_is_utf8(e.text, strlen(e.text), NULL));
        }
}

static void test_names(void **state)
{
    (void)state;
    for (int code = ERR_OK; code >= ERR_LOST; code--)
        assert_string_not_equal(err_name((err_code)code), "unknown");
    assert_string_equal(err_name((err_code)-99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_wins), cmocka_unit_test(test_list),
        cmocka_unit_test(test_cut_texts_are_utf8), cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
