/* The programs of the build folder, run as a user would. */
#ifndef TESTS_SUPPORT_PROGRAM_H
#define TESTS_SUPPORT_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

enum { PROGRAM_TEXT = 65536, PROGRAM_WORDS = 40 };

typedef struct {
    pid_t pid;
    char folder[64]; /* of the files that hold its output */
    int code;        /* exit code; 128 + number for a signal */
    char out[PROGRAM_TEXT], error[PROGRAM_TEXT];
} program;

/* Starts BIN_DIR/words[0]; the words end with NULL. Fails the test when it cannot. */
void program_start(program *p, const char *const *words);
/* True once its standard output (or error) holds `text`; false after ten seconds. */
bool program_says(program *p, bool error, const char *text);
/* Waits for its end, at most two minutes (then it is killed), and reads all of its output. */
void program_end(program *p);
void program_run(program *p, const char *const *words);

#endif
