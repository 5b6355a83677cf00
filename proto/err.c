/* Errors: see err.h. The one idea: the first message wins, because it is the nearest to the cause.
 */
#include "proto/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A text that was cut may end inside a UTF-8 character: that one goes too. */
static void drop_half_character(char *text)
{
    size_t n = strlen(text), from = n;
    while (from > 0 && n - from < 4 && ((unsigned char)text[from - 1] & 0xc0) == 0x80)
        from--;
    if (from == 0)
        return;
    const unsigned char lead = (unsigned char)text[from - 1];
    const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (length > n - from + 1)
        text[from - 1] = 0;
}

int err_set(err *e, err_code code, const char *format, ...)
{
    if (e && e->code == ERR_OK) {
        va_list args;
        va_start(args, format);
        e->code = code;
        vsnprintf(e->text, sizeof e->text, format, args);
        va_end(args);
        drop_half_character(e->text);
    }
    return code;
}

int err_add(err *e, err_code code, const char *format, ...)
{
    if (!e)
        return code;
    if (e->code == ERR_OK)
        e->code = code;
    size_t used = strlen(e->text);
    if (used && used + 2 < sizeof e->text) {
        memcpy(e->text + used, "; ", 3);
        used += 2;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(e->text + used, sizeof e->text - used, format, args);
    va_end(args);
    drop_half_character(e->text);
    return e->code;
}

const char *err_name(err_code code)
{
    switch (code) {
    case ERR_OK: return "ok";
    case ERR_INVALID: return "invalid";
    case ERR_NOT_FOUND: return "not_found";
    case ERR_IO: return "io";
    case ERR_NO_MEMORY: return "no_memory";
    case ERR_TOO_LARGE: return "too_large";
    case ERR_BUSY: return "busy";
    case ERR_TIMEOUT: return "timeout";
    case ERR_CANCELLED: return "cancelled";
    case ERR_CONFLICT: return "conflict";
    case ERR_DEVICE: return "device";
    case ERR_PROTOCOL: return "protocol";
    case ERR_LOST: return "lost";
    }
    return "unknown";
}
