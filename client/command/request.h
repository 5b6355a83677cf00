/* What the command line of a picture task asks for, and the job that says so. */
#ifndef CLIENT_COMMAND_REQUEST_H
#define CLIENT_COMMAND_REQUEST_H

#include "client/command/command.h"
#include "client/settings.h"

enum { REQUEST_OWN_ROWS = 10 };

typedef struct {
    task_kind task;
    const char *value[SETTINGS_MAX];
    bool flag[SETTINGS_MAX], given[SETTINGS_MAX];
    const char *output, *prompt_file, *preview, *from;
    double timeout; /* seconds; negative: none */
    bool detach;
    option row[SETTINGS_MAX + REQUEST_OWN_ROWS + 1]; /* for command_options */
} request;

/* The options of that task; what is given goes into *r, which must stay where it is. */
void request_build(request *r, call *c, task_kind task);

/* The value of a setting that takes text; NULL: it was not given. */
const char *request_value(const request *r, const char *name);

/* What belongs together on the command line, for one picture or for a folder of them. */
int request_check(const request *r, err *e);
int request_check_many(const request *r, err *e);

/* The files of one job; each may be NULL. */
typedef struct {
    const char *input, *mask, *sketch;
    const char *output; /* its ending says the format, unless --format does */
} request_files;

/* Every setting and file into a new job of that task; not checked as a whole. */
int request_fill(overpaint_job *j, const request *r, const request_files *f, err *e);

/* A job that passed overpaint_job_check; NULL with the error. */
overpaint_job *request_job(const request *r, const request_files *f, err *e);

/* "png" for "a.PNG"; NULL: no picture's ending. */
const char *request_format(const char *path);

#endif
