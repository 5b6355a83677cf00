/* Settings: see settings.h. The one idea: a name, a type and a place in the job; reading a value is
 * one function a type. */
#include "client/settings.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/log.h"
#include "proto/text.h"

enum { FOUND_TEXT = 80 };

static const char *const resize_modes[] = {"just", "crop", "fill", NULL};
static const char *const rngs[] = {"nv", "cpu", NULL};
static const char *const formats[] = {"png", "jpeg", "webp", NULL};

#define AT(field) offsetof(job, field)

const setting settings[] = {
    {"prompt", SETTING_TEXT, AT(prompt), FOR_PICTURES, .help = "what to paint"},
    {"negative-prompt", SETTING_TEXT, AT(negative_prompt), FOR_PICTURES, .help = "what to avoid"},
    {"model", SETTING_MODEL, AT(model), FOR_PICTURES, .argument = "NAME|FILE|FOLDER",
     .help = "a model of the service by name, or (ipc endpoints only) by its path; default: the "
             "service's first"},
    {"steps", SETTING_INT32, AT(steps), FOR_PICTURES, 1, JOB_STEPS_MAX, .argument = "N",
     .fallback = "20", .help = "sampling steps"},
    {"sampler", SETTING_SAMPLER, AT(sampler), FOR_PICTURES, .argument = "NAME",
     .fallback = "DPM++ 2M",
     .help = "Euler, Euler a, Heun, DPM2, DPM2 a, DPM++ 2M, DDIM; also with a scheduler's name "
             "after it"},
    {"scheduler", SETTING_SCHEDULE, AT(scheduler), FOR_PICTURES, .argument = "NAME",
     .fallback = "Automatic",
     .help = "Automatic, Uniform, Karras, Exponential, SGM Uniform, Simple, DDIM"},
    {"cfg-scale", SETTING_REAL, AT(cfg_scale), FOR_PICTURES, 0, 1000, .argument = "X",
     .fallback = "7", .help = "how strictly to follow the prompt; 1 ignores the negative prompt"},
    {"denoising-strength", SETTING_REAL, AT(denoising_strength), FOR_IMG2IMG, 0, 1, .argument = "X",
     .fallback = "0.75", .help = "how far to go from the input picture"},
    {"fix-steps", SETTING_FLAG, AT(fix_steps), FOR_IMG2IMG,
     .help = "do all --steps, whatever the denoising strength"},
    {"seed", SETTING_INT64, AT(seed), FOR_PICTURES, .argument = "N", .fallback = "-1",
     .help = "of the first picture, picture i gets seed + i; -1: a random one"},
    {"width", SETTING_INT32, AT(width), FOR_PICTURES, JOB_SIDE_MIN, JOB_SIDE_MAX,
     .argument = "PIXELS", .help = "default: the input's shape near 512x512, or 512"},
    {"height", SETTING_INT32, AT(height), FOR_PICTURES, JOB_SIDE_MIN, JOB_SIDE_MAX,
     .argument = "PIXELS", .help = "the same"},
    {"resize-mode", SETTING_CHOICE, AT(resize), FOR_IMG2IMG, .choices = resize_modes,
     .argument = "just|crop|fill", .fallback = "just",
     .help = "how an input of another shape becomes width x height: stretched, cut, or filled up"},
    {"batch-size", SETTING_INT32, AT(batch_size), FOR_PICTURES, 1, JOB_BATCH_MAX, .argument = "N",
     .fallback = "1", .help = "pictures made together"},
    {"n-iter", SETTING_INT32, AT(n_iter), FOR_PICTURES, 1, JOB_PICTURES_MAX, .argument = "N",
     .fallback = "1", .help = "how many such batches"},
    {"clip-skip", SETTING_INT32, AT(clip_skip), FOR_PICTURES, 1, 12, .argument = "N",
     .fallback = "1", .help = "layer of the text encoder that is used, counted from the end"},
    {"rng", SETTING_CHOICE, AT(rng), FOR_PICTURES, .choices = rngs, .argument = "nv|cpu",
     .fallback = "nv", .help = "whose random numbers a seed means"},
    {"priority", SETTING_INT32, AT(priority), FOR_PICTURES, 0, 100, .argument = "N",
     .fallback = "50", .help = "higher goes first"},
    {"deadline-ms", SETTING_INT64, AT(deadline_ms), FOR_PICTURES, 0, JOB_DEADLINE_MAX_MS,
     .argument = "N", .fallback = "0",
     .help = "give up when the job has not ended so long after it was accepted; 0: never"},
    {"format", SETTING_CHOICE, AT(format), FOR_PICTURES, .choices = formats,
     .argument = "png|jpeg|webp", .help = "of the picture files; default: from --output's ending"},
    {"quality", SETTING_INT32, AT(quality), FOR_PICTURES, 1, 101, .argument = "N", .fallback = "90",
     .help = "of JPEG and WebP; 101: lossless WebP"},
    {"background", SETTING_COLOUR, AT(background), FOR_IMG2IMG, .argument = "#RRGGBB",
     .fallback = "#ffffff", .help = "colour under transparent pixels of the input"},
    {"want-preview", SETTING_FLAG, AT(want_preview), FOR_LIBRARY, .help = "send previews"},
    {"noop-engine", SETTING_FLAG, AT(noop_engine), FOR_LIBRARY,
     .help = "noop: through pool and engine"},
    {0}};

