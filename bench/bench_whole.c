/* bench_whole: whole jobs inside this process, without a broker: from taking a job in to having its
 * PNG file, on a service with one device, for every task and number of steps; --jobs of them at
 * once, which share the UNet's calls. The first round is not counted. One line of JSON each. */
#include <stdlib.h>

#include "bench/timing.h"
#include "proto/clock.h"
#include "proto/option.h"
#include "tests/support/jobs.h"
#include "tests/support/places.h"
#include "tests/support/rig.h"

enum { LISTS_MOST = 16, JOBS_MOST = 64 };

typedef struct {
    const char *device, *arch, *steps, *sampler, *cache;
    int64_t side, jobs, repeat;
    int exact;
} settings;

static work *make_job(const settings *s, const char *name, int64_t steps, int64_t seed)
{
    char side[24], count[24], seeds[24], picture[64];
    snprintf(side, sizeof side, "%lld", (long long)s->side);
    snprintf(count, sizeof count, "%lld", (long long)steps);
    snprintf(seeds, sizeof seeds, "%lld", (long long)seed);
    snprintf(picture, sizeof picture, "%sx%s", side, side);
    const char *const words[] = {"model",
                                 s->arch,
                                 "width",
                                 side,
                                 "height",
                                 side,
                                 "steps",
                                 count,
                                 "seed",
                                 seeds,
                                 "sampler",
                                 s->sampler,
                                 "prompt",
                                 "a red fox in the snow",
                                 name[0] == 'i' ? "input" : NULL,
                                 picture,
                                 NULL};
    return jobs_make(name, words);
}

/* Milliseconds until all jobs of a round are done. */
static double run_round(service *on, const settings *s, const char *name, int64_t steps,
                        int64_t round)
{
    work *works[JOBS_MOST];
    for (int64_t i = 0; i < s->jobs; i++)
        works[i] = make_job(s, name, steps, 1 + round * s->jobs + i);
    const double start = clock_seconds();
    jobs_run(on, works, (int)s->jobs);
    const double ms = (clock_seconds() - start) * 1e3;
    for (int64_t i = 0; i < s->jobs; i++) {
        jobs_assert_done(works[i]);
        work_free(&works[i]);
    }
    return ms;
}

static void measure(service *on, const settings *s, const char *name, int64_t steps, double *ms)
{
    for (int64_t i = -1; i < s->repeat; i++) {
        const double took = run_round(on, s, name, steps, i + 1);
        if (i >= 0)
            ms[i] = took;
    }
    const timing t = timing_of(ms, s->repeat);
    json_t *j = timing_json(name, t);
    json_object_set_new(j, "steps", json_integer((json_int_t)steps));
    json_object_set_new(j, "side", json_integer((json_int_t)s->side));
    json_object_set_new(j, "exact", json_string(dev_exact_names[s->exact]));
    json_object_set_new(j, "jobs", json_integer((json_int_t)s->jobs));
    json_object_set_new(j, "pictures_per_second", json_real(1e3 * (double)s->jobs / t.median));
    if (!json_dumpf(j, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6)))
        puts("");
    fflush(stdout);
    json_decref(j);
}

static service *open_service(const settings *s, err *e)
{
    service_options o = {
        .devices = 1, .models = place_models(), .cache = *s->cache ? s->cache : NULL};
    if (!rig_device(s->device, &o.device[0])) {
        err_set(e, ERR_INVALID, "--device is \"%.60s\", expected cpu or cuda, or with :N",
                s->device);
        return NULL;
    }
    o.device[0].cache = o.cache;
    o.device[0].exact = (dev_exact)s->exact;
    return service_new(&o, e);
}

int main(int argc, char **argv)
{
    static const char *const tasks[] = {"txt2img", "img2img"};
    settings s;
    int64_t steps[LISTS_MOST];
    const option table[] = {
        {"device", OPTION_TEXT, &s.device, .fallback = "cpu", .help = "cpu or cuda, or with :N"},
        {"arch", OPTION_TEXT, &s.arch, .fallback = "sd15", .help = "tiny, tiny3 or sd15"},
        {"side", OPTION_INT, &s.side, "512", 64, 2048, .help = "pixels of a picture's side"},
        {"steps", OPTION_TEXT, &s.steps, .argument = "LIST", .fallback = "20",
         .help = "like 20,50"},
        {"sampler", OPTION_TEXT, &s.sampler, .fallback = "euler", .help = "as a job names it"},
        {"cache", OPTION_TEXT, &s.cache, .argument = "FOLDER", .fallback = "",
         .help = "for plans of GPUs"},
        {"exact", OPTION_CHOICE, &s.exact, .fallback = "on", .choices = dev_exact_names,
         .help = "as the worker's"},
        {"jobs", OPTION_INT, &s.jobs, "1", 1, JOBS_MOST, .help = "at once"},
        {"repeat", OPTION_INT, &s.repeat, "3", 1, 10000, .help = "counted rounds"},
        {0}};
    err e = {0};
    option_result words;
    service *on = NULL;
    double *ms = NULL;
    if (option_parse(table, argc, argv, &words, &e) == ERR_OK && words.help) {
        option_help(stdout, "bench_whole [options]", table);
        return 0;
    }
    const int n = e.code == ERR_OK ? rig_numbers(s.steps, steps, LISTS_MOST, 1, 1000) : 0;
    if (n > 0 && (ms = malloc((size_t)s.repeat * sizeof *ms)))
        on = open_service(&s, &e);
    else
        err_set(&e, ERR_INVALID, "--steps is no list of numbers like 20,50");
    for (size_t t = 0; on && t < sizeof tasks / sizeof *tasks; t++)
        for (int i = 0; i < n; i++)
            measure(on, &s, tasks[t], steps[i], ms);
    if (e.code != ERR_OK)
        fprintf(stderr, "bench_whole: %s\n", e.text);
    service_free(&on);
    free(ms);
    return e.code == ERR_OK ? 0 : 1;
}
