/* Tuning: see kernels/tune.h. The shapes come from a walk of the models on a dry device, so that
 * no list of them can be wrong; what is timed are safe choices only (plan.h, product.h), so that a
 * table may change the bits of a picture, and never makes them depend on its company. On a device
 * where they may (EXACT_OFF) every number of rows is tuned by itself, into a table of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/cuda/trial.h"

enum { CHOICES_MOST = 24, RUNS = 5, LAUNCHES_MOST = 16 };

/* A run takes about so long, in microseconds, if LAUNCHES_MOST allow: more than a timer's step. */
static const double RUN_US = 300;
/* A choice that is so much slower at the first number of rows is not looked at further, and one
 * that is not clearly faster than the first safe one is noise. */
static const double HOPELESS = 1.5, CLEARLY = 0.97;

/* The numbers of rows that are timed for a choice, and how much a row's time there counts. */
typedef struct {
    int64_t rows;
    double weight; /* 0: no more stages */
} stage;

enum { STAGES = 3 };

/* What one entry of the table is chosen for: every number of rows, or one. */
typedef struct {
    int64_t alone;
    stage stage[STAGES];
} tuned_for;

static const tuned_for all_rows[] = {{EVERY_ROWS, {{REFERENCE_ROWS, 2}, {1, 1}, {8, 1}}}, {0}};
static const tuned_for each_rows[] = {{2, {{2, 1}}}, {1, {{1, 1}}},   {8, {{8, 1}}},
                                      {4, {{4, 1}}}, {16, {{16, 1}}}, {0}};

typedef struct {
    dev *d;
    gpu *g;
    const tuned_for *entries; /* of each shape; ends without stages */
    const tune_options *options;
    char *memory; /* what trials work on */
    size_t bytes;
    cudaEvent_t begin, end;
    double deadline; /* s */
    char why[TRIAL_WHY_BYTES];
} tuner;

/* Microseconds a row. */
typedef struct {
    double first_stage, all; /* 0: cannot be timed */
} timing;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- one trial ---- */

static bool finish(tuner *t)
{
    return gpu_good(t->d, cudaStreamSynchronize(t->g->stream), "a trial");
}

/* Launches once to warm up, and once more to see how many launches a run should have; 0: the choice
 * does not serve. */
static int count_launches(tuner *t, trial *one)
{
    if (!trial_launch(one, t->why) || !finish(t))
        return 0;
    const double from = now_s();
    if (!trial_launch(one, t->why) || !finish(t))
        return 0;
    const double launches = RUN_US / ((now_s() - from) * 1e6);
    return launches < 1 ? 1 : launches > LAUNCHES_MOST ? LAUNCHES_MOST : (int)launches;
}

/* As a graph, because steps are played as graphs: what the host does for a launch is not timed. */
static cudaGraphExec_t record_launches(tuner *t, trial *one, int n)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t ready = NULL;
    if (!gpu_good(t->d, cudaStreamBeginCapture(t->g->stream, cudaStreamCaptureModeThreadLocal),
                  "recording a trial"))
        return NULL;
    bool good = true;
    for (int i = 0; i < n && good; i++)
        good = trial_launch(one, t->why);
    good = cudaStreamEndCapture(t->g->stream, &graph) == cudaSuccess && good;
    if (!good || cudaGraphInstantiate(&ready, graph, 0) != cudaSuccess) {
        cudaGetLastError();
        ready = NULL;
    }
    if (graph)
        cudaGraphDestroy(graph);
    return ready;
}

