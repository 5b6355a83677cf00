/* The parameters text: golden texts written and read, foreign texts, and the way there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/infotext.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static infotext start(const char *prompt_text, const char *negative)
{
    return (infotext){.prompt = strdup(prompt_text), .negative_prompt = strdup(negative)};
}

static void add(infotext *t, const char *key, const char *value)
{
    err e = {0};
    assert_int_equal(infotext_add(t, key, value, &e), 0);
}

static char *write_text(const infotext *t)
{
    char *text = NULL;
    err e = {0};
    assert_int_equal(infotext_write(t, &text, &e), 0);
    return text;
}

static infotext read_text(const char *text)
{
    infotext t;
    err e = {0};
    assert_int_equal(infotext_read(&t, text, &e), 0);
    return t;
}

static void assert_same(const infotext *a, const infotext *b)
{
    assert_string_equal(a->prompt, b->prompt);
    assert_string_equal(a->negative_prompt, b->negative_prompt);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->entry[i].key, b->entry[i].key);
        assert_string_equal(a->entry[i].value, b->entry[i].value);
    }
}

static void add_setting(infotext *t, const char *key, const json_t *value)
{
    err e = {0};
    if (json_is_number(value))
        assert_int_equal(infotext_add_number(t, key, json_number_value(value), &e), 0);
    else
        assert_int_equal(infotext_add(t, key, json_string_value(value), &e), 0);
}

static void golden_texts(void **state)
{
    (void)state;
    json_error_t why;
    json_t *rows = json_load_file(GOLDEN_DIR "/infotext.json", 0, &why), *row, *pair;
    if (!rows)
        fail_msg("infotext.json: %s", why.text);
    assert_int_equal(json_array_size(rows), 3);
    size_t at, k;
    json_array_foreach(rows, at, row)
    {
        infotext t = start(json_string_value(json_object_get(row, "prompt")),
                           json_string_value(json_object_get(row, "negative")));
        json_array_foreach(json_object_get(row, "keys"), k, pair)
            add_setting(&t, json_string_value(json_array_get(pair, 0)), json_array_get(pair, 1));
        char *text = write_text(&t);
        assert_string_equal(text, json_string_value(json_object_get(row, "text")));
        infotext back = read_text(text);
        assert_same(&back, &t);
        infotext_done(&back);
        infotext_done(&t);
        free(text);
    }
    json_decref(rows);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        double value;
        const char *text;
    } rows[] = {
        {"Steps", 1, "1"},
        {"Steps", 100, "100"},
        {"Denoising strength", 0.75, "0.75"},
        {"Denoising strength", 0.1, "0.1"},
        {"Denoising strength", 1.0 / 3, "0.3333333333333333"},
        {"CFG scale", 7, "7.0"},
        {"CFG scale", 7.5, "7.5"},
        {"CFG scale", 100, "100.0"},
        {"CFG scale", -1, "-1.0"},
        {"CFG scale", 1e20, "1e+20"},
        {"Seed", 4294967295, "4294967295"},
        {"Seed", 9007199254740992, "9007199254740992"},
        {"Tiny", 1e-7, "1e-07"},
        {"Zero", 0, "0"},
    };
    static const char *const locales[] = {"C", "de_DE.UTF-8"}; /* the second may be missing */
    for (size_t l = 0; l < COUNT(locales); l++) {
        setlocale(LC_ALL, locales[l]);
        for (size_t i = 0; i < COUNT(rows); i++) {
            infotext t = {0};
            err e = {0};
            assert_int_equal(infotext_add_number(&t, rows[i].key, rows[i].value, &e), 0);
            assert_string_equal(t.entry[0].value, rows[i].text);
            infotext_done(&t);
        }
    }
    setlocale(LC_ALL, "C");
    infotext t = {0};
    err e = {0};
    assert_int_equal(infotext_add_number(&t, "CFG scale", NAN, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "CFG scale"));
    assert_int_equal(infotext_add_number(&t, "CFG scale", INFINITY, NULL), ERR_INVALID);
    assert_int_equal(t.count, 0);
}

