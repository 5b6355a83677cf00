/* wanted: see wanted.h. */
#include "kernels/cuda/wanted.h"

#include <stdlib.h>
#include <string.h>

void wanted_done(wanted *w)
{
    free(w->shape);
    *w = (wanted){0};
}

static void add(wanted *w, const wanted_shape *s)
{
    for (int i = 0; i < w->count; i++)
        if (strcmp(w->shape[i].name, s->name) == 0) {
            w->shape[i].flops += s->flops;
            return;
        }
    if (w->count == w->room) {
        const int room = w->room ? 2 * w->room : 64;
        wanted_shape *more = realloc(w->shape, (size_t)room * sizeof *more);
        if (!more) {
            w->lost = true;
            return;
        }
        w->shape = more;
        w->room = room;
    }
    w->shape[w->count++] = *s;
}

static double flops_of(const plan_shape *s)
{
    const attention_shape *a = &s->attention;
    const conv_shape *c = &s->conv;
    if (s->kind == SHAPE_ATTENTION)
        return 4.0 * (double)(a->heads * a->d) * (double)(a->tq * a->tk);
    return 2.0 * (double)(conv_shape_side(c, s->kind, c->h) * conv_shape_side(c, s->kind, c->w)) *
           (double)(c->in * c->out) * c->k * c->k;
}

void wanted_plan(wanted *w, const plan_shape *s, int64_t rows)
{
    wanted_shape one = {.plan = *s, .flops = flops_of(s) * (double)rows};
    plan_shape_name(s, one.name);
    add(w, &one);
}

void wanted_product(wanted *w, const product_shape *s, int64_t rows)
{
    wanted_shape one = {.is_product = true,
                        .product = *s,
                        .flops = 2.0 * (double)(s->tokens * rows) * (double)(s->in * s->out)};
    product_shape_name(s, one.name);
    add(w, &one);
}

/* Names settle what is equal, so that the order is the same at every run. */
static int by_work(const void *a, const void *b)
{
    const wanted_shape *x = a, *y = b;
    if (x->flops != y->flops)
        return x->flops > y->flops ? -1 : 1;
    return strcmp(x->name, y->name);
}

void wanted_sort(wanted *w)
{
    if (w->count)
        qsort(w->shape, (size_t)w->count, sizeof *w->shape, by_work);
}
