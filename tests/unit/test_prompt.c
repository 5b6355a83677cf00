/* Prompt weights, BREAK, chunks of tokens, and the tags that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/prompt.h"
#include "worker/model/tokenizer.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

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
    return 0;
}

static prompt parse(const char *text)
{
    prompt p;
    err e = {0};
    if (prompt_parse(&p, text, &e))
        fail_msg("'%s': %s", text, e.text);
    return p;
}

static void check_pieces(const char *text, const prompt *p, const json_t *want)
{
    if (p->count != json_array_size(want))
        fail_msg("'%s': %zu pieces, expected %zu", text, p->count, json_array_size(want));
    for (size_t i = 0; i < p->count; i++) {
        const json_t *row = json_array_get(want, i);
        const char *expected = json_string_value(json_array_get(row, 0));
        double weight = json_number_value(json_array_get(row, 1));
        bool is_break = weight == -1 && strcmp(expected, "BREAK") == 0;
        assert_int_equal(p->piece[i].is_break, is_break);
        assert_string_equal(p->piece[i].text, is_break ? "" : expected);
        assert_true(fabs(p->piece[i].weight - weight) <= 1e-12);
    }
}

static void check_chunks(const char *text, const prompt *p, const json_t *want)
{
    token_chunks c;
    err e = {0};
    if (token_chunks_make(&c, tok, p, &e))
        fail_msg("'%s': %s", text, e.text);
    assert_int_equal(c.count, json_array_size(want));
    for (int k = 0; k < c.count; k++) {
        const json_t *row = json_array_get(want, (size_t)k);
        const json_t *ids = json_object_get(row, "ids"), *weights = json_object_get(row, "weights");
        assert_int_equal(json_array_size(ids), CHUNK_TOKENS);
        for (size_t i = 0; i < CHUNK_TOKENS; i++) {
            assert_int_equal(c.id[k][i], json_integer_value(json_array_get(ids, i)));
            double weight = json_number_value(json_array_get(weights, i));
            assert_true(fabs(c.weight[k][i] - weight) <= 1e-12);
        }
    }
    token_chunks_done(&c);
}

static void golden_prompts(void **state)
{
    (void)state;
    json_error_t why;
    json_t *rows = json_load_file(GOLDEN_DIR "/prompts.json", 0, &why), *row;
    if (!rows)
        fail_msg("prompts.json: %s", why.text);
    assert_int_equal(json_array_size(rows), 36);
    size_t at;
    json_array_foreach(rows, at, row)
    {
        const char *text = json_string_value(json_object_get(row, "prompt"));
        prompt p = parse(text);
        check_pieces(text, &p, json_object_get(row, "pieces"));
        check_chunks(text, &p, json_object_get(row, "chunks"));
        prompt_done(&p);
    }
    json_decref(rows);
}

/* What the golden prompts leave out, worked out by hand from the rules. */
static void pieces_by_hand(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        prompt_piece piece[3];
    } rows[] = {
        {"a\\", 1, {{"a", 1, false}}},
        {"\\\\(", 1, {{"\\", 1, false}}},
        {"(a:1.2", 1, {{"a:1.2", 1.1, false}}},
        {"(a:1.2.3)", 1, {{"a:1.2.3", 1.1, false}}},
        {"(a:+-1)", 1, {{"a:+-1", 1.1, false}}},
        {"(a:1e3)", 1, {{"a:1e3", 1.1, false}}},
        {"(a:\xc2\xa0"
         "2\xe3\x80\x80)",
         1,
         {{"a", 2, false}}},
        {"(a:0)", 1, {{"a", 0, false}}},
        {"([a)b]", 2, {{"a", 1.1 * (1 / 1.1), false}, {"b", 1 / 1.1, false}}},
        {"(a BREAK b:-1)", 3, {{"a", -1, false}, {"", -1, true}, {"b", -1, false}}},
        {"BREAK", 3, {{"", 1, false}, {"", -1, true}, {"", 1, false}}},
        {"BREAKS _BREAK \xc3\xa9"
         "BREAK",
         1,
         {{"BREAKS _BREAK \xc3\xa9"
           "BREAK",
           1, false}}},
        {"a\xe3\x80\x80"
         "BREAK.",
         3,
         {{"a", 1, false}, {"", -1, true}, {".", 1, false}}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        prompt p = parse(rows[i].text);
        if (p.count != rows[i].count)
            fail_msg("'%s': %zu pieces", rows[i].text, p.count);
        for (size_t k = 0; k < p.count; k++) {
            assert_string_equal(p.piece[k].text, rows[i].piece[k].text);
            assert_true(fabs(p.piece[k].weight - rows[i].piece[k].weight) <= 1e-12);
            assert_int_equal(p.piece[k].is_break, rows[i].piece[k].is_break);
        }
        prompt_done(&p);
    }
}

static char *repeat(const char *unit, size_t times)
{
    size_t size = strlen(unit);
    char *text = malloc(size * times + 1);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * size, unit, size);
    text[size * times] = 0;
    return text;
}

