/* A farm for tests: see farm.h. */
#include "tests/support/farm.h"

#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/clock.h"
#include "proto/err.h"
#include "tests/support/fixture.h"
#include "tests/support/places.h"

enum { SECONDS = 150, SHOWN = 6000, WORDS_MAX = 40 };

/* ---------------------------------------------------------------- paths */

const char *farm_path(const farm *f, char to[PROCESS_PATH], const char *name)
{
    snprintf(to, PROCESS_PATH, "%s/%s", f->folder, name);
    return to;
}

const char *farm_golden(char to[1024], const char *name)
{
    snprintf(to, 1024, "%s/%s", place_golden(), name);
    return to;
}

static void make_folder(farm *f)
{
    static const char *const archs[] = {"tiny", "tiny3", "tiny9"};
    char path[PROCESS_PATH], model[1024], name[32];
    snprintf(f->folder, sizeof f->folder, "/tmp/overpaint-test-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->endpoint, sizeof f->endpoint, "ipc://%s/service", f->folder);
    assert_int_equal(mkdir(farm_path(f, path, "models"), 0700), 0);
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        snprintf(name, sizeof name, "models/%s.safetensors", archs[i]);
        assert_int_equal(symlink(fixture_shared(archs[i], model), farm_path(f, path, name)), 0);
    }
    assert_int_equal(
        symlink(farm_golden(model, "upscalers"), farm_path(f, path, "models/upscalers")), 0);
    setenv("OVERPAINT_ENDPOINT", f->endpoint, 1);
    setenv("XDG_RUNTIME_DIR", f->folder, 1);
    setenv("XDG_CACHE_HOME", f->folder, 1);
    setenv("XDG_DATA_HOME", f->folder, 1);
    setenv("HOME", f->folder, 1);
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *where)
{
    (void)s, (void)type, (void)where;
    return remove(path);
}

/* The end of what a program wrote. */
static int show_log(const char *path, const struct stat *s, int type, struct FTW *where)
{
    const char *dot = strrchr(path, '.');
    (void)where;
    if (type != FTW_F || !dot || (strcmp(dot, ".err") && strcmp(dot, ".out")) || !s->st_size)
        return 0;
    size_t size = 0;
    char *text = process_read(path, &size);
    fprintf(stderr, "---- %s\n%s\n", path, !text ? "" : size > SHOWN ? text + size - SHOWN : text);
    free(text);
    return 0;
}

/* ---------------------------------------------------------------- life */

static int join(const char **to, const char *const *first, const char *const *more)
{
    int n = 0;
    for (; first && *first; first++)
        to[n++] = *first;
    for (; more && *more; more++)
        to[n++] = *more;
    assert_true(n < WORDS_MAX);
    to[n] = NULL;
    return n;
}

void farm_start_broker(farm *f)
{
    const char *words[WORDS_MAX];
    join(words, WORDS("--endpoint", f->endpoint), f->options.broker);
    process_start(&f->broker, f->folder, "broker", "overpaint-broker", words);
}

/* Without options of a test's own: one thread, or the device that OVERPAINT_BACKEND names. */
static const char *const *usual_options(void)
{
    static const char *const one_thread[] = {"--threads", "1", NULL};
    static const char *on_device[] = {"--device", NULL, NULL};
    on_device[1] = getenv("OVERPAINT_BACKEND");
    return on_device[1] ? on_device : one_thread;
}

void farm_start_worker(farm *f, int i)
{
    const char *words[WORDS_MAX];
    char models[PROCESS_PATH];
    char *name = f->name[i];
    snprintf(name, sizeof f->name[i], "worker-%d.%d", i, f->starts++);
    join(words,
         WORDS("--endpoint", f->endpoint, "--models", farm_path(f, models, "models"), "--name",
               name),
         f->options.worker ? f->options.worker : usual_options());
    process_start(&f->worker[i], f->folder, name, "overpaint-worker", words);
}

