/* The prompt grammar as text (web UI 1.10 rules): weights in brackets and BREAK, of one text as it
 * is tokenised. No tokens here; those need a vocabulary (worker/model/tokenizer.h). */
#ifndef PROTO_PROMPT_H
#define PROTO_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/err.h"

typedef struct {
    char *text;    /* UTF-8; empty for a BREAK */
    double weight; /* -1 for a BREAK, but other text may weigh -1 too */
    bool is_break;
} prompt_piece;

typedef struct {
    prompt_piece *piece;
    size_t count;
} prompt;

/* Pieces of equal weight are merged; an empty prompt is one empty piece of weight 1. Brackets nest,
 * unclosed ones count as closed, unmatched closers are text, `\(` is a bracket; BREAK works inside
 * brackets too. Fails only for lack of memory, for text that is not UTF-8, and for nesting deeper
 * than 256. */
int prompt_parse(prompt *out, const char *text, err *e);
void prompt_done(prompt *p);

/* AND, and what makes the text of each step, is read before: see prompt_plan.h. */
enum {
    PROMPT_PARTS_MAX = 7,    /* prompts joined by AND */
    PROMPT_WEIGHT_MAX = 1000 /* of one of them, either sign */
};

/* A negative prompt knows no AND: there it is a word. */
typedef enum { PROMPT_POSITIVE, PROMPT_NEGATIVE } prompt_role;

/* What can be said of a prompt before the number of steps is known. ERR_TOO_LARGE for brackets too
 * deep and too many parts; ERR_INVALID for weights out of range and for an extra-network tag
 * `<lora:…>`, which is refused, never taken literally. */
int prompt_check(const char *text, prompt_role role, err *e);

#endif