static void refused(const char *unit, size_t times, err_code code, const char *says)
{
    char *text = repeat(unit, times);
    prompt p;
    err e = {0};
    assert_int_equal(prompt_parse(&p, text, &e), code);
    assert_non_null(strstr(e.text, says));
    assert_null(p.piece);
    e = (err){0};
    assert_int_equal(prompt_check(text, PROMPT_POSITIVE, &e),
                     code); /* the check promises that parsing works */
    free(text);
}

static void hostile_prompts(void **state)
{
    (void)state;
    refused("(", 257, ERR_TOO_LARGE, "256");
    refused("[(", 129, ERR_TOO_LARGE, "256");
    refused("(a:", 300, ERR_TOO_LARGE, "256");
    refused("\xff", 1, ERR_INVALID, "UTF-8");
    refused("a\xc3", 1, ERR_INVALID, "byte 1");
    refused("((((((x:99999999999999999999999999999999999999999999999999999999999999)"
            ":99999999999999999999999999999999999999999999999999999999999999)"
            ":99999999999999999999999999999999999999999999999999999999999999)"
            ":99999999999999999999999999999999999999999999999999999999999999)"
            ":99999999999999999999999999999999999999999999999999999999999999)",
            1, ERR_INVALID, "infinity");
    static const char *const fine[] = {"(",     "[",   ":",  "\\",    "(:1.1)", "BREAK ", "a BREAK",
                                       "(a:1)", "\\(", ": ", "((a))", "[a]",    ")",      "]"};
    for (size_t i = 0; i < COUNT(fine); i++) {
        char *text = repeat(fine[i], strchr("([", *fine[i]) && !fine[i][1] ? 256 : 8000);
        prompt p = parse(text);
        assert_true(p.count >= 1);
        prompt_done(&p);
        free(text);
    }
}

static void truncation(void **state)
{
    (void)state;
    static const char text[] = "a (((house:1.3)) [on] \\( a BREAK (\u00fc:0.5), \\";
    for (size_t n = 0; n < sizeof text; n++) {
        char *part = strndup(text, n);
        prompt p;
        err e = {0};
        int status = prompt_parse(&p, part, &e);
        assert_true(status == 0 ? p.count >= 1 : status == ERR_INVALID);
        prompt_done(&p);
        free(part);
    }
}

/* Which chunk a token lands in, beyond the golden prompts. */
static void chunk_limits(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        size_t times;
        int chunks; /* 0: too many */
    } rows[] = {{"a ", 75, 1},       {"a ", 76, 2},     {"a ", 75 * 32, 32}, {"a ", 75 * 32 + 1, 0},
                {" BREAK ", 31, 31}, {"BREAK ", 33, 0}, {"BREAK a ", 31, 32}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *text = repeat(rows[i].unit, rows[i].times);
        prompt p = parse(text);
        token_chunks c;
        err e = {0};
        int status = token_chunks_make(&c, tok, &p, &e);
        assert_int_equal(status, rows[i].chunks ? 0 : ERR_TOO_LARGE);
        assert_int_equal(c.count, rows[i].chunks);
        assert_true(status == 0 || (c.id == NULL && c.weight == NULL));
        token_chunks_done(&c);
        prompt_done(&p);
        free(text);
    }
}

static void check_says(const char *text, const char *says)
{
    err e = {0};
    int status = prompt_check(text, PROMPT_POSITIVE, &e);
    if (status != (says ? ERR_INVALID : 0))
        fail_msg("'%s': %d %s", text, status, e.text);
    if (says && (!strstr(e.text, says) || !strstr(e.text, "not supported yet")))
        fail_msg("'%s': '%s' does not name %s", text, e.text, says);
}

static void tags_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a <lora:name:0.8>", "extra network at byte 2 (<lora:name:0.8>)"},
        {"<hypernet:x>", "extra network"},
        {"<<a:b>", "extra network"},
        {"<a:><a:b>", "extra network"},
        {"a AND [<a:b>|c]", "extra network"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_says(rows[i][0], rows[i][1]);
}

static void text_that_is_no_tag(void **state)
{
    (void)state;
    static const char *const rows[] = {"",     "a < b: c > d", "<>",      "<:a>",
                                       "<a:>", "<lora:x",      "a <3 you"};
    for (size_t i = 0; i < COUNT(rows); i++)
        check_says(rows[i], NULL);
}

/* The excerpt of a long tag ends between characters. */
static void long_excerpts(void **state)
{
    (void)state;
    for (size_t n = 30; n < 60; n++) {
        char text[256];
        snprintf(text, sizeof text, "<lora:%.*s%s>", (int)n,
                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                 "\U0001f98a\U0001f98a\U0001f98a\U0001f98a\U0001f98a");
        err e = {0};
        assert_int_equal(prompt_check(text, PROMPT_POSITIVE, &e), ERR_INVALID);
        prompt p;
        err none = {0};
        assert_int_equal(prompt_parse(&p, e.text, &none), 0); /* still UTF-8 */
        prompt_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_prompts),      cmocka_unit_test(pieces_by_hand),
        cmocka_unit_test(hostile_prompts),     cmocka_unit_test(truncation),
        cmocka_unit_test(chunk_limits),        cmocka_unit_test(tags_are_refused),
        cmocka_unit_test(text_that_is_no_tag), cmocka_unit_test(long_excerpts),
    };
    return cmocka_run_group_tests(tests, start, end);
}
