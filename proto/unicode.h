/* Characters as the regular expressions of web UIs see them: Python's \s and \w. */
#ifndef PROTO_UNICODE_H
#define PROTO_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character at `text` and the bytes it takes; 0 bytes at `end`. A byte that is not UTF-8 counts
 * as U+FFFD of one byte. unicode_before: the character that ends at `text`, 0 bytes at `start`. */
size_t unicode_at(const char *text, const char *end, int32_t *code);
size_t unicode_before(const char *text, const char *start, int32_t *code);

bool unicode_is_space(int32_t code);
bool unicode_is_word(int32_t code); /* letters, digits and other numbers, '_' */

/* The end of the white space at `text`, and the start of the white space before it. */
const char *unicode_skip_space(const char *text, const char *end);
const char *unicode_trim_space(const char *text, const char *start);

#endif
