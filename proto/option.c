/* Options: see option.h. The table is the only description: a default is parsed by the same
 * function as what the user types, and --help prints the rows. */
#include "proto/option.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "proto/log.h"
#include "proto/text.h"

enum { WORD_TEXT = 80, RANGE_TEXT = 256, HELP_TEXT = 1024, HELP_COLUMN = 28, LINE_COLUMNS = 96 };

static bool is_bounded(const option *o)
{
    return o->least != 0 || o->most != 0;
}

static bool is_within(const option *o, double value)
{
    return !is_bounded(o) || (value >= o->least && value <= o->most);
}

/* "K", "KB" or "KiB" and so on, without regard to case: the power of two, or -1. */
static int unit_bits(const char *unit)
{
    static const char letters[] = "kmgt";
    if (!*unit || text_same(unit, "b"))
        return 0;
    const char *letter = strchr(letters, text_lower_ascii(*unit));
    const char *rest = unit + 1;
    if (!letter || (*rest && !text_same(rest, "b") && !text_same(rest, "ib")))
        return -1;
    return 10 * (int)(letter - letters + 1);
}

static bool parse_bytes(const char *word, int64_t *value)
{
    char number[WORD_TEXT];
    size_t digits = strspn(word, "+-.0123456789");
    int bits = unit_bits(word + digits);
    if (digits >= sizeof number || bits < 0)
        return false;
    memcpy(number, word, digits);
    number[digits] = 0;
    if (bits == 0)
        return text_whole(number, value);
    double amount;
    if (!text_real(number, &amount))
        return false;
    amount = ldexp(amount, bits);
    if (fabs(amount) >= 0x1p63)
        return false;
    *value = (int64_t)amount;
    return true;
}

static bool parse_choice(const char *word, const char *const *choices, int *value)
{
    for (int i = 0; choices[i]; i++)
        if (text_same(word, choices[i])) {
            *value = i;
            return true;
        }
    return false;
}

/* Writes the value where the row says; false when the word is no such value or out of bounds. */
static bool store(const option *o, const char *word)
{
    int64_t whole;
    double real;
    switch (o->type) {
    case OPTION_FLAG:
        assert(!word);
        *(bool *)o->value = true;
        return true;
    case OPTION_TEXT: *(const char **)o->value = word; return true;
    case OPTION_CHOICE: return parse_choice(word, o->choices, o->value);
    case OPTION_REAL:
        if (!text_real(word, &real) || !is_within(o, real))
            return false;
        *(double *)o->value = real;
        return true;
    case OPTION_INT:
    case OPTION_BYTES:
        if (!(o->type == OPTION_INT ? text_whole : parse_bytes)(word, &whole) ||
            !is_within(o, (double)whole))
            return false;
        *(int64_t *)o->value = whole;
        return true;
    }
    assert(!"an option type of the enum");
    return false;
}

/* ---------------------------------------------------------------- what a row allows, in words */

static const struct {
    const char *argument; /* in --help */
    const char *expected; /* in an error, before the range */
} type_words[] = {
    [OPTION_FLAG] = {"", "nothing"},
    [OPTION_INT] = {"N", "a whole number"},
    [OPTION_REAL] = {"X", "a number"},
    [OPTION_TEXT] = {"TEXT", "text"},
    [OPTION_BYTES] = {"BYTES", "bytes such as 1048576, 512M or 6.5G"},
    [OPTION_CHOICE] = {"NAME", "one of"},
};

static void print_bound(const option *o, double bound, char *to, size_t size)
{
    const char *unit = "";
    if (o->type == OPTION_BYTES)
        for (int i = 0; i < 4 && fabs(bound) >= 1024 && fmod(bound, 1024) == 0; i++) {
            bound /= 1024;
            unit = &"K\0M\0G\0T"[2 * i];
        }
    snprintf(to, size, "%.15g%s", bound, unit);
}

/* "1 to 150", "at least 1", "nv, cpu"; empty when everything of the type is allowed. */
static void print_range(const option *o, char to[RANGE_TEXT])
{
    char least[32], most[32];
    to[0] = 0;
    if (o->type == OPTION_CHOICE) {
        for (size_t i = 0, used = 0; o->choices[i] && used < RANGE_TEXT; i++)
            used += (size_t)snprintf(to + used, RANGE_TEXT - used, "%s%s", i ? ", " : "",
                                     o->choices[i]);
        return;
    }
    if (!is_bounded(o))
        return;
    print_bound(o, o->least, least, sizeof least);
    print_bound(o, o->most, most, sizeof most);
    if (o->most >= 0x1p63)
        snprintf(to, RANGE_TEXT, "at least %s", least);
    else if (o->least <= -0x1p63)
        snprintf(to, RANGE_TEXT, "at most %s", most);
    else
        snprintf(to, RANGE_TEXT, "%s to %s", least, most);
}

static int refuse_value(const option *o, const char *word, err *e)
{
    char found[WORD_TEXT], range[RANGE_TEXT];
    print_range(o, range);
    return err_set(e, ERR_INVALID, "--%s is %s, expected %s%s%s", o->name,
                   log_quote(found, sizeof found, word), type_words[o->type].expected,
                   *range ? o->type == OPTION_CHOICE ? " " : ", " : "", range);
}

