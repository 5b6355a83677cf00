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
    SETTING_FLAG,   /* true, false, 1, 0, yes, no */
    SETTING_CHOICE, /* index into `choices` */
    SETTING_COLOUR, /* #RRGGBB */
} setting_type;

/* The command lines a setting belongs to. */
enum { FOR_TXT2IMG = 1, FOR_IMG2IMG = 2, FOR_PICTURES = 3, FOR_LIBRARY = 0 };

typedef struct {
    const char *name; /* as on the command line, with dashes; NULL ends the table */
    setting_type type;
    size_t offset; /* in job */
    unsigned commands;
    double least, most; /* shown in --help; job_check is who refuses */
    const char *const *choices;
    const char *argument, *fallback, *help; /* as in option.h */
} setting;

extern const setting settings[];
enum { SETTINGS_MAX = 32 }; /* rows, at most */

/* Reads `value` into the job. `name` with dashes or underscores. ERR_INVALID: unknown (the nearest
 * is named), or a value of another type; ERR_TOO_LARGE. */
int setting_set(job *j, const char *name, const char *value, err *e);

#endif