/* What other programs write, read as web UIs read it. Entries: "key=value;" one after the other. */
static void foreign_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *prompt, *negative, *entries;
    } rows[] = {
        {"", "", "", ""},
        {"a cat", "a cat", "", ""},
        {"a cat\n", "a cat\n", "", ""},
        {"\n\n", "\n\n", "", ""},
        {"Steps: 1, Size: 8x8, Seed: 2", "", "", "Steps=1;Size=8x8;Seed=2;"},
        {"Steps: 1, Size: 8x8", "Steps: 1, Size: 8x8", "", ""},
        {"cat: a, dog: b\nSteps: 1, CFG scale: 7, Seed: 2\n", "cat: a, dog: b", "",
         "Steps=1;CFG scale=7;Seed=2;"},
        {"a\nNegative prompt: b\nc\nSteps: 1, CFG scale: 7, Seed: 2 \r\n", "a", "b\nc",
         "Steps=1;CFG scale=7;Seed=2;"},
        {"Negative prompt: b\nSteps: 1, CFG scale: 7, Seed: 2", "", "b",
         "Steps=1;CFG scale=7;Seed=2;"},
        {"a\n  Negative prompt:b", "a", "b", ""},
        {"a\nNegative prompt:", "a", "", ""},
        {"a\nb Negative prompt: c", "a\nb Negative prompt: c", "", ""},
        {"a\nNegative prompt: b\nNegative prompt: c", "a", "b\nNegative prompt: c", ""},
        {"Steps: 1, Model: \"x, y: z\", Seed: 2", "", "", "Steps=1;Model=x, y: z;Seed=2;"},
        {"Steps: 1, Model: \"x\\n\\u00fc\\ud83e\\udd8a\\\"\", Seed: 2", "", "",
         "Steps=1;Model=x\n\u00fc\U0001f98a\";Seed=2;"},
        {"Steps: 1, Model: \"x\" y, Seed: 2", "", "", "Steps=1;Model=\"x\" y;Seed=2;"},
        {"Steps: 1, Model: \"x, Seed: 2", "", "", "Steps=1;Model=\"x;Seed=2;"},
        {"Steps: 1, Model: \"\\q\", Seed: 2", "", "", "Steps=1;Model=\"\\q\";Seed=2;"},
        {"Steps: 1, Model: \"\\u0000\", Seed: 2", "", "", "Steps=1;Model=\"\\u0000\";Seed=2;"},
        {"Steps: 1, Model: \"\\ud800\", Seed: 2", "", "", "Steps=1;Model=\"\\ud800\";Seed=2;"},
        {"Steps: 1, Model: \"\\ud800\\u0041\", Seed: 2", "", "",
         "Steps=1;Model=\"\\ud800\\u0041\";Seed=2;"},
        {"Steps: 1, Model: \"\", Seed: 2", "", "", "Steps=1;Model=;Seed=2;"},
        {"Steps: 1, Model: \", Seed: 2", "", "", "Steps=1;Model=\";Seed=2;"},
        {"Steps: 1, Model:, Seed: 2, ", "", "", "Steps=1;Model=;Seed=2;"},
        {"Steps: 1, loose words, Seed: 2, x: 3, (Key: 4", "", "", "Steps=1;Seed=2;Key=4;"},
        {"Steps: 1, Tiling, a/b-c d: 2, \u00fc\u00fc: 3", "", "",
         "Steps=1;a/b-c d=2;\u00fc\u00fc=3;"},
        {"Steps: 1, Steps: 2, Steps : 3", "", "", "Steps=1;Steps=2;Steps =3;"},
        {"Time: 12:30, Steps: 1, Seed: 2", "", "", "Time=12:30;Steps=1;Seed=2;"},
        {"\xff\xfe: 1, \xc3, Steps: 1, Seed: 2, Size: \xff", "", "", "Steps=1;Seed=2;Size=\xff;"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        infotext t = read_text(rows[i].text);
        char entries[256] = "";
        for (size_t k = 0; k < t.count; k++)
            snprintf(entries + strlen(entries), sizeof entries - strlen(entries), "%s=%s;",
                     t.entry[k].key, t.entry[k].value);
        assert_string_equal(t.prompt, rows[i].prompt);
        assert_string_equal(t.negative_prompt, rows[i].negative);
        assert_string_equal(entries, rows[i].entries);
        infotext_done(&t);
    }
}

