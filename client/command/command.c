/* The command line's frame: see command.h. The one idea: a command is a row of the table; what all
 * of them do (options, endpoint, errors as text or JSON, exit codes) is here. */
#include "client/command/command.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proto/text.h"
#include "proto/wire.h"

static const command commands[] = {
    {"up", "overpaint up [options]", "start a broker and workers here", run_up},
    {"img2img", "overpaint img2img INPUT --output FILE --prompt TEXT [options]",
     "paint a picture after another and a text", run_picture},
    {"txt2img", "overpaint txt2img --output FILE --prompt TEXT [options]",
     "paint a picture after a text", run_picture},
    {"inpaint", "overpaint inpaint INPUT --output FILE --prompt TEXT [options]",
     "repaint a part of a picture", run_picture},
    {"outpaint", "overpaint outpaint INPUT --output FILE --prompt TEXT [options]",
     "paint on beyond a picture's edges", run_picture},
    {"loopback", "overpaint loopback INPUT --output FILE --prompt TEXT [options]",
     "img2img again and again, each round from the last", run_picture},
    {"sd-upscale", "overpaint sd-upscale INPUT --output FILE --prompt TEXT [options]",
     "enlarge a picture and repaint it in tiles", run_picture},
    {"upscale", "overpaint upscale INPUT --output FILE [options]",
     "enlarge a picture without a prompt", run_picture},
    {"result", "overpaint result ID --output FILE [options]",
     "wait for a job submitted earlier and save its pictures", run_result},
    {"status", "overpaint status [ID] [options]", "show the service, or one job", run_status},
    {"cancel", "overpaint cancel ID [options]", "cancel a job", run_cancel},
    {"info", "overpaint info FILE [options]", "show how a picture was made", run_info},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static int print_help(FILE *to, int code)
{
    fputs("usage: overpaint COMMAND [options]\n\n", to);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-12s%s\n", commands[i].name, commands[i].summary);
    fputs("\n`overpaint COMMAND --help` shows the options of a command.\n", to);
    return code;
}

static int unknown_command(const char *word)
{
    const char *names[COMMANDS + 1] = {0};
    for (int i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    fprintf(stderr, "overpaint: unknown command \"%s\", the nearest is \"%s\" (see --help)\n", word,
            text_nearest(word, names));
    return EXIT_BAD;
}

/* What was printed must have arrived: with a full disk or a closed pipe the command has failed. */
static int check_output(const command *self, int code)
{
    if (!fflush(stdout) && !ferror(stdout))
        return code;
    fprintf(stderr, "overpaint %s: cannot write to standard output\n", self->name);
    return code == EXIT_OK ? EXIT_FILE : code;
}

static int run_command(const surroundings *around, int argc, char **argv)
{
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i].name, argv[0])) {
            call c = {.self = &commands[i], .around = around};
            return check_output(c.self, commands[i].run(&c, argc, argv));
        }
    return unknown_command(argv[0]);
}

int command_main(const surroundings *around, int argc, char **argv)
{
    if (argc < 2)
        return print_help(stderr, EXIT_BAD);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return print_help(stdout, EXIT_OK);
    if (!strcmp(argv[1], "--version"))
        return puts("overpaint " OVERPAINT_VERSION) < 0 ? EXIT_FILE : EXIT_OK;
    if (strcmp(argv[1], "help"))
        return run_command(around, argc - 1, argv + 1);
    if (argc == 2)
        return print_help(stdout, EXIT_OK);
    char *ask[] = {argv[2], "--help", NULL};
    return run_command(around, 2, ask);
}

/* ---------------------------------------------------------------- errors */

static int exit_code(int code)
{
    static const struct {
        err_code code;
        int exit;
    } table[] = {
        {ERR_INVALID, EXIT_BAD},         {ERR_TOO_LARGE, EXIT_BAD},
        {ERR_NOT_FOUND, EXIT_UNKNOWN},   {ERR_IO, EXIT_FILE},
        {ERR_BUSY, EXIT_AGAIN},          {ERR_TIMEOUT, EXIT_LATE},
        {ERR_CANCELLED, EXIT_CANCELLED},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == (err_code)code)
            return table[i].exit;
    return EXIT_JOB;
}