/* An emulated GPU is slow. */
static double slowness(void)
{
    return getenv("OVERPAINT_BACKEND") ? 10 : 1;
}

farm *farm_open(void **state, const farm_options *o)
{
    farm *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *state = f;
    f->options = *o;
    f->deadline = clock_seconds() + (o->seconds > 0 ? o->seconds : SECONDS) * slowness();
    make_folder(f);
    if (o->workers < 0)
        return f;
    farm_start_broker(f);
    for (int i = 0; i < o->workers; i++)
        farm_start_worker(f, i);
    f->o = overpaint_open(f->endpoint, "test");
    farm_wait_workers(f, o->workers);
    return f;
}

int farm_teardown(void **state)
{
    farm *f = *state;
    if (!f)
        return 0;
    overpaint_close(&f->o);
    for (int i = 0; i < FARM_WORKERS_MAX; i++)
        process_kill(&f->worker[i]);
    process_kill(&f->broker);
    if (!f->passed)
        nftw(f->folder, show_log, 8, FTW_PHYS);
    nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    *state = NULL;
    return 0;
}

void farm_turn(farm *f, int ms)
{
    if (clock_seconds() > f->deadline)
        fail_msg("the test's time is over");
    overpaint_poll(f->o, ms);
}

/* ---------------------------------------------------------------- status */

/* Asks until the broker answers. */
static json_t *ask(farm *f, const overpaint_id *id)
{
    const char *text;
    while (!(text = overpaint_status_json(f->o, id))) {
        if (id && overpaint_error_code(f->o) == ERR_NOT_FOUND)
            return NULL;
        farm_turn(f, 10);
        if (!overpaint_connected(f->o)) {
            overpaint_close(&f->o);
            f->o = overpaint_open(f->endpoint, "test");
        }
    }
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    return o;
}

json_t *farm_status(farm *f)
{
    return ask(f, NULL);
}

long long farm_count(farm *f, const char *counter)
{
    json_t *s = farm_status(f), *v = json_object_get(json_object_get(s, "counters"), counter);
    assert_true(json_is_integer(v));
    const long long value = json_integer_value(v);
    json_decref(s);
    return value;
}

long long farm_total(farm *f, const char *key)
{
    json_t *s = farm_status(f), *v = json_object_get(s, key);
    assert_true(json_is_integer(v));
    const long long value = json_integer_value(v);
    json_decref(s);
    return value;
}

const char *farm_job_state(farm *f, const overpaint_id *id, int *steps_done)
{
    static const char *const states[] = {"queued", "running", "finished", "failed", "cancelled"};
    const char *found = "unknown";
    json_t *j = ask(f, id);
    const char *state = json_string_value(json_object_get(j, "state"));
    for (size_t i = 0; state && i < sizeof states / sizeof *states; i++)
        if (!strcmp(state, states[i]))
            found = states[i];
    if (steps_done)
        *steps_done =
            (int)json_integer_value(json_object_get(json_object_get(j, "progress"), "steps_done"));
    json_decref(j);
    return found;
}

static bool is_running(const json_t *j, const char *worker, const char *id, int steps)
{
    const char *name = json_string_value(json_object_get(j, "worker"));
    const json_t *p = json_object_get(j, "progress");
    return name && !strcmp(name, worker) &&
           (!id || !strcmp(json_string_value(json_object_get(j, "id")), id)) &&
           json_integer_value(json_object_get(p, "steps_done")) >= steps;
}

bool farm_runs(farm *f, int i, const overpaint_id *id, int steps)
{
    char text[37];
    bool found = false;
    json_t *s = farm_status(f), *j;
    size_t at;
    if (id)
        overpaint_id_text(id, text);
    json_array_foreach(json_object_get(s, "jobs"), at, j) found |=
        is_running(j, f->name[i], id ? text : NULL, steps);
    json_decref(s);
    return found;
}

