/* Settings: see settings.h. The one idea: a row of the table has a name, a type and a place in the
 * job; reading a value is one function a type. */
#include "client/settings.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/file.h"
#include "proto/log.h"
#include "proto/text.h"

enum { FOUND_TEXT = 80 };

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

/* A word with '/' is a path, and so is a checkpoint that is here; all else is a name. */
static bool is_path(const char *value)
{
    static const char *const endings[] = {".safetensors", ".ckpt", ".pth", ".pt"};
    const char *dot = strrchr(value, '.');
    if (strchr(value, '/'))
        return true;
    for (size_t i = 0; dot && dot > value && i < sizeof endings / sizeof *endings; i++)
        if (!strcmp(dot, endings[i]))
            return access(value, F_OK) == 0;
    return false;
}

static int set_model(const setting *s, void *at, const char *value, err *e)
{
    const size_t room = sizeof((job *)0)->model;
    _Static_assert(sizeof((job *)0)->model == sizeof((job *)0)->upscale.upscaler, "one room");
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

static int set_either(const setting *s, void *at, const char *value, err *e)
{
    int choice = 0;
    int rc = set_choice(s, &choice, value, e);
    if (!rc)
        *(bool *)at = choice;
    return rc;
}

static int set_not_flag(const setting *s, void *at, const char *value, err *e)
{
    int rc = set_flag(s, at, value, e);
    if (!rc)
        *(bool *)at = !*(bool *)at;
    return rc;
}

/* Both axes: y lies behind x. */
static int set_blur(const setting *s, void *at, const char *value, err *e)
{
    _Static_assert(offsetof(job, inpaint.blur_y) == offsetof(job, inpaint.blur_x) + sizeof(int32_t),
                   "blur_y is behind blur_x");
    int rc = set_whole(s, at, value, e);
    if (!rc)
        ((int32_t *)at)[1] = *(int32_t *)at;
    return rc;
}

static int set_directions(const setting *s, void *at, const char *value, err *e)
{
    return outpaint_directions(at, value) ? 0 : refuse(s, value, "words of left,right,up,down", e);
}

int setting_input(job *j, job_picture picture, err *e)
{
    job_picture *old = (job_picture *)job_find_input(j, picture.role);
    assert(j->owns_bytes);
    if (picture.role == INPUT_PICTURE || !old)
        return job_add_input(j, picture, e);
    free((uint8_t *)old->bytes);
    *old = picture;
    return 0;
}

static int set_input(job *j, input_role role, const char *path, err *e)
{
    unsigned char *bytes;
    size_t size;
    int rc = file_read(path, JOB_INPUT_BYTES_MAX, &bytes, &size, e);
    if (rc)
        return rc;
    rc = setting_input(j, (job_picture){.role = role, .bytes = bytes, .size = size}, e);
    if (rc)
        free(bytes);
    return rc;
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

static int set(const setting *s, job *j, const char *value, err *e)
{
    void *at = (char *)j + s->offset;
    switch (s->type) {
    case SETTING_TEXT: return set_text(s, at, value, e);
    case SETTING_MODEL: return set_model(s, at, value, e);
    case SETTING_SAMPLER: return set_sampler(j, value, e);
    case SETTING_SCHEDULE: return catalog_find_schedule(value, at, e);
    case SETTING_INT32:
    case SETTING_INT64: return set_whole(s, at, value, e);
    case SETTING_BLUR: return set_blur(s, at, value, e);
    case SETTING_REAL: return set_real(s, at, value, e);
    case SETTING_FLAG: return set_flag(s, at, value, e);
    case SETTING_NOT_FLAG: return set_not_flag(s, at, value, e);
    case SETTING_CHOICE: return set_choice(s, at, value, e);
    case SETTING_EITHER: return set_either(s, at, value, e);
    case SETTING_COLOUR: return set_colour(s, at, value, e);
    case SETTING_DIRECTIONS: return set_directions(s, at, value, e);
    case SETTING_MASK: return set_input(j, INPUT_MASK, value, e);
    case SETTING_SKETCH: return set_input(j, INPUT_SKETCH, value, e);
    }
    assert(!"a setting type of the enum");
    return ERR_INVALID;
}

bool setting_belongs(const setting *s, task_kind task)
{
    return s->tasks >> task & 1;
}

int setting_set(job *j, const char *name, const char *value, err *e)
{
    const setting *found = NULL;
    for (const setting *s = settings; s->name; s++)
        if (same_name(s->name, name) && (!found || setting_belongs(s, j->task)))
            found = s;
    return found ? set(found, j, value, e) : unknown(name, e);
}

int settings_defaults(job *j, err *e)
{
    int rc = 0;
    for (const setting *s = settings; !rc && s->name; s++)
        if (s->fallback && setting_belongs(s, j->task))
            rc = set(s, j, s->fallback, e);
    return rc;
}
