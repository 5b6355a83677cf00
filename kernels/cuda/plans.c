/* plans: see plans.h. */
#include "kernels/cuda/plans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/why.h"

enum { USUAL_KEYS = 77 }; /* of a text */

typedef struct {
    char shape[SHAPE_NAME_BYTES];
    int64_t rows;
    plan *plan;
} made_plan;

struct plans {
    plans_sources from;
    picked picked;
    made_plan *made;
    int count, room;
    plans_counts counts;
};

plans *plans_new(const plans_sources *from, char why[PLAN_WHY_BYTES])
{
    plans *p = calloc(1, sizeof *p);
    why[0] = 0;
    if (!p) {
        snprintf(why, PLAN_WHY_BYTES, WHY_MEMORY ": plans");
        return NULL;
    }
    p->from = *from;
    picked_open(&p->picked, from->store, from->by_rows ? "choices by rows" : "choices");
    return p;
}

void plans_free(plans **p)
{
    if (!*p)
        return;
    for (int i = 0; i < (*p)->count; i++)
        plan_free(&(*p)->made[i].plan);
    free((*p)->made);
    picked_done(&(*p)->picked);
    free(*p);
    *p = NULL;
}

bool plans_keep(plans *p)
{
    return picked_keep(&p->picked);
}

plans_counts plans_count(const plans *p)
{
    return p->counts;
}

static const plan *find(const plans *p, const char *name, int64_t rows)
{
    for (int i = 0; i < p->count; i++)
        if (p->made[i].rows == rows && strcmp(p->made[i].shape, name) == 0)
            return p->made[i].plan;
    return NULL;
}

/* Room for one more, taken before the plan is made so that no plan is lost. */
static bool make_room(plans *p, char *why)
{
    if (p->count < p->room)
        return true;
    int room = p->room ? 2 * p->room : 64;
    made_plan *more = realloc(p->made, (size_t)room * sizeof *more);
    if (!more) {
        snprintf(why, PLAN_WHY_BYTES, WHY_MEMORY ": %d plans", room);
        return false;
    }
    p->made = more;
    p->room = room;
    return true;
}

/* The shape by which a shape's configuration is chosen. Keys beyond a row's own count are not read,
 * so how many there are depends on the longest text of the batch, and must not decide anything. */
static plan_shape usual_shape(const plan_shape *s)
{
    plan_shape usual = *s;
    if (s->kind == SHAPE_ATTENTION && s->attention.counted && usual.attention.tk > USUAL_KEYS)
        usual.attention.tk = USUAL_KEYS;
    return usual;
}

/* The number of rows that a choice for `rows` rows is for. */
static int64_t alone(const plans *p, int64_t rows)
{
    return p->from.by_rows ? rows : EVERY_ROWS;
}

static void name_choice(const plans *p, const plan_shape *usual, int64_t rows,
                        char name[SHAPE_NAME_BYTES])
{
    char shape[SHAPE_NAME_BYTES];
    plan_shape_name(usual, shape);
    choice_name(shape, alone(p, rows), name);
}

/* What the table says, or what was picked before; NULL: nothing yet. */
static const choice *decided(const plans *p, const char *name)
{
    const choice *known = p->from.table ? tuning_find(p->from.table, name) : NULL;
    if (known && (known->kind != CHOICE_SWITCH || !known->on))
        return known;
    return picked_find(&p->picked, name); /* "on" leaves the kernel to us */
}

bool plans_serve(plans *p, const plan_shape *shape, int64_t rows, char why[PLAN_WHY_BYTES])
{
    static const choice off = {.kind = CHOICE_SWITCH};
    plan_candidate list[PLAN_CANDIDATES];
    char name[SHAPE_NAME_BYTES];
    const plan_shape s = usual_shape(shape);
    const int64_t asked = p->from.by_rows ? rows : REFERENCE_ROWS;
    name_choice(p, &s, rows, name);
    why[0] = 0;
    const choice *known = decided(p, name);
    if (known)
        return known->kind != CHOICE_SWITCH;
    if (planner_candidates(p->from.planner, &s, asked, list, why) > 0)
        return true;
    if (why_is_memory(why))
        return false;
    why[0] = 0;
    p->counts.picked++;
    picked_add(&p->picked, name, &off); /* without memory for it: asked again, with this answer */
    return false;
}

static bool choose(plans *p, const plan_shape *shape, int64_t rows, choice *c, char *why)
{
    char name[SHAPE_NAME_BYTES];
    const plan_shape usual = usual_shape(shape), *s = &usual;
    name_choice(p, s, rows, name);
    const choice *known = decided(p, name);
    plan_pick pick;
    if (known) {
        *c = *known;
        if (p->from.by_rows ? c->kind == CHOICE_ENGINE : choice_is_safe(c, s))
            return true;
        snprintf(why, PLAN_WHY_BYTES, "%s: the table's configuration is not safe: tune again",
                 name);
        return false;
    }
    p->counts.picked++;
    if (!plan_choose(p->from.planner, s, alone(p, rows), &pick, why))
        return false;
    *c = pick.choice;
    if (picked_add(&p->picked, name, c))
        return true;
    snprintf(why, PLAN_WHY_BYTES, WHY_MEMORY ": the choice for %s", name);
    return false;
}

/* A table may name what the heuristic would never have led to. */
static bool is_explained(const plans *p, const plan *made, const plan_shape *s, const plan_key *key,
                         char *why)
{
    if (plan_is_exact(made) &&
        plan_workspace(made) <= plan_workspace_most(s, alone(p, key->rows), key->rows, key->choice))
        return true;
    snprintf(why, PLAN_WHY_BYTES, "%s: what the table's configuration sums is not explained",
             key->shape);
    return false;
}

static plan *load_plan(plans *p, const plan_key *key)
{
    size_t bytes;
    char why[PLAN_WHY_BYTES]; /* a plan that cannot be read is built again */
    if (!p->from.store || !planner_runs(p->from.planner))
        return NULL;
    char *text = plan_store_get(p->from.store, key, &bytes);
    plan *loaded = text ? plan_of_text(p->from.planner, text, bytes, why) : NULL;
    free(text);
    p->counts.loaded += loaded != NULL;
    return loaded;
}

static plan *build_plan(plans *p, const plan_shape *s, const plan_key *key, char *why)
{
    size_t bytes;
    char untold[PLAN_WHY_BYTES]; /* a plan that cannot be kept costs time, no more */
    plan *built = plan_build(p->from.planner, s, key->rows, key->choice, why);
    if (!built || !is_explained(p, built, s, key, why)) {
        plan_free(&built);
        return NULL;
    }
    p->counts.built++;
    char *text = p->from.store ? plan_text(built, &bytes, untold) : NULL;
    if (text)
        plan_store_put(p->from.store, key, text, bytes);
    free(text);
    return built;
}

const plan *plans_get(plans *p, const plan_shape *s, int64_t rows, char why[PLAN_WHY_BYTES])
{
    char name[SHAPE_NAME_BYTES];
    choice c;
    why[0] = 0;
    plan_shape_name(s, name);
    const plan *known = find(p, name, rows);
    if (known)
        return known;
    if (!make_room(p, why) || !choose(p, s, rows, &c, why))
        return NULL;
    const plan_key key = {.shape = name, .rows = rows, .choice = &c};
    plan *made = load_plan(p, &key);
    if (!made)
        made = build_plan(p, s, &key, why);
    if (!made)
        return NULL;
    made_plan *m = &p->made[p->count++];
    *m = (made_plan){.rows = rows, .plan = made};
    strcpy(m->shape, name);
    return made;
}
