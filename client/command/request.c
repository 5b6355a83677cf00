/* A request for pictures: see request.h. The one idea: the table of settings gives the options, and
 * each option that was given is one overpaint_job_set. */
#include "client/command/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command/follow.h"
#include "client/file.h"
#include "proto/text.h"

enum { PROMPT_FILE_MAX = 1 << 24 };

/* ---------------------------------------------------------------- options */

static option setting_row(request *r, int i)
{
    const setting *s = &settings[i];
    if (s->type == SETTING_FLAG || s->type == SETTING_NOT_FLAG)
        return (option){s->name, OPTION_FLAG, &r->flag[i], .help = s->help, .given = &r->given[i]};
    return (option){s->name,
                    OPTION_TEXT,
                    &r->value[i],
                    .fallback = s->fallback,
                    .least = s->least,
                    .most = s->most,
                    .argument = s->argument,
                    .help = s->help,
                    .given = &r->given[i]};
}

void request_build(request *r, call *c, task_kind task)
{
    const option own[REQUEST_OWN_ROWS] = {
        {"output", OPTION_TEXT, &r->output, .argument = "FILE",
         .help =
             "where the picture goes; several: FILE-1, FILE-2, … before its ending; of a folder: "
             "the folder where they go"},
        {"prompt-file", OPTION_TEXT, &r->prompt_file, .argument = "FILE",
         .help = "the prompt is in this file"},
        {"from", OPTION_TEXT, &r->from, .argument = "FILE",
         .help = "take prompts, seed and other settings from this picture's metadata; options "
                 "given here override them"},
        {"preview", OPTION_TEXT, &r->preview, .argument = "FILE",
         .help = "a PNG file that is replaced while the picture grows"},
        {"timeout", OPTION_REAL, &r->timeout, .fallback = "-1", .least = -1, .most = 1e9,
         .argument = "SECONDS", .help = "cancel the job and give up after so long; -1: never"},
        {"detach", OPTION_FLAG, &r->detach,
         .help = "print the job's id and exit; `overpaint result` gets the pictures"},
        OPTION_JSON(c),
        OPTION_ENDPOINT(c),
    };
    int rows = 0;
    memset(r, 0, sizeof *r);
    r->task = task;
    for (int i = 0; settings[i].name; i++)
        if (setting_belongs(&settings[i], task))
            r->row[rows++] = setting_row(r, i);
    for (int i = 0; own[i].name; i++)
        r->row[rows++] = own[i];
}

const char *request_format(const char *path)
{
    static const char *const endings[][2] = {
        {".png", "png"}, {".jpg", "jpeg"}, {".jpeg", "jpeg"}, {".webp", "webp"}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (text_same(dot, endings[i][0]))
            return endings[i][1];
    return NULL;
}

const char *request_value(const request *r, const char *name)
{
    const char *value = NULL;
    for (int i = 0; settings[i].name; i++)
        if (r->given[i] && !strcmp(settings[i].name, name))
            value = r->value[i];
    return value;
}

static int check_prompt(const request *r, err *e)
{
    const bool prompt = request_value(r, "prompt");
    if (prompt && r->prompt_file)
        return err_set(e, ERR_INVALID, "--prompt and --prompt-file exclude each other");
    if (!prompt && !r->prompt_file && !r->from && r->task != TASK_UPSCALE)
        return err_set(e, ERR_INVALID,
                       "--prompt TEXT or --prompt-file FILE is missing (or --from FILE)");
    return 0;
}

int request_check(const request *r, err *e)
{
    if (!r->output && !r->detach)
        return err_set(e, ERR_INVALID, "--output FILE is missing (or --detach)");
    if (check_prompt(r, e))
        return e->code;
    if (r->output && !request_value(r, "format") && !request_format(r->output))
        return err_set(e, ERR_INVALID,
                       "--output %.200s does not say the format, expected .png, .jpg, .jpeg or "
                       ".webp at its end, or --format",
                       r->output);
    return r->output ? follow_check_output(r->output, e) : 0;
}

int request_check_many(const request *r, err *e)
{
    if (r->detach || r->preview)
        return err_set(e, ERR_INVALID, "--%s is for one picture, INPUT is a folder",
                       r->detach ? "detach" : "preview");
    if (!r->output)
        return err_set(e, ERR_INVALID, "--output FOLDER is missing");
    return check_prompt(r, e);
}

/* ---------------------------------------------------------------- the job */

static int set(overpaint_job *j, const char *name, const char *value, err *e)
{
    int rc = overpaint_job_set(j, name, value);
    return rc ? err_set(e, rc, "%s", overpaint_job_error(j)) : 0;
}

/* The text of the file without the line ends after it and the byte order mark that some editors
 * write before it. */
static int set_prompt_file(overpaint_job *j, const char *path, err *e)
{
    static const char mark[] = "\xef\xbb\xbf";
    unsigned char *bytes;
    size_t size;
    int rc = file_read(path, PROMPT_FILE_MAX, &bytes, &size, e);
    if (rc)
        return rc;
    const char *text = (char *)bytes;
    if (!strncmp(text, mark, strlen(mark)))
        text += strlen(mark);
    while (size && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r'))
        bytes[--size] = 0;
    if (memchr(bytes, 0, size))
        rc = err_set(e, ERR_INVALID, "%s has a NUL byte, expected text", path);
    else
        rc = set(j, "prompt", text, e);
    free(bytes);
    return rc;
}

static bool is_file_setting(const setting *s)
{
    return s->type == SETTING_MASK || s->type == SETTING_SKETCH;
}

int request_fill(overpaint_job *j, const request *r, const request_files *f, err *e)
{
    int rc = 0;
    if (r->from && (rc = overpaint_job_from(j, r->from)))
        err_set(e, rc, "--from %s", overpaint_job_error(j));
    for (int i = 0; !rc && settings[i].name; i++)
        if (r->given[i] && !is_file_setting(&settings[i]))
            rc = set(j, settings[i].name, r->flag[i] ? "true" : r->value[i], e);
    if (!rc && r->prompt_file)
        rc = set_prompt_file(j, r->prompt_file, e);
    if (!rc && f->output && !request_value(r, "format"))
        rc = set(j, "format", request_format(f->output), e);
    if (!rc && r->preview)
        rc = set(j, "want-preview", "true", e);
    if (!rc && f->mask)
        rc = set(j, "mask", f->mask, e);
    if (!rc && f->sketch)
        rc = set(j, "sketch", f->sketch, e);
    if (!rc && f->input && (rc = overpaint_job_add_file(j, f->input)))
        err_set(e, rc, "%s", overpaint_job_error(j));
    return rc;
}

overpaint_job *request_job(const request *r, const request_files *f, err *e)
{
    overpaint_job *j = overpaint_job_new(task_name(r->task));
    int rc = j ? request_fill(j, r, f, e) : err_set(e, ERR_NO_MEMORY, "no memory for a job");
    if (!rc && (rc = overpaint_job_check(j)))
        err_set(e, rc, "%s", overpaint_job_error(j));
    if (rc)
        overpaint_job_free(&j);
    return j;
}
