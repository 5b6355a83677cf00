/* Options: defaults, both ways to write a value, every refusal with what was found and what is
 * allowed, and a help text that follows the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/option.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

enum { WORDS_MAX = 24 };

static const char *const rngs[] = {"nv", "cpu", NULL};

static struct {
    bool fix_steps, steps_given, prompt_given;
    int64_t steps, budget, seed, untouched;
    double strength, scale;
    const char *prompt, *output;
    int rng;
} v;

static const option table[] = {
    {"fix-steps", OPTION_FLAG, &v.fix_steps, .help = "do exactly as many steps"},
    {"steps", OPTION_INT, &v.steps, .fallback = "20", .least = 1, .most = 150,
     .help = "steps of the schedule", .given = &v.steps_given},
    {"seed", OPTION_INT, &v.seed, .fallback = "-1", .least = -1, .most = INFINITY,
     .help = "seed of the first picture"},
    {"untouched", OPTION_INT, &v.untouched, .help = "a number without default"},
    {"memory-budget", OPTION_BYTES, &v.budget, .fallback = "6G", .least = 1 << 20, .most = 0x1p40,
     .help = "memory for weights and work"},
    {"denoising-strength", OPTION_REAL, &v.strength, .fallback = "0.75", .least = 0, .most = 1,
     .help = "how far to go from the input picture, and a text so long that it has to be broken "
             "into several lines"},
    {"scale", OPTION_REAL, &v.scale, .fallback = "7", .help = "a number without bounds"},
    {"prompt", OPTION_TEXT, &v.prompt, .fallback = "", .help = "what to paint",
     .given = &v.prompt_given},
    {"output", OPTION_TEXT, &v.output, .argument = "FILE", .help = "where the picture goes"},
    {"rng", OPTION_CHOICE, &v.rng, .fallback = "cpu", .choices = rngs, .help = "source of noise"},
    {0}};

/* `line` is split at '|', so that values may hold spaces and be empty. */
static int parse(const char *line, option_result *result, err *e)
{
    static char words[1024];
    static char *argv[WORDS_MAX + 1];
    int argc = 0;
    memset(&v, 0, sizeof v);
    v.untouched = 77;
    memset(e, 0, sizeof *e);
    strcpy(words, line);
    argv[argc++] = (char *)"overpaint";
    for (char *word = words; word && *line;) {
        char *end = strchr(word, '|');
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
        if (end)
            *end++ = 0;
        word = end;
    }
    argv[argc] = NULL;
    return option_parse(table, argc, argv, result, e);
}

static void defaults_come_from_the_table(void **state)
{
    (void)state;
    option_result result;
    err e;
    assert_int_equal(parse("", &result, &e), 0);
    assert_int_equal(v.steps, 20);
    assert_int_equal(v.seed, -1);
    assert_int_equal(v.untouched, 77);
    assert_int_equal(v.budget, 6LL << 30);
    assert_true(v.strength == 0.75);
    assert_true(v.scale == 7);
    assert_string_equal(v.prompt, "");
    assert_null(v.output);
    assert_int_equal(v.rng, 1);
    assert_false(v.fix_steps);
    assert_false(v.steps_given);
    assert_int_equal(result.operands, 0);
    assert_false(result.help);
}

static void values_and_operands(void **state)
{
    (void)state;
    option_result result;
    err e;
    assert_int_equal(parse("in.png|--steps|4|--prompt=a=b --c|--seed|-1|--fix-steps|-|--rng=NV|"
                           "--denoising-strength|.5|--steps=5|--output=--x|--|--steps|--help|-y",
                           &result, &e),
                     0);
    assert_int_equal(v.steps, 5); /* the last one counts */
    assert_true(v.steps_given);
    assert_true(v.prompt_given);
    assert_string_equal(v.prompt, "a=b --c");
    assert_string_equal(v.output, "--x");
    assert_int_equal(v.rng, 0);
    assert_true(v.strength == 0.5);
    assert_true(v.fix_steps);
    static const char *const operands[] = {"in.png", "-", "--steps", "--help", "-y"};
    assert_int_equal(result.operands, COUNT(operands));
    for (size_t i = 0; i < COUNT(operands); i++)
        assert_string_equal(result.operand[i], operands[i]);
    assert_false(result.help);
}

