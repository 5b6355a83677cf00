/* libpng's errors: see png_failure.h. libpng tells lack of memory by its message alone. */
#include "worker/image/png_failure.h"

#include <string.h>

void png_failure_raise(png_structp png, png_const_charp message)
{
    png_failure *f = png_get_error_ptr(png);
    err_code code = strstr(message, "memory") ? ERR_NO_MEMORY : ERR_INVALID;
    f->rc = err_set(f->e, code, "%s: %s", f->what, message);
    png_longjmp(png, 1);
}

void png_failure_ignore(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}