static void truncation(void **state)
{
    (void)state;
    static const char text[] =
        "a \u00fc\nNegative prompt: b\nSteps: 1, Model: \"x\\u00fc, \\\"y\", "
        "Seed: 2, Size: 8x8";
    for (size_t n = 0; n < sizeof text; n++) {
        char *part = strndup(text, n);
        infotext t = read_text(part);
        assert_true(t.count == 0 || t.count >= 3);
        assert_true(strlen(t.prompt) + strlen(t.negative_prompt) <= n);
        infotext_done(&t);
        free(part);
    }
}

static void long_lines_take_no_time(void **state)
{
    (void)state;
    static const char *const units[] = {
        "a", "ab: 1, ", "a:", "ab:\"", "\"\\", " ", "\n", "Negative prompt:\n", "ab:\"x\\\","};
    for (size_t i = 0; i < COUNT(units); i++) {
        size_t size = strlen(units[i]), times = 300000 / size;
        char *text = malloc(size * times + 1);
        for (size_t k = 0; k < times; k++)
            memcpy(text + k * size, units[i], size);
        text[size * times] = 0;
        infotext t = read_text(text); /* quadratic time would run into the limit of the test */
        assert_true(t.count == 0 || strchr(units[i], ':'));
        infotext_done(&t);
        free(text);
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Up to 7 fragments that mean something to the reader. */
static void random_text(char *text, uint32_t *seed)
{
    static const char *const parts[] = {
        "a",          "Steps: 1, ", ",", ":",     "\"",  "\\", " ",    "\u00fc",
        "\U0001f98a", "\t",         "/", "Key: ", "x y", "\r", "\x01", "\n"};
    *text = 0;
    for (uint32_t n = next_random(seed) % 8; n; n--)
        strcat(text, parts[next_random(seed) % COUNT(parts)]);
}

static void there_and_back(void **state)
{
    (void)state;
    static const char *const keys[] = {"Steps", "CFG scale", "Mask blur", "a-b/c", "\u00fcber"};
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char text[3][128];
        random_text(text[0], &seed);
        random_text(text[1], &seed);
        infotext t = start(text[0], text[1]);
        for (uint32_t n = 3 + next_random(&seed) % 4; n; n--) {
            random_text(text[2], &seed);
            add(&t, keys[next_random(&seed) % COUNT(keys)], text[2]);
        }
        char *written = write_text(&t);
        infotext back = read_text(written);
        assert_same(&back, &t);
        infotext_done(&back);
        infotext_done(&t);
        free(written);
    }
}

static void small_cases(void **state)
{
    (void)state;
    infotext t = {0};
    add(&t, "Model", NULL); /* nothing to say */
    assert_int_equal(t.count, 0);
    char *text = write_text(&t);
    assert_string_equal(text, "");
    free(text);
    add(&t, "Tiling", "Tiling");
    add(&t, "Model", "\"quoted\"");
    add(&t, "Note", " \x01/");
    text = write_text(&t);
    assert_string_equal(text, "\nTiling, Model: \"\\\"quoted\\\"\", Note: \" \\u0001/\"");
    free(text);
    infotext_done(&t);
    infotext_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_texts),
        cmocka_unit_test(numbers),
        cmocka_unit_test(foreign_texts),
        cmocka_unit_test(truncation),
        cmocka_unit_test(long_lines_take_no_time),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(small_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
