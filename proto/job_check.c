/* The one validator: see job_check in job.h. Ranges are rows of two tables; what belongs together
 * is one small function a rule. Nothing is trusted: an enum may hold any number a peer sent.
 * Messages repeat no name or path from outside; only prompt_check shows an excerpt, of checked
 * UTF-8. */
#include "proto/job.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/prompt.h"
#include "proto/text.h"

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
} real_rule;

#define FIELD(field) #field, offsetof(job, field)
#define WHOLE(field, least, most)                                                                  \
    {                                                                                              \
        FIELD(field), sizeof((job *)0)->field, least, most, false                                  \
    }
#define CHOICE(field, count) WHOLE(field, 0, (count)-1)
#define SIDE(field)                                                                                \
    {                                                                                              \
        FIELD(field), sizeof((job *)0)->field, JOB_SIDE_MIN, JOB_SIDE_MAX, true                    \
    }

static const whole_rule whole_rules[] = {
    CHOICE(task, TASK_COUNT),
    WHOLE(priority, 0, 100),
    WHOLE(deadline_ms, 0, JOB_DEADLINE_MAX_MS),
    WHOLE(steps, 1, JOB_STEPS_MAX),
    CHOICE(sampler, SAMPLER_COUNT),
    CHOICE(scheduler, SCHEDULE_COUNT),
    WHOLE(seed, -1, INT64_MAX),
    SIDE(width),
    SIDE(height),
    CHOICE(resize, RESIZE_COUNT),
    WHOLE(batch_size, 1, JOB_BATCH_MAX),
    WHOLE(n_iter, 1, JOB_PICTURES_MAX),
    WHOLE(clip_skip, 1, 12),
    CHOICE(rng, RNG_COUNT),
    CHOICE(format, FORMAT_COUNT),
    WHOLE(quality, 1, 101),
};

/* CFG above 30, the web UI's limit, makes poor pictures but sense; above 1000 nobody means it. */
static const real_rule real_rules[] = {
    {FIELD(cfg_scale), 0, 1000},
    {FIELD(denoising_strength), 0, 1},
};

/* What a task needs besides good fields. */
static const struct {
    bool supported;
    size_t inputs;
} task_needs[TASK_COUNT] = {
    [TASK_NOOP] = {true, 0},
    [TASK_TXT2IMG] = {true, 0},
    [TASK_IMG2IMG] = {true, 1},
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
    if (!(value >= r->least && value <= r->most)) /* written so that NaN fails */
        err_add(found, ERR_INVALID, "%s is %g, expected %g to %g", r->name, value, r->least,
                r->most);
}

static void check_id(const job *j, err *found)
{
    static const job_id none;
    if (job_id_equal(&j->id, &none))
        err_add(found, ERR_INVALID, "id is zero, expected 128 random bits");
}

static void check_task(const job *j, err *found)
{
    if ((unsigned)j->task >= TASK_COUNT)
        return; /* check_whole said so */
    if (!task_needs[j->task].supported)
        err_add(found, ERR_INVALID,
                "task %s is not supported yet, expected img2img, txt2img or noop",
                task_name(j->task));
    else if (j->inputs != task_needs[j->task].inputs)
        err_add(found, ERR_INVALID, "task %s has %zu input pictures, expected %zu",
                task_name(j->task), j->inputs, task_needs[j->task].inputs);
    if (j->noop_engine && j->task != TASK_NOOP)
        err_add(found, ERR_INVALID, "noop_engine is set for task %s, expected task noop",
                task_name(j->task));
}

/* A file name or path a peer sent in a field of `size` bytes. */
static void check_name(const char *field, const char *name, size_t size, bool paths, err *found)
{
    size_t length = strnlen(name, size), at;
    if (length == size) {
        err_add(found, ERR_TOO_LARGE, "%s has no end, expected at most %zu bytes", field, size - 1);
        return;
    }
    if (!text_is_utf8(name, length, &at)) {
        err_add(found, ERR_INVALID, "%s has byte 0x%02x at %zu, expected UTF-8", field,
                (unsigned char)name[at], at);
        return;
    }
    for (at = 0; at < length; at++)
        if ((unsigned char)name[at] < 0x20 || name[at] == 0x7f) {
            err_add(found, ERR_INVALID,
                    "%s has control character 0x%02x at byte %zu, expected none", field,
                    (unsigned char)name[at], at);
            return;
        }
    if (!strchr(name, '/')) {
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            err_add(found, ERR_INVALID, "%s is \"%s\", expected the name of a file or folder",
                    field, name);
    } else if (!paths) {
        err_add(found, ERR_INVALID, "%s is a path, expected a name without '/' (paths: ipc only)",
                field);
    } else if (name[0] != '/') {
        err_add(found, ERR_INVALID, "%s is a relative path, expected an absolute one", field);
    }
}

static void check_text(const char *field, const char *text, err *found)
{
    if (!text)
        return; /* the same as "" */
    size_t length = strnlen(text, JOB_TEXT_MAX + 1), at;
    err grammar = {0};
    if (length > JOB_TEXT_MAX)
        err_add(found, ERR_TOO_LARGE, "%s has more than %d bytes, expected at most that", field,
                JOB_TEXT_MAX);
    else if (!text_is_utf8(text, length, &at))
        err_add(found, ERR_INVALID, "%s has byte 0x%02x at %zu, expected UTF-8", field,
                (unsigned char)text[at], at);
    else if (prompt_check(text, &grammar))
        err_add(found, grammar.code, "%s: %s", field, grammar.text);
}

