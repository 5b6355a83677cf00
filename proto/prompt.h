/* The prompt grammar as text: weights in brackets and BREAK (web UI 1.10 rules, see prompt_parse).
 * No tokens here; those need a vocabulary (worker/model/tokenizer.h). */
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

/* 0, or ERR_INVALID when the text uses prompt editing `[a:b:0.5]`, alternation `[a|b]`, AND or an
 * extra-network tag `<lora:…>`: features that are refused, never taken literally. */
int prompt_check(const char *text, err *e);

#endif