_Static_assert(sizeof settings / sizeof *settings <= SETTINGS_MAX, "raise SETTINGS_MAX");

static int refuse(const setting *s, const char *value, const char *expected, err *e)
{
    char found[FOUND_TEXT];
    return err_set(e, ERR_INVALID, "%s is %s, expected %s", s->name,
                   log_quote(found, sizeof found, value), expected);
}

/* ---------------------------------------------------------------- one function a type */

static int set_whole(const setting *s, void *at, const char *value, err *e)
{
    int64_t whole;
    if (!text_whole(value, &whole))
        return refuse(s, value, "a whole number", e);
    if (s->type == SETTING_INT64) {
        *(int64_t *)at = whole;
        return 0;
    }
    if (whole < INT32_MIN || whole > INT32_MAX)
        return refuse(s, value, "a smaller number", e);
    *(int32_t *)at = (int32_t)whole;
    return 0;
}

static int set_flag(const setting *s, void *at, const char *value, err *e)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes", NULL};
    for (int i = 0; words[i]; i++)
        if (text_same(value, words[i])) {
            *(bool *)at = i % 2;
            return 0;
        }
    return refuse(s, value, "true or false", e);
}

static int set_choice(const setting *s, void *at, const char *value, err *e)
{
    char expected[FOUND_TEXT];
    for (int i = 0; s->choices[i]; i++)
        if (text_same(value, s->choices[i])) {
            *(int *)at = i;
            return 0;
        }
    snprintf(expected, sizeof expected, "%s, the nearest is %s", s->argument,
             text_nearest(value, s->choices));
    return refuse(s, value, expected, e);
}

static int set_colour(const setting *s, void *at, const char *value, err *e)
{
    const char *digits = value + (value[0] == '#');
    if (strlen(digits) != 6 || strspn(digits, "0123456789abcdefABCDEF") != 6)
        return refuse(s, value, "#RRGGBB", e);
    const unsigned long colour = strtoul(digits, NULL, 16);
    uint8_t *to = at;
    for (int i = 0; i < 3; i++)
        to[i] = (uint8_t)(colour >> (16 - 8 * i));
    return 0;
}

/* A word with '/' is a path, and so is a .safetensors file that is here; all else is a name. */
static bool is_path(const char *value)
{
    static const char suffix[] = ".safetensors";
    const size_t length = strlen(value), ending = strlen(suffix);
    return strchr(value, '/') || (length > ending && !strcmp(value + length - ending, suffix) &&
                                  access(value, F_OK) == 0);
}

static int set_model(const setting *s, void *at, const char *value, err *e)
{
    const size_t room = sizeof((job *)0)->model;
    char *absolute = is_path(value) ? realpath(value, NULL) : NULL;
    const char *model = absolute ? absolute : value;
    int rc = 0;
    if (is_path(value) && !absolute)
        rc = err_set(e, ERR_INVALID, "%s: there is no file or folder %.200s", s->name, value);
    else if (strlen(model) >= room)
        rc = err_set(e, ERR_TOO_LARGE, "%s has %zu bytes, expected at most %zu", s->name,
                     strlen(model), room - 1);
    else
        strcpy(at, model);
    free(absolute);
    return rc;
}

static int set_real(const setting *s, void *at, const char *value, err *e)
{
    return text_real(value, at) ? 0 : refuse(s, value, "a number", e);
}

static int set_text(const setting *s, void *at, const char *value, err *e)
{
    err why = {0};
    int rc = job_set_text(at, value, strlen(value), &why);
    return rc ? err_set(e, rc, "%s: %s", s->name, why.text) : 0;
}

/* A sampler's name may bring its schedule, so this one sees the job. */
static int set_sampler(job *j, const char *value, err *e)
{
    return catalog_find_sampler(value, &j->sampler, &j->scheduler, e);
}

static bool same_name(const char *a, const char *b)
{
    for (; *a || *b; a++, b++)
        if (*a != *b && !(*a == '-' && *b == '_'))
            return false;
    return true;
}

static int unknown(const char *name, err *e)
{
    const char *names[SETTINGS_MAX + 1] = {0};
    char found[FOUND_TEXT];
    for (int i = 0; settings[i].name; i++)
        names[i] = settings[i].name;
    return err_set(e, ERR_INVALID, "unknown setting %s, the nearest is %s",
                   log_quote(found, sizeof found, name), text_nearest(name, names));
}

int setting_set(job *j, const char *name, const char *value, err *e)
{
    const setting *s = settings;
    while (s->name && !same_name(s->name, name))
        s++;
    if (!s->name)
        return unknown(name, e);
    void *at = (char *)j + s->offset;
    switch (s->type) {
    case SETTING_TEXT: return set_text(s, at, value, e);
    case SETTING_MODEL: return set_model(s, at, value, e);
    case SETTING_SAMPLER: return set_sampler(j, value, e);
    case SETTING_SCHEDULE: return catalog_find_schedule(value, at, e);
    case SETTING_INT32:
    case SETTING_INT64: return set_whole(s, at, value, e);
    case SETTING_REAL: return set_real(s, at, value, e);
    case SETTING_FLAG: return set_flag(s, at, value, e);
    case SETTING_CHOICE: return set_choice(s, at, value, e);
    case SETTING_COLOUR: return set_colour(s, at, value, e);
    }
    assert(!"a setting type of the enum");
    return ERR_INVALID;
}