static void empty_text_is_a_value(void **state)
{
    (void)state;
    option_result result;
    err e;
    assert_int_equal(parse("--prompt||--output=|--steps|3", &result, &e), 0);
    assert_string_equal(v.prompt, "");
    assert_true(v.prompt_given);
    assert_string_equal(v.output, "");
    assert_int_equal(v.steps, 3);
}

static void bytes_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int64_t value;
    } rows[] = {
        {"--memory-budget|1048576", 1048576},    {"--memory-budget|2048K", 2 << 20},
        {"--memory-budget|5500M", 5500LL << 20}, {"--memory-budget|6.5G", 13LL << 29},
        {"--memory-budget|6.5gib", 13LL << 29},  {"--memory-budget|1T", 1LL << 40},
        {"--memory-budget|3MB", 3 << 20},        {"--memory-budget|2000000B", 2000000},
        {"--memory-budget|1.0000001M", 1048576}, /* rounded down */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        option_result result;
        err e;
        assert_int_equal(parse(rows[i].line, &result, &e), 0);
        assert_int_equal(v.budget, rows[i].value);
    }
}

/* Each line is refused; the message says what was found and what is allowed. */
static const struct {
    const char *line, *found, *expected;
} refused[] = {
    {"--stepz|4", "--stepz", "the nearest is --steps"},
    {"--stepz=4", "--stepz", "the nearest is --steps"},
    {"--step", "--step", "the nearest is --steps"},
    {"--hepl", "--hepl", "the nearest is --help"},
    {"--help=yes", "--help", "unknown option"},
    {"--STEPS|4", "--STEPS", "the nearest is --steps"},
    {"--=4", "--", "unknown option"},
    {"---steps|4", "---steps", "unknown option"},
    {"-steps|4", "\"-steps\"", "options start with --"},
    {"-x", "\"-x\"", "--help"},
    {"--steps", "--steps has no value", "a whole number"},
    {"--prompt|--steps|4", "--prompt has no value", "after '='"},
    {"--prompt|--", "--prompt has no value", "after '='"},
    {"--steps|", "--steps is \"\"", "a whole number, 1 to 150"},
    {"--steps=", "--steps is \"\"", "a whole number, 1 to 150"},
    {"--steps|0", "\"0\"", "1 to 150"},
    {"--steps|151", "\"151\"", "1 to 150"},
    {"--steps|4x", "\"4x\"", "a whole number"},
    {"--steps|4.0", "\"4.0\"", "a whole number"},
    {"--steps| 4", "\" 4\"", "a whole number"},
    {"--steps|0x10", "\"0x10\"", "a whole number"},
    {"--steps|99999999999999999999", "\"99999999999999999999\"", "1 to 150"},
    {"--seed|-2", "\"-2\"", "at least -1"},
    {"--seed|9223372036854775808", "\"9223372036854775808\"", "at least -1"},
    {"--denoising-strength|1.01", "\"1.01\"", "a number, 0 to 1"},
    {"--denoising-strength|-0.1", "\"-0.1\"", "0 to 1"},
    {"--denoising-strength|nan", "\"nan\"", "0 to 1"},
    {"--denoising-strength|0,5", "\"0,5\"", "0 to 1"},
    {"--scale|inf", "\"inf\"", "a number"},
    {"--scale|1e999", "\"1e999\"", "a number"},
    {"--memory-budget|1048575", "\"1048575\"", "1M to 1T"},
    {"--memory-budget|2T", "\"2T\"", "1M to 1T"},
    {"--memory-budget|8388608T", "\"8388608T\"", "1M to 1T"}, /* 2^63 */
    {"--memory-budget|9999999999T", "\"9999999999T\"", "1M to 1T"},
    {"--memory-budget|-5M", "\"-5M\"", "1M to 1T"},
    {"--memory-budget|1.5", "\"1.5\"", "1M to 1T"},
    {"--memory-budget|5 M", "\"5 M\"", "1M to 1T"},
    {"--memory-budget|5Mi", "\"5Mi\"", "1M to 1T"},
    {"--memory-budget|M", "\"M\"", "1M to 1T"},
    {"--memory-budget|5X", "\"5X\"", "1M to 1T"},
    {"--memory-budget|1e3M", "\"1e3M\"", "1M to 1T"},
    {"--memory-budget|0x10M", "\"0x10M\"", "1M to 1T"},
    {"--rng|gpu", "\"gpu\"", "one of nv, cpu"},
    {"--rng|", "\"\"", "one of nv, cpu"},
    {"--fix-steps=1", "--fix-steps is \"1\"", "expected nothing"},
    {"a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q", "more than 16", "operands"},
    {"--|a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q", "more than 16", "operands"},
    {"--steps|\x1b[2J", "?[2J", "a whole number"},
};

