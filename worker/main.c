/* overpaint-worker: options, signals, and one call. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/log.h"
#include "proto/option.h"
#include "proto/standard.h"
#include "proto/text.h"
#include "worker/net.h"
#include "worker/service.h"
#include "worker/tune.h"

enum { EXIT_USAGE = 2, EXIT_START = 3, EXIT_DEVICE = 4 };

static atomic_int stop;
static int stop_descriptor;

static void on_signal(int number)
{
    const uint64_t one = 1;
    (void)number;
    atomic_fetch_add(&stop, 1);
    if (write(stop_descriptor, &one, sizeof one) < 0)
        return; /* the loop looks at `stop` by itself soon */
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    stop_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int add_device(service_options *o, const dev_options *common, const char *backend,
                      int ordinal, err *e)
{
    if (o->devices == SERVICE_DEVICES_MAX)
        return err_set(e, ERR_INVALID, "--device names more than %d devices", SERVICE_DEVICES_MAX);
    o->device[o->devices] = *common;
    o->device[o->devices].backend = backend;
    o->device[o->devices++].ordinal = ordinal;
    return 0;
}

/* Every GPU. */
static int add_all(service_options *o, const dev_options *common, err *e)
{
    char why[256];
    int rc = 0, n = dev_count("cuda", why);
    if (n <= 0)
        return err_set(e, ERR_DEVICE, "--device all: %s", n < 0 ? why : "there is no CUDA device");
    for (int i = 0; i < n && !rc; i++)
        rc = add_device(o, common, "cuda", i, e);
    return rc;
}

/* "cpu,cuda:1" -> device options; a name without a number is number 0, "all" is every GPU. */
static int read_devices(const char *text, const dev_options *common, service_options *o, err *e)
{
    char word[64];
    if (strcmp(text, "all") == 0)
        return add_all(o, common, e);
    for (const char *at = text; at;) {
        const char *end = strchrnul(at, ',');
        int64_t ordinal = 0;
        snprintf(word, sizeof word, "%.*s", (int)(end - at), at);
        char *colon = strchr(word, ':');
        if (colon)
            *colon = 0;
        const char *backend = dev_backend(word);
        if (!backend || (colon && !text_whole(colon + 1, &ordinal)) || ordinal < 0 || ordinal > 255)
            return err_set(e, ERR_INVALID,
                           "--device has \"%.*s\", expected cpu, cuda, either with :N, or all",
                           (int)(end - at), at);
        if (add_device(o, common, backend, (int)ordinal, e))
            return e->code;
        at = *end ? end + 1 : NULL;
    }
    return 0;
}

typedef struct {
    const char *endpoint, *devices, *models, *name, *nvml, *model, *sizes;
    int64_t threads, budget, drain, jobs, band_rows, seconds;
    int level, exact, memory;
    bool tune, parallel;
} settings;

/* $XDG_CACHE_HOME/overpaint, or ~/.cache/overpaint; NULL when neither is known. */
static const char *cache_folder(char *to, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = cache && cache[0] == '/' ? snprintf(to, size, "%s/overpaint", cache)
            : home && home[0] == '/' ? snprintf(to, size, "%s/.cache/overpaint", home)
                                     : -1;
    return n > 0 && (size_t)n < size ? to : NULL;
}

/* What the inside is to be like; `cache` has `size` bytes and stays. */
static int read_service(service_options *o, const settings *s, char *cache, size_t size, err *e)
{
    *o = (service_options){.models = s->models,
                           .cache = cache_folder(cache, size),
                           .memory_budget = s->budget,
                           .memory = (memory_mode)s->memory,
                           .cfg_parallel = s->parallel,
                           .nvml = s->nvml};
    const dev_options common = {.threads = (int)s->threads,
                                .band_rows = (int)s->band_rows,
                                .exact = (dev_exact)s->exact,
                                .cache = o->cache};
    if (read_devices(s->devices, &common, o, e))
        return e->code;
    if (s->parallel && common.exact == EXACT_PAIRS)
        return err_set(
            e, ERR_INVALID,
            "--exact pairs keeps a picture's rows in one call, --cfg-parallel takes them "
            "apart");
    if (s->parallel && o->memory != MEMORY_HIGH)
        return err_set(e, ERR_INVALID, "--cfg-parallel has whole models, --memory is %s",
                       memory_mode_words[o->memory]);
    if (s->parallel && o->devices % 2)
        return err_set(e, ERR_INVALID,
                       "--cfg-parallel wants pairs of devices, --device names %d, expected an even "
                       "number",
                       o->devices);
    return 0;
}

static void say(const char *line)
{
    printf("%s\n", line);
    fflush(stdout);
}

static int tune(const settings *s, err *e)
{
    char cache[1024];
    service_options o;
    if (read_service(&o, s, cache, sizeof cache, e))
        return e->code;
    if (o.devices > 1)
        return err_set(e, ERR_INVALID, "--tune takes one device, --device names %d", o.devices);
    const tune_request request = {.device = o.device[0],
                                  .models = s->models,
                                  .names = s->model,
                                  .sizes = s->sizes,
                                  .seconds = (double)s->seconds,
                                  .say = say};
    return tune_run(&request, e);
}

