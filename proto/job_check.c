/* The one validator: see job_check in job.h. Ranges are rows of tables (job_range.c), what a task
 * asks for is job_task.c, the rest is one small function a rule. Nothing is trusted: an enum may
 * hold any number a peer sent. Messages repeat no name or path from outside; only prompt_check
 * shows an excerpt, of checked UTF-8. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/job_inside.h"
#include "proto/prompt.h"
#include "proto/text.h"

static void check_id(const job *j, err *found)
{
    static const job_id none;
    if (job_id_equal(&j->id, &none))
        err_add(found, ERR_INVALID, "id is zero, expected 128 random bits");
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

static void check_names(const job *j, err *found)
{
    const struct {
        const char *field, *name;
        size_t size;
    } names[] = {
        {"model", j->model, sizeof j->model},
        {"img2img_upscaler", j->img2img_upscaler, sizeof j->img2img_upscaler},
        {"upscale.upscaler", j->upscale.upscaler, sizeof j->upscale.upscaler},
        {"upscale.upscaler_2", j->upscale.upscaler_2, sizeof j->upscale.upscaler_2},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_name(names[i].field, names[i].name, names[i].size, j->paths_allowed, found);
}

static void check_text(const char *field, const char *text, prompt_role role, err *found)
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
    else if (prompt_check(text, role, &grammar))
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

int job_check(job *j, err *e)
{
    err found = {0};
    check_id(j, &found);
    job_check_ranges(j, &found);
    job_check_task(j, &found);
    check_names(j, &found);
    check_text("prompt", j->prompt, PROMPT_POSITIVE, &found);
    check_text("negative_prompt", j->negative_prompt, PROMPT_NEGATIVE, &found);
    check_inputs(j, &found);
    check_strength(j, &found);
    check_quality(j, &found);
    check_metadata(j, &found);
    if (found.code)
        return err_set(e, found.code, "%s", found.text);
    job_resolve(j);
    return 0;
}
