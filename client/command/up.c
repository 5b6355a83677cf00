/* overpaint up: a broker and its workers as children of this process. The one idea: this process
 * only supervises; whether they serve is asked by another child, `overpaint status --wait`. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/command/command.h"
#include "client/command/supervise.h"
#include "proto/wire.h"

enum { WORDS_MAX = 24, NUMBER_ROOM = 24, PATH_ROOM = 1024, WORKERS_MAX = 16, CHILDREN = 2 };

_Static_assert(WORKERS_MAX + CHILDREN <= SUPERVISE_CHILDREN_MAX, "room for every child");

static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const exacts[] = {"on", "pairs", "off", NULL}; /* as the worker's --exact */
static const char *const memory_modes[] = {"high", "medium", "low", NULL};

typedef struct {
    const char *models, *devices;
    int64_t threads, budget, workers, drain;
    int level, exact, memory;
    bool demo, parallel;
    const char *endpoint;
} up_options;

/* The words of one child's command line. */
typedef struct {
    char program[PATH_ROOM];
    char number[3][NUMBER_ROOM];
    const char *argv[WORDS_MAX + 1];
    int words, numbers;
} command_line;

/* ---------------------------------------------------------------- command lines */

/* What lies at `name` from the folder of this program; false: nothing does. */
static bool beside_this(const char *name, int mode, char *to, size_t size)
{
    char self[PATH_ROOM / 2];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    const char *slash = strrchr(self, '/');
    to[0] = 0;
    if (!slash)
        return false;
    snprintf(to, size, "%.*s/%s", (int)(slash - self), self, name);
    return access(to, mode) == 0;
}

/* A program beside this one, else whatever PATH finds. */
static void begin_line(command_line *l, const char *program)
{
    *l = (command_line){0};
    if (!beside_this(program, X_OK, l->program, sizeof l->program))
        snprintf(l->program, sizeof l->program, "%s", program);
    l->argv[l->words++] = l->program;
}

static void add_words(command_line *l, const char *name, const char *value)
{
    l->argv[l->words++] = name;
    l->argv[l->words++] = value;
}

static void add_number(command_line *l, const char *name, int64_t value)
{
    char *text = l->number[l->numbers++];
    snprintf(text, NUMBER_ROOM, "%lld", (long long)value);
    add_words(l, name, text);
}

static void broker_line(command_line *l, const up_options *u)
{
    begin_line(l, "overpaint-broker");
    add_words(l, "--endpoint", u->endpoint);
    add_words(l, "--log-level", levels[u->level]);
    add_number(l, "--drain", u->drain);
}

static void worker_line(command_line *l, const up_options *u)
{
    begin_line(l, "overpaint-worker");
    add_words(l, "--endpoint", u->endpoint);
    add_words(l, "--models", u->models);
    add_words(l, "--device", u->devices);
    if (u->parallel)
        l->argv[l->words++] = "--cfg-parallel";
    add_words(l, "--exact", exacts[u->exact]);
    add_words(l, "--log-level", levels[u->level]);
    add_number(l, "--threads", u->threads);
    add_number(l, "--memory-budget", u->budget);
    add_words(l, "--memory", memory_modes[u->memory]);
    add_number(l, "--drain", u->drain);
}

static void probe_line(command_line *l, const up_options *u)
{
    begin_line(l, "overpaint");
    l->argv[l->words++] = "status";
    add_words(l, "--endpoint", u->endpoint);
    add_words(l, "--wait", "3600");
}

static int run_children(const up_options *u)
{
    command_line broker, worker, probe;
    child_plan plan[SUPERVISE_CHILDREN_MAX];
    char ready[PATH_ROOM];
    int children = 0;
    broker_line(&broker, u);
    worker_line(&worker, u);
    probe_line(&probe, u);
    snprintf(ready, sizeof ready, "ready %s", u->endpoint);
    plan[children++] = (child_plan){CHILD_BROKER, "broker", broker.argv};
    for (int i = 0; i < u->workers; i++)
        plan[children++] = (child_plan){CHILD_WORKER, "worker", worker.argv};
    plan[children++] = (child_plan){CHILD_PROBE, "probe", probe.argv};
    const supervise_options o = {.plan = plan,
                                 .children = children,
                                 .drain_ms = u->drain * 1000,
                                 .prefix = "overpaint up",
                                 .ready = ready};
    return supervise(&o);
}

/* ---------------------------------------------------------------- before they start */

/* The folder of models where none is named. */
static int usual_folder(const surroundings *a, char *to, size_t size, err *e)
{
    int n = -1;
    if (a->data_home && a->data_home[0] == '/')
        n = snprintf(to, size, "%s/overpaint/models", a->data_home);
    else if (a->home && a->home[0] == '/')
        n = snprintf(to, size, "%s/.local/share/overpaint/models", a->home);
    else
        return err_set(e, ERR_INVALID, "--models DIR is missing, and there is no HOME");
    return n < 0 || (size_t)n >= size ? err_set(e, ERR_INVALID, "the path of HOME is too long") : 0;
}

/* mkdir -p; `path` is changed and restored. */
static int make_folder(char *path, err *e)
{
    for (char *at = path + 1;; at++) {
        const char end = *at;
        if (end && end != '/')
            continue;
        *at = 0;
        const bool made = !mkdir(path, 0755) || errno == EEXIST;
        if (!made)
            err_set(e, ERR_IO, "cannot make the folder %s: %s", path, strerror(errno));
        *at = end;
        if (!made || !end)
            return made ? 0 : e->code;
    }
}

