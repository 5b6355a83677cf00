/* overpaint txt2img, img2img and every other picture task: settings from the command line into a
 * job, then follow it. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command/command.h"
#include "client/command/follow.h"
#include "client/file.h"
#include "client/settings.h"
#include "proto/text.h"

enum { PROMPT_FILE_MAX = 1 << 24, OWN_ROWS = 10 };

typedef struct {
    const char *value[SETTINGS_MAX];
    bool flag[SETTINGS_MAX], given[SETTINGS_MAX];
    const char *output, *prompt_file, *preview, *from;
    double timeout;
    bool detach;
    option row[SETTINGS_MAX + OWN_ROWS + 1];
} picture_options;

_Static_assert(SETTINGS_MAX + OWN_ROWS <= OPTION_ROWS_MAX, "a table option_parse takes");

/* ---------------------------------------------------------------- options */

static option setting_row(picture_options *p, int i)
{
    const setting *s = &settings[i];
    if (s->type == SETTING_FLAG || s->type == SETTING_NOT_FLAG)
        return (option){s->name, OPTION_FLAG, &p->flag[i], .help = s->help, .given = &p->given[i]};
    return (option){s->name,
                    OPTION_TEXT,
                    &p->value[i],
                    .fallback = s->fallback,
                    .least = s->least,
                    .most = s->most,
                    .argument = s->argument,
                    .help = s->help,
                    .given = &p->given[i]};
}

static void build_options(picture_options *p, call *c, task_kind task)
{
    const option own[OWN_ROWS] = {
        {"output", OPTION_TEXT, &p->output, .argument = "FILE",
         .help = "where the picture goes; several: FILE-1, FILE-2, … before its ending"},
        {"prompt-file", OPTION_TEXT, &p->prompt_file, .argument = "FILE",
         .help = "the prompt is in this file"},
        {"from", OPTION_TEXT, &p->from, .argument = "FILE",
         .help = "take prompts, seed and other settings from this picture's metadata; options "
                 "given here override them"},
        {"preview", OPTION_TEXT, &p->preview, .argument = "FILE",
         .help = "a PNG file that is replaced while the picture grows"},
        {"timeout", OPTION_REAL, &p->timeout, .fallback = "-1", .least = -1, .most = 1e9,
         .argument = "SECONDS", .help = "cancel the job and give up after so long; -1: never"},
        {"detach", OPTION_FLAG, &p->detach,
         .help = "print the job's id and exit; `overpaint result` gets the pictures"},
        OPTION_JSON(c),
        OPTION_ENDPOINT(c),
    };
    int rows = 0;
    memset(p, 0, sizeof *p);
    for (int i = 0; settings[i].name; i++)
        if (setting_belongs(&settings[i], task))
            p->row[rows++] = setting_row(p, i);
    for (int i = 0; own[i].name; i++)
        p->row[rows++] = own[i];
}

static const char *format_of(const char *path)
{
    static const char *const endings[][2] = {
        {".png", "png"}, {".jpg", "jpeg"}, {".jpeg", "jpeg"}, {".webp", "webp"}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (text_same(dot, endings[i][0]))
            return endings[i][1];
    return NULL;
}

static bool is_given(const picture_options *p, const char *name)
{
    bool given = false;
    for (int i = 0; settings[i].name; i++)
        given |= p->given[i] && !strcmp(settings[i].name, name);
    return given;
}

/* What belongs together on the command line. */
static int check_options(const picture_options *p, task_kind task, err *e)
{
    const bool prompt = is_given(p, "prompt");
    if (!p->output && !p->detach)
        return err_set(e, ERR_INVALID, "--output FILE is missing (or --detach)");
    if (prompt && p->prompt_file)
        return err_set(e, ERR_INVALID, "--prompt and --prompt-file exclude each other");
    if (!prompt && !p->prompt_file && !p->from && task != TASK_UPSCALE)
        return err_set(e, ERR_INVALID,
                       "--prompt TEXT or --prompt-file FILE is missing (or --from FILE)");
    if (p->output && !is_given(p, "format") && !format_of(p->output))
        return err_set(e, ERR_INVALID,
                       "--output %.200s does not say the format, expected .png, .jpg, .jpeg or "
                       ".webp at its end, or --format",
                       p->output);
    return p->output ? follow_check_output(p->output, e) : 0;
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

static int fill_job(overpaint_job *j, const picture_options *p, const call *c, err *e)
{
    int rc = 0;
    if (p->from && (rc = overpaint_job_from(j, p->from)))
        err_set(e, rc, "--from %s", overpaint_job_error(j));
    for (int i = 0; !rc && settings[i].name; i++)
        if (p->given[i])
            rc = set(j, settings[i].name, p->flag[i] ? "true" : p->value[i], e);
    if (!rc && p->prompt_file)
        rc = set_prompt_file(j, p->prompt_file, e);
    if (!rc && p->output && !is_given(p, "format"))
        rc = set(j, "format", format_of(p->output), e);
    if (!rc && p->preview)
        rc = set(j, "want-preview", "true", e);
    for (int i = 0; !rc && i < c->words.operands; i++)
        if ((rc = overpaint_job_add_file(j, c->words.operand[i])))
            err_set(e, rc, "%s", overpaint_job_error(j));
    if (!rc && (rc = overpaint_job_check(j)))
        err_set(e, rc, "%s", overpaint_job_error(j));
    return rc;
}

static void print_detached(const call *c, const overpaint_id *id)
{
    char text[37];
    overpaint_id_text(id, text);
    printf(c->json ? "{\"id\":\"%s\",\"state\":\"queued\"}\n" : "%s\n", text);
}

static int submit_and_follow(call *c, const picture_options *p, const overpaint_job *j)
{
    overpaint_id id;
    progress_view view;
    int code = EXIT_OK;
    const follow_options f = {.output = p->output, .timeout_seconds = p->timeout, .owner = true};
    overpaint *o = command_open(c, &code);
    if (!o)
        return code;
    progress_init(&view, c->json || p->detach ? NULL : stderr, p->preview);
    if (*overpaint_job_notes(j))
        progress_line(&view, "--from %s: %s", p->from, overpaint_job_notes(j));
    overpaint_set_progress(o, progress_show, &view);
    follow_catch_signals();
    if (overpaint_submit(o, j, &id))
        code = command_fail_handle(c, NULL, o);
    else if (p->detach)
        print_detached(c, &id);
    else
        code = follow(c, o, &id, &view, &f);
    overpaint_close(&o);
    return code;
}

int run_picture(call *c, int argc, char **argv)
{
    picture_options p;
    task_kind task = TASK_COUNT;
    int code;
    const bool known = task_find(c->self->name, &task);
    assert(known);
    const int inputs = task != TASK_TXT2IMG;
    build_options(&p, c, task);
    if (!command_options(c, p.row, inputs, inputs, argc, argv, &code))
        return code;
    err e = {0};
    overpaint_job *j = overpaint_job_new(c->self->name);
    if (!j)
        err_set(&e, ERR_NO_MEMORY, "no memory for a job");
    else if (!check_options(&p, task, &e))
        fill_job(j, &p, c, &e);
    code = e.code ? command_fail(c, NULL, e.code, e.text) : submit_and_follow(c, &p, j);
    overpaint_job_free(&j);
    return code;
}
