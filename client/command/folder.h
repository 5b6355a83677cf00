/* The pictures below a folder, and the names of what is made of them. */
#ifndef CLIENT_COMMAND_FOLDER_H
#define CLIENT_COMMAND_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/err.h"

typedef struct {
    char *path;    /* below the folder: "sub/a.png" */
    char *trouble; /* a folder that cannot be read: why; NULL: a picture */
} folder_entry;

typedef struct {
    folder_entry *entry; /* sorted by path, byte by byte */
    size_t count;
} folder;

/* Finds every file that ends as a picture (.png, .jpg, .jpeg, .webp), in folders below too. Links
 * are followed; each folder is entered once, so a loop of links ends. Names that begin with '.' are
 * left out, and so is the folder `without` (NULL: none). ERR_IO when `top` itself cannot be read,
 * ERR_TOO_LARGE above FOLDER_MOST entries, ERR_NO_MEMORY. */
enum { FOLDER_MOST = 1000000, FOLDER_DEPTH = 64 };
int folder_read(folder *f, const char *top, const char *without, err *e);
void folder_done(folder *f);

/* The picture that goes with `path` in a folder of masks: the same name below it whatever the
 * ending; else the only one of that name wherever it lies; else the folder's only one. NULL: there
 * is none. */
const char *folder_match(const folder *masks, const char *path);

/* Where the result of a picture goes: its own path below `output`, with the ending of `format`
 * unless that is NULL or what it has. ERR_INVALID: longer than `size`. */
int folder_result(const char *path, const char *output, const char *format, char *to, size_t size,
                  err *e);
/* Whether it is there already; of a job of several pictures the first, a-1.png. (Of one picture
 * a-1.png says nothing: it may be what another input, a-1.png, became.) */
bool folder_has_result(const char *result, int pictures);
/* Two pictures must not have one result: a.jpg and a.png with a format. ERR_INVALID. */
int folder_check(const folder *f, const char *output, const char *format, err *e);

#endif