/* Sets u->models, in `room` where it is not what was asked for. */
static int models_folder(up_options *u, const surroundings *a, char *room, size_t size, err *e)
{
    if (u->demo && u->models)
        return err_set(e, ERR_INVALID, "--demo has a model, so there is no use for --models");
    if (u->models)
        return 0;
    u->models = room;
    if (!u->demo)
        return usual_folder(a, room, size, e) ? e->code : make_folder(room, e);
    if (!beside_this("../share/overpaint/demo", R_OK, room, size))
        return err_set(e, ERR_NOT_FOUND, "the demo model is not there: expected %s", room);
    return 0;
}

static bool is_model(const char *folder, const char *name)
{
    static const char suffix[] = ".safetensors";
    char index[2 * PATH_ROOM];
    const size_t length = strlen(name), ending = strlen(suffix);
    if (length > ending && !strcmp(name + length - ending, suffix))
        return true;
    snprintf(index, sizeof index, "%s/%.255s/model_index.json", folder, name);
    return access(index, F_OK) == 0;
}

/* Says where models go when there are none; that is no error. */
static int look_for_models(const char *folder, err *e)
{
    DIR *d = opendir(folder);
    bool found = false;
    if (!d)
        return err_set(e, ERR_IO, "cannot open the models folder %s: %s", folder, strerror(errno));
    for (struct dirent *entry; !found && (entry = readdir(d));)
        found = entry->d_name[0] != '.' && is_model(folder, entry->d_name);
    closedir(d);
    if (!found)
        fprintf(stderr,
                "overpaint up: no model in %s yet; put a .safetensors file or a diffusers folder "
                "there, name one by its path with --model, or try --demo\n",
                folder);
    return 0;
}

/* A broker holds the lock beside its socket, see wire_bind. */
static int check_free(const char *endpoint, err *e)
{
    char path[PATH_ROOM];
    if (!wire_is_local(endpoint))
        return 0;
    snprintf(path, sizeof path, "%s.lock", endpoint + strlen("ipc://"));
    const int lock = open(path, O_RDWR | O_CLOEXEC);
    if (lock < 0)
        return 0;
    int rc = 0;
    if (flock(lock, LOCK_EX | LOCK_NB))
        rc = err_set(e, ERR_CONFLICT, "another broker serves %s already", endpoint);
    close(lock);
    return rc;
}

int run_up(call *c, int argc, char **argv)
{
    up_options u = {0};
    char models[PATH_ROOM], room[256];
    err e = {0};
    int code;
    const option table[] = {
        {"models", OPTION_TEXT, &u.models, .argument = "DIR",
         .help = "folder of .safetensors files and diffusers folders; default: "
                 "$XDG_DATA_HOME/overpaint/models or ~/.local/share/overpaint/models"},
        {"demo", OPTION_FLAG, &u.demo, .help = "the small model that comes along, nothing else"},
        {"device", OPTION_TEXT, &u.devices, .fallback = "cpu", .argument = "LIST",
         .help = "devices of each worker, for example cpu or cpu:0,cpu:1"},
        {"cfg-parallel", OPTION_FLAG, &u.parallel,
         .help = "two devices to a picture, one for each half of its guidance"},
        {"threads", OPTION_INT, &u.threads, .fallback = "0", .least = 0, .most = 1024,
         .help = "threads of each device; 0: one per processor"},
        {"memory-budget", OPTION_BYTES, &u.budget, .fallback = "0", .least = 0, .most = 1e15,
         .help = "memory of each device for weights and scratch; 0: 80 % of what there is"},
        {"exact", OPTION_CHOICE, &u.exact, .fallback = "on", .choices = exacts,
         .help = "may pictures depend on what they are batched with? pairs: no batches; off: yes"},
        {"memory", OPTION_CHOICE, &u.memory, .fallback = "high", .choices = memory_modes,
         .help = "what a device holds of a model: high, all; medium, one network; low, a block or "
                 "two. Same pictures"},
        {"workers", OPTION_INT, &u.workers, .fallback = "1", .least = 1, .most = WORKERS_MAX,
         .help = "worker processes"},
        {"drain", OPTION_INT, &u.drain, .fallback = "30", .least = 0, .most = 86400,
         .argument = "SECONDS", .help = "running jobs may take so long after SIGINT or SIGTERM"},
        {"log-level", OPTION_CHOICE, &u.level, .fallback = "info", .choices = levels,
         .help = "least important events that are logged"},
        {"endpoint", OPTION_TEXT, &c->endpoint, .argument = "URL",
         .help = "where to serve; default: $OVERPAINT_ENDPOINT, or a path of this user's"},
        {0}};
    if (!command_options(c, table, 0, 0, argc, argv, &code))
        return code;
    u.endpoint = command_endpoint(c, room, sizeof room, &code);
    if (!u.endpoint)
        return code;
    int rc = models_folder(&u, c->around, models, sizeof models, &e);
    if (!rc)
        rc = look_for_models(u.models, &e);
    if (!rc)
        rc = check_free(u.endpoint, &e);
    if (rc)
        return command_fail(c, NULL, rc, e.text);
    return run_children(&u) ? EXIT_JOB : EXIT_OK;
}
