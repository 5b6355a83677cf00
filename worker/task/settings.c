/* The parameters text of a picture: the web UI's keys in the web UI's order. */
#include <stdio.h>

#include "worker/task/task_row.h"

/* What "Schedule type" shows, by the web UI's rule: the schedule that was asked for or that the
 * sampler prefers by itself; "Automatic" where Automatic is the plain schedule of the model. */
static const char *schedule_shown(const job *j)
{
    const sampler_row *row = catalog_sampler(j->sampler);
    const bool prefers = row->fallback != SCHEDULE_UNIFORM && !row->timesteps;
    return catalog_schedule(j->scheduler == SCHEDULE_AUTOMATIC && prefers ? row->fallback
                                                                          : j->scheduler);
}

int task_add_settings(infotext *text, const task *t, const job *j, const scene_plan *scene,
                      int number, const char *model, const char *hash, err *e)
{
    char size[32], seed[24], short_hash[11];
    snprintf(size, sizeof size, "%dx%d", scene->width, scene->height);
    snprintf(seed, sizeof seed, "%lld", (long long)scene->seed + number);
    snprintf(short_hash, sizeof short_hash, "%.10s", hash);
    int rc = infotext_add_number(text, "Steps", j->steps, e);
    rc = rc ? rc : infotext_add(text, "Sampler", catalog_sampler(j->sampler)->name, e);
    rc = rc ? rc : infotext_add(text, "Schedule type", schedule_shown(j), e);
    rc = rc ? rc : infotext_add_number(text, "CFG scale", j->cfg_scale, e);
    rc = rc ? rc : infotext_add(text, "Seed", seed, e);
    rc = rc ? rc : infotext_add(text, "Size", size, e);
    if (!rc && *hash)
        rc = infotext_add(text, "Model hash", short_hash, e);
    rc = rc ? rc : infotext_add(text, "Model", model, e);
    if (!rc && t->from_picture)
        rc = infotext_add_number(text, "Denoising strength", scene->strength, e);
    if (!rc && t->hides)
        rc = infotext_add_number(text, "Conditional mask weight", j->inpaint.mask_weight, e);
    if (!rc && j->clip_skip > 1)
        rc = infotext_add_number(text, "Clip skip", j->clip_skip, e);
    return rc ? rc : infotext_add(text, "RNG", j->rng == RNG_CPU ? "CPU" : "NV", e);
}
