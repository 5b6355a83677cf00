/* What the benchmarks of a model share: see subject.h. */
#include "bench/subject.h"

#include <assert.h>
#include <stdlib.h>

#include "tests/support/rig.h"

bool subject_parse(const subject *s, const option *table, const char *usage, int argc, char **argv,
                   err *e)
{
    option_result words;
    if (option_parse(table, argc, argv, &words, e))
        return false;
    if (words.help)
        option_help(stdout, usage, table);
    else if (!*s->path)
        err_set(e, ERR_INVALID, "--model is missing");
    return !words.help && *s->path;
}

int subject_device(const subject *s, dev_options *options, err *e)
{
    *options = (dev_options){.threads = (int)s->threads,
                             .isa = *s->isa ? s->isa : NULL,
                             .cache = *s->cache ? s->cache : NULL,
                             .exact = (dev_exact)s->exact};
    if (!rig_device(s->device, options))
        err_set(e, ERR_INVALID, "--device is \"%.60s\", expected cpu, ref or cuda, or with :N",
                s->device);
    return e->code;
}

int subject_plan(const subject *s, dev_options *options, model_plan_result *plan, err *e)
{
    if (subject_device(s, options, e) != ERR_OK)
        return e->code;
    return model_plan(options, s->path, s->budget, PLAN_SIDE, PLAN_SIDE, PLAN_ROWS, plan, e);
}

static void print_row(const char *key, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
    printf("%-16s %s\n", key, text ? text : "");
    free(text);
}

void subject_print(const subject *s, json_t *figures)
{
    const char *key;
    json_t *value;
    assert(figures); /* memory apart, a number that JSON does not have */
    if (s->json &&
        !json_dumpf(figures, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6)))
        puts("");
    json_object_foreach(figures, key, value)
    {
        if (!s->json)
            print_row(key, value);
    }
    json_decref(figures);
}
