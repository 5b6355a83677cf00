/* Prompt editing, alternation and AND: the text of every step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/prompt_plan.h"
#include "tests/support/golden.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static prompt_plan plan_of(const char *text, int steps, prompt_role role)
{
    prompt_plan p;
    err e = {0};
    if (prompt_plan_make(&p, text, steps, role, &e))
        fail_msg("'%.200s': %s", text, e.text);
    assert_int_equal(p.steps, steps);
    return p;
}

static const char *text_at(const prompt_plan *p, int part, int step)
{
    return p->text[p->part[part].text[step - 1]];
}

/* ---------------------------------------------------------------- golden texts */

static void golden_texts(void **state)
{
    (void)state;
    json_t *all = golden_json("grammar/grammar.json"), *entry;
    const char *name;
    assert_int_equal(json_object_size(all), 9);
    json_object_foreach(all, name, entry)
    {
        const json_t *job = json_object_get(entry, "job"), *want = json_object_get(entry, "texts");
        const int steps = (int)json_integer_value(json_object_get(job, "steps"));
        const char *text = json_string_value(json_object_get(job, "prompt"));
        prompt_plan p = plan_of(text, steps, PROMPT_POSITIVE);
        assert_int_equal(json_array_size(want), steps);
        for (int step = 1; step <= steps; step++) {
            const json_t *row = json_array_get(want, (size_t)step - 1);
            assert_int_equal(p.parts, json_array_size(row));
            for (int i = 0; i < p.parts; i++) {
                const char *expected = json_string_value(json_array_get(row, (size_t)i));
                if (strcmp(text_at(&p, i, step), expected))
                    fail_msg("%s, step %d: '%s', expected '%s'", name, step, text_at(&p, i, step),
                             expected);
            }
        }
        prompt_plan_done(&p);
    }
    json_decref(all);
}

/* ---------------------------------------------------------------- texts by hand */

/* The text at each of four steps. */
static const struct {
    const char *text, *step[4];
} by_hand[] = {
    /* timing */
    {"[a:b:2]", {"a", "a", "b", "b"}},
    {"[a:b:2.0]", {"a", "a", "a", "a"}},
    {"[a:b:.5]", {"a", "a", "b", "b"}},
    {"[a:b:1.]", {"a", "a", "a", "a"}},
    {"[a:b:0.49]", {"a", "b", "b", "b"}},
    {"[a:b:0]", {"b", "b", "b", "b"}},
    {"[a:b:0.0]", {"b", "b", "b", "b"}},
    {"[a:b:-1]", {"b", "b", "b", "b"}},
    {"[a:b:-0.5]", {"b", "b", "b", "b"}},
    {"[a:b:+3]", {"a", "a", "a", "b"}},
    {"[a:b:1e0]", {"a", "b", "b", "b"}},
    {"[a:b:1000000000000]", {"a", "a", "a", "a"}},
    {"[a:b: 1\xc2\xa0]", {"a", "b", "b", "b"}},
    /* adding and removing */
    {"x[a:1]", {"x", "xa", "xa", "xa"}},
    {"[a::1]x", {"ax", "x", "x", "x"}},
    {"[:1]", {"", "", "", ""}},
    {"[::.5]", {"", "", "", ""}},
    {"[:a:1]", {"", "a", "a", "a"}},
    /* alternation */
    {"[a|b]", {"a", "b", "a", "b"}},
    {"[a|b|c] d", {"a d", "b d", "c d", "a d"}},
    {"[|a]", {"", "a", "", "a"}},
    {"[a|a]", {"a", "a", "a", "a"}},
    {"[a|b:2]", {"a", "b:2", "a", "b:2"}},
    /* nesting */
    {"[[a|b]:c:2]", {"a", "b", "c", "c"}},
    {"[a:[b:c:3]:1]", {"a", "b", "b", "c"}},
    {"[[a:b:1]|c]", {"a", "c", "b", "c"}},
    {"[x [a|b]]", {"[x a]", "[x b]", "[x a]", "[x b]"}},
    {"[x:[a|b]]", {"[x:a]", "[x:b]", "[x:a]", "[x:b]"}},
    {"([a:b:2]:1.2)", {"(a:1.2)", "(a:1.2)", "(b:1.2)", "(b:1.2)"}},
    {"[(a:1.2):(b|c):2]", {"(a:1.2)", "(a:1.2)", "(b|c)", "(b|c)"}},
    {"[a BREAK b:c:2]", {"a BREAK b", "a BREAK b", "c", "c"}},
    /* escapes */
    {"[a\\:b:c:2]", {"a\\:b", "a\\:b", "c", "c"}},
    {"[a\\]|b]", {"a\\]", "b", "a\\]", "b"}},
    {"[a\\|b:c:1]", {"a\\|b", "c", "c", "c"}},
    {"\\[a:b:2]", {"\\[a:b:2]", "\\[a:b:2]", "\\[a:b:2]", "\\[a:b:2]"}},
    /* several in one text */
    {"[a:b:1][c|d]]", {"ac]", "bd]", "bc]", "bd]"}},
};

