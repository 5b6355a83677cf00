/* Golden jobs inside this process: see jobs.h. */
#include "tests/support/jobs.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/settings.h"
#include "tests/support/fixture.h"
#include "tests/support/picture.h"
#include "tests/support/places.h"

/* ---------------------------------------------------------------- jobs */

/* tests/golden/<file> as an input of this role. */
static void read_input(job *j, const char *file, input_role role)
{
    err e = {0};
    job_picture p = {.role = role};
    p.bytes = picture_bytes(file, &p.size);
    j->owns_bytes = true;
    int rc = job_add_input(j, p, &e);
    assert(!rc);
    (void)rc;
}

static void add_picture(job *j, input_role role, const image *picture)
{
    err e = {0};
    job_picture p = {.role = role};
    uint8_t *bytes;
    int rc = image_encode(&bytes, &p.size, picture, FORMAT_PNG, 0, NULL, &e);
    p.bytes = bytes;
    j->owns_bytes = true;
    if (!rc)
        rc = job_add_input(j, p, &e);
    assert(!rc);
    (void)rc;
}

/* "WxH": a patterned picture of that size; else a file of tests/golden. */
static void add_input(job *j, const char *value, input_role role)
{
    int w, h;
    if (sscanf(value, "%dx%d", &w, &h) != 2) {
        read_input(j, value, role);
        return;
    }
    image i = picture_pattern(w, h, 3);
    add_picture(j, role, &i);
    image_done(&i);
}

static void set(job *j, const char *name, const char *value)
{
    char path[1024];
    err e = {0};
    int rc = 0;
    if (!strcmp(name, "input"))
        add_input(j, value, INPUT_PICTURE);
    else if (!strcmp(name, "mask"))
        add_input(j, value, INPUT_MASK);
    else if (!strcmp(name, "model"))
        snprintf(j->model, sizeof j->model, "%s", fixture_shared(value, path));
    else
        rc = setting_set(j, name, value, &e);
    if (rc)
        fprintf(stderr, "%s = %s: %s\n", name, value, e.text);
    assert(!rc);
}

/* A work with the defaults of its task. */
static work *new_work(const char *task_name)
{
    err e = {0};
    work *w = work_new();
    assert(w);
    job_init(&w->job);
    job_id_new(&w->job.id);
    w->job.paths_allowed = true;
    const bool known = task_find(task_name, &w->job.task);
    assert(known);
    (void)known;
    int rc = settings_defaults(&w->job, &e);
    assert(!rc);
    (void)rc;
    return w;
}

work *jobs_golden(const asked *a)
{
    work *w = new_work(a->task);
    if (a->model)
        set(&w->job, "model", a->model);
    if (*a->input)
        set(&w->job, "input", a->input);
    if (*a->mask)
        set(&w->job, "mask", a->mask);
    for (int i = 0; i < a->settings; i++)
        set(&w->job, a->setting[i].name, a->setting[i].value);
    return w;
}

work *jobs_make(const char *task_name, const char *const *words)
{
    static const char *const quick[][2] = {{"model", "tiny"}, {"prompt", "a fox"}, {"width", "64"},
                                           {"height", "64"},  {"steps", "4"},      {"seed", "1"}};
    work *w = new_work(task_name);
    for (size_t i = 0; i < sizeof quick / sizeof *quick && w->job.task != TASK_UPSCALE; i++)
        set(&w->job, quick[i][0], quick[i][1]);
    for (; words[0]; words += 2)
        set(&w->job, words[0], words[1]);
    return w;
}

void jobs_add_picture(work *w, input_role role, const image *picture)
{
    add_picture(&w->job, role, picture);
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
    char path[256];
    w->job.task = TASK_IMG2IMG;
    snprintf(path, sizeof path, "pictures/%s", file);
    read_input(&w->job, path, INPUT_PICTURE);
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
    service_options o = {.devices = 1, .models = place_golden(), .memory_budget = memory_budget};
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

image jobs_picture(const work *w, int index)
{
    const task_picture *p = &w->task.result[index];
    image got = {0};
    err e = {0};
    int rc = image_decode(&got, p->bytes, p->size, &image_default_limits, &e);
    assert(!rc);
    (void)rc;
    return got;
}
