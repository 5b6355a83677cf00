/* Command-line options from one table: parser, --help, example files and tests all read the rows.
 *
 *     static const option options[] = {
 *         {"steps", OPTION_INT, &job.steps, .fallback = "20", .least = 1, .most = 150, .help =
 * "…"}, {0}};
 *
 * Accepted: --name VALUE, --name=VALUE, --flag. Anything else starting with "--" is an error that
 * names the nearest option. Words that are no options are the operands, in order; after "--" every
 * word is an operand. */
#ifndef PROTO_OPTION_H
#define PROTO_OPTION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/err.h"

typedef enum {
    OPTION_FLAG,   /* bool *: present = true */
    OPTION_INT,    /* int64_t *: whole number in [least, most] */
    OPTION_REAL,   /* double *: finite, in [least, most] */
    OPTION_TEXT,   /* const char **: points into argv */
    OPTION_BYTES,  /* int64_t *: 512M, 6.5G, 1048576 (powers of 1024), in [least, most] */
    OPTION_CHOICE, /* int *: index into `choices` (a NULL-ended list) */
} option_type;

typedef struct {
    const char *name; /* without dashes; NULL ends the table */
    option_type type;
    void *value;
    const char *fallback; /* the default as a user would type it; NULL: value stays as it is */
    double least, most;   /* both 0: no bound */
    const char *const *choices;
    const char *argument; /* "FILE", "N" in --help; NULL: from the type */
    const char *help;
    bool *given; /* set to true when the user gave it; may be NULL */
} option;

enum { OPTION_OPERANDS_MAX = 16 };

typedef struct {
    const char *operand[OPTION_OPERANDS_MAX];
    int operands;
    bool help; /* --help was given; nothing else was checked */
} option_result;

/* Sets defaults, then reads argv[1..argc-1]. Errors: unknown option, missing or bad value, bounds.
 */
int option_parse(const option *table, int argc, char **argv, option_result *result, err *e);

/* The help text: usage line, then one row per option with its default and bounds. */
void option_help(FILE *to, const char *usage, const option *table);

/* The entry of a NULL-ended list that is nearest to `word` (edit distance); NULL for an empty list.
 */
const char *option_nearest(const char *word, const char *const *list);

#endif
