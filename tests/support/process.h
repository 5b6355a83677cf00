/* Child processes for tests: started in a process group of their own, ended with the test however
 * it ends, their output in files. Whatever takes longer than `deadline` (clock_seconds) fails the
 * test. */
#ifndef TESTS_SUPPORT_PROCESS_H
#define TESTS_SUPPORT_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

enum { PROCESS_PATH = 256 };

typedef struct {
    pid_t pid; /* 0: it does not run */
    int exit;  /* how it ended: its exit code, or 128 + the signal */
    char out[PROCESS_PATH], err[PROCESS_PATH];
} process;

/* NULL-ended list of words. */
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Starts the program `program` of the build with these words after its name. Its output goes to
 * `folder`/`name`.out and .err, behind what an earlier run has left there. */
void process_start(process *p, const char *folder, const char *name, const char *program,
                   const char *const *words);

/* True when it has ended (or never ran); `exit` says how. */
bool process_ended(process *p);

/* Waits until it has ended and returns `exit`. */
int process_wait(process *p, double deadline);

/* Sends the signal to the process, not to its group. */
void process_signal(const process *p, int number);

/* SIGKILL to the whole group, and waits. Does nothing when it does not run. */
void process_kill(process *p);

/* A file of bytes (malloc'ed, NUL added); NULL when it cannot be read. `size` may be NULL. */
char *process_read(const char *path, size_t *size);

#endif