int command_fail_exit(const call *c, const overpaint_id *id, int code, const char *text, int exit)
{
    char id_text[37] = "";
    if (id)
        overpaint_id_text(id, id_text);
    if (!c->json) {
        fprintf(stderr, "overpaint %s: %s%s%s%s%s%s\n", c->self->name, c->input ? c->input : "",
                c->input ? ": " : "", id ? "job " : "", id_text, id ? ": " : "", text);
        return exit;
    }
    /* "s?": a text that is no UTF-8 would make no object at all. */
    const bool readable = text_is_utf8(text, strlen(text), NULL);
    json_t *o = json_pack("{s:s?, s:{s:s, s:s}}", "id", id ? id_text : NULL, "error", "code",
                          overpaint_code_name(code), "text", readable ? text : "(not UTF-8)");
    if (c->input)
        json_object_set_new(o, "input", json_string(c->input));
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
    return exit;
}

int command_fail(const call *c, const overpaint_id *id, int code, const char *text)
{
    return command_fail_exit(c, id, code, text, exit_code(code));
}

int command_fail_handle(const call *c, const overpaint_id *id, const overpaint *o)
{
    const int code = overpaint_error_code(o);
    const bool no_broker = code == ERR_TIMEOUT && !overpaint_connected(o);
    return command_fail_exit(c, id, code, overpaint_error(o),
                             no_broker ? EXIT_NO_BROKER : exit_code(code));
}

/* ---------------------------------------------------------------- options and connection */

/* Also when the options before it could not be read. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--json"))
            return true;
    return false;
}

static bool has_option(const option *table, const char *name)
{
    for (; table->name; table++)
        if (!strcmp(table->name, name))
            return true;
    return false;
}

bool command_options(call *c, const option *table, int least, int most, int argc, char **argv,
                     int *code)
{
    err e = {0};
    int rc = option_parse(table, argc, argv, &c->words, &e);
    if (!rc && c->words.help) {
        option_help(stdout, c->self->usage, table);
        *code = EXIT_OK;
        return false;
    }
    if (!rc && c->words.operands < least)
        rc = err_set(&e, ERR_INVALID, "a word is missing, expected: %s", c->self->usage);
    if (!rc && c->words.operands > most)
        rc = err_set(&e, ERR_INVALID, "unexpected word \"%.100s\", expected: %s",
                     c->words.operand[most], c->self->usage);
    if (!rc)
        return true;
    c->json = has_option(table, "json") && wants_json(argc, argv);
    *code = command_fail(c, NULL, rc, e.text);
    return false;
}

const char *command_endpoint(call *c, char *to, size_t size, int *code)
{
    err e = {0};
    int rc = 0;
    const char *endpoint = c->endpoint ? c->endpoint : c->around->endpoint;
    if (!endpoint || !*endpoint) {
        rc = wire_default_endpoint(c->around->runtime_dir, to, size, &e);
        endpoint = to;
    }
    if (!rc)
        rc = wire_check_endpoint(endpoint, &e);
    if (rc)
        *code = command_fail_exit(c, NULL, rc, e.text, EXIT_BAD);
    return rc ? NULL : endpoint;
}

overpaint *command_open(call *c, int *code)
{
    char room[256];
    const char *endpoint = command_endpoint(c, room, sizeof room, code);
    if (!endpoint)
        return NULL;
    overpaint *o = overpaint_open(endpoint, NULL);
    if (!overpaint_error_code(o))
        return o;
    *code = command_fail_exit(c, NULL, overpaint_error_code(o), overpaint_error(o), EXIT_NO_BROKER);
    overpaint_close(&o);
    return NULL;
}

bool command_id(const call *c, const char *word, overpaint_id *id, int *code)
{
    char text[160];
    if (!overpaint_id_parse(word, id))
        return true;
    snprintf(text, sizeof text, "\"%.60s\" is no job id, expected 8-4-4-4-12 hexadecimal digits",
             word);
    *code = command_fail(c, NULL, ERR_INVALID, text);
    return false;
}
