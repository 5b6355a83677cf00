/* overpaint txt2img, img2img and every other picture task: one job from the command line, followed
 * to its end; a folder of pictures goes to many.c. */
#include <assert.h>
#include <stdio.h>
#include <sys/stat.h>

#include "client/command/follow.h"
#include "client/command/many.h"
#include "client/command/request.h"

static void print_detached(const call *c, const overpaint_id *id)
{
    char text[37];
    overpaint_id_text(id, text);
    printf(c->json ? "{\"id\":\"%s\",\"state\":\"queued\"}\n" : "%s\n", text);
}

static int submit_and_follow(call *c, const request *r, const overpaint_job *j)
{
    overpaint_id id;
    progress_view view;
    int code = EXIT_OK;
    const follow_options f = {.output = r->output,
                              .notes = overpaint_job_notes(j),
                              .timeout_seconds = r->timeout,
                              .owner = true};
    overpaint *o = command_open(c, &code);
    if (!o)
        return code;
    progress_init(&view, c->json || r->detach ? NULL : stderr, r->preview);
    if (*f.notes)
        progress_line(&view, "--from %s: %s", r->from, f.notes);
    overpaint_set_progress(o, progress_show, &view);
    follow_catch_signals();
    if (overpaint_submit(o, j, &id))
        code = command_fail_handle(c, NULL, o);
    else if (r->detach)
        print_detached(c, &id);
    else
        code = follow(c, o, &id, &view, &f);
    overpaint_close(&o);
    return code;
}

static int run_one(call *c, const request *r, const char *input)
{
    err e = {0};
    const request_files files = {.input = input,
                                 .mask = request_value(r, "mask"),
                                 .sketch = request_value(r, "sketch"),
                                 .output = r->output};
    overpaint_job *j = request_check(r, &e) ? NULL : request_job(r, &files, &e);
    int code = j ? submit_and_follow(c, r, j) : command_fail(c, NULL, e.code, e.text);
    overpaint_job_free(&j);
    return code;
}

int run_picture(call *c, int argc, char **argv)
{
    request r;
    task_kind task = TASK_COUNT;
    struct stat st;
    int code;
    const bool known = task_find(c->self->name, &task);
    assert(known);
    const int inputs = task != TASK_TXT2IMG;
    request_build(&r, c, task);
    if (!command_options(c, r.row, inputs, inputs, argc, argv, &code))
        return code;
    const char *input = inputs ? c->words.operand[0] : NULL;
    if (input && !stat(input, &st) && S_ISDIR(st.st_mode))
        return many_run(c, &r, input);
    return run_one(c, &r, input);
}