static int by_size(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The median run in microseconds; 0: the device has failed. */
static double time_graph(tuner *t, cudaGraphExec_t graph)
{
    float ms[RUNS];
    for (int i = 0; i < RUNS; i++)
        if (!gpu_good(t->d, cudaEventRecord(t->begin, t->g->stream), "timing") ||
            !gpu_good(t->d, cudaGraphLaunch(graph, t->g->stream), "timing") ||
            !gpu_good(t->d, cudaEventRecord(t->end, t->g->stream), "timing") || !finish(t) ||
            !gpu_good(t->d, cudaEventElapsedTime(&ms[i], t->begin, t->end), "timing"))
            return 0;
    qsort(ms, RUNS, sizeof *ms, by_size);
    return (double)ms[RUNS / 2] * 1e3;
}

/* Microseconds of one launch; 0: the choice does not serve. */
static double time_trial(tuner *t, const wanted_shape *s, int64_t rows, const choice *c)
{
    trial one;
    cudaGraphExec_t graph = NULL;
    double us = 0;
    int n = 0;
    if (trial_open(&one, t->d, s, rows, c, t->memory, t->why))
        n = count_launches(t, &one);
    if (n > 0)
        graph = record_launches(t, &one, n);
    if (graph) {
        us = time_graph(t, graph) / n;
        cudaGraphExecDestroy(graph);
    }
    trial_close(&one);
    return us;
}

/* ---- one shape ---- */

/* Rows for which there is no memory are left out, for all choices alike. */
static timing time_choice(tuner *t, const wanted_shape *s, const tuned_for *f, const choice *c,
                          double best)
{
    timing sum = {0};
    double counted = 0;
    for (int i = 0; i < STAGES && f->stage[i].weight > 0; i++) {
        const int64_t rows = f->stage[i].rows;
        if (trial_bytes(s, rows) > t->bytes)
            continue;
        const double us = time_trial(t, s, rows, c) / (double)rows;
        if (us <= 0 || (best > 0 && counted == 0 && us > HOPELESS * best))
            return (timing){0};
        if (counted == 0)
            sum.first_stage = us;
        sum.all += us * f->stage[i].weight;
        counted += f->stage[i].weight;
    }
    if (counted > 0)
        sum.all /= counted;
    return sum;
}

static int list_choices(tuner *t, const wanted_shape *s, int64_t alone, choice *to)
{
    plan_pick pick[CHOICES_MOST];
    t->why[0] = 0;
    if (s->is_product)
        return product_choices(t->g->cublaslt, &s->product, alone, to, CHOICES_MOST, t->why);
    const int n = plan_choices(t->g->planner, &s->plan, alone, pick, CHOICES_MOST, t->why);
    for (int i = 0; i < n; i++)
        to[i] = pick[i].choice;
    return n;
}

static void tell(const tuner *t, const char *name, const choice *c, const tune_line *found)
{
    char chosen[CHOICE_TEXT_BYTES];
    tune_line line = *found;
    choice_write(c, chosen);
    line.shape = name;
    line.choice = chosen;
    if (t->options->tuned)
        t->options->tuned(t->options->tuned_arg, &line);
}

/* What an entry is chosen by. */
typedef struct {
    choice choice; /* the fastest that serves */
    timing first, best;
    int timed;
} contest;

static bool is_upsample(const wanted_shape *s)
{
    return !s->is_product && s->plan.kind == SHAPE_UPSAMPLE;
}

/* One good choice needs no entry, unless what it competes with is another way of computing. */
static contest hold_contest(tuner *t, const wanted_shape *s, const tuned_for *f)
{
    contest c = {0};
    choice choices[CHOICES_MOST];
    const int n = list_choices(t, s, f->alone, choices), fewest = is_upsample(s) ? 1 : 2;
    for (int i = 0; i < n && n >= fewest && t->d->status == DEV_OK; i++) {
        if (c.timed > 1 && now_s() > t->deadline)
            break;
        const timing one = time_choice(t, s, f, &choices[i], c.best.first_stage);
        c.timed++;
        if (one.all <= 0)
            continue;
        if (c.first.all <= 0)
            c.first = one;
        if (c.best.all <= 0 || (one.all < c.best.all && one.all < CLEARLY * c.first.all)) {
            c.best = one;
            c.choice = choices[i];
        }
    }
    if (c.timed < fewest)
        c.best.all = 0;
    return c;
}

/* The convolution that an upsample would be instead of, as it is done now. Neither time has the
 * pass over the large picture that each way needs besides: the nearest x2, or the bias. */
static timing time_doubling(tuner *t, const wanted_shape *upsample, const tuned_for *f)
{
    wanted_shape s = {.plan = doubling_of(&upsample->plan)};
    char name[SHAPE_NAME_BYTES];
    choice choices[CHOICES_MOST];
    plan_shape_name(&s.plan, s.name);
    choice_name(s.name, f->alone, name);
    const choice *known = tuning_find(&t->g->table, name);
    if (!known && list_choices(t, &s, f->alone, choices) > 0)
        known = &choices[0];
    return known ? time_choice(t, &s, f, known, 0) : (timing){0};
}

/* An upsample has to be clearly faster than what it would be instead of. What an earlier tuning
 * found is taken back if not. */
static bool wins_as_upsample(tuner *t, const wanted_shape *s, const tuned_for *f, const char *name,
                             contest *c)
{
    static const choice off = {.kind = CHOICE_SWITCH};
    c->first = time_doubling(t, s, f);
    c->timed++;
    if (c->first.all > 0 && c->best.all > 0 && c->best.all < CLEARLY * c->first.all)
        return true;
    if (tuning_wants(&t->g->table, name))
        tuning_set(&t->g->table, name, &off); /* replaces, so it needs no memory */
    return false;
}

/* True when the shape has this entry now. */
static bool tune_entry(tuner *t, const wanted_shape *s, const tuned_for *f)
{
    char name[SHAPE_NAME_BYTES];
    contest c = hold_contest(t, s, f);
    choice_name(s->name, f->alone, name);
    if (is_upsample(s) && !wins_as_upsample(t, s, f, name, &c))
        return false;
    if (c.best.all <= 0 || t->d->status != DEV_OK)
        return false;
    if (!tuning_set(&t->g->table, name, &c.choice)) {
        dev_fail(t->d, DEV_NO_MEMORY, "%s: no memory for the tuning table", t->d->name);
        return false;
    }
    tell(t, name, &c.choice,
         &(tune_line){.timed = c.timed, .us = c.best.all, .first_us = c.first.all});
    return true;
}

/* True when the shape has an entry now. */
static bool tune_shape(tuner *t, const wanted_shape *s)
{
    bool any = false;
    for (const tuned_for *f = t->entries; f->stage[0].weight > 0 && t->d->status == DEV_OK; f++)
        if (!any || now_s() < t->deadline)
            any |= tune_entry(t, s, f);
    return any;
}

/* ---- all of it ---- */

static wanted listen_to(const tune_options *o)
{
    wanted all = {0};
    gpu *dry = o->dry->impl;
    dry->wanted = &all;
    o->walk(o->dry, o->arg);
    dry->wanted = NULL;
    wanted_sort(&all);
    return all;
}

/* Values of either sign between 1/8 and 1: nothing overflows, and zeros would be fast. */
static void fill_stage(char *to)
{
    uint16_t *half = (uint16_t *)to;
    uint32_t bits = 1;
    for (int i = 0; i < STAGE_BYTES / 2; i++) {
        bits = bits * 1664525u + 1013904223u;
        half[i] = (uint16_t)(0x3000 | (bits >> 16 & 0x8bff));
    }
}

/* For the largest operands, or as much as there is. */
static bool take_memory(tuner *t, const wanted *all)
{
    for (const tuned_for *f = t->entries; f->stage[0].weight > 0; f++)
        for (int k = 0; k < STAGES && f->stage[k].weight > 0; k++)
            for (int i = 0; i < all->count; i++) {
                const size_t bytes = trial_bytes(&all->shape[i], f->stage[k].rows);
                t->bytes = bytes > t->bytes ? bytes : t->bytes;
            }
    t->memory = gpu_memory.take(t->d, t->bytes);
    for (; !t->memory && t->bytes > STAGE_BYTES; t->memory = gpu_memory.take(t->d, t->bytes))
        t->bytes /= 2;
    if (!t->memory)
        dev_fail(t->d, DEV_NO_MEMORY, "%s: no memory for operands", t->d->name);
    for (size_t done = 0, n; done < t->bytes && t->memory && t->d->status == DEV_OK; done += n) {
        char *half = stage_take(t->d);
        n = t->bytes - done < STAGE_BYTES ? t->bytes - done : STAGE_BYTES;
        if (!half)
            break;
        fill_stage(half);
        stage_send(t->d, t->memory + done, n);
    }
    return t->d->status == DEV_OK;
}

static void tune_all(tuner *t, const wanted *all, tune_result *result)
{
    if (!take_memory(t, all) ||
        !gpu_good(t->d, cudaEventCreateWithFlags(&t->begin, cudaEventDefault), "an event") ||
        !gpu_good(t->d, cudaEventCreateWithFlags(&t->end, cudaEventDefault), "an event"))
        return;
    for (int i = 0; i < all->count && t->d->status == DEV_OK; i++) {
        if (result->tuned > 0 && now_s() > t->deadline)
            break;
        result->tuned += tune_shape(t, &all->shape[i]);
    }
}

static bool keep(tuner *t, tune_result *result)
{
    table_path(t->g, result->path);
    result->hash = tuning_hash(&t->g->table);
    if (result->tuned == 0 || table_write(t->g))
        return true;
    dev_fail(t->d, DEV_BROKEN, "%s: cannot write %.180s", t->d->name, result->path);
    return false;
}

bool tune_gpu(dev *d, const tune_options *o, tune_result *result, char *why)
{
    tuner t = {.d = d, .options = o, .deadline = now_s() + o->seconds, .g = gpu_of(d)};
    t.entries = t.g && t.g->by_rows ? each_rows : all_rows;
    if (t.g && !t.g->stored) {
        snprintf(why, WHY_BYTES, "%s: there is no folder for the tuning table: %.180s", d->name,
                 d->notice[0] ? d->notice : "neither XDG_CACHE_HOME nor HOME is set");
        return false;
    }
    wanted all = t.g ? listen_to(o) : (wanted){0};
    result->shapes = all.count;
    if (o->dry->status != DEV_OK)
        dev_fail(d, o->dry->status, "%s", o->dry->error);
    if (all.lost)
        dev_fail(d, DEV_NO_MEMORY, "%s: no memory for the list of shapes", d->name);
    if (all.count && d->status == DEV_OK)
        tune_all(&t, &all, result);
    if (d->status == DEV_OK)
        keep(&t, result);
    if (t.begin)
        cudaEventDestroy(t.begin);
    if (t.end)
        cudaEventDestroy(t.end);
    if (t.memory)
        gpu_memory.give(d, t.memory);
    wanted_done(&all);
    if (d->status != DEV_OK)
        snprintf(why, WHY_BYTES, "%s", d->error);
    return d->status == DEV_OK;
}
