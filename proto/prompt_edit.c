/* Prompt editing and alternation. The one idea: every square bracket and every separator of one
 * leaves a mark, and the marks of a group are linked; the text of a step is then copied in one walk
 * that jumps from a group's opening to the chosen entry, and from that entry's end behind the
 * group. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/prompt_grammar.h"

typedef enum { GROUP_PLAIN, GROUP_EDIT, GROUP_ALTERNATE } group_kind;

/* A pair of square brackets. Until it is closed it is plain, which is also what it stays when it is
 * neither of the others: its marks mean nothing then. */
typedef struct {
    group_kind kind;
    char separator; /* ':' or '|', whichever came first outside round brackets; 0: none */
    int separators;
    size_t open, close; /* its first and last mark */
    double when;        /* editing: a step, or a fraction of all steps */
    bool fraction;
} group;

typedef struct {
    const char *at;
    size_t group;
    size_t next; /* mark of the group, not of its last */
} mark;

struct prompt_edit {
    const char *text, *end;
    mark *mark;
    group *group;
    size_t marks, groups;
    bool changes;
};

/* A group that is not closed yet. */
typedef struct {
    size_t group, last; /* last: its last mark */
    int rounds;         /* round brackets open within */
} level;

typedef struct {
    prompt_edit *out;
    level open[PROMPT_DEPTH_MAX];
    int depth;
} scanner;

/* ---------------------------------------------------------------- parsing */

static size_t add_mark(prompt_edit *p, const char *at, size_t of)
{
    p->mark[p->marks] = (mark){.at = at, .group = of};
    return p->marks++;
}

static int open_group(scanner *s, const char *at, err *e)
{
    prompt_edit *p = s->out;
    if (s->depth == PROMPT_DEPTH_MAX)
        return err_set(e, ERR_TOO_LARGE,
                       "the prompt has more than %d brackets open at once, expected at most that",
                       PROMPT_DEPTH_MAX);
    const size_t first = add_mark(p, at, p->groups);
    s->open[s->depth++] = (level){.group = p->groups, .last = first};
    p->group[p->groups++] = (group){.open = first};
    return 0;
}

static void link_mark(prompt_edit *p, level *l, const char *at)
{
    const size_t added = add_mark(p, at, l->group);
    p->mark[l->last].next = added;
    l->last = added;
}

static void separate(prompt_edit *p, level *l, const char *at)
{
    group *g = &p->group[l->group];
    if (l->rounds || (g->separator && g->separator != *at))
        return;
    g->separator = *at;
    g->separators++;
    link_mark(p, l, at);
}

static void close_group(prompt_edit *p, level *l, const char *at)
{
    group *g = &p->group[l->group];
    const char *last = p->mark[l->last].at + 1;
    link_mark(p, l, at);
    g->close = l->last;
    if (g->separator == '|') {
        g->kind = GROUP_ALTERNATE;
    } else if (g->separator && g->separators <= 2 && prompt_number(last, at, &g->when)) {
        g->kind = GROUP_EDIT;
        g->fraction = memchr(last, '.', (size_t)(at - last));
    }
    p->changes |= g->kind != GROUP_PLAIN;
}

static int scan(scanner *s, err *e)
{
    prompt_edit *p = s->out;
    int status = 0;
    for (const char *at = p->text; at < p->end && status == 0; at++) {
        level *inner = s->depth ? &s->open[s->depth - 1] : NULL;
        if (*at == '\\')
            at++; /* whatever follows is text */
        else if (*at == '[')
            status = open_group(s, at, e);
        else if (!inner)
            continue;
        else if (*at == '(')
            inner->rounds++;
        else if (*at == ')')
            inner->rounds--;
        else if (*at == ':' || *at == '|')
            separate(p, inner, at);
        else if (*at == ']')
            close_group(p, &s->open[--s->depth], at);
    }
    if (s->depth) { /* one was never closed: all of it is text */
        p->marks = 0;
        p->changes = false;
    }
    return status;
}

static size_t count_marks(const char *text, const char *end)
{
    size_t count = 0;
    for (; text < end; text++)
        count += strchr("[]:|", *text) != NULL;
    return count;
}

prompt_edit *prompt_edit_new(const char *text, const char *end, err *e)
{
    const size_t most = count_marks(text, end) + 1;
    scanner *s = calloc(1, sizeof *s);
    prompt_edit *p = calloc(1, sizeof *p);
    if (p) {
        *p = (prompt_edit){.text = text, .end = end};
        p->mark = malloc(most * sizeof *p->mark);
        p->group = malloc(most * sizeof *p->group);
    }
    int status = 0;
    if (s && p && p->mark && p->group) {
        s->out = p;
        status = scan(s, e);
    } else {
        status = err_set(e, ERR_NO_MEMORY, "no memory to parse a prompt with %zu marks", most);
    }
    free(s);
    if (status)
        prompt_edit_free(&p);
    return p;
}

void prompt_edit_free(prompt_edit **at)
{
    prompt_edit *p = *at;
    if (!p)
        return;
    free(p->mark);
    free(p->group);
    free(p);
    *at = NULL;
}

bool prompt_edit_changes(const prompt_edit *p)
{
    return p->changes;
}

/* ---------------------------------------------------------------- the text of a step */

/* The mark before the chosen entry; the closing one when nothing is chosen. */
static size_t choose(const prompt_edit *p, const group *g, int step, int steps)
{
    int entry = (step - 1) % (g->separators + 1);
    if (g->kind == GROUP_EDIT) {
        const bool before = step <= floor(g->fraction ? g->when * steps : g->when);
        if (g->separators == 1 && before)
            return g->close;
        entry = g->separators == 2 && !before;
    }
    size_t at = g->open;
    while (entry--)
        at = p->mark[at].next;
    return at;
}

char *prompt_edit_at(const prompt_edit *p, int step, int steps)
{
    char *out = malloc((size_t)(p->end - p->text) + 1), *to = out;
    if (!out)
        return NULL;
    const char *from = p->text;
    for (size_t i = 0; i < p->marks; i++) {
        const group *g = &p->group[p->mark[i].group];
        if (g->kind == GROUP_PLAIN)
            continue;
        to = mempcpy(to, from, (size_t)(p->mark[i].at - from));
        i = i == g->open ? choose(p, g, step, steps) : g->close;
        from = p->mark[i].at + 1;
    }
    to = mempcpy(to, from, (size_t)(p->end - from));
    *to = 0;
    return out;
}
