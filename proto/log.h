/* One line per event on standard error: `2026-11-22T15:04:05.123Z info engine admitted job=…
 * rows=2`. `keys` is a printf format of key=value pairs; values from outside go through log_quote.
 */
#ifndef PROTO_LOG_H
#define PROTO_LOG_H

#include <stddef.h>

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR } log_level;

extern log_level log_threshold; /* events below it are dropped; LOG_INFO at start */

void log_event(log_level level, const char *area, const char *event, const char *keys, ...)
    __attribute__((format(printf, 4, 5)));

/* Copies `text` into `to` as a quoted value without control characters; returns `to`. */
const char *log_quote(char *to, size_t size, const char *text);

#endif
