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

/* ---------------------------------------------------------------- running */

void jobs_run(service *s, work **works, int count)
{
    err e = {0};
    for (int i = 0; i < count; i++) {
        works[i]->lease = (uint64_t)i + 1;
        int rc = service_take(s, works[i], &e);
        assert(!rc);
        (void)rc;
    }
    for (int left = count; left;) {
        struct pollfd p = {.fd = service_descriptor(s), .events = POLLIN};
        poll(&p, 1, 1000);
        for (service_event *ev; (ev = service_next(s)); service_event_free(&ev))
            if (ev->kind == EVENT_COMPLETE) {
                ev->work = NULL; /* the caller has it */
                left--;
            }
    }
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

double jobs_difference(const work *w, const char *file, int *largest)
{
    image want = picture_golden(file), got = {0};
    err e = {0};
    int rc = image_decode(&got, w->picture[0].bytes, w->picture[0].size, &image_default_limits, &e);
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
