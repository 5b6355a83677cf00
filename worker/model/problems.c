/* Lists of problems: see problems.h. The one idea: the message has a fixed size, so the first
 * problems are shown whole and the rest are counted. */
#include "worker/model/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ENTRY_MAX = 200, PATH_SHOWN = 140 };

bool problems_add(problems *p, err_code code, const char *format, ...)
{
    char entry[ENTRY_MAX];
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
    size_t need = strlen(entry) + (p->used ? 2 : 0);
    if (p->listed + 1 == p->count && p->used + need < sizeof p->text) {
        p->used += (size_t)sprintf(p->text + p->used, "%s%s", p->used ? "; " : "", entry);
        p->listed++;
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
    const char *end = path_end(path);
    const char *cut = end == path ? "" : "...";
    if (p->listed < p->count)
        return err_set(e, p->code, "%s%s: %s; and %u more", cut, end, p->text,
                       p->count - p->listed);
    return err_set(e, p->code, "%s%s: %s", cut, end, p->text);
}