static void hostile_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        option_result result;
        err e;
        int rc = parse(refused[i].line, &result, &e);
        if (rc != ERR_INVALID || e.code != ERR_INVALID || !strstr(e.text, refused[i].found) ||
            !strstr(e.text, refused[i].expected))
            fail_msg("%s: rc %d, \"%s\", expected %s … %s", refused[i].line, rc, e.text,
                     refused[i].found, refused[i].expected);
    }
}

static void long_words_are_cut_in_messages(void **state)
{
    (void)state;
    char word[5000] = "--";
    memset(word + 2, 'x', sizeof word - 3);
    word[sizeof word - 1] = 0;
    char *name[] = {(char *)"overpaint", word, NULL};
    char *value[] = {(char *)"overpaint", (char *)"--steps", word + 2, NULL};
    option_result result;
    err e = {0};
    assert_int_equal(option_parse(table, 2, name, &result, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "the nearest is"));
    e = (err){0};
    assert_int_equal(option_parse(table, 3, value, &result, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "1 to 150"));
}

static void help_wins_over_mistakes(void **state)
{
    (void)state;
    option_result result;
    err e;
    assert_int_equal(parse("--nonsense|--steps|x|--help", &result, &e), 0);
    assert_true(result.help);
    assert_int_equal(v.steps, 20);
    assert_int_equal(e.code, ERR_OK);
}

static void help_follows_the_table(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    option_help(to, "overpaint img2img INPUT", table);
    fclose(to);
    assert_ptr_equal(strstr(text, "usage: overpaint img2img INPUT\n"), text);
    for (const option *o = table; o->name; o++) {
        char name[64], first[16];
        snprintf(name, sizeof name, "\n  --%s ", o->name);
        snprintf(first, sizeof first, "%.10s", o->help);
        const char *row = strstr(text, name);
        if (!row || !strstr(row, first))
            fail_msg("--help does not explain --%s:\n%s", o->name, text);
    }
    static const char *const parts[] = {"--steps N ",
                                        "(1 to 150; default 20)",
                                        "(at least -1; default -1)",
                                        "--output FILE",
                                        "(1M to 1T; default 6G)",
                                        "(nv, cpu; default cpu)",
                                        "what to paint\n",
                                        "(default 7)",
                                        "\n  --help ",
                                        "--memory-budget BYTES"};
    for (size_t i = 0; i < COUNT(parts); i++)
        if (!strstr(text, parts[i]))
            fail_msg("--help lacks \"%s\":\n%s", parts[i], text);
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        assert_true(length <= 96);
        assert_true(length == 0 || line[length - 1] != ' ');
        line += length + 1;
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_from_the_table),
        cmocka_unit_test(values_and_operands),
        cmocka_unit_test(empty_text_is_a_value),
        cmocka_unit_test(bytes_have_units),
        cmocka_unit_test(hostile_lines),
        cmocka_unit_test(long_words_are_cut_in_messages),
        cmocka_unit_test(help_wins_over_mistakes),
        cmocka_unit_test(help_follows_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