/* ---------------------------------------------------------------- reading the command line */

typedef struct {
    const option *table;
    int argc, next; /* argv[next] is the word to read */
    char **argv;
} reader;

static const option *find_row(const option *table, const char *name, size_t length)
{
    for (const option *o = table; o->name; o++)
        if (strlen(o->name) == length && !memcmp(o->name, name, length))
            return o;
    return NULL;
}

static int refuse_name(const option *table, const char *name, size_t length, err *e)
{
    const char *names[OPTION_ROWS_MAX + 2] = {"help"};
    for (int i = 0; table[i].name; i++) {
        assert(i < OPTION_ROWS_MAX);
        names[i + 1] = table[i].name;
    }
    char word[WORD_TEXT], found[WORD_TEXT];
    snprintf(word, sizeof word, "--%.*s", (int)(length < sizeof word ? length : sizeof word), name);
    return err_set(e, ERR_INVALID, "unknown option %s, the nearest is --%s",
                   log_quote(found, sizeof found, word), text_nearest(word + 2, names));
}

/* Reads the option at `next` and its value, which stands behind '=' or is the next word. */
static int read_option(reader *r, err *e)
{
    const char *name = r->argv[r->next++] + 2, *value = NULL;
    size_t length = strcspn(name, "=");
    const option *o = find_row(r->table, name, length);
    if (!o)
        return refuse_name(r->table, name, length, e);
    if (name[length])
        value = name + length + 1;
    if (o->type == OPTION_FLAG && value)
        return refuse_value(o, value, e);
    if (o->type != OPTION_FLAG && !value) {
        if (r->next == r->argc || !strncmp(r->argv[r->next], "--", 2))
            return err_set(e, ERR_INVALID, "--%s has no value, expected %s%s", o->name,
                           type_words[o->type].expected,
                           r->next == r->argc ? "" : " (after '=' if it starts with --)");
        value = r->argv[r->next++];
    }
    if (!store(o, value))
        return refuse_value(o, value, e);
    if (o->given)
        *o->given = true;
    return 0;
}

static int add_operand(option_result *result, const char *word, err *e)
{
    if (result->operands == OPTION_OPERANDS_MAX)
        return err_set(e, ERR_INVALID, "more than %d operands", OPTION_OPERANDS_MAX);
    result->operand[result->operands++] = word;
    return 0;
}

/* The word at `next`: an option, an operand, or the "--" after which all are operands. */
static int read_word(reader *r, option_result *result, err *e)
{
    const char *word = r->argv[r->next];
    char found[WORD_TEXT];
    if (word[0] != '-' || !word[1]) {
        r->next++;
        return add_operand(result, word, e);
    }
    if (word[1] != '-')
        return err_set(e, ERR_INVALID, "unknown option %s, options start with --, see --help",
                       log_quote(found, sizeof found, word));
    if (word[2])
        return read_option(r, e);
    int rc = 0;
    for (r->next++; !rc && r->next < r->argc; r->next++)
        rc = add_operand(result, r->argv[r->next], e);
    return rc;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

int option_parse(const option *table, int argc, char **argv, option_result *result, err *e)
{
    *result = (option_result){0};
    for (const option *o = table; o->name; o++) {
        if (o->given)
            *o->given = false;
        bool stored = !o->fallback || store(o, o->fallback);
        assert(stored);
        (void)stored;
    }
    if (asks_for_help(argc, argv)) {
        result->help = true;
        return 0;
    }
    reader r = {.table = table, .argc = argc, .next = 1, .argv = argv};
    int rc = 0;
    while (!rc && r.next < argc)
        rc = read_word(&r, result, e);
    return rc;
}

/* ---------------------------------------------------------------- --help */

/* One row: the option, then its text from HELP_COLUMN on, broken between words. */
static void print_row(FILE *to, const char *name, const char *argument, const char *text)
{
    int column = fprintf(to, "  --%s%s%s", name, *argument ? " " : "", argument);
    if (column >= HELP_COLUMN)
        column = LINE_COLUMNS; /* the text starts on the next line */
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column + 1 + length > LINE_COLUMNS && column > HELP_COLUMN) {
            fputc('\n', to);
            column = 0;
        }
        int gap = column < HELP_COLUMN ? HELP_COLUMN - column : 1;
        fprintf(to, "%*s%.*s", gap, "", length, text);
        column += gap + length;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

void option_help(FILE *to, const char *usage, const option *table)
{
    fprintf(to, "usage: %s\n\n", usage);
    for (const option *o = table; o->name; o++) {
        char range[RANGE_TEXT], text[HELP_TEXT];
        print_range(o, range);
        bool shows_default = o->fallback && *o->fallback;
        snprintf(text, sizeof text, "%s%s%s%s%s%s%s", o->help, *range || shows_default ? " (" : "",
                 range, *range && shows_default ? "; " : "", shows_default ? "default " : "",
                 shows_default ? o->fallback : "", *range || shows_default ? ")" : "");
        print_row(to, o->name, o->argument ? o->argument : type_words[o->type].argument, text);
    }
    print_row(to, "help", "", "print this and exit");
}
