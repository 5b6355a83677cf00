/* The supervisor: see supervise.h. The one idea: one loop over blocked signals. What is running is
 * only changed by it: it starts what is due, reaps what ended, and while ending goes through the
 * kinds of children one after another, each with a deadline. */
#include "client/command/supervise.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clock.h"

enum {
    CRASHES_MAX = 5, /* in WINDOW_MS: then it will not help to start it again */
    WINDOW_MS = 60000,
    PAUSE_LEAST_MS = 500,
    PAUSE_MOST_MS = 10000,
    HURRY_MS = 2000, /* from SIGTERM to SIGKILL, beyond the drain time */
    EXIT_USAGE = 2,  /* of a child that refuses its options */
    EXIT_NO_EXEC = 127,
};

typedef struct {
    pid_t pid; /* 0: not running */
    int64_t start_ms, due_ms, pause_ms;
    int64_t crash_ms[CRASHES_MAX]; /* when it last ended by itself, newest first; 0: never */
    bool over;                     /* will not be started again */
} child;

typedef struct {
    const supervise_options *o;
    child child[SUPERVISE_CHILDREN_MAX];
    sigset_t signals, before;
    bool ready, failed;
    bool ending;
    child_kind phase;    /* the kind that is asked to end now */
    int64_t deadline_ms; /* of the phase */
} supervisor;

static void say(const supervisor *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const supervisor *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", s->o->prefix);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---------------------------------------------------------------- starting */

/* In the child: no terminal input, no output but the log on standard error, no life without its
 * parent. */
static void become(const supervisor *s, const child_plan *p, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_NO_EXEC);
    sigprocmask(SIG_SETMASK, &s->before, NULL);
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    if (p->kind == CHILD_PROBE)
        dup2(nothing, STDERR_FILENO);
    execvp(p->argv[0], (char *const *)p->argv);
    fprintf(stderr, "cannot run %s: %s\n", p->argv[0], strerror(errno));
    _exit(EXIT_NO_EXEC);
}

static void start(supervisor *s, int i, int64_t now)
{
    child *c = &s->child[i];
    const pid_t parent = getpid();
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        become(s, &s->o->plan[i], parent);
    if (pid < 0) {
        say(s, "cannot start the %s: %s", s->o->plan[i].name, strerror(errno));
        c->due_ms = now + PAUSE_MOST_MS;
        return;
    }
    setpgid(pid, pid); /* also here: whoever comes first */
    c->pid = pid;
    c->start_ms = now;
}

/* ---------------------------------------------------------------- ending */

static bool runs(const supervisor *s, child_kind kind)
{
    for (int i = 0; i < s->o->children; i++)
        if (s->o->plan[i].kind == kind && s->child[i].pid)
            return true;
    return false;
}

static void send_signal(supervisor *s, child_kind kind, int number)
{
    for (int i = 0; i < s->o->children; i++)
        if (s->o->plan[i].kind == kind && s->child[i].pid)
            kill(-s->child[i].pid, number);
}

static void begin_phase(supervisor *s, child_kind kind, int64_t now)
{
    s->phase = kind;
    s->deadline_ms = now + HURRY_MS + (kind == CHILD_WORKER ? s->o->drain_ms : 0);
    send_signal(s, kind, kind == CHILD_PROBE ? SIGKILL : SIGTERM);
}

static void begin_end(supervisor *s, int64_t now)
{
    s->ending = true;
    begin_phase(s, CHILD_PROBE, now);
}

/* The user asks again: what still runs gets a second SIGTERM and little time. */
static void hurry(supervisor *s, int64_t now)
{
    send_signal(s, s->phase, SIGTERM);
    if (s->deadline_ms > now + HURRY_MS)
        s->deadline_ms = now + HURRY_MS;
}

/* True when everything has ended. */
static bool proceed(supervisor *s, int64_t now)
{
    while (!runs(s, s->phase)) {
        if (s->phase == CHILD_BROKER)
            return true;
        begin_phase(s, s->phase + 1, now);
    }
    if (now >= s->deadline_ms) {
        send_signal(s, s->phase, SIGKILL);
        s->deadline_ms = now + HURRY_MS;
    }
    return false;
}

/* ---------------------------------------------------------------- what ended by itself */

