/* The catalog: see catalog.h. The one idea: a sampler or schedule is a row; everything that differs
 * between them outside the arithmetic is a column. */
#include "proto/catalog.h"

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "proto/text.h"

static const sampler_row sampler_rows[SAMPLER_COUNT] = {
    [SAMPLER_DPMPP_2M] = {.name = "DPM++ 2M",
                          .alias = {"k_dpmpp_2m", "dpmpp_2m"},
                          .fallback = SCHEDULE_KARRAS},
    [SAMPLER_EULER_A] = {.name = "Euler a",
                         .alias = {"k_euler_a", "k_euler_ancestral", "euler_ancestral"},
                         .fallback = SCHEDULE_UNIFORM,
                         .ancestral = true},
    [SAMPLER_EULER] = {.name = "Euler", .alias = {"k_euler"}, .fallback = SCHEDULE_UNIFORM},
    [SAMPLER_HEUN] = {.name = "Heun",
                      .alias = {"k_heun"},
                      .fallback = SCHEDULE_UNIFORM,
                      .second_order = true},
    [SAMPLER_DPM2] = {.name = "DPM2",
                      .alias = {"k_dpm_2"},
                      .fallback = SCHEDULE_KARRAS,
                      .second_order = true,
                      .discard_penultimate = true},
    [SAMPLER_DPM2_A] = {.name = "DPM2 a",
                        .alias = {"k_dpm_2_a", "k_dpm_2_ancestral", "dpm_2_ancestral"},
                        .fallback = SCHEDULE_KARRAS,
                        .second_order = true,
                        .ancestral = true,
                        .discard_penultimate = true},
    [SAMPLER_DDIM] = {.name = "DDIM", .fallback = SCHEDULE_DDIM, .timesteps = true},
};

static const char *const schedule_names[SCHEDULE_COUNT] = {
    [SCHEDULE_AUTOMATIC] = "Automatic",
    [SCHEDULE_UNIFORM] = "Uniform",
    [SCHEDULE_KARRAS] = "Karras",
    [SCHEDULE_EXPONENTIAL] = "Exponential",
    [SCHEDULE_SGM_UNIFORM] = "SGM Uniform",
    [SCHEDULE_SIMPLE] = "Simple",
    [SCHEDULE_DDIM] = "DDIM",
};

/* A name as it is compared: small letters, no space, '_' or '-'. Longer names are cut: no entry is
 * nearly as long, so the rest cannot make them equal. */
enum { PLAIN_MAX = 48 };

typedef struct {
    char text[PLAIN_MAX + 1];
    size_t size;
} plain;

static plain plain_of(const char *name)
{
    plain p = {0};
    for (; *name && p.size < PLAIN_MAX; name++) {
        if (*name == ' ' || *name == '_' || *name == '-')
            continue;
        p.text[p.size++] = text_lower_ascii(*name);
    }
    return p;
}

static bool same(const plain *a, const char *name)
{
    plain b = plain_of(name);
    return a->size == b.size && !memcmp(a->text, b.text, b.size);
}

/* Takes the schedule's name off the end of *a; false, and nothing changed, when it is not there. */
static bool take_ending(plain *a, const char *schedule_name)
{
    plain b = plain_of(schedule_name);
    if (a->size <= b.size || memcmp(a->text + a->size - b.size, b.text, b.size))
        return false;
    a->size -= b.size;
    a->text[a->size] = 0;
    return true;
}

static void keep_nearer(const plain *a, const char *name, const char *shown, int *least,
                        const char **nearest)
{
    const plain b = plain_of(name);
    int d = text_distance(a->text, b.text);
    if (d < *least) {
        *least = d;
        *nearest = shown;
    }
}

static const char *nearest_sampler(const plain *a)
{
    int least = INT_MAX;
    const char *nearest = NULL;
    for (int k = 0; k < SAMPLER_COUNT; k++) {
        const sampler_row *row = &sampler_rows[k];
        keep_nearer(a, row->name, row->name, &least, &nearest);
        for (int i = 0; i < CATALOG_ALIASES && row->alias[i]; i++)
            keep_nearer(a, row->alias[i], row->name, &least, &nearest);
    }
    return nearest;
}

static const char *nearest_schedule(const plain *a)
{
    int least = INT_MAX;
    const char *nearest = NULL;
    for (int k = 0; k < SCHEDULE_COUNT; k++)
        keep_nearer(a, schedule_names[k], schedule_names[k], &least, &nearest);
    return nearest;
}

static bool is_sampler(const plain *a, sampler_kind *kind)
{
    for (int k = 0; k < SAMPLER_COUNT; k++) {
        const sampler_row *row = &sampler_rows[k];
        bool found = same(a, row->name);
        for (int i = 0; !found && i < CATALOG_ALIASES && row->alias[i]; i++)
            found = same(a, row->alias[i]);
        if (found) {
            *kind = (sampler_kind)k;
            return true;
        }
    }
    return false;
}

const sampler_row *catalog_sampler(sampler_kind kind)
{
    assert((unsigned)kind < SAMPLER_COUNT);
    return &sampler_rows[kind];
}

const char *catalog_schedule(schedule s)
{
    assert((unsigned)s < SCHEDULE_COUNT);
    return schedule_names[s];
}

int catalog_find_sampler(const char *name, sampler_kind *kind, schedule *s, err *e)
{
    const plain whole = plain_of(name);
    if (is_sampler(&whole, kind))
        return 0;
    for (int k = 0; k < SCHEDULE_COUNT; k++) {
        plain start = whole;
        if (take_ending(&start, schedule_names[k]) && is_sampler(&start, kind)) {
            if (s)
                *s = (schedule)k;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "sampler is \"%.48s\", which is unknown; the nearest is \"%s\"",
                   name, nearest_sampler(&whole));
}

int catalog_find_schedule(const char *name, schedule *s, err *e)
{
    const plain whole = plain_of(name);
    for (int k = 0; k < SCHEDULE_COUNT; k++)
        if (same(&whole, schedule_names[k])) {
            *s = (schedule)k;
            return 0;
        }
    return err_set(e, ERR_INVALID,
                   "scheduler is \"%.48s\", which is unknown; the nearest is \"%s\"", name,
                   nearest_schedule(&whole));
}
