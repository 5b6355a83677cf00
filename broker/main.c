/* overpaint-broker: options, signals, and the loop of broker.c. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/peers.h"
#include "proto/log.h"
#include "proto/option.h"
#include "proto/standard.h"
#include "proto/wire.h"

enum { EXIT_USAGE = 2, DESCRIPTORS_WANTED = SIDES * PEERS_MAX + 64 };

static const char usage[] = "overpaint-broker [options]\n"
                            "Takes jobs from clients and gives them to workers. Prints \"ready "
                            "URL\" when both can connect.";

static int fail(const err *e, int code)
{
    fprintf(stderr, "overpaint-broker: %s\n", e->text);
    return code;
}

/* SIGTERM and SIGINT arrive as something to read, so that no code runs at a bad moment. */
static int open_signals(err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL))
        return err_set(e, ERR_IO, "cannot block signals: %s", strerror(errno));
    int descriptor = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return descriptor < 0 ? err_set(e, ERR_IO, "no signalfd: %s", strerror(errno)) : descriptor;
}

/* Every connection takes a descriptor, and ZeroMQ ends the process when it can accept no more over
 * ipc: a shell's usual 1,024 are too few. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < DESCRIPTORS_WANTED)
        log_event(LOG_WARN, "broker", "descriptors", "limit=%llu wanted=%d",
                  (unsigned long long)limit.rlim_cur, DESCRIPTORS_WANTED);
}

static int run(const broker_options *o, err *e)
{
    int signals = open_signals(e);
    if (signals < 0)
        return signals;
    raise_descriptor_limit();
    broker *b = broker_open(o, e);
    int rc = b ? 0 : (int)e->code;
    if (b) {
        printf("ready %s\n", o->endpoint);
        fflush(stdout);
        rc = broker_run(b, signals, e);
    }
    broker_close(&b);
    close(signals);
    return rc;
}

int main(int argc, char **argv)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    const char *endpoint;
    char fallback[256];
    int64_t jobs, bytes;
    double result_ttl, drain;
    int level;
    const option options[] = {
        {"endpoint", OPTION_TEXT, &endpoint, .fallback = "", .argument = "URL",
         .help = "ipc:///PATH or tcp://127.0.0.1:PORT for clients; workers connect beside it "
                 "(PATH.worker, PORT + 1). Default: OVERPAINT_ENDPOINT, or a path of this user's"},
        {"queue-jobs", OPTION_INT, &jobs, .fallback = "10000", .least = 1, .most = 1e7,
         .help = "jobs queued and running at the same time, and results kept"},
        {"queue-bytes", OPTION_BYTES, &bytes, .fallback = "1G", .least = 1 << 20, .most = 0x1p50,
         .help = "memory for jobs and results"},
        {"result-ttl", OPTION_REAL, &result_ttl, .fallback = "900", .least = 0.1, .most = 1e8,
         .argument = "SECONDS", .help = "how long a result waits for its client"},
        {"drain", OPTION_REAL, &drain, .fallback = "30", .least = 0, .most = 1e6,
         .argument = "SECONDS", .help = "how long running jobs are waited for at the end"},
        {"log-level", OPTION_CHOICE, &level, .fallback = "info", .choices = levels,
         .help = "the least important events to log"},
        {0}};
    option_result result;
    err e = {0};
    standard_files_hold();
    if (option_parse(options, argc, argv, &result, &e))
        return fail(&e, EXIT_USAGE);
    if (result.help) {
        option_help(stdout, usage, options);
        return 0;
    }
    if (result.operands) {
        err_set(&e, ERR_INVALID, "%s: expected options only, see --help", result.operand[0]);
        return fail(&e, EXIT_USAGE);
    }
    log_threshold = (log_level)level;
    if (!*endpoint && getenv("OVERPAINT_ENDPOINT"))
        endpoint = getenv("OVERPAINT_ENDPOINT");
    if (!*endpoint) {
        if (wire_default_endpoint(getenv("XDG_RUNTIME_DIR"), fallback, sizeof fallback, &e))
            return fail(&e, 1);
        endpoint = fallback;
    }
    const broker_options o = {.endpoint = endpoint,
                              .queue_jobs = jobs,
                              .queue_bytes = bytes,
                              .result_ttl_ms = (int64_t)(result_ttl * 1000),
                              .drain_ms = (int64_t)(drain * 1000)};
    return run(&o, &e) ? fail(&e, 1) : 0;
}