static void texts_by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(by_hand); i++) {
        prompt_plan p = plan_of(by_hand[i].text, 4, PROMPT_POSITIVE);
        assert_int_equal(p.parts, 1);
        assert_true(p.part[0].weight == 1);
        for (int step = 1; step <= 4; step++)
            if (strcmp(text_at(&p, 0, step), by_hand[i].step[step - 1]))
                fail_msg("'%s', step %d: '%s', expected '%s'", by_hand[i].text, step,
                         text_at(&p, 0, step), by_hand[i].step[step - 1]);
        prompt_plan_done(&p);
    }
}

/* What looks like grammar and is none. */
static void text_that_is_no_grammar(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "[low]",
        "a clock at 12:30",
        "a:b",
        "(a:1.2)",
        "a | b",
        "[x:y]",
        "[a:b:c:d]",
        "[a:b:c:5]",
        "\\[a:b:5\\]",
        "[a:b:5",
        "a:b:5]",
        "[(a:5)]",
        "[(a|b)]",
        "[a\\|b]",
        "[a\\:5]",
        "[(x:1.2)]",
        "[a (b:c):d]",
        "[low:]",
        "(a [b] c:1.1)",
        "1:2",
        "[]",
        "[0.5]",
        "\\\\",
        "\\",
        "]",
        "[",
        "[a:b:nan]",
        "[a:inf]",
        "[a:b:1e999]",
        "[a:0x1]",
        "[a:1 2]",
        "[a:1.2.3]",
        "[a:b:[1|2]]",
        "[a):b:5]",
        "[a(:b:5]",
        "[c [a|b]",
        "[a|b] and [c",
        "BRAND sand_AND_",
        "a :0.5",
        " a ",
        "[a:--1]",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        prompt_plan p = plan_of(rows[i], 3, PROMPT_POSITIVE);
        const char *want = strcmp(rows[i], "[a:b:[1|2]]") ? rows[i] : "[a:b:1]";
        assert_int_equal(p.parts, 1);
        if (strcmp(text_at(&p, 0, 1), want))
            fail_msg("'%s' became '%s'", rows[i], text_at(&p, 0, 1));
        prompt_plan_done(&p);
    }
}

/* ---------------------------------------------------------------- AND */

static void parts_and_weights(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int parts;
        const char *part[3];
        double weight[3];
    } rows[] = {
        {"a AND b", 2, {"a", " b"}, {1, 1}},
        {"a cat :0.5 AND a dog:1.3", 2, {"a cat", " a dog"}, {0.5, 1.3}},
        {"a AND at 12:30", 2, {"a", " at 12"}, {1, 30}},
        {"a: -1 AND b : +.5 ", 2, {"a", " b"}, {-1, 0.5}},
        {"a:2. AND b:1.2.3", 2, {"a", " b:1.2.3"}, {2, 1}},
        {"a:1e2 AND b:x", 2, {"a:1e2", " b:x"}, {1, 1}},
        {"a:b:2 AND :3", 2, {"a:b", ""}, {2, 3}},
        {"AND", 2, {"", ""}, {1, 1}},
        {"a,AND,b AND", 3, {"a,", ",b", ""}, {1, 1, 1}},
        {"(a AND b:1.3)", 2, {"(a", " b:1.3)"}, {1, 1}},
        {"[a AND b:c:0.5]", 2, {"[a", " b:c:0.5]"}, {1, 1}},
        {"[a|b] :0.5 AND [c:d:1]", 2, {"a", " c"}, {0.5, 1}},
        {"a\xe3\x80\x80:\xc2\xa0"
         "2\xe3\x80\x80"
         "AND b",
         2,
         {"a", " b"},
         {2, 1}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        prompt_plan p = plan_of(rows[i].text, 2, PROMPT_POSITIVE);
        assert_int_equal(p.parts, rows[i].parts);
        for (int k = 0; k < p.parts; k++) {
            if (strcmp(text_at(&p, k, 1), rows[i].part[k]))
                fail_msg("'%s': part %d is '%s'", rows[i].text, k, text_at(&p, k, 1));
            assert_true(p.part[k].weight == rows[i].weight[k]);
        }
        prompt_plan_done(&p);
    }
}

/* In a negative prompt AND is a word, and nothing is a weight. */
static void negative_prompts_have_one_part(void **state)
{
    (void)state;
    prompt_plan p = plan_of("[a|b] AND c :0.5", 2, PROMPT_NEGATIVE);
    assert_int_equal(p.parts, 1);
    assert_string_equal(text_at(&p, 0, 1), "a AND c :0.5");
    assert_string_equal(text_at(&p, 0, 2), "b AND c :0.5");
    prompt_plan_done(&p);
}

