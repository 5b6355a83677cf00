/* Files whole: read with a limit, written so that nobody ever sees half of one. */
#ifndef CLIENT_FILE_H
#define CLIENT_FILE_H

#include <stddef.h>

#include "proto/err.h"

/* The bytes of a regular file, malloc'ed, with a NUL after the last. ERR_IO, ERR_INVALID,
 * ERR_TOO_LARGE above `most`, ERR_NO_MEMORY. */
int file_read(const char *path, size_t most, unsigned char **bytes, size_t *size, err *e);

/* Writes a temporary file beside `path` and renames it. What is there and no regular file (a
 * device, a pipe) is written as it is. ERR_IO. */
int file_write(const char *path, const void *bytes, size_t size, err *e);

/* The same for a new file: ERR_CONFLICT when there is something at `path`. */
int file_create(const char *path, const void *bytes, size_t size, err *e);

/* Makes the folders that lead to the file `path`, where they are missing. ERR_IO. */
int file_make_folders(const char *path, err *e);

#endif
