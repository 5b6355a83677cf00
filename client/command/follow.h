/* A submitted job to its end: progress, Ctrl-C, and its pictures as files. */
#ifndef CLIENT_COMMAND_FOLLOW_H
#define CLIENT_COMMAND_FOLLOW_H

#include "client/command/command.h"
#include "client/command/progress.h"
#include "proto/err.h"

typedef struct {
    const char *output;        /* FILE; several pictures: FILE-1, FILE-2, … before its ending */
    const char *input, *notes; /* for JSON: the file it was made from, what was not taken */
    double timeout_seconds;    /* negative: none */
    bool owner;                /* Ctrl-C and a time-out cancel the job */
    bool keep;                 /* the broker keeps the result (until its time is over) */
    bool fresh;                /* replaces no file */
} follow_options;

/* Shows with `v`, which is the handle's progress callback. An exit code. */
int follow(call *c, overpaint *o, const overpaint_id *id, progress_view *v,
           const follow_options *f);

/* The pictures of a finished job as files, their names or the JSON object on standard output. An
 * exit code; on success the job is forgotten unless it is to be kept. */
int follow_save(call *c, overpaint *o, const overpaint_id *id, progress_view *v,
                const follow_options *f);

/* Whether SIGINT or SIGTERM has come. */
bool follow_interrupted(void);

/* From here on the first SIGINT or SIGTERM is noted for follow, the second ends the program. */
void follow_catch_signals(void);

/* Whether pictures can be written there at all, before minutes are spent on them. */
int follow_check_output(const char *output, err *e);

/* "a/b.png", 2 of 3 -> "a/b-2.png"; of 1: as it is. False when `to` is too small. */
bool follow_name(const char *output, unsigned index, unsigned count, char *to, size_t size);

#endif
