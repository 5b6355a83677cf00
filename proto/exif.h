/* The three things pictures and their metadata need of EXIF. A block is the contents of a JPEG's
 * APP1, a WebP's EXIF chunk or a PNG's eXIf chunk: a small TIFF file, with or without "Exif\0\0"
 * before it. Every offset in it is checked; no loop follows a chain. */
#ifndef PROTO_EXIF_H
#define PROTO_EXIF_H

#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

enum { EXIF_PREFIX_BYTES = 6 };
extern const uint8_t exif_prefix[EXIF_PREFIX_BYTES]; /* "Exif\0\0" */

/* 1..8 as EXIF counts them (6: turn by 90 degrees clockwise to see it upright); 1 when the block
 * has no valid orientation. */
int exif_orientation(const uint8_t *block, size_t size);

/* The UserComment as malloc'ed UTF-8. ERR_NOT_FOUND when there is none, or in a code that is
 * neither ASCII nor Unicode. The byte order of Unicode is guessed where writers disagree. */
int exif_user_comment(char **text, const uint8_t *block, size_t size, err *e);

/* A block, without exif_prefix, that holds `text` (UTF-8) as UserComment, "UNICODE\0" and UTF-16BE
 * as web UIs write it; malloc'ed. ERR_INVALID for text that is not UTF-8. */
int exif_write_user_comment(uint8_t **block, size_t *size, const char *text, err *e);

#endif
