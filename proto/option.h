/* Command-line options from one table: parser, --help, example files and tests all read the rows.
 *
 *     static const option options[] = {
 *         {"steps", OPTION_INT, &steps, .fallback = "20", .least = 1, .most = 150,
 *          .help = "steps of the schedule"},
 *         {0}};
 *
 * Accepted: --name VALUE, --name=VALUE, --flag; given twice, the last one counts. A VALUE that
 * starts with "--" must follow '=', so a forgotten value is an error and never swallows the next
 * option. Anything else that starts with '-' is an error, which names the nearest option. Words
 * that are no options are the operands, in order, "-" too; after "--" every word is an operand. */
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
    OPTION_BYTES,  /* int64_t *: 1048576, 512M, 6.5GiB (powers of 1024; rounded down), in bounds */
    OPTION_CHOICE, /* int *: index into `choices` (a NULL-ended list), without regard to case */
} option_type;

typedef struct {
    const char *name; /* without dashes; NULL ends the table */
    option_type type;
    void *value;
    const char *fallback; /* the default as a user would type it; NULL: value stays as it is */
    double least, most;   /* both 0: no bounds; -INFINITY or INFINITY: none on that side */
    const char *const *choices;
    const char *argument; /* "FILE", "N" in --help; NULL: from the type */
    const char *help;
    bool *given; /* whether the user gave it; may be NULL */
} option;

enum { OPTION_OPERANDS_MAX = 16, OPTION_ROWS_MAX = 128 };

typedef struct {
    const char *operand[OPTION_OPERANDS_MAX];
    int operands;
    bool help; /* --help or -h was given; nothing else was checked */
} option_result;

/* Sets defaults, then reads argv[1..argc-1]. ERR_INVALID: unknown option, missing or bad value, out
 * of bounds, too many operands. A fallback that its own row refuses is a bug (assert). */
int option_parse(const option *table, int argc, char **argv, option_result *result, err *e);

/* The help text: usage line, then one row per option with its bounds and default. */
void option_help(FILE *to, const char *usage, const option *table);

#endif
