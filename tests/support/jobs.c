/* Golden jobs inside this process: see jobs.h. */
#include "tests/support/jobs.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/fixture.h"
#include "tests/support/picture.h"

/* ---------------------------------------------------------------- jobs */

static const char *text_of(const json_t *o, const char *key, const char *fallback)
{
    const json_t *v = json_object_get(o, key);
    return v ? json_string_value(v) : fallback;
}

static double number_of(const json_t *o, const char *key, double fallback)
{
    const json_t *v = json_object_get(o, key);
    return v ? json_number_value(v) : fallback;
}

static void read_input(job *j, const char *file)
{
    char path[256];
    err e = {0};
    job_picture p = {0};
    snprintf(path, sizeof path, "pictures/%s", file);
    p.bytes = picture_bytes(path, &p.size);
    j->owns_bytes = true;
    int rc = job_add_input(j, p, &e);
    assert(!rc);
    (void)rc;
}

work *jobs_golden(const char *name, const json_t *entry)
{
    const json_t *o = json_object_get(entry, "job");
    const char *init = text_of(entry, "init", NULL), *positive = text_of(o, "prompt", "");
    const char *negative = text_of(o, "negative_prompt", "");
    char path[1024];
    err e = {0};
    work *w = work_new();
    assert(w);
    job *j = &w->job;
    job_init(j);
    job_id_new(&j->id);
    task_find(text_of(o, "task", ""), &j->task);
    int rc = catalog_find_sampler(text_of(o, "sampler", ""), &j->sampler, &j->scheduler, &e);
    if (!rc && text_of(o, "schedule", NULL))
        rc = catalog_find_schedule(text_of(o, "schedule", ""), &j->scheduler, &e);
    if (!rc)
        rc = job_set_text(&j->prompt, positive, strlen(positive), &e);
    if (!rc)
        rc = job_set_text(&j->negative_prompt, negative, strlen(negative), &e);
    snprintf(j->model, sizeof j->model, "%s", fixture_shared(text_of(entry, "model", ""), path));
    j->steps = (int32_t)number_of(o, "steps", j->steps);
    j->cfg_scale = number_of(o, "cfg_scale", j->cfg_scale);
    j->denoising_strength = number_of(o, "denoising_strength", j->denoising_strength);
    j->seed = (int64_t)number_of(o, "seed", 0);
    j->width = (int32_t)number_of(o, "width", 0);
    j->height = (int32_t)number_of(o, "height", 0);
    j->clip_skip = (int32_t)number_of(o, "clip_skip", 1);
    j->resize = (resize_mode)number_of(o, "resize_mode", 0);
    j->fix_steps = json_is_true(json_object_get(o, "fix_steps"));
    j->rng = strcmp(text_of(o, "rng", "NV"), "CPU") ? RNG_NV : RNG_CPU;
    j->paths_allowed = true;
    if (init)
        read_input(j, init);
    if (!rc)
        rc = job_check(j, &e);
    if (rc)
        fprintf(stderr, "%s: %s\n", name, e.text);
    assert(!rc);
    return w;
}

work *jobs_simple(const char *arch, const char *text)
{
    char path[1024];
    err e = {0};
    work *w = work_new();
    assert(w);
    job *j = &w->job;
    job_init(j);
    job_id_new(&j->id);
    j->task = TASK_TXT2IMG;
    j->sampler = SAMPLER_EULER;
    j->steps = 4;
    j->width = j->height = 64;
    j->seed = 1;
    j->paths_allowed = true;
    snprintf(j->model, sizeof j->model, "%s", fixture_shared(arch, path));
    int rc = job_set_text(&j->prompt, text, strlen(text), &e);
    assert(!rc);
    (void)rc;
    return w;
}

void jobs_set_input(work *w, const char *file)
{
    w->job.task = TASK_IMG2IMG;
    read_input(&w->job, file);
}

/* ---------------------------------------------------------------- running */

void jobs_take(service *s, work *w)
{
    err e = {0};
    int rc = job_check(&w->job, &e);
    if (!rc)
        rc = service_take(s, w, &e);
    if (rc)
        fprintf(stderr, "job: %s\n", e.text);
    assert(!rc);
}

service_event *jobs_event(service *s)
{
    for (int waits = 0; waits < 60; waits++) {
        service_event *ev = service_next(s);
        if (ev)
            return ev;
        struct pollfd p = {.fd = service_descriptor(s), .events = POLLIN};
        poll(&p, 1, 1000);
    }
    assert(!"an event within a minute");
    return NULL;
}

work *jobs_next_complete(service *s)
{
    work *w = NULL;
    while (!w) {
        service_event *ev = jobs_event(s);
        w = ev->work;
        ev->work = NULL;
        service_event_free(&ev);
    }
    return w;
}

void jobs_run(service *s, work **works, int count)
{
    for (int i = 0; i < count; i++) {
        works[i]->lease = (uint64_t)i + 1;
        jobs_take(s, works[i]);
    }
    for (int i = 0; i < count; i++)
        jobs_next_complete(s);
}

service *jobs_service(const char *backend, int threads, int band_rows, int64_t memory_budget)
{
    err e = {0};
    service_options o = {.devices = 1, .memory_budget = memory_budget};
    o.device[0] = (dev_options){.backend = backend, .threads = threads, .band_rows = band_rows};
    service *s = service_new(&o, &e);
    if (!s)
        fprintf(stderr, "service: %s\n", e.text);
    assert(s);
    return s;
}

/* ---------------------------------------------------------------- comparing */

void jobs_assert_done(const work *w)
{
    if (w->error.code)
        fprintf(stderr, "job: %s\n", w->error.text);
    assert(!w->error.code);
    for (int i = 0; i < w->task.results; i++)
        assert(w->task.result[i].bytes && w->task.result[i].size > 0);
}

void jobs_assert_same_picture(const work *w, int index, const work *want, int want_index)
{
    jobs_assert_done(w);
    jobs_assert_done(want);
    const task_picture *a = &w->task.result[index], *b = &want->task.result[want_index];
    const bool same = a->size == b->size && !memcmp(a->bytes, b->bytes, a->size);
    if (!same)
        fprintf(stderr, "pictures differ: \"%s\" and \"%s\"\n", a->info, b->info);
    assert(same);
}

void jobs_assert_same(const work *w, const work *want)
{
    assert(w->task.results == want->task.results);
    for (int i = 0; i < w->task.results; i++)
        jobs_assert_same_picture(w, i, want, i);
}

double jobs_difference(const work *w, const char *file, int *largest)
{
    image want = picture_golden(file), got = {0};
    err e = {0};
    int rc = image_decode(&got, w->task.result[0].bytes, w->task.result[0].size,
                          &image_default_limits, &e);
    assert(!rc && got.w == want.w && got.h == want.h && got.channels == want.channels);
    (void)rc;
    const size_t count = (size_t)want.w * (size_t)want.h * (size_t)want.channels;
    size_t differing = 0;
    *largest = 0;
    for (size_t i = 0; i < count; i++) {
        int d = abs((int)got.px[i] - (int)want.px[i]);
        differing += d > 0;
        if (d > *largest)
            *largest = d;
    }
    image_done(&want);
    image_done(&got);
    return (double)differing / (double)count;
}
