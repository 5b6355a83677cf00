/* The settings of a job by name: one table for overpaint_job_set and for the command line. */
#ifndef CLIENT_SETTINGS_H
#define CLIENT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/err.h"
#include "proto/job.h"

typedef enum {
    SETTING_TEXT,    /* a prompt */
    SETTING_MODEL,   /* a name, or a path, which becomes absolute */
    SETTING_SAMPLER, /* a name or alias of the catalog */
    SETTING_SCHEDULE,
    SETTING_INT32,
    SETTING_INT64,
    SETTING_REAL,
    SETTING_BLUR,       /* a whole number for both axes */
    SETTING_FLAG,       /* true, false, 1, 0, yes, no */
    SETTING_NOT_FLAG,   /* the same, true clears */
    SETTING_CHOICE,     /* index into `choices` */
    SETTING_EITHER,     /* bool: the second of two `choices` */
    SETTING_COLOUR,     /* #RRGGBB */
    SETTING_DIRECTIONS, /* left,right,up,down: some of them */
    SETTING_MASK,       /* a picture file, read at once */
    SETTING_SKETCH,
} setting_type;

typedef struct {
    const char *name; /* as on the command line, with dashes; NULL ends the table */
    setting_type type;
    size_t offset;      /* in job */
    unsigned tasks;     /* bit t: jobs, and the command line, of task t; 0: programs only */
    double least, most; /* shown in --help; job_check is who refuses */
    const char *const *choices;
    const char *argument, *fallback, *help; /* as in option.h */
} setting;

extern const setting settings[];
enum { SETTINGS_MAX = 96 }; /* rows, at most */

bool setting_belongs(const setting *s, task_kind task);

/* Reads `value` into the job. `name` with dashes or underscores; of several rows that of the job's
 * task. ERR_INVALID: unknown (the nearest is named), or a value of another type; ERR_TOO_LARGE;
 * ERR_IO for files. */
int setting_set(job *j, const char *name, const char *value, err *e);

/* What the job's task has as default, on top of job_init. */
int settings_defaults(job *j, err *e);

/* Takes over picture.bytes, on success only. A second mask or sketch replaces the first. */
int setting_input(job *j, job_picture picture, err *e);

#endif
