/* Guidance: see guidance.h. The one idea: texts are kept once for the whole job, however many
 * steps, parts and plans use them, and only those that a row with a share sees are made at all. */
#include "worker/task/guidance.h"

#include <stdlib.h>
#include <string.h>

/* One prompt on its way into a plan. */
typedef struct {
    guidances *out;
    const tokenizer *words;
    prompt_plan prompt;
    int *kept; /* for each text of the prompt: its index among the job's texts; -1: not kept yet */
} source;

static int no_memory(err *e)
{
    return err_set(e, ERR_NO_MEMORY, "no memory for the texts of the prompts");
}

/* ---------------------------------------------------------------- texts */

static int make_chunks(token_chunks *out, const char *text, const tokenizer *words, err *e)
{
    prompt p = {0};
    int rc = prompt_parse(&p, text, e);
    if (!rc)
        rc = token_chunks_make(out, words, &p, e);
    prompt_done(&p);
    return rc;
}

/* Takes the chunks over on success; their index. */
static int keep_chunks(guidances *g, const token_chunks *chunks, err *e)
{
    for (int i = 0; i < g->texts; i++)
        if (token_chunks_equal(&g->text[i], chunks)) {
            token_chunks same = *chunks;
            token_chunks_done(&same);
            return i;
        }
    if (g->chunks + chunks->count > GUIDANCE_CHUNKS_MAX)
        return err_set(e, ERR_TOO_LARGE,
                       "the prompts of all steps have more than %d chunks of tokens, expected at "
                       "most that: use fewer alternatives, or shorter ones",
                       GUIDANCE_CHUNKS_MAX);
    token_chunks *more = realloc(g->text, (size_t)(g->texts + 1) * sizeof *more);
    if (!more)
        return no_memory(e);
    g->text = more;
    g->text[g->texts] = *chunks;
    g->chunks += chunks->count;
    if (chunks->count > g->longest)
        g->longest = chunks->count;
    return g->texts++;
}

/* The index of a prompt's text among the job's texts, or an error. */
static int keep_text(source *s, int text, err *e)
{
    if (s->kept[text] >= 0)
        return s->kept[text];
    token_chunks chunks = {0};
    int rc = make_chunks(&chunks, s->prompt.text[text], s->words, e);
    if (rc)
        return rc;
    int index = keep_chunks(s->out, &chunks, e);
    if (index < 0)
        token_chunks_done(&chunks);
    else
        s->kept[text] = index;
    return index;
}

/* ---------------------------------------------------------------- rows */

static int add_row(source *s, guidance *g, const prompt_part *part, double share, err *e)
{
    if (share == 0)
        return 0;
    guidance_row *row = &g->row[g->rows];
    *row = (guidance_row){share, malloc((size_t)g->steps * sizeof *row->text)};
    if (!row->text)
        return no_memory(e);
    g->rows++;
    for (int i = 0; i < g->steps; i++) {
        row->text[i] = keep_text(s, part->text[i], e);
        if (row->text[i] < 0)
            return row->text[i];
    }
    return 0;
}

static int open_source(source *s, guidances *g, const char *text, int steps, prompt_role role,
                       err *e)
{
    s->out = g;
    int rc = prompt_plan_make(&s->prompt, text ? text : "", steps, role, e);
    if (rc)
        return rc;
    s->kept = malloc((size_t)s->prompt.texts * sizeof *s->kept);
    for (int i = 0; s->kept && i < s->prompt.texts; i++)
        s->kept[i] = -1;
    return s->kept ? 0 : no_memory(e);
}

static void close_source(source *s)
{
    prompt_plan_done(&s->prompt);
    free(s->kept);
}

static int add_rows(guidances *g, guidance *plan, const job *j, const tokenizer *words, err *e)
{
    source positive = {.words = words}, negative = {.words = words};
    double given = 0;
    int rc = open_source(&positive, g, j->prompt, plan->steps, PROMPT_POSITIVE, e);
    for (int i = 0; !rc && i < positive.prompt.parts; i++) {
        const prompt_part *part = &positive.prompt.part[i];
        given += j->cfg_scale * part->weight;
        rc = add_row(&positive, plan, part, j->cfg_scale * part->weight, e);
    }
    if (!rc)
        rc = open_source(&negative, g, j->negative_prompt, plan->steps, PROMPT_NEGATIVE, e);
    if (!rc)
        rc = add_row(&negative, plan, &negative.prompt.part[0], 1 - given, e);
    close_source(&positive);
    close_source(&negative);
    return rc;
}

static void plan_done(guidance *p)
{
    for (int i = 0; i < p->rows; i++)
        free(p->row[i].text);
}

int guidances_plan(guidances *g, const job *j, int steps, const tokenizer *words, err *e)
{
    for (int i = 0; i < g->plans; i++)
        if (g->plan[i].steps == steps)
            return i;
    guidance *more = realloc(g->plan, (size_t)(g->plans + 1) * sizeof *more);
    if (!more)
        return no_memory(e);
    g->plan = more;
    guidance *plan = &g->plan[g->plans];
    *plan = (guidance){.steps = steps};
    int rc = add_rows(g, plan, j, words, e);
    if (!rc)
        return g->plans++;
    plan_done(plan);
    return rc;
}

void guidances_done(guidances *g)
{
    for (int i = 0; i < g->plans; i++)
        plan_done(&g->plan[i]);
    for (int i = 0; i < g->texts; i++)
        token_chunks_done(&g->text[i]);
    free(g->plan);
    free(g->text);
    *g = (guidances){0};
}
