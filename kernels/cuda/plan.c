/* plan: see plan.h. cuDNN hands out configurations as descriptors that die with their heuristic; we
 * read engine and knobs out of them at once, because a choice must outlive the process, and build
 * every plan from such a choice. */
#include "kernels/cuda/plan.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/graph.h"
#include "kernels/cuda/knobs.h"
#include "kernels/cuda/why.h"

#define KNOB_MATCHES(name, number)                                                                 \
    _Static_assert((int)CUDNN_KNOB_TYPE_##name == number, "cuDNN's number of this knob");
CUDNN_SUM_KNOBS(KNOB_MATCHES)

enum { NOTES = CUDNN_NUMERICAL_NOTE_TYPE_COUNT, BEHAVIORS = CUDNN_BEHAVIOR_NOTE_TYPE_COUNT };

typedef cudnnBackendDescriptor_t part;

struct planner {
    cudnnHandle_t handle; /* or */
    part described;
};

struct plan {
    part plan;
    int64_t workspace;
    bool exact;
};

struct plan_launch {
    part pack;
};

planner *planner_open(struct cudnnContext *handle, char *why)
{
    planner *p = calloc(1, sizeof *p);
    why[0] = 0;
    if (!p)
        graph_blame(why, "a planner", CUDNN_STATUS_ALLOC_FAILED);
    else
        p->handle = handle;
    return p;
}

planner *planner_described(const char *json, char *why)
{
    planner *p = planner_open(NULL, why);
    if (!p)
        return NULL;
    cudnnStatus_t status =
        cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &p->described);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(p->described, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                          CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendFinalize(p->described);
    if (status == CUDNN_STATUS_SUCCESS)
        return p;
    graph_blame(why, "a device description", status);
    planner_free(&p);
    return NULL;
}

void planner_free(planner **p)
{
    if (*p && (*p)->described)
        cudnnBackendDestroyDescriptor((*p)->described);
    free(*p);
    *p = NULL;
}

bool planner_runs(const planner *p)
{
    return p->handle != NULL;
}

static void set_device(graph *g, const planner *p, part to, cudnnBackendAttributeName_t name)
{
    if (p->described)
        graph_set(g, to, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &p->described);
}

/* What is only read need not be there: the reader goes on without it, except for want of memory,
 * which goes to `why`. */
static bool answers(cudnnStatus_t status, char *why)
{
    if (graph_is_memory(status))
        graph_blame(why, "reading a descriptor", status);
    return status == CUDNN_STATUS_SUCCESS;
}

static bool get(part from, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t room, int64_t *count, void *to, char *why)
{
    return answers(cudnnBackendGetAttribute(from, name, type, room, count, to), why);
}

static bool make(part *made, int n, cudnnBackendDescriptorType_t type, char *why)
{
    for (int i = 0; i < n; i++)
        if (!answers(cudnnBackendCreateDescriptor(type, &made[i]), why))
            return false;
    return true;
}

static void destroy(part *made, int n)
{
    for (int i = 0; i < n; i++)
        if (made[i])
            cudnnBackendDestroyDescriptor(made[i]);
}

static void read_notes(part engine, plan_candidate *to, char *why)
{
    cudnnBackendNumericalNote_t note[NOTES];
    cudnnBackendBehaviorNote_t behavior[BEHAVIORS];
    int64_t notes = 0, behaviors = 0;
    get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, NOTES, &notes, note,
        why);
    get(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, BEHAVIORS, &behaviors,
        behavior, why);
    to->exact = true;
    for (int64_t i = 0; i < notes; i++) {
        to->tensor_cores |= note[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        to->exact &= note[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
                     note[i] == CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP;
    }
    for (int64_t i = 0; i < behaviors; i++)
        to->compiled |= behavior[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
}

/* In ascending order of types, whatever order cuDNN has. */
static void insert_knob(choice *c, choice_knob k)
{
    int i = c->knobs++;
    for (; i > 0 && c->knob[i - 1].type > k.type; i--)
        c->knob[i] = c->knob[i - 1];
    c->knob[i] = k;
}

static bool read_knobs(part config, choice *c, char *why)
{
    part made[CHOICE_KNOBS] = {0};
    int64_t knobs = 0, one;
    bool good = make(made, CHOICE_KNOBS, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, why) &&
                get(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                    CHOICE_KNOBS, &knobs, made, why) &&
                knobs <= CHOICE_KNOBS;
    for (int64_t i = 0; good && i < knobs; i++) {
        cudnnBackendKnobType_t type;
        choice_knob k;
        good = get(made[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &one, &type,
                   why) &&
               get(made[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &one, &k.value,
                   why);
        k.type = (int)type;
        if (good)
            insert_knob(c, k);
    }
    destroy(made, CHOICE_KNOBS);
    return good;
}

static bool read_config(part config, plan_candidate *to, char *why)
{
    part engine = NULL;
    int64_t one;
    *to = (plan_candidate){.choice.kind = CHOICE_ENGINE};
    bool good = make(&engine, 1, CUDNN_BACKEND_ENGINE_DESCRIPTOR, why) &&
                get(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one,
                    &engine, why) &&
                get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &one,
                    &to->choice.engine, why) &&
                read_knobs(config, &to->choice, why);
    if (good)
        read_notes(engine, to, why);
    destroy(&engine, 1);
    return good;
}

/* Appends what one mode of the heuristic has; the new number. A mode without an answer is no error:
 * there is another. But one that found no memory has more than it says. */
static int add_mode(const planner *p, part all, cudnnBackendHeurMode_t mode,
                    plan_candidate to[PLAN_CANDIDATES], int n, char *starved)
{
    char why[PLAN_WHY_BYTES] = "";
    graph g = {.why = why};
    part config[PLAN_CANDIDATES] = {0};
    int64_t found = 0;
    part h = graph_part(&g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    graph_set(&g, h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &all);
    graph_set(&g, h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    set_device(&g, p, h, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
    graph_finalize(&g, h, "the heuristic");
    if (!why[0] && make(config, PLAN_CANDIDATES, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, why))
        get(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, PLAN_CANDIDATES,
            &found, config, why);
    for (int64_t i = 0; i < found && i < PLAN_CANDIDATES && n < PLAN_CANDIDATES; i++)
        n += read_config(config[i], &to[n], why);
    destroy(config, PLAN_CANDIDATES);
    graph_done(&g);
    if (why_is_memory(why))
        strcpy(starved, why);
    return n;
}

int planner_candidates(const planner *p, const plan_shape *s, int64_t rows,
                       plan_candidate to[PLAN_CANDIDATES], char *why)
{
    graph g = {.why = why};
    int n = 0;
    why[0] = 0;
    part all = graph_of(&g, p->handle, s, rows);
    if (all) {
        n = add_mode(p, all, CUDNN_HEUR_MODE_A, to, 0, why);
        n = add_mode(p, all, CUDNN_HEUR_MODE_FALLBACK, to, n, why);
        if (why_is_memory(why))
            n = 0;
        else if (n == 0)
            graph_blame(why, "no configuration", CUDNN_STATUS_NOT_SUPPORTED);
    }
    graph_done(&g);
    return n;
}

/* A choice's engine for this graph. */
static part add_engine(graph *g, const planner *p, part all, const choice *c)
{
    part engine = graph_part(g, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    graph_set(g, engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &all);
    graph_set(g, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &c->engine);
    set_device(g, p, engine, CUDNN_ATTR_ENGINE_DEVICEPROP);
    graph_finalize(g, engine, "an engine");
    return engine;
}

static part add_config(graph *g, part engine, const choice *c)
{
    part knob[CHOICE_KNOBS];
    for (int i = 0; i < c->knobs; i++) {
        cudnnBackendKnobType_t type = (cudnnBackendKnobType_t)c->knob[i].type;
        knob[i] = graph_part(g, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
        graph_set(g, knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
        graph_set(g, knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1,
                  &c->knob[i].value);
        graph_finalize(g, knob[i], "a knob");
    }
    part config = graph_part(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    graph_set(g, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine);
    if (c->knobs)
        graph_set(g, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                  c->knobs, knob);
    graph_finalize(g, config, "a configuration");
    return config;
}

/* A plan of what `g` has made last: it leaves the graph and becomes the caller's. */
static plan *take_plan(graph *g, part made)
{
    int64_t one, workspace;
    if (!g->why[0] && !get(made, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                           &one, &workspace, g->why))
        graph_blame(g->why, "a plan's workspace", CUDNN_STATUS_INTERNAL_ERROR);
    plan *p = g->why[0] ? NULL : malloc(sizeof *p);
    if (p) {
        *p = (plan){.plan = made, .workspace = workspace};
        assert(g->part[g->parts - 1] == made);
        g->parts--;
    } else if (!g->why[0]) {
        graph_blame(g->why, "a plan", CUDNN_STATUS_ALLOC_FAILED);
    }
    return p;
}

plan *plan_build(const planner *p, const plan_shape *s, int64_t rows, const choice *c, char *why)
{
    graph g = {.why = why};
    why[0] = 0;
    part all = graph_of(&g, p->handle, s, rows);
    part engine = add_engine(&g, p, all, c);
    part config = add_config(&g, engine, c);
    part made = graph_part(&g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    graph_set(&g, made, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
              &config);
    if (p->handle)
        graph_set(&g, made, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &p->handle);
    set_device(&g, p, made, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
    graph_finalize(&g, made, "a plan");
    plan *built = take_plan(&g, made);
    if (built) {
        plan_candidate notes = {0};
        read_notes(engine, &notes, why);
        built->exact = notes.exact;
    }
    graph_done(&g);
    if (built && why[0])
        plan_free(&built);
    return built;
}

void plan_free(plan **p)
{
    if (*p)
        cudnnBackendDestroyDescriptor((*p)->plan);
    free(*p);
    *p = NULL;
}

int64_t plan_workspace(const plan *p)
{
    return p->workspace;
}

bool plan_is_exact(const plan *p)
{
    return p->exact;
}

char *plan_text(const plan *p, size_t *bytes, char *why)
{
    const cudnnBackendAttributeName_t name = CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION;
    int64_t n = 0;
    why[0] = 0;
    char *text = NULL;
    if (get(p->plan, name, CUDNN_TYPE_CHAR, 0, &n, NULL, why) && n > 0)
        text = calloc((size_t)n + 1, 1);
    if (text && get(p->plan, name, CUDNN_TYPE_CHAR, n, &n, text, why)) {
        *bytes = strlen(text);
        return text;
    }
    graph_blame(why, "a plan's text", CUDNN_STATUS_INTERNAL_ERROR);
    free(text);
    return NULL;
}

plan *plan_of_text(const planner *p, const char *text, size_t bytes, char *why)
{
    graph g = {.why = why};
    assert(p->handle); /* cuDNN 9.19 reads through it without asking */
    why[0] = 0;
    part made = graph_part(&g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    graph_set(&g, made, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
              (int64_t)bytes, text);
    graph_set(&g, made, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &p->handle);
    graph_finalize(&g, made, "a plan's text");
    plan *built = take_plan(&g, made);
    graph_done(&g);
    return built;
}

plan_launch *plan_launch_new(const plan_operand *operand, void *const *at, int n, void *workspace,
                             char *why)
{
    graph g = {.why = why};
    int64_t id[PLAN_OPERANDS];
    assert(n <= PLAN_OPERANDS);
    why[0] = 0;
    for (int i = 0; i < n; i++)
        id[i] = operand[i];
    part pack = graph_part(&g, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, id);
    graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, at);
    graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    graph_finalize(&g, pack, "a launch");
    plan_launch *l = why[0] ? NULL : malloc(sizeof *l);
    if (l) {
        l->pack = pack;
        g.parts--;
    } else {
        graph_blame(why, "a launch", CUDNN_STATUS_ALLOC_FAILED);
    }
    graph_done(&g);
    return l;
}

void plan_launch_free(plan_launch **l)
{
    if (*l)
        cudnnBackendDestroyDescriptor((*l)->pack);
    free(*l);
    *l = NULL;
}

bool plan_run(const planner *p, const plan *what, const plan_launch *l, char *why)
{
    assert(p->handle);
    why[0] = 0;
    cudnnStatus_t status = cudnnBackendExecute(p->handle, what->plan, l->pack);
    if (status != CUDNN_STATUS_SUCCESS)
        graph_blame(why, "a run", status);
    return status == CUDNN_STATUS_SUCCESS;
}
