/* CLIP's tokenizer against the ids of an independent one, hostile text, and long words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/clock.h"
#include "worker/model/tokenizer.h"

static tokenizer *tok;

static int start(void **state)
{
    (void)state;
    err e = {0};
    tok = tokenizer_new(&e);
    return tok ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    tokenizer_free(&tok);
    tokenizer_free(&tok); /* freeing nothing is fine */
    return 0;
}

static json_t *load(const char *file)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, file);
    json_error_t why;
    json_t *rows = json_load_file(path, 0, &why);
    if (!rows)
        fail_msg("%s: %s", path, why.text);
    return rows;
}

static void expect(const char *text, const int32_t *want, size_t n)
{
    int32_t *ids = NULL;
    size_t count = 0;
    err e = {0};
    if (tokenizer_encode(tok, text, &ids, &count, &e))
        fail_msg("'%s': %s", text, e.text);
    for (size_t i = 0; i < n && i < count; i++)
        if (ids[i] != want[i])
            fail_msg("'%s': id %zu is %d, expected %d", text, i, ids[i], want[i]);
    if (count != n)
        fail_msg("'%s': %zu ids, expected %zu", text, count, n);
    free(ids);
}

static void golden_texts(void **state)
{
    (void)state;
    json_t *rows = load("tokens.json"), *row;
    size_t at;
    assert_int_equal(json_array_size(rows), 82);
    json_array_foreach(rows, at, row)
    {
        json_t *ids = json_object_get(row, "ids");
        size_t n = json_array_size(ids);
        int32_t *want = malloc((n + 1) * sizeof *want);
        for (size_t i = 0; i < n; i++)
            want[i] = (int32_t)json_integer_value(json_array_get(ids, i));
        expect(json_string_value(json_object_get(row, "text")), want, n);
        free(want);
    }
    json_decref(rows);
}

/* Ids of the `tokenizers` library for what the golden texts leave out. */
static void special_cases(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t ids[20];
        size_t count;
    } rows[] = {
        {"<|STARTOFTEXT|>", {27, 347, 993, 6659, 4160, 91, 285}, 7},
        {"a<|startoftext|>b", {320, 49406, 321}, 3},
        {"!<|endoftext|>!", {256, 49407, 256}, 3},
        {"<|endoftext|", {27, 347, 40786, 4160, 347}, 5},
        {"<|endoftext|>'s", {49407, 568}, 2},
        {"<|startoftext|><|endoftext|>", {49406, 49407}, 2},
        {"\u0627\u0301\u0130\u2028x\xc2\x85y\x1cz\u180ew\u3000v",
         {22625, 136, 479, 328, 16384, 343, 344, 472, 345, 157, 254, 492, 342, 341},
         14},
        {"\u039f\u0394\u039f\u03a3", {138, 123, 138, 112, 138, 123, 139, 481}, 8},
        {"I\u0307", {328, 16384}, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i].text, rows[i].ids, rows[i].count);
}

static void refuses_what_is_not_utf8(void **state)
{
    (void)state;
    static const char *const rows[] = {"\xff",
                                       "a\x80",
                                       "\xc3",
                                       "\xe2\x82",
                                       "\xc0\xaf",
                                       "\xed\xa0\x80",
                                       "\xf4\x90\x80\x80",
                                       "\xf8\x88\x80\x80\x80",
                                       "caf\xe9",
                                       "<|endoftext|>\xc3"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int32_t *ids = NULL;
        size_t count = 0;
        err e = {0};
        assert_int_equal(tokenizer_encode(tok, rows[i], &ids, &count, &e), ERR_INVALID);
        assert_non_null(strstr(e.text, "UTF-8"));
        assert_null(ids);
    }
}

/* Every prefix of a mixed text either encodes or is refused; nothing is read past its end. */
static void truncation(void **state)
{
    (void)state;
    static const char text[] = "It's \u00fcber <|endoftext|> \U0001f98a\u0301 12 \u0130<|start";
    for (size_t n = 0; n < sizeof text; n++) {
        char *part = strndup(text, n);
        int32_t *ids = NULL;
        size_t count = 0;
        err e = {0};
        int status = tokenizer_encode(tok, part, &ids, &count, &e);
        assert_true(status == 0 || status == ERR_INVALID);
        assert_true(status == ERR_INVALID || count <= 2 * n);
        free(ids);
        free(part);
    }
}

static double seconds_for(const char *unit, size_t times)
{
    size_t size = strlen(unit);
    char *text = malloc(size * times + 1);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * size, unit, size);
    text[size * times] = 0;
    int32_t *ids = NULL;
    size_t count = 0;
    err e = {0};
    double from = clock_seconds();
    if (tokenizer_encode(tok, text, &ids, &count, &e))
        fail_msg("%s", e.text);
    double took = clock_seconds() - from;
    assert_true(count > 0);
    free(ids);
    free(text);
    return took;
}

/* One long word, many special strings, marks in the worst order: a quadratic step anywhere would
 * take minutes. */
static void long_texts_take_no_time(void **state)
{
    (void)state;
    assert_true(seconds_for("a", 300000) < 5);
    assert_true(seconds_for("xyz", 100000) < 5);
    assert_true(seconds_for("<|endoftext|>", 20000) < 5);
    assert_true(seconds_for("\u0301\u0323", 75000) < 5); /* classes 230, 220, 230, 220, ... */
    assert_true(seconds_for("!?", 150000) < 5);
}

static void too_long_is_refused(void **state)
{
    (void)state;
    size_t size = (16 << 20) + 1;
    char *text = malloc(size + 1);
    memset(text, ' ', size);
    text[size] = 0;
    int32_t *ids = NULL;
    size_t count = 0;
    err e = {0};
    assert_int_equal(tokenizer_encode(tok, text, &ids, &count, &e), ERR_TOO_LARGE);
    free(text);
}

static void starts_quickly(void **state)
{
    (void)state;
    double best = 1;
    for (int i = 0; i < 5; i++) {
        err e = {0};
        double from = clock_seconds();
        tokenizer *t = tokenizer_new(&e);
        double took = clock_seconds() - from;
        best = took < best ? took : best;
        assert_non_null(t);
        tokenizer_free(&t);
    }
    print_message("tokenizer_new: %.1f ms\n", best * 1e3);
    assert_true(best < 0.5); /* 0.05 when nothing else runs and no sanitizer is on */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_texts),
        cmocka_unit_test(special_cases),
        cmocka_unit_test(refuses_what_is_not_utf8),
        cmocka_unit_test(truncation),
        cmocka_unit_test(long_texts_take_no_time),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(starts_quickly),
    };
    return cmocka_run_group_tests(tests, start, end);
}
