/* tune: choosing by time which of a library's kernels serves each shape. Nothing else in the
 * product times anything to decide: what comes of it is a table on disk, which a device reads when
 * it is opened and whose hash is part of its class_name. */
#ifndef KERNELS_TUNE_H
#define KERNELS_TUNE_H

#include "kernels/dev.h"

enum { TUNE_PATH_BYTES = 1100 };

/* What came of one shape. */
typedef struct {
    const char *shape, *choice;
    int timed;           /* how many safe choices were */
    double us, first_us; /* microseconds a row: with the choice, with the first safe one */
} tune_line;

typedef struct {
    dev *dry; /* a dry device of the same options */
    dev_walk *walk;
    void *arg;      /* `walk` does on `dry` what is to become fast, as often as it weighs */
    double seconds; /* no shape is begun after that; the first one always is */
    void (*tuned)(void *arg, const tune_line *line); /* NULL: nobody looks on */
    void *tuned_arg;
} tune_options;

typedef struct {
    int shapes, tuned;          /* that the walk asks for; of them with an entry from now on */
    uint64_t hash;              /* as class_name has it when a device is opened next */
    char path[TUNE_PATH_BYTES]; /* of the table; shapes without choice leave it unwritten */
} tune_result;

/* Times the safe choices for what the walk asks for, the most work first, and keeps the fastest in
 * the table of the device, which is to be closed then: opened again it reads the table. False with
 * why (256 bytes): the backend has nothing to choose, there is no folder for the table, or the
 * device failed. */
bool dev_tune(dev *d, const tune_options *o, tune_result *result, char *why);

#endif
