/* Child processes for tests: see process.h. The one idea: nothing is waited for by sleeping;
 * SIGCHLD is blocked and taken with a time limit. */
#include "tests/support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/clock.h"
#include "tests/support/places.h"

enum { WORDS_MAX = 64, CANNOT_RUN = 127, LOOK_AGAIN_MS = 200 };

static void child_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
}

static void redirect(const char *path, int to)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (descriptor < 0 || dup2(descriptor, to) < 0)
        _exit(CANNOT_RUN);
}

/* In the child: only calls that are safe after a fork. */
static void become(const process *p, char *const *argv, pid_t parent)
{
    sigset_t set;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(CANNOT_RUN);
    child_signals(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    redirect("/dev/null", STDIN_FILENO);
    redirect(p->out, STDOUT_FILENO);
    redirect(p->err, STDERR_FILENO);
    execv(argv[0], argv);
    _exit(CANNOT_RUN);
}

void process_start(process *p, const char *folder, const char *name, const char *program,
                   const char *const *words)
{
    char path[1024], *argv[WORDS_MAX + 2] = {path};
    sigset_t set;
    const pid_t parent = getpid();
    assert_int_equal(p->pid, 0);
    snprintf(path, sizeof path, "%s/%s", place_programs(), program);
    snprintf(p->out, sizeof p->out, "%s/%s.out", folder, name);
    snprintf(p->err, sizeof p->err, "%s/%s.err", folder, name);
    for (int i = 0; words[i]; i++) {
        assert_true(i < WORDS_MAX);
        argv[i + 1] = (char *)words[i];
    }
    child_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0)
        become(p, argv, parent);
    setpgid(p->pid, p->pid); /* both sides do it, so it is done whoever is first */
}

bool process_ended(process *p)
{
    int status;
    if (!p->pid)
        return true;
    const pid_t got = waitpid(p->pid, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR))
        return false;
    p->exit = got < 0 ? -1 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    p->pid = 0;
    return true;
}

int process_wait(process *p, double deadline)
{
    const struct timespec slice = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};
    sigset_t set;
    child_signals(&set);
    while (!process_ended(p)) {
        if (clock_seconds() > deadline)
            fail_msg("process %d (%s) has not ended in time", (int)p->pid, p->err);
        sigtimedwait(&set, NULL, &slice); /* another child's end wakes too, and swallows ours */
    }
    return p->exit;
}

void process_signal(const process *p, int number)
{
    assert_true(p->pid > 0);
    assert_int_equal(kill(p->pid, number), 0);
}

void process_kill(process *p)
{
    if (!p->pid)
        return;
    kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    p->pid = 0;
    p->exit = 128 + SIGKILL;
}

char *process_read(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *bytes = NULL;
    long end = fseek(f, 0, SEEK_END) ? -1 : ftell(f);
    rewind(f);
    if (end >= 0 && (bytes = malloc((size_t)end + 1))) {
        size_t got = fread(bytes, 1, (size_t)end, f);
        bytes[got] = 0;
        if (size)
            *size = got;
    }
    fclose(f);
    return bytes;
}
