/* overpaint result and cancel: jobs that were submitted earlier, by id. */
#include <stdio.h>

#include "client/command/command.h"
#include "client/command/follow.h"

int run_result(call *c, int argc, char **argv)
{
    follow_options f = {0};
    const char *preview = NULL;
    progress_view view;
    overpaint_id id;
    int code;
    const option table[] = {
        {"output", OPTION_TEXT, &f.output, .argument = "FILE",
         .help = "where the picture goes; several: FILE-1, FILE-2, … before its ending"},
        {"preview", OPTION_TEXT, &preview, .argument = "FILE",
         .help = "a PNG file that is replaced while the picture grows, if the job was asked for "
                 "previews"},
        {"timeout", OPTION_REAL, &f.timeout_seconds, .fallback = "-1", .least = -1, .most = 1e9,
         .argument = "SECONDS", .help = "wait no longer for the job to end; -1: for ever"},
        {"keep", OPTION_FLAG, &f.keep,
         .help = "leave the result with the service, to get it again"},
        OPTION_JSON(c),
        OPTION_ENDPOINT(c),
        {0}};
    if (!command_options(c, table, 1, 1, argc, argv, &code) ||
        !command_id(c, c->words.operand[0], &id, &code))
        return code;
    err e = {0};
    if (!f.output)
        err_set(&e, ERR_INVALID, "--output FILE is missing");
    else
        follow_check_output(f.output, &e);
    if (e.code)
        return command_fail(c, &id, e.code, e.text);
    overpaint *o = command_open(c, &code);
    if (!o)
        return code;
    progress_init(&view, c->json ? NULL : stderr, preview);
    overpaint_set_progress(o, progress_show, &view);
    follow_catch_signals();
    code = follow(c, o, &id, &view, &f);
    overpaint_close(&o);
    return code;
}

int run_cancel(call *c, int argc, char **argv)
{
    overpaint_id id;
    char text[37];
    int code = EXIT_OK;
    const option table[] = {OPTION_JSON(c), OPTION_ENDPOINT(c), {0}};
    if (!command_options(c, table, 1, 1, argc, argv, &code) ||
        !command_id(c, c->words.operand[0], &id, &code))
        return code;
    overpaint *o = command_open(c, &code);
    if (!o)
        return code;
    overpaint_id_text(&id, text);
    if (overpaint_cancel(o, &id))
        code = command_fail_handle(c, &id, o);
    else
        printf(c->json ? "{\"id\":\"%s\",\"cancelled\":true}\n" : "cancelled %s\n", text);
    overpaint_close(&o);
    return code;
}
