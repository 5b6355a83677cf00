/* The "parameters" text. Reading follows the regular expressions web UIs use, by hand and in one
 * pass; writing quotes whatever those expressions would not give back. Prompts keep every byte. */
#include "proto/infotext.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json_text.h"
#include "proto/text.h"
#include "proto/unicode.h"

enum { PAIRS_LEAST = 3 }; /* a last line with fewer is no line of parameters */

static const char NEGATIVE[] = "Negative prompt:";

/* Keys whose numbers look real even when they are whole: 7.0. */
static const char *const always_real[] = {"CFG scale", NULL};

static int no_memory(err *e)
{
    return err_set(e, ERR_NO_MEMORY, "no memory for the parameters text");
}

/* Takes key and value over, whatever happens. */
static int take_entry(infotext *t, char *key, char *value, err *e)
{
    bool power_of_two =
        (t->count & (t->count - 1)) == 0; /* the array is full at every such count */
    infotext_entry *grown = t->entry;
    if (key && value && power_of_two)
        grown = realloc(t->entry, (t->count ? 2 * t->count : 1) * sizeof *grown);
    if (!key || !value || !grown) {
        free(key);
        free(value);
        return no_memory(e);
    }
    t->entry = grown;
    t->entry[t->count++] = (infotext_entry){key, value};
    return 0;
}

int infotext_add(infotext *t, const char *key, const char *value, err *e)
{
    return value ? take_entry(t, strdup(key), strdup(value), e) : 0;
}

/* The shortest decimal that reads back equal, with a point whatever the locale. */
static bool format_number(char text[32], double value)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return false;
    locale_t before = uselocale(c);
    double back = 0;
    if (value == floor(value) && fabs(value) < 1e16) {
        snprintf(text, 32, "%.0f", value);
    } else {
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, 32, "%.*g", digits, value);
            if (text_real(text, &back) && back == value)
                break;
        }
    }
    uselocale(before);
    freelocale(c);
    return true;
}

int infotext_add_number(infotext *t, const char *key, double value, err *e)
{
    if (!isfinite(value))
        return err_set(e, ERR_INVALID, "%s is %g, expected a finite number", key, value);
    char text[40];
    if (!format_number(text, value))
        return no_memory(e);
    for (int i = 0; always_real[i]; i++)
        if (strcmp(key, always_real[i]) == 0 && !strpbrk(text, ".e"))
            strcat(text, ".0");
    return infotext_add(t, key, text, e);
}

/* Web UIs quote for a comma, a line break or a colon. A value that would lose its quotation marks
 * or its white space in reading is quoted as well. */
static bool needs_quotes(const char *value)
{
    const char *end = value + strlen(value);
    return strpbrk(value, ",\n:") || *value == '"' || unicode_skip_space(value, end) != value ||
           unicode_trim_space(end, value) != end;
}

int infotext_write(const infotext *t, char **text, err *e)
{
    size_t size;
    char *made = NULL;
    FILE *to = open_memstream(&made, &size);
    if (!to)
        return no_memory(e);
    fputs(t->prompt ? t->prompt : "", to);
    if (t->negative_prompt && *t->negative_prompt)
        fprintf(to, "\n%s %s", NEGATIVE, t->negative_prompt);
    for (size_t i = 0; i < t->count; i++) {
        const infotext_entry *entry = &t->entry[i];
        fprintf(to, "%s%s", i ? ", " : "\n", entry->key);
        if (strcmp(entry->key, entry->value) == 0)
            continue;
        fputs(": ", to);
        if (needs_quotes(entry->value))
            json_text_write(to, entry->value);
        else
            fputs(entry->value, to);
    }
    bool failed = ferror(to);
    failed |= fclose(to) != 0;
    if (failed) {
        free(made);
        return no_memory(e);
    }
    *text = made;
    return 0;
}

typedef struct {
    const char *key, *key_end, *value, *value_end;
} pair;

static bool is_key(int32_t code)
{
    return unicode_is_word(code) || code == ' ' || code == '-' || code == '/';
}

