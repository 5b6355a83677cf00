/* Errors: see err.h. The one idea: the first message wins, because it is the nearest to the cause.
 */
#include "proto/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(err *e, err_code code, const char *format, ...)
{
    if (e && e->code == ERR_OK) {
        va_list args;
        va_start(args, format);
        e->code = code;
        vsnprintf(e->text, sizeof e->text, format, args);
        va_end(args);
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
