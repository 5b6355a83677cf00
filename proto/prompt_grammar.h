/* What the files of the prompt grammar read alike. Internal to prompt*.c. */
#ifndef PROTO_PROMPT_GRAMMAR_H
#define PROTO_PROMPT_GRAMMAR_H

#include "proto/prompt.h"

enum {
    PROMPT_DEPTH_MAX = 256, /* open brackets at one time */
    PROMPT_NUMBER_MAX = 63  /* characters of a number; a longer one is text */
};

/* The first `word` in [from, end) that stands alone (Python's \bWORD\b within [start, end));
 * NULL when there is none. */
const char *prompt_find_word(const char *word, const char *start, const char *from,
                             const char *end);

/* [text, end) as a number of text_real and nothing else but white space around it. */
bool prompt_number(const char *text, const char *end, double *value);

/* --- prompt_and.c -------------------------------------------------------------------------------
 */

/* A part of a prompt: a piece of its text, without the weight. */
typedef struct {
    const char *text, *end;
    double weight;
} prompt_slice;

/* The parts of a prompt, at least one; a negative prompt is always one. ERR_TOO_LARGE for more than
 * PROMPT_PARTS_MAX, ERR_INVALID for a weight beyond PROMPT_WEIGHT_MAX. */
int prompt_split(prompt_slice part[PROMPT_PARTS_MAX], int *parts, const char *text,
                 prompt_role role, err *e);

/* --- prompt_edit.c ------------------------------------------------------------------------------
 */

typedef struct prompt_edit prompt_edit;

/* Editing and alternation of [text, end), which stays the caller's. ERR_TOO_LARGE for nesting
 * deeper than PROMPT_DEPTH_MAX, ERR_NO_MEMORY. */
prompt_edit *prompt_edit_new(const char *text, const char *end, err *e);
void prompt_edit_free(prompt_edit **p);

bool prompt_edit_changes(const prompt_edit *p); /* false: every step has the same text */

/* The text of one step (from 1); malloc'ed, NULL without memory. */
char *prompt_edit_at(const prompt_edit *p, int step, int steps);

#endif
