/* The range of every number and choice of a job: a row each of two tables. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "proto/job_inside.h"

typedef struct {
    const char *name;
    size_t offset, size; /* of an int32_t, an enum or an int64_t */
    int64_t least, most;
    bool or_zero; /* 0 is allowed too: not given */
} whole_rule;

typedef struct {
    const char *name;
    size_t offset;
    double least, most;
    bool or_zero;
} real_rule;

#define FIELD(field) #field, offsetof(job, field)
#define WHOLE(field, least, most)                                                                  \
    {                                                                                              \
        FIELD(field), sizeof((job *)0)->field, least, most, false                                  \
    }
#define CHOICE(field, count) WHOLE(field, 0, (count)-1)
#define SIDE(field, least, most)                                                                   \
    {                                                                                              \
        FIELD(field), sizeof((job *)0)->field, least, most, true                                   \
    }

static const whole_rule whole_rules[] = {
    CHOICE(task, TASK_COUNT),
    WHOLE(priority, 0, 100),
    WHOLE(deadline_ms, 0, JOB_DEADLINE_MAX_MS),
    WHOLE(steps, 1, JOB_STEPS_MAX),
    CHOICE(sampler, SAMPLER_COUNT),
    CHOICE(scheduler, SCHEDULE_COUNT),
    WHOLE(seed, -1, INT64_MAX),
    SIDE(width, JOB_SIDE_MIN, JOB_SIDE_MAX),
    SIDE(height, JOB_SIDE_MIN, JOB_SIDE_MAX),
    CHOICE(resize, RESIZE_COUNT),
    WHOLE(batch_size, 1, JOB_BATCH_MAX),
    WHOLE(n_iter, 1, JOB_PICTURES_MAX),
    WHOLE(clip_skip, 1, 12),
    CHOICE(rng, RNG_COUNT),
    CHOICE(format, FORMAT_COUNT),
    WHOLE(quality, 1, 101),
    WHOLE(inpaint.blur_x, 0, 64),
    WHOLE(inpaint.blur_y, 0, 64),
    CHOICE(inpaint.content, CONTENT_COUNT),
    WHOLE(inpaint.padding, 0, 256),
    CHOICE(outpaint.method, OUTPAINT_COUNT),
    WHOLE(outpaint.pixels, 8, 256),
    WHOLE(outpaint.mask_blur, -1, 64),
    CHOICE(outpaint.content, CONTENT_COUNT),
    WHOLE(loopback.loops, 1, 32),
    CHOICE(loopback.curve, LOOP_COUNT),
    SIDE(upscale.width, 1, UPSCALE_SIDE_MAX),
    SIDE(upscale.height, 1, UPSCALE_SIDE_MAX),
    WHOLE(upscale.tile_overlap, 0, 256),
};

/* CFG above 30, the web UI's limit, makes poor pictures but sense; above 1000 nobody means it. */
static const real_rule real_rules[] = {
    {FIELD(cfg_scale), 0, 1000, false},
    {FIELD(denoising_strength), 0, 1, false},
    {FIELD(inpaint.mask_weight), 0, 1, false},
    {FIELD(inpaint.sketch_transparency), 0, 100, false},
    {FIELD(inpaint.soft.schedule_bias), 0, 8, false},
    {FIELD(inpaint.soft.preservation_strength), 0, 8, false},
    {FIELD(inpaint.soft.transition_contrast_boost), 1, 32, false},
    {FIELD(inpaint.soft.mask_influence), 0, 1, false},
    {FIELD(inpaint.soft.difference_threshold), 0, 8, false},
    {FIELD(inpaint.soft.difference_contrast), 0, 8, false},
    {FIELD(outpaint.falloff), 0, 4, false},
    {FIELD(outpaint.colour_variation), 0, 1, false},
    {FIELD(loopback.final_strength), 0, 1, false},
    {FIELD(upscale.visibility_2), 0, 1, false},
    {FIELD(upscale.scale), 1, 8, true},
};

static int64_t whole_value(const job *j, const whole_rule *r)
{
    const char *at = (const char *)j + r->offset;
    int32_t narrow;
    int64_t wide;
    assert(r->size == sizeof narrow || r->size == sizeof wide);
    if (r->size == sizeof narrow) {
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, at, sizeof wide);
    return wide;
}

static void check_whole(const job *j, const whole_rule *r, err *found)
{
    int64_t value = whole_value(j, r);
    if ((value >= r->least && value <= r->most) || (r->or_zero && value == 0))
        return;
    err_add(found, ERR_INVALID, "%s is %" PRId64 ", expected %s%" PRId64 " to %" PRId64, r->name,
            value, r->or_zero ? "0 (not given) or " : "", r->least, r->most);
}

static void check_real(const job *j, const real_rule *r, err *found)
{
    double value;
    memcpy(&value, (const char *)j + r->offset, sizeof value);
    if ((value >= r->least && value <= r->most) || (r->or_zero && value == 0)) /* never for NaN */
        return;
    err_add(found, ERR_INVALID, "%s is %g, expected %s%g to %g", r->name, value,
            r->or_zero ? "0 (not given) or " : "", r->least, r->most);
}

void job_check_ranges(const job *j, err *found)
{
    for (size_t i = 0; i < sizeof whole_rules / sizeof *whole_rules; i++)
        check_whole(j, &whole_rules[i], found);
    for (size_t i = 0; i < sizeof real_rules / sizeof *real_rules; i++)
        check_real(j, &real_rules[i], found);
}
