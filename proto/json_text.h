/* One JSON string, for texts that borrow the notation without being JSON. */
#ifndef PROTO_JSON_TEXT_H
#define PROTO_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Writes `text` in quotation marks; escapes those, backslashes and control characters only. */
void json_text_write(FILE *to, const char *text);

/* Reads a string in quotation marks that fills all `size` bytes; malloc'ed. False, with *text
 * untouched, for anything else, for what a C string cannot hold (NUL, half a surrogate pair), and
 * for lack of memory. */
bool json_text_read(char **text, const char *bytes, size_t size);

#endif