/* \w[\w \-/]+: from `at` on. */
static bool find_key(const char *at, const char *end, pair *p)
{
    int32_t code = 0;
    p->key = NULL;
    int length = 0;
    for (size_t n; (n = unicode_at(at, end, &code)); at += n) {
        if (code == ':' && length >= 2) {
            p->key_end = at;
            return true;
        }
        if (p->key && is_key(code)) {
            length++;
        } else {
            p->key = unicode_is_word(code) ? at : NULL;
            length = 1;
        }
    }
    return false;
}

/* The end of the quoted string at `at`, "…" with escapes; NULL when it is none. */
static const char *quoted_end(const char *at, const char *end)
{
    if (at == end || *at != '"')
        return NULL;
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\' && at + 1 < end;
    return at < end ? at + 1 : NULL;
}

/* The next "Key: value" from *at on; *at moves past it. */
static bool next_pair(const char **at, const char *end, pair *p)
{
    if (!find_key(*at, end, p))
        return false;
    p->value = unicode_skip_space(p->key_end + 1, end);
    p->value_end = quoted_end(p->value, end);
    if (!p->value_end || (p->value_end < end && *p->value_end != ',')) {
        p->value_end = memchr(p->value, ',', (size_t)(end - p->value));
        if (!p->value_end)
            p->value_end = end;
    }
    *at = p->value_end + (p->value_end < end);
    return true;
}

static bool is_parameters(const char *line, const char *end)
{
    pair p;
    int pairs = 0;
    while (pairs < PAIRS_LEAST && next_pair(&line, end, &p))
        pairs++;
    return pairs == PAIRS_LEAST;
}

static int read_pairs(infotext *t, const char *line, const char *end, err *e)
{
    pair p;
    int status = 0;
    while (status == 0 && next_pair(&line, end, &p)) {
        char *value = NULL;
        size_t size = (size_t)(p.value_end - p.value);
        if (!json_text_read(&value, p.value, size)) /* then it means itself */
            value = strndup(p.value, size);
        status = take_entry(t, strndup(p.key, (size_t)(p.key_end - p.key)), value, e);
    }
    return status;
}

/* The first line that starts with "Negative prompt:", white space before it allowed; *after is what
 * follows those words. */
static const char *find_negative(const char *line, const char *end, const char **after)
{
    const size_t size = sizeof NEGATIVE - 1;
    for (;;) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        if (!line_end)
            line_end = end;
        const char *word = unicode_skip_space(line, line_end);
        if ((size_t)(line_end - word) >= size && memcmp(word, NEGATIVE, size) == 0) {
            *after = word + size;
            return line;
        }
        if (line_end == end)
            return NULL;
        line = line_end + 1;
    }
}

/* Everything but the line of parameters. */
static int read_prompts(infotext *t, const char *text, const char *end, err *e)
{
    const char *after = end, *negative = find_negative(text, end, &after);
    const char *prompt_end = negative ? negative - (negative > text) : end;
    after += after < end && *after == ' ';
    t->prompt = strndup(text, (size_t)(prompt_end - text));
    t->negative_prompt = strndup(after, (size_t)(end - after));
    return t->prompt && t->negative_prompt ? 0 : no_memory(e);
}

int infotext_read(infotext *t, const char *text, err *e)
{
    *t = (infotext){0};
    const char *end = text + strlen(text), *last_end = unicode_trim_space(end, text);
    const char *before = memrchr(text, '\n', (size_t)(last_end - text));
    const char *last = before ? before + 1 : text;
    bool parameters = is_parameters(last, last_end);
    int status = read_prompts(t, text, !parameters ? end : before ? before : text, e);
    if (status == 0 && parameters)
        status = read_pairs(t, last, last_end, e);
    if (status)
        infotext_done(t);
    return status;
}

void infotext_done(infotext *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->entry[i].key);
        free(t->entry[i].value);
    }
    free(t->entry);
    free(t->prompt);
    free(t->negative_prompt);
    *t = (infotext){0};
}