static void check_input(const job *j, size_t i, err *found)
{
    const job_picture *p = &j->input[i];
    char field[32];
    snprintf(field, sizeof field, "input %zu", i);
    if (p->path[0]) {
        if (p->bytes || p->size)
            err_add(found, ERR_INVALID, "%s has bytes and a path, expected one of them", field);
        if (!j->paths_allowed)
            err_add(found, ERR_INVALID, "%s is a path, expected bytes (paths: ipc only)", field);
        else if (p->path[0] != '/')
            err_add(found, ERR_INVALID, "%s is no absolute path, expected one", field);
        else
            check_name(field, p->path, sizeof p->path, true, found);
    } else if (!p->bytes || !p->size) {
        err_add(found, ERR_INVALID, "%s is empty, expected the bytes of a picture file", field);
    }
}

static void check_inputs(const job *j, err *found)
{
    assert(j->input || !j->inputs);
    if (j->inputs > JOB_INPUTS_MAX) {
        err_add(found, ERR_TOO_LARGE, "job has %zu input pictures, expected at most %d", j->inputs,
                JOB_INPUTS_MAX);
        return;
    }
    size_t left = JOB_INPUT_BYTES_MAX;
    for (size_t i = 0; i < j->inputs; i++) {
        check_input(j, i, found);
        if (j->input[i].size > left) {
            err_add(found, ERR_TOO_LARGE,
                    "input pictures have more than %d bytes, expected at most that",
                    JOB_INPUT_BYTES_MAX);
            return;
        }
        left -= j->input[i].size;
    }
}

/* Picture i of the job has seed + i, so the last one must have a seed too. */
static void check_pictures(const job *j, err *found)
{
    int64_t pictures = (int64_t)j->batch_size * j->n_iter;
    if (j->batch_size < 1 || j->n_iter < 1)
        return; /* check_whole said so */
    if (pictures > JOB_PICTURES_MAX)
        err_add(found, ERR_INVALID,
                "batch_size x n_iter is %" PRId64 " pictures, expected at most %d", pictures,
                JOB_PICTURES_MAX);
    else if (j->seed > INT64_MAX - (pictures - 1))
        err_add(found, ERR_INVALID,
                "seed is %" PRId64 ", expected at most %" PRId64 " for %" PRId64 " pictures",
                j->seed, INT64_MAX - (pictures - 1), pictures);
}

static void check_strength(const job *j, err *found)
{
    double strength = j->denoising_strength, least = (double)j->steps / JOB_SCHEDULE_MAX;
    if (j->fix_steps && strength > 0 && !(j->steps / fmin(strength, 0.999) <= JOB_SCHEDULE_MAX))
        err_add(found, ERR_INVALID,
                "denoising_strength is %g with fix_steps, expected 0 or at least %g for %d steps",
                strength, least, j->steps);
}

static void check_quality(const job *j, err *found)
{
    if (j->format == FORMAT_JPEG && j->quality == 101)
        err_add(found, ERR_INVALID,
                "quality is 101 (lossless) for JPEG, expected 1 to 100, or WebP");
}

enum { JPEG_TEXT_MAX = 30000 };

/* A JPEG's metadata ends at 64 KiB, in UTF-16: better refused now than after the last step. */
static void check_metadata(const job *j, err *found)
{
    const size_t size =
        (j->prompt ? strlen(j->prompt) : 0) + (j->negative_prompt ? strlen(j->negative_prompt) : 0);
    if (j->format == FORMAT_JPEG && size > JPEG_TEXT_MAX)
        err_add(found, ERR_TOO_LARGE,
                "the prompts have %zu bytes, the metadata of a JPEG takes at most %d: choose PNG "
                "or WebP",
                size, JPEG_TEXT_MAX);
}

static void resolve_size(job *j)
{
    if (j->task != TASK_TXT2IMG)
        return;
    if (!j->width)
        j->width = JOB_SIDE;
    if (!j->height)
        j->height = JOB_SIDE;
}

int job_check(job *j, err *e)
{
    err found = {0};
    check_id(j, &found);
    for (size_t i = 0; i < sizeof whole_rules / sizeof *whole_rules; i++)
        check_whole(j, &whole_rules[i], &found);
    for (size_t i = 0; i < sizeof real_rules / sizeof *real_rules; i++)
        check_real(j, &real_rules[i], &found);
    check_task(j, &found);
    check_name("model", j->model, sizeof j->model, j->paths_allowed, &found);
    check_text("prompt", j->prompt, &found);
    check_text("negative_prompt", j->negative_prompt, &found);
    check_inputs(j, &found);
    check_pictures(j, &found);
    check_strength(j, &found);
    check_quality(j, &found);
    check_metadata(j, &found);
    if (found.code)
        return err_set(e, found.code, "%s", found.text);
    resolve_size(j);
    return 0;
}
