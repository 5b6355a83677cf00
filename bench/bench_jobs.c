/* bench_jobs: the same jobs one after another and all at once, against a running service. `ratio`
 * is what company costs (together / one after another); the two take turns, the best of each
 * counts. One line of JSON. */
#include <jansson.h>
#include <stdio.h>

#include "client/client.h"
#include "proto/clock.h"
#include "proto/option.h"

enum { JOBS_MAX = 64 };

typedef struct {
    const char *endpoint, *model;
    int64_t jobs, side, steps, repeat;
} settings;

static overpaint_job *make_job(const settings *s, int64_t index)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"width", s->side}, {"height", s->side}, {"steps", s->steps}, {"seed", index + 1}};
    char text[32];
    overpaint_job *j = overpaint_job_new("txt2img");
    int rc = !j || overpaint_job_set(j, "prompt", "a red fox in the snow");
    if (!rc && s->model)
        rc = overpaint_job_set(j, "model", s->model);
    for (size_t i = 0; !rc && i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(text, sizeof text, "%lld", (long long)numbers[i].value);
        rc = overpaint_job_set(j, numbers[i].name, text);
    }
    if (rc)
        overpaint_job_free(&j);
    return j;
}

/* Seconds until all jobs are done, `at_once` of them in flight. */
static double run(overpaint *o, const settings *s, int64_t at_once, err *e)
{
    overpaint_id id[JOBS_MAX];
    const double start = clock_seconds();
    for (int64_t done = 0; done < s->jobs && !e->code; done += at_once) {
        for (int64_t i = done; i < done + at_once && !e->code; i++) {
            overpaint_job *j = make_job(s, i);
            if (!j)
                err_set(e, ERR_INVALID, "cannot make the job");
            else if (overpaint_submit(o, j, &id[i]))
                err_set(e, (err_code)overpaint_error_code(o), "%s", overpaint_error(o));
            overpaint_job_free(&j);
        }
        for (int64_t i = done; i < done + at_once && !e->code; i++) {
            if (overpaint_wait(o, &id[i], -1))
                err_set(e, (err_code)overpaint_error_code(o), "%s", overpaint_error(o));
            overpaint_forget(o, &id[i]);
        }
    }
    return clock_seconds() - start;
}

static void keep_least(double *least, double seconds, int64_t round)
{
    if (!round || seconds < *least)
        *least = seconds;
}

static void measure(overpaint *o, const settings *s, err *e)
{
    double alone = 0, together = 0;
    run(o, s, s->jobs, e); /* loads the model */
    for (int64_t i = 0; i < s->repeat && !e->code; i++) {
        keep_least(&alone, run(o, s, 1, e), i);
        keep_least(&together, run(o, s, s->jobs, e), i);
    }
    if (!e->code)
        printf("{\"jobs\": %lld, \"side\": %lld, \"steps\": %lld, \"one_after_another_s\": %.3f, "
               "\"together_s\": %.3f, \"ratio\": %.3f}\n",
               (long long)s->jobs, (long long)s->side, (long long)s->steps, alone, together,
               together / alone);
}

int main(int argc, char **argv)
{
    settings s = {0};
    const option table[] = {
        {"endpoint", OPTION_TEXT, &s.endpoint, .argument = "URL",
         .help = "of a service with one worker"},
        {"model", OPTION_TEXT, &s.model, .argument = "NAME", .help = "default: its first"},
        {"jobs", OPTION_INT, &s.jobs, "8", 1, JOBS_MAX, .help = "how many"},
        {"side", OPTION_INT, &s.side, "256", 16, 4096, .help = "pixels"},
        {"steps", OPTION_INT, &s.steps, "10", 1, 150, .help = "sampling steps"},
        {"repeat", OPTION_INT, &s.repeat, "3", 1, 1000, .help = "turns; the best counts"},
        {0}};
    option_result words;
    overpaint *o = NULL;
    err e = {0};
    if (!option_parse(table, argc, argv, &words, &e) && words.help) {
        option_help(stdout, "bench_jobs --endpoint URL [options]", table);
        return 0;
    }
    if (!e.code && !s.endpoint)
        err_set(&e, ERR_INVALID, "--endpoint is missing");
    if (!e.code && (o = overpaint_open(s.endpoint, NULL), overpaint_error_code(o)))
        err_set(&e, (err_code)overpaint_error_code(o), "%s", overpaint_error(o));
    if (!e.code)
        measure(o, &s, &e);
    if (e.code)
        fprintf(stderr, "bench_jobs: %s\n", e.text);
    overpaint_close(&o);
    return e.code ? 1 : 0;
}