static int ready_workers(farm *f)
{
    json_t *s = farm_status(f), *w;
    int ready = 0;
    size_t i;
    json_array_foreach(json_object_get(s, "workers"), i, w) ready +=
        !strcmp(json_string_value(json_object_get(w, "state")), "ready");
    json_decref(s);
    return ready;
}

void farm_wait_workers(farm *f, int count)
{
    FARM_UNTIL(f, ready_workers(f) == count);
}

/* ---------------------------------------------------------------- jobs */

static void apply(overpaint_job *j, const char *const *settings)
{
    for (; settings && settings[0]; settings += 2) {
        int rc = !strcmp(settings[0], "task")    ? 0
                 : !strcmp(settings[0], "input") ? overpaint_job_add_file(j, settings[1])
                                                 : overpaint_job_set(j, settings[0], settings[1]);
        if (rc)
            fail_msg("%s = %s: %s", settings[0], settings[1], overpaint_job_error(j));
    }
}

static const char *task_of(const char *const *settings)
{
    for (; settings && settings[0]; settings += 2)
        if (!strcmp(settings[0], "task"))
            return settings[1];
    return "txt2img";
}

overpaint_id farm_submit(farm *f, overpaint *o, const char *const *settings)
{
    const char *task = task_of(settings);
    overpaint_job *j = overpaint_job_new(task);
    overpaint_id id;
    (void)f;
    if (strcmp(task, "noop") && strcmp(task, "upscale"))
        apply(j, WORDS("model", "tiny", "prompt", "a fox", "width", "64", "height", "64", "steps",
                       "4", "seed", "1"));
    apply(j, settings);
    if (overpaint_submit(o, j, &id))
        fail_msg("submit: %s", overpaint_error(o));
    overpaint_job_free(&j);
    return id;
}

farm_file farm_result(farm *f, overpaint *o, const overpaint_id *id)
{
    farm_file a = {0};
    const double left = f->deadline - clock_seconds();
    if (overpaint_wait(o, id, left > 0 ? (int)(left * 1000) : 0))
        fail_msg("wait: %s", overpaint_error(o));
    const unsigned char *bytes = overpaint_picture(o, id, 0, &a.size);
    assert_non_null(bytes);
    a.bytes = malloc(a.size);
    assert_non_null(a.bytes);
    memcpy(a.bytes, bytes, a.size);
    overpaint_forget(o, id);
    return a;
}

farm_file farm_make(farm *f, const char *const *settings)
{
    const overpaint_id id = farm_submit(f, f->o, settings);
    return farm_result(f, f->o, &id);
}

void farm_file_done(farm_file *a)
{
    free(a->bytes);
    *a = (farm_file){0};
}

void farm_same(const farm_file *a, const farm_file *b, const char *what)
{
    assert_non_null(a->bytes);
    if (a->size != b->size || memcmp(a->bytes, b->bytes, a->size))
        fail_msg("%s: other bytes (%zu and %zu)", what, a->size, b->size);
}

/* ---------------------------------------------------------------- the command */

void farm_start_command(farm *f, process *p, const char *name, const char *const *words)
{
    process_start(p, f->folder, name, "overpaint", words);
}

static void read_output(char to[FARM_OUTPUT], const char *path)
{
    char *text = process_read(path, NULL);
    assert_non_null(text);
    snprintf(to, FARM_OUTPUT, "%s", text);
    free(text);
    remove(path);
}

farm_outcome farm_command(farm *f, const char *const *words)
{
    farm_outcome o;
    process p = {0};
    farm_start_command(f, &p, "command", words);
    o.exit = process_wait(&p, f->deadline);
    read_output(o.out, p.out);
    read_output(o.err, p.err);
    return o;
}

void farm_expect(const farm_outcome *o, int exit, const char *text)
{
    if (o->exit != exit || !strstr(o->err, text))
        fail_msg("exit code %d and \"%s%s\", expected %d and \"%s\"", o->exit, o->out, o->err, exit,
                 text);
}
