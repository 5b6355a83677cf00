/* Programs as a user runs them: see program.h. Output goes to files, so that nobody blocks. */
#include "tests/support/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { STEP_US = 5000, SAYS_STEPS = 2000, END_STEPS = 24000, PATH_ROOM = 512 };

static void fatal(const char *what, const char *name)
{
    fprintf(stderr, "program: %s %s\n", what, name);
    abort();
}

static void path_of(const program *p, bool error, char *path)
{
    snprintf(path, PATH_ROOM, "%s/%s", p->folder, error ? "error" : "out");
}

static void read_output(program *p, bool error)
{
    char path[PATH_ROOM], *to = error ? p->error : p->out;
    path_of(p, error, path);
    FILE *f = fopen(path, "rb");
    to[f ? fread(to, 1, PROGRAM_TEXT - 1, f) : 0] = 0;
    if (f)
        fclose(f);
}

void program_start(program *p, const char *const *words)
{
    char path[PATH_ROOM], out[PATH_ROOM], error[PATH_ROOM];
    posix_spawn_file_actions_t files;
    *p = (program){0};
    strcpy(p->folder, "/tmp/overpaint-run-XXXXXX");
    if (!mkdtemp(p->folder))
        fatal("no folder", p->folder);
    path_of(p, false, out);
    path_of(p, true, error);
    snprintf(path, sizeof path, "%s/%s", BIN_DIR, words[0]);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, out, O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_addopen(&files, 2, error, O_WRONLY | O_CREAT, 0600);
    if (posix_spawn(&p->pid, path, &files, NULL, (char *const *)words, environ))
        fatal("cannot start", path);
    posix_spawn_file_actions_destroy(&files);
}

bool program_says(program *p, bool error, const char *text)
{
    for (int i = 0; i < SAYS_STEPS; i++) {
        read_output(p, error);
        if (strstr(error ? p->error : p->out, text))
            return true;
        usleep(STEP_US);
    }
    return false;
}

void program_end(program *p)
{
    char path[PATH_ROOM];
    int status = 0;
    pid_t ended = 0;
    for (int i = 0; !ended && i < END_STEPS; i++) {
        ended = waitpid(p->pid, &status, WNOHANG);
        if (!ended)
            usleep(STEP_US);
    }
    if (!ended) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, &status, 0);
    }
    p->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    for (int error = 0; error < 2; error++) {
        read_output(p, error);
        path_of(p, error, path);
        unlink(path);
    }
    rmdir(p->folder);
}

void program_run(program *p, const char *const *words)
{
    program_start(p, words);
    program_end(p);
}
