/* bench_noop: how long a job takes that does nothing, client to client: from submitting it to
 * having its result, against a running service. `net`: answered by the worker's net thread;
 * `engine`: through its pool and engine. One line of JSON. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/client.h"
#include "proto/clock.h"
#include "proto/option.h"

enum { WARM_UP = 20 };

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double round_trip_ms(overpaint *o, const overpaint_job *j, err *e)
{
    overpaint_id id;
    const double start = clock_seconds();
    if (overpaint_submit(o, j, &id) || overpaint_wait(o, &id, -1))
        err_set(e, (err_code)overpaint_error_code(o), "%s", overpaint_error(o));
    const double ms = (clock_seconds() - start) * 1000;
    overpaint_forget(o, &id);
    return ms;
}

/* Median and 99th percentile of `rounds` round trips; NULL on failure. */
static json_t *measure(overpaint *o, const char *through_engine, int64_t rounds, err *e)
{
    double *ms = calloc((size_t)rounds, sizeof *ms);
    overpaint_job *j = overpaint_job_new("noop");
    json_t *figures = NULL;
    if (!ms || !j || overpaint_job_set(j, "noop_engine", through_engine))
        err_set(e, ERR_NO_MEMORY, "cannot make the job");
    for (int i = 0; i < WARM_UP && !e->code; i++)
        round_trip_ms(o, j, e);
    for (int64_t i = 0; i < rounds && !e->code; i++)
        ms[i] = round_trip_ms(o, j, e);
    if (!e->code) {
        qsort(ms, (size_t)rounds, sizeof *ms, compare);
        figures =
            json_pack("{s:f, s:f}", "median_ms", ms[rounds / 2], "p99_ms", ms[rounds * 99 / 100]);
    }
    overpaint_job_free(&j);
    free(ms);
    return figures;
}

int main(int argc, char **argv)
{
    const char *endpoint;
    int64_t rounds;
    const option table[] = {{"endpoint", OPTION_TEXT, &endpoint, .argument = "URL",
                             .help = "of a service with a worker"},
                            {"rounds", OPTION_INT, &rounds, .fallback = "2000", .least = 1,
                             .most = 1e7, .help = "round trips of each kind"},
                            {0}};
    option_result words;
    overpaint *o = NULL;
    err e = {0};
    if (!option_parse(table, argc, argv, &words, &e) && words.help) {
        option_help(stdout, "bench_noop --endpoint URL [options]", table);
        return 0;
    }
    if (!e.code && !endpoint)
        err_set(&e, ERR_INVALID, "--endpoint is missing");
    if (!e.code && (o = overpaint_open(endpoint, NULL), overpaint_error_code(o)))
        err_set(&e, (err_code)overpaint_error_code(o), "%s", overpaint_error(o));
    json_t *net = e.code ? NULL : measure(o, "false", rounds, &e);
    json_t *engine = e.code ? NULL : measure(o, "true", rounds, &e);
    if (e.code) {
        fprintf(stderr, "bench_noop: %s\n", e.text);
    } else {
        json_t *all = json_pack("{s:I, s:O, s:O}", "rounds", (json_int_t)rounds, "net", net,
                                "engine", engine);
        json_dumpf(all, stdout, JSON_REAL_PRECISION(4));
        putchar('\n');
        json_decref(all);
    }
    json_decref(net);
    json_decref(engine);
    overpaint_close(&o);
    return e.code ? 1 : 0;
}
