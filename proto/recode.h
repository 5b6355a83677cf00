/* The encodings that picture files keep text in, to UTF-8 and back. Results are malloc'ed. */
#ifndef PROTO_RECODE_H
#define PROTO_RECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

/* To UTF-8, up to the first NUL or the end. A UTF-16 unit that means nothing by itself (half a
 * surrogate pair, half a unit at the end) becomes U+FFFD. Fail only for lack of memory. */
int recode_latin1(char **text, const uint8_t *bytes, size_t size, err *e);
int recode_utf16(char **text, const uint8_t *bytes, size_t size, bool big_endian, err *e);

/* UTF-8 to Latin-1 (*size bytes and a NUL). ERR_INVALID for text that is not UTF-8 and for text
 * that Latin-1 cannot hold. */
int recode_to_latin1(char **bytes, size_t *size, const char *text, err *e);

/* UTF-8 to UTF-16, high byte first, no byte-order mark. ERR_INVALID for text that is not UTF-8. */
int recode_to_utf16be(uint8_t **bytes, size_t *size, const char *text, err *e);

#endif
