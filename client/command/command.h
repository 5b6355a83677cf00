/* The command line's frame: the table of commands, their options, their errors. */
#ifndef CLIENT_COMMAND_COMMAND_H
#define CLIENT_COMMAND_COMMAND_H

#include <stdbool.h>

#include "client/client.h"
#include "proto/option.h"

/* Exit codes, see README.md. */
enum {
    EXIT_OK = 0,
    EXIT_JOB = 1, /* the job failed */
    EXIT_BAD = 2, /* the command line or the job makes no sense */
    EXIT_NO_BROKER = 3,
    EXIT_LATE = 4,    /* a time-out */
    EXIT_FILE = 5,    /* reading or writing a file */
    EXIT_UNKNOWN = 6, /* no such job, or nothing found in the file */
    EXIT_AGAIN = 7,   /* the service is full: try again later */
    EXIT_SOME = 8,    /* of a folder: not every picture has a result */
    EXIT_CANCELLED = 130,
};

/* What main found in the environment; each may be NULL. */
typedef struct {
    const char *endpoint, *runtime_dir, *data_home, *home;
} surroundings;

/* One run of a command. */
typedef struct call call;

typedef struct {
    const char *name, *usage, *summary;
    int (*run)(call *c, int argc, char **argv); /* argv[0] is the command's name; an exit code */
} command;

struct call {
    const command *self;
    const surroundings *around;
    bool json;            /* --json */
    const char *endpoint; /* --endpoint */
    const char *input;    /* of a folder: the picture that errors are about; or NULL */
    option_result words;
};

int command_main(const surroundings *around, int argc, char **argv);

/* Rows for `call`'s own fields. */
#define OPTION_ENDPOINT(c)                                                                         \
    {                                                                                              \
        "endpoint", OPTION_TEXT, &(c)->endpoint,                                                   \
            .argument = "URL",                                                                     \
            .help = "the service; default: $OVERPAINT_ENDPOINT, or where `overpaint up` serves"    \
    }
#define OPTION_JSON(c)                                                                             \
    {                                                                                              \
        "json", OPTION_FLAG, &(c)->json, .help = "print one JSON object and nothing else"          \
    }

/* Reads the options and between `least` and `most` operands. True: go on. False: help was printed
 * or an error reported, and *code is the exit code. */
bool command_options(call *c, const option *table, int least, int most, int argc, char **argv,
                     int *code);

/* The endpoint to use: NULL with an error reported, *code set. `to` has room for `size` bytes. */
const char *command_endpoint(call *c, char *to, size_t size, int *code);
/* A connected handle; NULL with the error reported, *code set. */
overpaint *command_open(call *c, int *code);

/* Report an error for people or as JSON. `id` may be NULL. Return the exit code that fits. */
int command_fail(const call *c, const overpaint_id *id, int err_code, const char *text);
int command_fail_exit(const call *c, const overpaint_id *id, int err_code, const char *text,
                      int exit_code);
/* The error of the handle's last call. */
int command_fail_handle(const call *c, const overpaint_id *id, const overpaint *o);

/* The id of an operand; false with the error reported, *code set. */
bool command_id(const call *c, const char *word, overpaint_id *id, int *code);

int run_picture(call *c, int argc, char **argv); /* img2img, txt2img */
int run_result(call *c, int argc, char **argv);
int run_cancel(call *c, int argc, char **argv);
int run_status(call *c, int argc, char **argv);
int run_info(call *c, int argc, char **argv);
int run_up(call *c, int argc, char **argv);

#endif
