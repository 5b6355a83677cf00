/* Every problem of a file in one bounded message: "FILE: first; second; third; and 12 more". */
#ifndef WORKER_MODEL_PROBLEMS_H
#define WORKER_MODEL_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/err.h"

typedef struct {
    err_code code;  /* of the first problem; ERR_OK: none */
    char text[480]; /* the first ones, each with its final 0 */
    size_t used;    /* bytes of text */
    unsigned count; /* problems found */
} problems;

/* Adds one. Names from a file may be given as they are: what a terminal could mistake for a command
 * is replaced, long entries are cut. Returns false, so that a check reads `return problems_add(…)`.
 */
bool problems_add(problems *p, err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* 0 when there were none; else the code, with the whole list in `e`. */
int problems_report(const problems *p, const char *path, err *e);

#endif