static int serve(const settings *s, err *e)
{
    char endpoint[256], name[80], host[48] = "", cache[1024];
    service_options o;
    catch_signals();
    int rc = wire_worker_endpoint(s->endpoint, endpoint, sizeof endpoint, e);
    if (!rc)
        rc = read_service(&o, s, cache, sizeof cache, e);
    service *inside = rc ? NULL : service_new(&o, e);
    if (!inside)
        return e->code;
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "%s/%d", host, (int)getpid());
    net_options net = {.endpoint = endpoint,
                       .name = s->name ? s->name : name,
                       .local = wire_is_local(endpoint),
                       .jobs_per_device = (int)s->jobs,
                       .drain_ms = s->drain * 1000};
    rc = net_run(&net, inside, &stop, stop_descriptor, e);
    if (rc == ERR_DEVICE)
        _exit(EXIT_DEVICE); /* the engine's thread may never come back: do not wait for it */
    service_free(&inside);
    return rc;
}

static void check_settings(const settings *s, const option_result *words, err *e)
{
    if (!s->endpoint && !s->tune)
        err_set(e, ERR_INVALID, "--endpoint is missing");
    else if (s->model && !s->tune)
        err_set(e, ERR_INVALID, "--model is for --tune; a job names the model it wants");
    else if (words->operands)
        err_set(e, ERR_INVALID, "unexpected word \"%s\"", words->operand[0]);
}

/* True: go on. False: help was printed, or `e` says what is wrong. */
static bool read_settings(settings *s, int argc, char **argv, err *e)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    option_result words;
    const option options[] = {
        {"endpoint", OPTION_TEXT, &s->endpoint, .argument = "URL",
         .help = "the broker's endpoint for clients; the worker side is derived from it"},
        {"models", OPTION_TEXT, &s->models, .argument = "DIR",
         .help = "folder of .safetensors files and diffusers folders"},
        {"device", OPTION_TEXT, &s->devices, .fallback = "cpu", .argument = "LIST",
         .help = "devices, for example cpu, cuda:0,cuda:1 or all (GPUs): one engine each"},
        {"cfg-parallel", OPTION_FLAG, &s->parallel,
         .help =
             "two devices to a picture, one for each half of its guidance: --device cuda:0,cuda:1 "
             "is one engine then. The same pictures, sooner, and fewer of them"},
        {"threads", OPTION_INT, &s->threads, .fallback = "0", .least = 0, .most = 1024,
         .help = "threads of each device; 0: one per processor"},
        {"memory-budget", OPTION_BYTES, &s->budget, .fallback = "0", .least = 0, .most = 1e15,
         .help = "memory of each device for weights and scratch; 0: 80 % of what there is"},
        {"memory", OPTION_CHOICE, &s->memory, .fallback = "high", .choices = memory_mode_words,
         .help = "what a device holds of a model: high, all; medium, one network; low, a block or "
                 "two. Same pictures"},
        {"band-rows", OPTION_INT, &s->band_rows, .fallback = "0", .least = 0, .most = 65536,
         .help = "picture rows a convolution works on at once; 0: by shape. Same pictures"},
        {"exact", OPTION_CHOICE, &s->exact, .fallback = "on", .choices = dev_exact_names,
         .help = "may pictures depend on what they are batched with? pairs: no batches; off: yes"},
        {"jobs", OPTION_INT, &s->jobs, .fallback = "8", .least = 1, .most = 64,
         .help = "jobs each device takes at a time"},
        {"name", OPTION_TEXT, &s->name, .help = "this worker's name; default: host and process"},
        {"nvml", OPTION_TEXT, &s->nvml, .fallback = "libnvidia-ml.so.1", .argument = "FILE",
         .help = "library that is asked about GPUs (memory, load, temperature); \"\": none"},
        {"drain", OPTION_INT, &s->drain, .fallback = "30", .least = 0, .most = 86400,
         .help = "seconds that running jobs may take after SIGTERM"},
        {"tune", OPTION_FLAG, &s->tune,
         .help = "serve nothing: time the kernels of the GPU's libraries and keep what is fastest"},
        {"tune-seconds", OPTION_INT, &s->seconds, .fallback = "300", .least = 1, .most = 86400,
         .help = "how long; what works most comes first"},
        {"tune-sizes", OPTION_TEXT, &s->sizes, .fallback = "512x512,768x768", .argument = "LIST",
         .help = "sizes of the pictures to be fast at"},
        {"model", OPTION_TEXT, &s->model, .argument = "LIST",
         .help = "names of the models to tune for; default: all in the folder"},
        {"log-level", OPTION_CHOICE, &s->level, .fallback = "info", .choices = levels,
         .help = "least important events that are logged"},
        {0}};
    if (option_parse(options, argc, argv, &words, e) != ERR_OK)
        return false;
    if (words.help)
        option_help(stdout, "overpaint-worker --endpoint URL [options] | --tune [options]",
                    options);
    else
        check_settings(s, &words, e);
    return !words.help && e->code == ERR_OK;
}

int main(int argc, char **argv)
{
    settings s = {0};
    err e = {0};
    standard_files_hold();
    if (!read_settings(&s, argc, argv, &e)) {
        if (e.code == ERR_OK)
            return EXIT_SUCCESS;
        fprintf(stderr, "overpaint-worker: %s (see --help)\n", e.text);
        return EXIT_USAGE;
    }
    log_threshold = (log_level)s.level;
    if (s.tune ? tune(&s, &e) : serve(&s, &e)) {
        char text[sizeof e.text];
        log_event(LOG_ERROR, "worker", "ended", "code=%s text=%s", err_name(e.code),
                  log_quote(text, sizeof text, e.text));
        return e.code == ERR_INVALID ? EXIT_USAGE : EXIT_START;
    }
    return EXIT_SUCCESS;
}
