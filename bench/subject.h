/* subject: the model and the device that a benchmark is about, and its figures on their way out. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <jansson.h>

#include "proto/option.h"
#include "worker/model/plan.h"

typedef struct {
    const char *device, *path, *isa, *cache;
    int64_t threads, budget;
    int exact;
    bool json;
} subject;

/* The rows of these in a benchmark's table of options. */
#define SUBJECT_DEVICE(s)                                                                          \
    {"device", OPTION_TEXT, &(s).device, .fallback = "cpu",                                        \
     .help = "cpu, ref or cuda, or with :N"},                                                      \
        {"isa", OPTION_TEXT, &(s).isa, .fallback = "", .help = "avx2: no further than that"},      \
        {"cache",        OPTION_TEXT,                                                              \
         &(s).cache,     .argument = "FOLDER",                                                     \
         .fallback = "", .help = "for plans of GPUs"},                                             \
        {"exact",                                                                                  \
         OPTION_CHOICE,                                                                            \
         &(s).exact,                                                                               \
         .fallback = "on",                                                                         \
         .choices = dev_exact_names,                                                               \
         .help = "as the worker's"},                                                               \
    {                                                                                              \
        "threads", OPTION_INT, &(s).threads, "0", 0, 1024, .help = "0: one per processor"          \
    }
#define SUBJECT_OPTIONS(s)                                                                         \
    SUBJECT_DEVICE(s),                                                                             \
        {"model", OPTION_TEXT, &(s).path, .argument = "FILE", .fallback = "", .help = "a model"},  \
        {"memory-budget", OPTION_BYTES, &(s).budget, "0", 0, 1e15, .help = "0: no limit"},         \
    {                                                                                              \
        "json", OPTION_FLAG, &(s).json, .help = "one line of JSON"                                 \
    }

/* Reads the options. False: nothing is to be measured, since help was asked for (and printed, after
 * `usage`), or `e` says what is wrong. */
bool subject_parse(const subject *s, const option *table, const char *usage, int argc, char **argv,
                   err *e);

/* The device's options. ERR_INVALID: there is no such backend. */
int subject_device(const subject *s, dev_options *options, err *e);

/* The same, with weights packed as a worker with this budget does; what the model then
 * takes. Errors of model_plan. */
int subject_plan(const subject *s, dev_options *options, model_plan_result *plan, err *e);

/* Prints an object of figures, one line of JSON or a row each, and lets go of it. */
void subject_print(const subject *s, json_t *figures);

#endif
