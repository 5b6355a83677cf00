/* overpaint info: the parameters text of a picture file, read apart. Needs no service. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/command/command.h"
#include "client/file.h"
#include "proto/infotext.h"
#include "proto/job.h"

/* A picture from elsewhere must not steer the terminal: control characters (C0 but for line ends
 * and tabs, DEL, C1) print as '?'. */
static void print_line(const char *key, const char *value)
{
    printf("%s: ", key);
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        const bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f;
        putchar((*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f || c1 ? '?' : *c);
        c += c1;
    }
    putchar('\n');
}

static void print_text(const infotext *t)
{
    print_line("Prompt", t->prompt ? t->prompt : "");
    if (t->negative_prompt && *t->negative_prompt)
        print_line("Negative prompt", t->negative_prompt);
    for (size_t i = 0; i < t->count; i++)
        print_line(t->entry[i].key, t->entry[i].value);
}

static void print_json(const char *file, const char *text, const infotext *t)
{
    json_t *parameters = json_object();
    for (size_t i = 0; i < t->count; i++)
        json_object_set_new(parameters, t->entry[i].key, json_string(t->entry[i].value));
    json_t *o = json_object();
    json_object_set_new(o, "file", json_string(file));
    json_object_set_new(o, "prompt", json_string(t->prompt ? t->prompt : ""));
    json_object_set_new(o, "negative_prompt",
                        json_string(t->negative_prompt ? t->negative_prompt : ""));
    json_object_set_new(o, "parameters", parameters);
    json_object_set_new(o, "text", json_string(text));
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static int read_parameters(char **text, infotext *t, const char *file, const unsigned char *bytes,
                           size_t size, err *e)
{
    err why = {0};
    int rc = metadata_parameters(text, bytes, size, &why);
    if (!rc)
        rc = infotext_read(t, *text, &why);
    return rc ? err_set(e, rc, "%.200s: %s", file, why.text) : 0;
}

int run_info(call *c, int argc, char **argv)
{
    unsigned char *bytes = NULL;
    char *text = NULL;
    infotext t = {0};
    size_t size;
    err e = {0};
    int code;
    const option table[] = {OPTION_JSON(c), {0}};
    if (!command_options(c, table, 1, 1, argc, argv, &code))
        return code;
    const char *file = c->words.operand[0];
    int rc = file_read(file, JOB_INPUT_BYTES_MAX, &bytes, &size, &e);
    if (!rc)
        rc = read_parameters(&text, &t, file, bytes, size, &e);
    if (rc)
        code = command_fail(c, NULL, e.code, e.text);
    else if (c->json)
        print_json(file, text, &t);
    else
        print_text(&t);
    infotext_done(&t);
    free(text);
    free(bytes);
    return rc ? code : EXIT_OK;
}
