/* Plans of prompts: see prompt_plan.h. The one idea: every step's text is made, and only new ones
 * are kept; how many that can be is bounded by the steps, whatever the text says. */
#include "proto/prompt_plan.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/prompt_grammar.h"

typedef struct {
    prompt_plan *out;
    uint64_t *hash; /* of each text, so that few are compared */
} planner;

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

/* Takes the text over; its index. */
static int keep_text(planner *p, char *text)
{
    prompt_plan *plan = p->out;
    const uint64_t hash = hash_of(text);
    for (int i = 0; i < plan->texts; i++)
        if (p->hash[i] == hash && !strcmp(plan->text[i], text)) {
            free(text);
            return i;
        }
    p->hash[plan->texts] = hash;
    plan->text[plan->texts] = text;
    return plan->texts++;
}

static int no_memory(const prompt_plan *plan, err *e)
{
    return err_set(e, ERR_NO_MEMORY, "no memory for the texts of %d steps", plan->steps);
}

static int plan_part(planner *p, const prompt_slice *slice, err *e)
{
    prompt_plan *plan = p->out;
    prompt_part *part = &plan->part[plan->parts];
    prompt_edit *edit = prompt_edit_new(slice->text, slice->end, e);
    if (!edit)
        return e->code;
    int status = 0;
    *part = (prompt_part){slice->weight, malloc((size_t)plan->steps * sizeof *part->text)};
    if (part->text)
        plan->parts++;
    else
        status = no_memory(plan, e);
    for (int i = 0; i < plan->steps && status == 0; i++) {
        char *text = NULL;
        if (i > 0 && !prompt_edit_changes(edit))
            part->text[i] = part->text[0];
        else if ((text = prompt_edit_at(edit, i + 1, plan->steps)))
            part->text[i] = keep_text(p, text);
        else
            status = no_memory(plan, e);
    }
    prompt_edit_free(&edit);
    return status;
}

int prompt_plan_make(prompt_plan *out, const char *text, int steps, prompt_role role, err *e)
{
    err local = {0};
    if (!e)
        e = &local;
    prompt_slice slice[PROMPT_PARTS_MAX];
    int parts = 0;
    *out = (prompt_plan){.steps = steps};
    assert(steps >= 1);
    int status = prompt_split(slice, &parts, text, role, e);
    if (status)
        return status;
    const size_t most = (size_t)parts * (size_t)steps;
    planner p = {.out = out, .hash = malloc(most * sizeof *p.hash)};
    out->text = malloc(most * sizeof *out->text);
    if (!p.hash || !out->text)
        status = no_memory(out, e);
    for (int i = 0; i < parts && status == 0; i++)
        status = plan_part(&p, &slice[i], e);
    free(p.hash);
    if (status)
        prompt_plan_done(out);
    return status;
}

void prompt_plan_done(prompt_plan *p)
{
    for (int i = 0; i < p->texts; i++)
        free(p->text[i]);
    for (int i = 0; i < p->parts; i++)
        free(p->part[i].text);
    free(p->text);
    *p = (prompt_plan){0};
}
