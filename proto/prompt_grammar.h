/* What the parser of weights and the check for unsupported grammar read alike. Internal to
 * prompt.c and prompt_check.c. */
#ifndef PROTO_PROMPT_GRAMMAR_H
#define PROTO_PROMPT_GRAMMAR_H

enum {
    PROMPT_DEPTH_MAX = 256, /* open brackets at one time */
    PROMPT_NUMBER_MAX = 63  /* characters of a number; a longer one is text */
};

/* The first `word` in [from, end) that stands alone (Python's \bWORD\b within [start, end));
 * NULL when there is none. */
const char *prompt_find_word(const char *word, const char *start, const char *from,
                             const char *end);

#endif
