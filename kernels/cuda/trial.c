/* trial: see trial.h. The operands lie one behind the other in the caller's memory. */
#include "kernels/cuda/trial.h"

#include <assert.h>
#include <stdio.h>

enum { ALIGN = 256 };

/* Where each operand is; those that are not in the list the shape does not have. */
typedef struct {
    plan_operand what[PLAN_OPERANDS];
    size_t at[PLAN_OPERANDS], bytes;
    int n;
} layout;

static void lay(layout *l, plan_operand what, int64_t values, size_t each)
{
    assert(l->n < PLAN_OPERANDS);
    l->what[l->n] = what;
    l->at[l->n++] = l->bytes;
    l->bytes += ((size_t)values * each + ALIGN - 1) / ALIGN * ALIGN;
}

static void lay_conv(layout *l, const plan_shape *s, int64_t rows)
{
    const conv_shape *c = &s->conv;
    const size_t each = dtype_bytes(s->type);
    const int64_t made =
        rows * conv_shape_side(c, s->kind, c->h) * conv_shape_side(c, s->kind, c->w) * c->out;
    lay(l, PLAN_X, rows * c->h * c->w * c->in, each);
    lay(l, PLAN_W, c->out * c->k * c->k * c->in, each);
    lay(l, PLAN_Y, made, each);
    if (c->residual)
        lay(l, PLAN_RESIDUAL, made, each);
    if (c->bias)
        lay(l, PLAN_BIAS, c->out, each);
}

static void lay_attention(layout *l, const plan_shape *s, int64_t rows)
{
    const attention_shape *a = &s->attention;
    const size_t each = dtype_bytes(s->type);
    lay(l, PLAN_Q, rows * a->tq * a->q_row, each);
    lay(l, PLAN_K, rows * a->tk * a->kv_row, each);
    lay(l, PLAN_V, rows * a->tk * a->kv_row, each);
    lay(l, PLAN_Y, rows * a->tq * a->heads * a->d, each);
    lay(l, PLAN_SCALE, 0, 0);
    if (a->counted) {
        lay(l, PLAN_QUERIES, rows, sizeof(int32_t));
        lay(l, PLAN_KEYS, rows, sizeof(int32_t));
    }
}

static void lay_product(layout *l, const product_shape *s, int64_t rows)
{
    const size_t each = dtype_bytes(s->type);
    lay(l, PLAN_X, rows * s->tokens * s->in, each);
    lay(l, PLAN_W, s->out * s->w_row, each);
    lay(l, PLAN_Y, rows * s->tokens * s->out, each);
    if (s->residual)
        lay(l, PLAN_RESIDUAL, rows * s->tokens * s->out, each);
    if (s->bias)
        lay(l, PLAN_BIAS, s->out, each);
}

static layout layout_of(const wanted_shape *s, int64_t rows)
{
    layout l = {0};
    if (s->is_product)
        lay_product(&l, &s->product, rows);
    else if (s->plan.kind == SHAPE_ATTENTION)
        lay_attention(&l, &s->plan, rows);
    else
        lay_conv(&l, &s->plan, rows);
    return l;
}

size_t trial_bytes(const wanted_shape *s, int64_t rows)
{
    return layout_of(s, rows).bytes;
}

static void *find(const layout *l, char *memory, plan_operand what)
{
    for (int i = 0; i < l->n; i++)
        if (l->what[i] == what)
            return memory + l->at[i];
    return NULL;
}

static bool open_product(trial *t, const product_shape *s, int64_t rows, const layout *l,
                         char *memory, char *why)
{
    t->at = (product_places){.x = find(l, memory, PLAN_X),
                             .w = find(l, memory, PLAN_W),
                             .bias = find(l, memory, PLAN_BIAS),
                             .residual = find(l, memory, PLAN_RESIDUAL),
                             .y = find(l, memory, PLAN_Y),
                             .workspace = t->g->by_rows ? t->g->workspace : NULL};
    t->product = product_new(s, rows, why);
    return t->product != NULL;
}

/* Every row has all its queries and keys. */
static void count(dev *d, int32_t *to, int64_t rows, int64_t every)
{
    int32_t counts[ATTENTION_ROWS_MOST];
    assert(rows <= ATTENTION_ROWS_MOST);
    for (int64_t i = 0; i < rows; i++)
        counts[i] = (int32_t)every;
    if (to)
        gpu_memory.write(d, to, counts, (size_t)rows * sizeof *counts);
}

static bool open_plan(trial *t, dev *d, const plan_shape *s, int64_t rows, const layout *l,
                      char *memory, char *why)
{
    static const float scale = 0.125f;
    void *at[PLAN_OPERANDS];
    for (int i = 0; i < l->n; i++)
        at[i] = l->what[i] == PLAN_SCALE ? (void *)&scale : memory + l->at[i];
    if (s->kind == SHAPE_ATTENTION) {
        count(d, find(l, memory, PLAN_QUERIES), rows, s->attention.tq);
        count(d, find(l, memory, PLAN_KEYS), rows, s->attention.tk);
    }
    t->plan = plan_build(t->g->planner, s, rows, &t->choice, why);
    if (t->plan && plan_workspace(t->plan) > WORKSPACE_BYTES) {
        snprintf(why, TRIAL_WHY_BYTES, "the plan wants %lld bytes of workspace, there are %d",
                 (long long)plan_workspace(t->plan), WORKSPACE_BYTES);
        return false;
    }
    if (t->plan)
        t->launch = plan_launch_new(l->what, at, l->n, t->g->workspace, why);
    return t->launch != NULL;
}

bool trial_open(trial *t, dev *d, const wanted_shape *s, int64_t rows, const choice *c,
                char *memory, char why[TRIAL_WHY_BYTES])
{
    const layout l = layout_of(s, rows);
    *t = (trial){.g = d->impl, .choice = *c};
    return s->is_product ? open_product(t, &s->product, rows, &l, memory, why)
                         : open_plan(t, d, &s->plan, rows, &l, memory, why);
}

void trial_close(trial *t)
{
    plan_launch_free(&t->launch);
    plan_free(&t->plan);
    product_free(&t->product);
}

bool trial_launch(trial *t, char why[TRIAL_WHY_BYTES])
{
    return t->product
               ? product_run(t->g->cublaslt, t->product, &t->choice, &t->at, t->g->stream, why)
               : plan_run(t->g->planner, t->plan, t->launch, why);
}
