/* Weights in brackets and BREAK. The one idea: the result is one growing text cut into pieces; a
 * bracket remembers how many pieces there were when it opened, and closing it multiplies the
 * weights of all pieces made since. Merging neighbours of equal weight is then only moving a cut.
 */
#include "proto/prompt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/prompt_grammar.h"
#include "proto/text.h"
#include "proto/unicode.h"

static const double ROUND_WEIGHT = 1.1, SQUARE_WEIGHT = 1 / 1.1;

typedef struct {
    size_t end; /* of its text; it starts where the piece before ends */
    double weight;
    bool is_break;
} cut;

typedef struct {
    char *text; /* everything but the grammar, as long as the prompt at most */
    size_t size;
    cut *piece;
    size_t count;
    size_t round[PROMPT_DEPTH_MAX], square[PROMPT_DEPTH_MAX]; /* pieces when it opened */
    int rounds, squares;
} parser;

static void add_piece(parser *p, const char *text, size_t size)
{
    memcpy(p->text + p->size, text, size);
    p->size += size;
    p->piece[p->count++] = (cut){p->size, 1, false};
}

static void add_break(parser *p)
{
    p->piece[p->count++] = (cut){p->size, -1, true};
}

static void multiply(parser *p, size_t from, double factor)
{
    for (size_t i = from; i < p->count; i++)
        if (!p->piece[i].is_break)
            p->piece[i].weight *= factor;
}

static bool stands_alone(const char *at, const char *after, const char *start, const char *end)
{
    int32_t code;
    return !(unicode_before(at, start, &code) && unicode_is_word(code)) &&
           !(unicode_at(after, end, &code) && unicode_is_word(code));
}

const char *prompt_find_word(const char *word, const char *start, const char *from, const char *end)
{
    size_t size = strlen(word);
    while ((from = memmem(from, (size_t)(end - from), word, size))) {
        if (stands_alone(from, from + size, start, end))
            return from;
        from += size;
    }
    return NULL;
}

/* Text without grammar characters: its parts, and a BREAK with the white space around it between
 * two of them. */
static void add_text(parser *p, const char *text, const char *end)
{
    static const char word[] = "BREAK";
    const char *part = text, *found;
    while ((found = prompt_find_word(word, text, part, end))) {
        add_piece(p, part, (size_t)(unicode_trim_space(found, part) - part));
        add_break(p);
        part = unicode_skip_space(found + sizeof word - 1, end);
    }
    add_piece(p, part, (size_t)(end - part));
}

/* The bytes of ":number)" at `at`, white space allowed around the number; 0 when it is not that. A
 * number has a sign, digits and a point, no exponent. */
static size_t weight_suffix(const char *at, const char *end, double *weight)
{
    const char *number = unicode_skip_space(at + 1, end);
    size_t size = strspn(number, "+-.0123456789");
    const char *close = unicode_skip_space(number + size, end);
    char copy[PROMPT_NUMBER_MAX + 1];
    if (size > PROMPT_NUMBER_MAX || *close != ')')
        return 0;
    memcpy(copy, number, size);
    copy[size] = 0;
    return text_real(copy, weight) ? (size_t)(close + 1 - at) : 0;
}

static int open_bracket(parser *p, char bracket, err *e)
{
    if (p->rounds + p->squares == PROMPT_DEPTH_MAX)
        return err_set(e, ERR_TOO_LARGE,
                       "the prompt has more than %d brackets open at once, expected at most that",
                       PROMPT_DEPTH_MAX);
    if (bracket == '(')
        p->round[p->rounds++] = p->count;
    else
        p->square[p->squares++] = p->count;
    return 0;
}

/* A closing bracket or a colon; returns the bytes it took. */
static size_t close_bracket(parser *p, const char *at, const char *end)
{
    double weight;
    size_t suffix = *at == ':' ? weight_suffix(at, end, &weight) : 0;
    if (suffix && p->rounds)
        multiply(p, p->round[--p->rounds], weight);
    else if (*at == ')' && p->rounds)
        multiply(p, p->round[--p->rounds], ROUND_WEIGHT);
    else if (*at == ']' && p->squares)
        multiply(p, p->square[--p->squares], SQUARE_WEIGHT);
    else
        add_piece(p, at, suffix ? suffix : 1);
    return suffix ? suffix : 1;
}

static int scan(parser *p, const char *text, const char *end, err *e)
{
    while (text < end) {
        size_t plain = strcspn(text, "\\()[]:");
        if (plain) {
            add_text(p, text, text + plain);
            text += plain;
        } else if (*text == '\\') { /* escapes a bracket or itself; alone it disappears */
            if (text[1] && strchr("()[]\\", text[1]))
                add_piece(p, ++text, 1);
            text++;
        } else if (*text == '(' || *text == '[') {
            int status = open_bracket(p, *text++, e);
            if (status)
                return status;
        } else {
            text += close_bracket(p, text, end);
        }
    }
    for (int i = 0; i < p->rounds; i++)
        multiply(p, p->round[i], ROUND_WEIGHT);
    for (int i = 0; i < p->squares; i++)
        multiply(p, p->square[i], SQUARE_WEIGHT);
    if (p->count == 0)
        add_piece(p, "", 0);
    return 0;
}

/* Joins neighbours of equal weight. */
static int merge(parser *p, err *e)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        cut now = p->piece[i], *before = kept ? &p->piece[kept - 1] : NULL;
        if (!isfinite(now.weight))
            return err_set(e, ERR_INVALID, "the weights of the prompt multiply to infinity");
        if (before && !before->is_break && !now.is_break && before->weight == now.weight)
            before->end = now.end;
        else
            p->piece[kept++] = now;
    }
    p->count = kept;
    return 0;
}

static int take_pieces(prompt *out, const parser *p, err *e)
{
    size_t start = 0;
    out->piece = calloc(p->count, sizeof *out->piece);
    for (size_t i = 0; out->piece && i < p->count; i++) {
        const cut *c = &p->piece[i];
        char *text = strndup(p->text + start, c->end - start);
        if (!text)
            break;
        out->piece[out->count++] = (prompt_piece){text, c->weight, c->is_break};
        start = c->end;
    }
    if (out->count == p->count)
        return 0;
    prompt_done(out);
    return err_set(e, ERR_NO_MEMORY, "no memory for %zu pieces of a prompt", p->count);
}

int prompt_parse(prompt *out, const char *text, err *e)
{
    *out = (prompt){0};
    size_t size = strlen(text), at = 0;
    if (!text_is_utf8(text, size, &at))
        return err_set(e, ERR_INVALID, "the prompt is not UTF-8 at byte %zu", at);
    parser *p = calloc(1, sizeof *p);
    if (p) { /* every byte makes one piece at most, and the text between two BREAKs one more */
        p->text = malloc(size + 1);
        p->piece = malloc((size + 2) * sizeof *p->piece);
    }
    int status = p && p->text && p->piece
                     ? scan(p, text, text + size, e)
                     : err_set(e, ERR_NO_MEMORY, "no memory to parse %zu bytes", size);
    if (status == 0)
        status = merge(p, e);
    if (status == 0)
        status = take_pieces(out, p, e);
    if (p) {
        free(p->text);
        free(p->piece);
    }
    free(p);
    return status;
}

void prompt_done(prompt *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->piece[i].text);
    free(p->piece);
    *p = (prompt){0};
}
