/* Text that several parts read the same way: numbers without a locale, UTF-8, case, nearest names.
 */
#ifndef PROTO_TEXT_H
#define PROTO_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole text is one decimal number: sign, digits, and for a real number a point and an
 * exponent. No white space, no hexadecimal, no "inf", nothing after it, always '.' whatever the
 * locale. False, with *value untouched, for anything else and for what int64_t or a finite double
 * cannot hold. */
bool text_whole(const char *text, int64_t *value);
bool text_real(const char *text, double *value);

/* True when the bytes are valid UTF-8 (no overlong forms, no surrogates; NUL counts as valid).
 * Otherwise *at, which may be NULL, is where the first bad sequence starts. */
bool text_is_utf8(const char *bytes, size_t size, size_t *at);

/* A-Z to a-z, every other byte unchanged, whatever the locale. */
char text_lower_ascii(char c);
/* Equal without regard to ASCII case. */
bool text_same(const char *a, const char *b);

/* Levenshtein distance without regard to ASCII case; only the first 64 bytes of each are read. */
int text_distance(const char *a, const char *b);
/* The first of the nearest entries of a NULL-ended list; NULL for an empty list. */
const char *text_nearest(const char *word, const char *const *list);

#endif
