/* overpaint status: the service or one job, as the JSON the library gives or as a table made of it.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/command/command.h"
#include "proto/clock.h"
#include "proto/err.h"

enum { AGAIN_US = 50000, MEBIBYTE = 1 << 20 };

static const char *word(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "-";
}

static long long number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* ---------------------------------------------------------------- the table */

static void print_duration(const char *name, long long ms)
{
    const long long s = ms / 1000;
    printf("%s %lld:%02lld:%02lld", name, s / 3600, s / 60 % 60, s % 60);
}

static void print_list(const char *name, const json_t *list)
{
    size_t i;
    json_t *item;
    if (!json_array_size(list))
        return;
    printf("%s", name);
    json_array_foreach(list, i, item) printf("%s %s", i ? "," : "", json_string_value(item));
    putchar('\n');
}

/* What is known of a device's hardware, on one line. */
static void print_telemetry(const json_t *t)
{
    static const struct {
        const char *key;
        long long unit;
        const char *before, *after;
    } shown[] = {
        {"memory_used_bytes", MEBIBYTE, "", " MiB in use"},
        {"memory_total_bytes", MEBIBYTE, "", " MiB in all"},
        {"utilisation_percent", 1, "", " % busy"},
        {"temperature_celsius", 1, "", " °C"},
        {"power_milliwatts", 1000, "", " W"},
        {"ecc_errors", 1, "ECC errors ", ""},
        {"xid_errors", 1, "Xid errors ", ""},
        {"last_xid", 1, "last Xid ", ""},
    };
    const char *between = "    hardware: ";
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        if (!json_object_get(t, shown[i].key))
            continue;
        printf("%s%s%lld%s", between, shown[i].before, number(t, shown[i].key) / shown[i].unit,
               shown[i].after);
        between = ", ";
    }
    if (json_object_size(t))
        putchar('\n');
}

static void print_device(const json_t *d)
{
    size_t i;
    json_t *row;
    printf("  %s  %s  memory %lld of %lld MiB (%s), %lld evaluations\n", word(d, "name"),
           word(d, "class"), number(d, "memory_bytes") / MEBIBYTE,
           number(d, "budget_bytes") / MEBIBYTE, word(d, "memory_mode"), number(d, "evaluations"));
    print_telemetry(json_object_get(d, "telemetry"));
    print_list("    resident:", json_object_get(d, "models"));
    json_array_foreach(json_object_get(d, "rows"), i, row) printf(
        "    row %zu: job %s picture %lld, %s step %lld of %lld\n", i, word(row, "id"),
        number(row, "picture"), word(row, "sampler"), number(row, "step"), number(row, "steps"));
}

static void print_worker(const json_t *w)
{
    size_t i;
    json_t *device;
    printf("worker %s  %s  %lld running, %lld finished, %lld failed\n", word(w, "name"),
           word(w, "state"), number(w, "running"), number(w, "finished"), number(w, "failed"));
    print_list("  models:", json_object_get(w, "models"));
    json_array_foreach(json_object_get(w, "devices"), i, device) print_device(device);
}

static void print_job(const json_t *j)
{
    const json_t *p = json_object_get(j, "progress");
    printf("job %s  %s  %s", word(j, "id"), word(j, "task"), word(j, "state"));
    if (!strcmp(word(j, "state"), "queued"))
        printf(", %lld ahead", number(j, "position"));
    else if (number(p, "steps"))
        printf(", step %lld of %lld", number(p, "steps_done"), number(p, "steps"));
    if (json_is_string(json_object_get(j, "worker")))
        printf("  on %s", word(j, "worker"));
    if (json_is_string(json_object_get(j, "text")))
        printf("  %s", word(j, "text"));
    putchar('\n');
}

static void print_service(const json_t *s)
{
    const char *name;
    json_t *item;
    size_t i;
    print_duration("up", number(s, "uptime_ms"));
    printf("  epoch %s  %lld queued, %lld running, %lld kept, %lld bytes\n", word(s, "epoch"),
           number(s, "queued"), number(s, "running"), number(s, "kept"), number(s, "bytes"));
    json_array_foreach(json_object_get(s, "workers"), i, item) print_worker(item);
    json_array_foreach(json_object_get(s, "jobs"), i, item) print_job(item);
    json_object_foreach(json_object_get(s, "counters"), name, item)
        printf("%s %lld\n", name, (long long)json_integer_value(item));
}

/* ---------------------------------------------------------------- the command */

static bool has_ready_worker(const char *text)
{
    json_t *s = json_loads(text, 0, NULL), *worker;
    bool found = false;
    size_t i;
    json_array_foreach(json_object_get(s, "workers"), i, worker) found |=
        !strcmp(word(worker, "state"), "ready");
    json_decref(s);
    return found;
}

/* Asks until a worker is ready or the time is over: the handle stays connected, broker or not. */
static int wait_for_worker(call *c, double seconds)
{
    const double end = clock_seconds() + seconds;
    char room[256];
    int code;
    const char *endpoint = command_endpoint(c, room, sizeof room, &code);
    if (!endpoint)
        return code;
    for (overpaint *o = NULL;;) {
        o = overpaint_open(endpoint, NULL);
        while (!overpaint_error_code(o) && clock_seconds() < end) {
            const char *text = overpaint_status_json(o, NULL);
            if (text && has_ready_worker(text)) {
                overpaint_close(&o);
                return EXIT_OK;
            }
            usleep(AGAIN_US);
        }
        overpaint_close(&o);
        if (clock_seconds() >= end)
            return command_fail(c, NULL, ERR_TIMEOUT, "no worker became ready in time");
    }
}

static int show(call *c, const overpaint_id *id)
{
    int code = EXIT_OK;
    overpaint *o = command_open(c, &code);
    if (!o)
        return code;
    const char *text = overpaint_status_json(o, id);
    if (!text) {
        code = command_fail_handle(c, id, o);
    } else if (c->json) {
        puts(text);
    } else {
        json_t *parsed = json_loads(text, 0, NULL);
        (id ? print_job : print_service)(parsed);
        json_decref(parsed);
    }
    overpaint_close(&o);
    return code;
}

int run_status(call *c, int argc, char **argv)
{
    overpaint_id id;
    double wait;
    int code;
    const option table[] = {{"wait", OPTION_REAL, &wait, .fallback = "0", .least = 0, .most = 1e6,
                             .argument = "SECONDS",
                             .help = "first wait until a worker is ready, at most so long"},
                            OPTION_JSON(c),
                            OPTION_ENDPOINT(c),
                            {0}};
    if (!command_options(c, table, 0, 1, argc, argv, &code))
        return code;
    const bool one = c->words.operands == 1;
    if (one && !command_id(c, c->words.operand[0], &id, &code))
        return code;
    if (wait > 0 && (code = wait_for_worker(c, wait)) != EXIT_OK)
        return code;
    return show(c, one ? &id : NULL);
}
