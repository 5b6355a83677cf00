/* What this version refuses. The rules are those by which a web UI would read the text as grammar;
 * where it would not ("at 12:30", "[low]", "a | b"), the text is fine. */
#include <string.h>

#include "proto/prompt.h"
#include "proto/prompt_grammar.h"
#include "proto/text.h"
#include "proto/unicode.h"

enum { EXCERPT_BYTES = 48 };

static int refuse(const char *what, const char *text, const char *at, const char *end, err *e)
{
    int shown = (int)(end - at);
    if (shown > EXCERPT_BYTES) {
        shown = EXCERPT_BYTES;
        while (shown && (at[shown] & 0xC0) == 0x80) /* not within a character */
            shown--;
    }
    return err_set(e, ERR_INVALID,
                   "the prompt uses %s at byte %zu (%.*s%s), which is not supported yet", what,
                   (size_t)(at - text), shown, at, at + shown < end ? "..." : "");
}

/* A square bracket that is open, and what was seen in it outside round brackets. */
typedef struct {
    const char *open;
    const char *last; /* just after the last separator */
    char separator;   /* ':' or '|', whichever came first; 0: none yet */
    int separators;   /* of that kind */
    int rounds;
} group;

/* When an edit happens: a number and nothing else but white space. */
static bool is_when(const char *text, const char *end)
{
    text = unicode_skip_space(text, end);
    end = unicode_trim_space(end, text);
    char number[PROMPT_NUMBER_MAX + 1];
    size_t size = (size_t)(end - text);
    if (size > PROMPT_NUMBER_MAX)
        return false;
    memcpy(number, text, size);
    number[size] = 0;
    double value;
    return text_real(number, &value);
}

static int check_group(const group *g, const char *text, const char *close, err *e)
{
    if (g->separator == '|')
        return refuse("alternation", text, g->open, close + 1, e);
    if (g->separator == ':' && g->separators <= 2 && is_when(g->last, close))
        return refuse("prompt editing", text, g->open, close + 1, e);
    return 0;
}

static void see(group *g, const char *at)
{
    if (*at == '(') {
        g->rounds++;
    } else if (*at == ')') {
        g->rounds--;
    } else if (g->rounds == 0 && (g->separators == 0 || g->separator == *at)) {
        g->separator = *at;
        g->separators++;
        g->last = at + 1;
    }
}

/* Editing and alternation, inner brackets before outer ones; depth was checked by the parser. */
static int check_brackets(const char *text, err *e)
{
    group open[PROMPT_DEPTH_MAX];
    int depth = 0;
    for (const char *at = text + strcspn(text, "\\[]():|"); *at; at += strcspn(at, "\\[]():|")) {
        int status = 0;
        if (*at == '\\' && at[1])
            at++;
        else if (*at == '[')
            open[depth++] = (group){.open = at}; /* in bounds: the parser counts more */
        else if (*at == ']' && depth)
            status = check_group(&open[--depth], text, at, e);
        else if (depth && strchr("():|", *at))
            see(&open[depth - 1], at);
        if (status)
            return status;
        at++;
    }
    return 0;
}

/* <name:anything>: a tag of an extra network. */
static int check_tags(const char *text, const char *end, err *e)
{
    for (const char *at = text; (at = strchr(at, '<')); at++) {
        const char *colon = at + 1;
        int32_t code;
        for (size_t n; (n = unicode_at(colon, end, &code)) && unicode_is_word(code);)
            colon += n;
        if (colon == at + 1 || *colon != ':')
            continue;
        const char *close = strchr(colon, '>');
        if (!close)
            return 0; /* no later tag is closed either */
        if (close > colon + 1)
            return refuse("an extra network", text, at, close + 1, e);
    }
    return 0;
}

int prompt_check(const char *text, err *e)
{
    prompt parsed;
    int status = prompt_parse(&parsed, text, e); /* what it refuses cannot be run either */
    prompt_done(&parsed);
    if (status)
        return status;
    const char *end = text + strlen(text), *found = prompt_find_word("AND", text, text, end);
    if (found)
        return refuse("AND", text, found, found + 3, e);
    status = check_brackets(text, e);
    return status ? status : check_tags(text, end, e);
}
