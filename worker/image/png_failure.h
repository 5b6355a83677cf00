/* How libpng's errors become ours, for reading and writing alike. */
#ifndef WORKER_IMAGE_PNG_FAILURE_H
#define WORKER_IMAGE_PNG_FAILURE_H

#include <png.h>

#include "proto/err.h"

/* The error pointer of a png struct; `rc` is 0 until something failed. */
typedef struct {
    const char *what; /* "the PNG file is damaged" */
    err *e;
    int rc;
} png_failure;

/* libpng's error and warning functions: an error is kept and leaves by longjmp; a warning is
 * nothing. */
void png_failure_raise(png_structp png, png_const_charp message);
void png_failure_ignore(png_structp png, png_const_charp message);

#endif
