/* The "parameters" text of generated pictures, as web UIs write and read it. */
#ifndef PROTO_INFOTEXT_H
#define PROTO_INFOTEXT_H

#include <stddef.h>

#include "proto/err.h"

typedef struct {
    char *key, *value; /* value: plain text, quoting undone */
} infotext_entry;

typedef struct {
    char *prompt, *negative_prompt;
    infotext_entry *entry; /* in order */
    size_t count;
} infotext;

/* Appends "key: value"; the value is quoted when the text is written. A value of NULL adds nothing.
 * To be read again a key needs two characters or more: word characters, spaces, '-' and '/'. */
int infotext_add(infotext *t, const char *key, const char *value, err *e);
/* The shortest number that reads back equal; "CFG scale" always has a decimal point. ERR_INVALID
 * for what is not finite. Beyond 2^53 (seeds) use infotext_add. */
int infotext_add_number(infotext *t, const char *key, double value, err *e);

/* The whole text, malloc'ed: prompt, "Negative prompt: …" if any, one line of pairs. An entry whose
 * value equals its key is written as the key alone, which readers pass over. */
int infotext_write(const infotext *t, char **text, err *e);

/* Reads any text into *t, which is overwritten: a last line with fewer than three pairs belongs to
 * the prompt. What infotext_write made comes back as it was, unless the prompt itself holds a line
 * that starts with "Negative prompt:". */
int infotext_read(infotext *t, const char *text, err *e);
void infotext_done(infotext *t);

/* metadata.c: finds the parameters text in a PNG (tEXt, iTXt, zTXt), JPEG or WebP (EXIF
 * UserComment) without decoding the picture; malloc'ed UTF-8. ERR_NOT_FOUND when the file has none.
 */
int metadata_parameters(char **text, const unsigned char *bytes, size_t size, err *e);

#endif