static void give_up(supervisor *s, int64_t now, const char *name, const char *why)
{
    say(s, "the %s %s; giving up", name, why);
    s->failed = true;
    if (!s->ending)
        begin_end(s, now);
}

static void note_probe(supervisor *s, child *c, int status, int64_t now)
{
    c->over = WIFEXITED(status) && WEXITSTATUS(status) == 0 && runs(s, CHILD_BROKER);
    c->due_ms = now + PAUSE_LEAST_MS;
    if (!c->over || s->ready)
        return;
    s->ready = true;
    puts(s->o->ready);
    fflush(stdout);
}

static void note_crash(supervisor *s, int i, int status, int64_t now)
{
    child *c = &s->child[i];
    const char *name = s->o->plan[i].name;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (code == EXIT_USAGE || code == EXIT_NO_EXEC || (!s->ready && WIFEXITED(status))) {
        give_up(s, now, name,
                code == EXIT_USAGE     ? "refuses its options"
                : code == EXIT_NO_EXEC ? "cannot be run"
                                       : "ended before everything was ready");
        return;
    }
    memmove(c->crash_ms + 1, c->crash_ms, (CRASHES_MAX - 1) * sizeof *c->crash_ms);
    c->crash_ms[0] = now;
    if (c->crash_ms[CRASHES_MAX - 1] && now - c->crash_ms[CRASHES_MAX - 1] < WINDOW_MS) {
        give_up(s, now, name, "ended five times within a minute");
        return;
    }
    const bool lasted = now - c->start_ms > WINDOW_MS;
    c->pause_ms = !c->pause_ms || lasted ? PAUSE_LEAST_MS : 2 * c->pause_ms;
    if (c->pause_ms > PAUSE_MOST_MS)
        c->pause_ms = PAUSE_MOST_MS;
    c->due_ms = now + c->pause_ms;
    say(s, "the %s ended by %s %d; starting it again in %.1f s", name,
        WIFSIGNALED(status) ? "signal" : "itself with code",
        WIFSIGNALED(status) ? WTERMSIG(status) : code, (double)c->pause_ms / 1000);
}

static void reap(supervisor *s, int64_t now)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i < s->o->children; i++) {
            if (s->child[i].pid != pid)
                continue;
            s->child[i].pid = 0;
            if (s->ending)
                continue;
            if (s->o->plan[i].kind == CHILD_PROBE)
                note_probe(s, &s->child[i], status, now);
            else
                note_crash(s, i, status, now);
        }
}

/* ---------------------------------------------------------------- the loop */

/* Starts what is due; the time of what comes next. */
static int64_t start_due(supervisor *s, int64_t now)
{
    int64_t next = now + PAUSE_MOST_MS;
    for (int i = 0; i < s->o->children; i++) {
        child *c = &s->child[i];
        if (c->pid || c->over)
            continue;
        if (c->due_ms <= now)
            start(s, i, now);
        if (!c->pid && c->due_ms < next)
            next = c->due_ms;
    }
    return next;
}

static void wait_for_signal(supervisor *s, int64_t until_ms, int64_t now)
{
    const int64_t left = until_ms > now ? until_ms - now : 0;
    const struct timespec time = {left / 1000, left % 1000 * 1000000};
    const int number = sigtimedwait(&s->signals, NULL, &time);
    if (number != SIGINT && number != SIGTERM)
        return;
    if (s->ending)
        hurry(s, clock_ms());
    else
        begin_end(s, clock_ms());
}

int supervise(const supervise_options *o)
{
    supervisor s = {.o = o};
    assert(o->children <= SUPERVISE_CHILDREN_MAX);
    sigemptyset(&s.signals);
    sigaddset(&s.signals, SIGCHLD);
    sigaddset(&s.signals, SIGINT);
    sigaddset(&s.signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &s.signals, &s.before);
    for (;;) {
        const int64_t now = clock_ms();
        reap(&s, now);
        if (s.ending && proceed(&s, now))
            break;
        wait_for_signal(&s, s.ending ? s.deadline_ms : start_due(&s, now), now);
    }
    sigprocmask(SIG_SETMASK, &s.before, NULL);
    return s.failed ? -1 : 0;
}
