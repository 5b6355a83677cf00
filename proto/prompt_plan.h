/* Prompts over the steps of a picture: prompt editing `[from:to:when]`, alternation `[a|b]` and
 * AND. What remains of the grammar is each text's own business (prompt.h).
 *
 * The clock is the steps that really run, counted from 1: img2img at strength 0.5 of 20 steps runs
 * eleven, and "0.5" is after the fifth of them. Both evaluations of a second-order step see one
 * text.
 */
#ifndef PROTO_PROMPT_PLAN_H
#define PROTO_PROMPT_PLAN_H

#include "proto/prompt.h"

/* One of the prompts joined by AND; a prompt without AND is one part of weight 1. */
typedef struct {
    double weight;
    int *text; /* [steps]: which of the plan's texts step i + 1 sees */
} prompt_part;

typedef struct {
    int steps;
    char **text; /* distinct texts, in the order of their first use */
    int texts;   /* at most one for each part and step */
    prompt_part part[PROMPT_PARTS_MAX];
    int parts;
} prompt_plan;

/* The texts of every step of `steps` (from 1 on).
 *
 *     [from:to:when]  "from" up to and including step `when`, then "to"; [to:when] adds, and
 *                     [from::when] removes. A number with a point is a fraction of all steps,
 *                     rounded down. Not above 0: "to" from the start.
 *     [a|b|]          one entry after the other, step by step; entries may be empty
 *
 * They nest, also in round brackets; separators inside round brackets are text, as is a backslash's
 * character. Other square brackets stay in the text, and one that is never closed makes all of its
 * part's text. ERR_INVALID, ERR_TOO_LARGE as prompt_check; ERR_NO_MEMORY. */
int prompt_plan_make(prompt_plan *out, const char *text, int steps, prompt_role role, err *e);
void prompt_plan_done(prompt_plan *p);

#endif