static void texts_are_shared(void **state)
{
    (void)state;
    prompt_plan p = plan_of("[a|b] AND a AND [b:a:75]", 150, PROMPT_POSITIVE);
    assert_int_equal(p.texts, 4); /* "a" and " a", "b" and " b" */
    assert_int_equal(p.part[0].text[148], p.part[0].text[0]);
    assert_int_equal(p.part[1].text[0], p.part[2].text[149]);
    prompt_plan_done(&p);
}

/* ---------------------------------------------------------------- limits */

static char *repeat(const char *unit, size_t times)
{
    const size_t size = strlen(unit);
    char *text = malloc(size * times + 3), *to = text;
    while (times--)
        to = mempcpy(to, unit, size);
    *to = 0;
    return text;
}

static void refused(const char *text, err_code code, const char *says)
{
    prompt_plan p;
    err e = {0};
    assert_int_equal(prompt_plan_make(&p, text, 20, PROMPT_POSITIVE, &e), code);
    if (!strstr(e.text, says))
        fail_msg("'%s' does not say %s", e.text, says);
    assert_null(p.text);
    assert_int_equal(prompt_check(text, PROMPT_POSITIVE, &(err){0}), code);
}

static void what_is_refused(void **state)
{
    (void)state;
    char *text = repeat("[", 257);
    refused(text, ERR_TOO_LARGE, "256");
    free(text);
    text = repeat("[", 65536);
    refused(text, ERR_TOO_LARGE, "256");
    free(text);
    refused("1 AND 2 AND 3 AND 4 AND 5 AND 6 AND 7 AND 8", ERR_TOO_LARGE, "more than 7 parts");
    text = repeat("AND ", 16000);
    refused(text, ERR_TOO_LARGE, "more than 7 parts");
    assert_int_equal(prompt_check(text, PROMPT_NEGATIVE, NULL), 0);
    free(text);
    refused("a AND b:1000.1", ERR_INVALID, "part 2 of the prompt is 1000.1");
    refused("a:-99999999999999999999999 AND b", ERR_INVALID, "part 1 of the prompt is -1e+23");
    prompt_plan p = plan_of("1 AND 2 AND 3 AND 4 AND 5 AND 6 AND 7:-1000", 1, PROMPT_POSITIVE);
    assert_int_equal(p.parts, 7);
    prompt_plan_done(&p);
}

/* Large prompts make no more texts than there are steps. */
static void large_prompts(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        size_t times;
        const char *before, *after;
        int texts;
    } rows[] = {
        {"|", 65534, "[", "]", 1},       {"a|", 32767, "[", "]", 1},   {"|", 65536, "", "", 1},
        {"[a|b]", 13107, "", "", 2},     {"[:1]", 16384, "", "", 1},   {"[]", 32768, "", "", 1},
        {"]", 65536, "", "", 1},         {":", 65534, "[", "]", 1},    {"(", 65536, "", "", 1},
        {"[a:7]", 13107, "", "", 2},     {"\\", 65536, "", "", 1},     {"[a:.1]|", 9000, "", "", 2},
        {"[a|b|c]|", 8000, "[", "]", 3}, {"\\]:", 16384, "[", "]", 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *body = repeat(rows[i].unit, rows[i].times), *text = malloc(strlen(body) + 3);
        sprintf(text, "%s%s%s", rows[i].before, body, rows[i].after);
        prompt_plan p = plan_of(text, 150, PROMPT_POSITIVE);
        if (p.texts != rows[i].texts)
            fail_msg("'%s' x %zu: %d texts", rows[i].unit, rows[i].times, p.texts);
        prompt_plan_done(&p);
        free(body);
        free(text);
    }
    char many[8000] = "[";
    for (int i = 0; i < 1000; i++)
        sprintf(many + strlen(many), "%d|", i);
    strcat(many, "x]");
    prompt_plan p = plan_of(many, 20, PROMPT_POSITIVE);
    assert_int_equal(p.texts, 20);
    assert_string_equal(text_at(&p, 0, 20), "19");
    prompt_plan_done(&p);
}

static void truncation(void **state)
{
    (void)state;
    static const char text[] = "a [b [c|d]:(e:1.2) [f|]:0.5] \\[g :0.7 AND h [i:3] [j::-1] :-.5";
    const size_t before_and = (size_t)(strstr(text, "AND") - text);
    for (size_t n = 0; n < sizeof text; n++) {
        char *part = strndup(text, n);
        for (prompt_role role = PROMPT_POSITIVE; role <= PROMPT_NEGATIVE; role++) {
            prompt_plan p = plan_of(part, 3, role);
            assert_int_equal(p.parts, role == PROMPT_POSITIVE && n >= before_and + 3 ? 2 : 1);
            for (int i = 0; i < p.texts; i++)
                assert_true(strlen(p.text[i]) <= n);
            prompt_plan_done(&p);
        }
        free(part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_texts),
        cmocka_unit_test(texts_by_hand),
        cmocka_unit_test(text_that_is_no_grammar),
        cmocka_unit_test(parts_and_weights),
        cmocka_unit_test(negative_prompts_have_one_part),
        cmocka_unit_test(texts_are_shared),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(large_prompts),
        cmocka_unit_test(truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
