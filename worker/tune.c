/* Tuning: see tune.h. What is walked is a picture as it is served: a text, an encoding, as many
 * UNet calls as there are steps, a decoding; so the work of a shape is its share of a picture. */
#include "worker/tune.h"

#include <stdio.h>
#include <string.h>

#include "kernels/tune.h"
#include "worker/model/plan.h"
#include "worker/models.h"

enum { SIZES_MAX = 8, NAMES_MAX = 64, SIDE_MAX = 4096, STEPS = 20, LINE_BYTES = 1400 };

typedef struct {
    int width, height;
} picture_size;

/* What the walk goes through; it ends at the first error. */
typedef struct {
    const tune_request *request;
    char path[NAMES_MAX][1024];
    int paths;
    picture_size size[SIZES_MAX];
    int sizes, walked;
    err *e; /* what ended the walk */
} tour;

static int read_sizes(tour *t, const char *text, err *e)
{
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        picture_size s;
        int used = 0;
        if (t->sizes == SIZES_MAX)
            return err_set(e, ERR_INVALID, "--tune-sizes has more than %d sizes", SIZES_MAX);
        if (sscanf(at, "%4dx%4d%n", &s.width, &s.height, &used) != 2 ||
            (at[used] && at[used] != ',') || s.width < 1 || s.height < 1 || s.width > SIDE_MAX ||
            s.height > SIDE_MAX)
            return err_set(e, ERR_INVALID,
                           "--tune-sizes has \"%.40s\", expected sizes like 512x512, up to %d", at,
                           SIDE_MAX);
        t->size[t->sizes++] = s;
    }
    return 0;
}

static int add_model(tour *t, models *known, const char *name, err *e)
{
    model_file file;
    if (t->paths == NAMES_MAX)
        return err_set(e, ERR_INVALID, "more than %d models to tune for", NAMES_MAX);
    if (models_find(known, name, &file, e))
        return e->code;
    snprintf(t->path[t->paths++], sizeof *t->path, "%s", file.path);
    return 0;
}

static int add_named(tour *t, models *known, const char *names, err *e)
{
    char name[256];
    for (const char *at = names; at;) {
        const char *end = strchrnul(at, ',');
        snprintf(name, sizeof name, "%.*s", (int)(end - at), at);
        if (add_model(t, known, name, e))
            return e->code;
        at = *end ? end + 1 : NULL;
    }
    return 0;
}

static int find_models(tour *t, err *e)
{
    char names[NAMES_MAX][256];
    const tune_request *r = t->request;
    models *known = models_new(r->models, NULL, e);
    if (!known)
        return e->code;
    const int n = models_list(known, names, NAMES_MAX);
    if (r->names)
        add_named(t, known, r->names, e);
    else if (n == 0)
        add_model(t, known, "", e); /* says what is missing */
    for (int i = 0; i < n && !r->names && !e->code; i++)
        add_model(t, known, names[i], e);
    models_free(&known);
    return e->code;
}

static void walk_picture(dev *dry, const model *m, picture_size size)
{
    const int factor = m->config.factor, tokens = m->config.positions;
    const int width = size.width / factor * factor, height = size.height / factor * factor;
    if (width == 0 || height == 0)
        return;
    model_measure(dry, m, width, height, PLAN_ROWS, tokens);
    for (int i = 1; i < STEPS; i++)
        model_walk_step(dry, m, width, height, PLAN_ROWS, tokens);
}

/* A folder may hold files that are no such model; who names one wants it. */
static bool walk_model(dev *dry, tour *t, const char *path)
{
    char line[LINE_BYTES];
    err e = {0};
    model *m = model_load(dry, path, &e);
    for (int k = 0; k < t->sizes && m; k++)
        walk_picture(dry, m, t->size[k]);
    t->walked += m != NULL;
    model_free(&m);
    if (e.code && !t->request->names) {
        snprintf(line, sizeof line, "left out: %s", e.text);
        t->request->say(line);
    } else if (e.code) {
        err_set(t->e, e.code, "%s", e.text);
    }
    return !t->e->code && dry->status == DEV_OK;
}

static void walk(dev *dry, void *arg)
{
    tour *t = arg;
    for (int i = 0; i < t->paths; i++)
        if (!walk_model(dry, t, t->path[i]))
            break;
    if (t->walked == 0)
        err_set(t->e, ERR_NOT_FOUND, "%s has no model to tune for", t->request->models);
    if (t->e->code)
        dev_fail(dry, DEV_BROKEN, "no walk");
}

static void say_line(void *arg, const tune_line *l)
{
    char line[LINE_BYTES];
    const tour *t = arg;
    snprintf(line, sizeof line, "%s = %s: %.2f us a row, %.2f the first safe one, best of %d",
             l->shape, l->choice, l->us, l->first_us, l->timed);
    t->request->say(line);
}

static void say_result(const tour *t, const tune_result *r)
{
    char line[LINE_BYTES + TUNE_PATH_BYTES];
    snprintf(line, sizeof line, "%d of %d shapes have an entry now; table %016llx in %s", r->tuned,
             r->shapes, (unsigned long long)r->hash, r->path);
    t->request->say(line);
}

int tune_run(const tune_request *request, err *e)
{
    char why[256];
    tour t = {.request = request, .e = e};
    dev *dry = NULL, *d = NULL;
    tune_result result;
    if (read_sizes(&t, request->sizes, e) || find_models(&t, e))
        return e->code;
    dev_options options = request->device;
    d = dev_new(&options, why);
    options.dry = true;
    dry = d ? dev_new(&options, why) : NULL;
    const tune_options how = {.dry = dry,
                              .walk = walk,
                              .arg = &t,
                              .seconds = request->seconds,
                              .tuned = say_line,
                              .tuned_arg = &t};
    if (!dry || !dev_tune(d, &how, &result, why))
        err_set(e, ERR_DEVICE, "cannot tune: %s", why); /* if the walk has not said more */
    else
        say_result(&t, &result);
    dev_free(&dry);
    dev_free(&d);
    return e->code;
}
