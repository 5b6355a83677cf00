/* Progress for people: a bar on a terminal, plain lines elsewhere, a preview file on request. */
#ifndef CLIENT_COMMAND_PROGRESS_H
#define CLIENT_COMMAND_PROGRESS_H

#include <stdio.h>

#include "client/client.h"

typedef struct {
    FILE *to; /* NULL: says nothing */
    bool terminal;
    const char *preview; /* a file that is replaced as previews come; NULL: none */
    bool bar;            /* a bar is on the line */
    bool ended;          /* the job has ended, however */
    int tenths;          /* the last plain line said so many tenths; -1: none yet */
    unsigned position;
    overpaint_state state;
} progress_view;

/* `to`: standard error, or NULL. */
void progress_init(progress_view *v, FILE *to, const char *preview);
/* An overpaint_on_progress; `arg` is the view. */
void progress_show(void *arg, const overpaint_progress *p);
void progress_clear(progress_view *v);
/* A line of its own, whatever is on the terminal. */
void progress_line(progress_view *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
