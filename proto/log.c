/* Log lines: see log.h. A line is formatted in one buffer and written with one call, so that lines
 * of several threads never mix. */
#include "proto/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "proto/clock.h"

log_level log_threshold = LOG_INFO;

void log_event(log_level level, const char *area, const char *event, const char *keys, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < log_threshold)
        return;
    char line[2048];
    int64_t now = clock_wall_ms();
    time_t seconds = now / 1000;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    used += (size_t)snprintf(line + used, sizeof line - used, ".%03dZ %s %s %s ", (int)(now % 1000),
                             names[level], area, event);
    va_list args;
    va_start(args, keys);
    int n = vsnprintf(line + used, sizeof line - used, keys, args);
    va_end(args);
    if (n > 0)
        used += (size_t)n;
    if (used > sizeof line - 1)
        used = sizeof line - 1;
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0)
        return; /* nowhere left to say it */
}

const char *log_quote(char *to, size_t size, const char *text)
{
    size_t n = 0;
    if (size < 3)
        return "";
    to[n++] = '"';
    for (const unsigned char *c = (const unsigned char *)text; *c && n + 2 < size; c++)
        to[n++] = *c < 0x20 || *c == 0x7f || *c == '"' ? '?' : (char)*c;
    to[n++] = '"';
    to[n] = 0;
    return to;
}
