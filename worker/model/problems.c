/* Lists of problems: see problems.h. The one idea: the message has a fixed size, so the first
 * problems are shown whole and the rest are counted. */
#include "worker/model/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ENTRY_MOST = 200, PATH_SHOWN = 140, COUNT_MOST = 24 /* "; and 4294967295 more" */ };

bool problems_add(problems *p, err_code code, const char *format, ...)
{
    char entry[ENTRY_MOST];
    va_list args;
    va_start(args, format);
    vsnprintf(entry, sizeof entry, format, args);
    va_end(args);
    for (char *c = entry; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    if (p->code == ERR_OK)
        p->code = code;
    p->count++;
    size_t size = strlen(entry) + 1;
    if (size <= sizeof p->text - p->used) {
        memcpy(p->text + p->used, entry, size);
        p->used += size;
    }
    return false;
}

/* The end of a path that is too long to show, cut between characters. */
static const char *path_end(const char *path)
{
    size_t length = strlen(path);
    if (length <= PATH_SHOWN)
        return path;
    const char *end = path + length - PATH_SHOWN;
    while ((*end & 0xc0) == 0x80)
        end++;
    return end;
}

int problems_report(const problems *p, const char *path, err *e)
{
    if (p->code == ERR_OK)
        return 0;
    char text[sizeof e->text];
    const char *shown = path_end(path), *entry = p->text, *between = ": ";
    int used = snprintf(text, sizeof text, "%s%s", shown == path ? "" : "...", shown);
    unsigned listed = 0;
    for (; entry < p->text + p->used; entry += strlen(entry) + 1, listed++, between = "; ") {
        if ((size_t)used + strlen(entry) + COUNT_MOST + 2 > sizeof text)
            break;
        used += sprintf(text + used, "%s%s", between, entry);
    }
    if (listed < p->count)
        sprintf(text + used, "%sand %u more", between, p->count - listed);
    return err_set(e, p->code, "%s", text);
}
