/* Profiles: see profile.h. The device's function table is replaced by one whose entries all come
 * here; it lies at the beginning of the profile, so the device leads back to it. */
#include "bench/profile.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "proto/clock.h"

enum { TENSORS_MOST = 5, TRIES = 5, WARM_UP = 3 };

/* ---- what a call is ---- */

/* The tensors of each kernel's arguments that are of the size of its work. */
typedef struct {
    const char *kernel;
    size_t tensor[TENSORS_MOST];
    int count;
} traffic;

#define AT(name, field) offsetof(name##_args, field)
static const traffic traffics[] = {
    {"conv2d", {AT(conv2d, out), AT(conv2d, x), AT(conv2d, residual)}, 3}, /* x2: conv_of */
    {"group_norm", {AT(group_norm, out), AT(group_norm, x), AT(group_norm, x2)}, 3},
    {"layer_norm", {AT(layer_norm, out), AT(layer_norm, x)}, 2},
    {"attention", {AT(attention, out)}, 1}, /* the others lie in wider rows: attention_of */
    {"geglu", {AT(geglu, out), AT(geglu, x)}, 2},
    {"activate", {AT(activate, out), AT(activate, x)}, 2},
    {"add", {AT(add, out), AT(add, a), AT(add, b)}, 3},
    {"resize_nearest", {AT(resize_nearest, out), AT(resize_nearest, x)}, 2},
    {"gather", {AT(gather, out)}, 1},
};

static double bytes_of(const char *kernel, const void *args)
{
    double bytes = 0;
    for (size_t i = 0; i < sizeof traffics / sizeof *traffics; i++)
        for (int j = 0; !strcmp(traffics[i].kernel, kernel) && j < traffics[i].count; j++)
            bytes +=
                (double)tensor_bytes(*(const tensor *)((const char *)args + traffics[i].tensor[j]));
    return bytes;
}

static void conv_of(profile_class *c, const conv2d_args *a)
{
    const double pixels = (double)(a->out.dim[0] * a->out.dim[1] * a->out.dim[2]);
    c->name = a->w->k == 3         ? "3x3 convolution"
              : a->out.dim[1] == 1 ? "linear layer"
                                   : "1x1 convolution";
    c->flops = 2 * pixels * (double)(a->w->out * a->w->in * a->w->k * a->w->k);
    c->bytes += (double)a->w->bytes;
    if (tensor_given(a->x2))
        c->bytes += (double)tensor_bytes(a->x2) * (double)a->x2_channels / (double)a->x2.dim[3];
}

static void attention_of(profile_class *c, const attention_args *a)
{
    const int64_t queries = a->q.dim[2], keys = a->k.dim[2];
    c->name = a->causal         ? "causal attention"
              : queries == keys ? "self-attention"
                                : "cross-attention";
    c->flops = 4 * (double)(a->out.dim[0] * queries * keys * a->out.dim[3]);
    c->bytes += (double)(a->out.dim[0] * (queries + 2 * keys) * a->out.dim[3]) *
                (double)dtype_bytes(a->q.type);
}

/* One call. */
static profile_class class_of(const char *kernel, const void *args)
{
    profile_class c = {.name = kernel, .bytes = bytes_of(kernel, args)};
    if (!strcmp(kernel, "conv2d"))
        conv_of(&c, args);
    else if (!strcmp(kernel, "attention"))
        attention_of(&c, args);
    return c;
}

/* ---- how long it takes ---- */

typedef struct {
    dev_walk *walk;
    void *args;
    int64_t times;
} repetition;

static void again(dev *d, void *arg)
{
    const repetition *r = arg;
    for (int64_t i = 0; i < r->times; i++)
        r->walk(d, r->args);
}

static double best_ms(dev *d, repetition r)
{
    double best = 0;
    for (int i = -WARM_UP; i < TRIES && d->status == DEV_OK; i++) {
        const double start = clock_seconds();
        dev_run(d, again, &r);
        const double ms = (clock_seconds() - start) * 1e3;
        if (i == 0 || (i > 0 && ms < best))
            best = ms;
    }
    return best;
}

static void add_call(profile *p, profile_class one)
{
    int i = 0;
    while (i < p->classes && strcmp(p->of[i].name, one.name) != 0)
        i++;
    assert(i < PROFILE_CLASSES);
    p->classes += i == p->classes;
    profile_class *c = &p->of[i];
    c->name = one.name;
    c->calls += p->stands_for;
    c->ms += (double)p->stands_for * one.ms;
    c->flops += (double)p->stands_for * one.flops;
    c->bytes += (double)p->stands_for * one.bytes;
}

static void measure(dev *d, const char *kernel, dev_walk *walk, const void *args, size_t bytes)
{
    profile *p = (profile *)d->kernels;
    _Alignas(max_align_t) char copy[1024];
    assert(bytes <= sizeof copy);
    memcpy(copy, args, bytes);
    profile_class one = class_of(kernel, args);
    d->kernels = p->real;
    const double first = best_ms(d, (repetition){walk, copy, 1}),
                 all = best_ms(d, (repetition){walk, copy, 1 + p->repeat});
    d->kernels = &p->table;
    one.ms = all > first ? (all - first) / (double)p->repeat : 0;
    add_call(p, one);
}

#define MEASURED(name)                                                                             \
    static void walk_##name(dev *d, void *arg)                                                     \
    {                                                                                              \
        d->kernels->name(d, arg);                                                                  \
    }                                                                                              \
    static void measured_##name(dev *d, const name##_args *a)                                      \
    {                                                                                              \
        measure(d, #name, walk_##name, a, sizeof *a);                                              \
    }
#define EACH(M)                                                                                    \
    M(conv2d)                                                                                      \
    M(group_norm)                                                                                  \
    M(layer_norm)                                                                                  \
    M(attention)                                                                                   \
    M(geglu)                                                                                       \
    M(activate)                                                                                    \
    M(add)                                                                                         \
    M(resize_nearest)                                                                              \
    M(timestep_embedding)                                                                          \
    M(embed)                                                                                       \
    M(emphasis)                                                                                    \
    M(gather)
EACH(MEASURED)

void profile_open(profile *p, dev *d, int64_t repeat)
{
    *p = (profile){.table = *d->kernels, .real = d->kernels, .repeat = repeat, .stands_for = 1};
#define REPLACED(name) p->table.name = measured_##name;
    EACH(REPLACED)
    d->kernels = &p->table;
}

void profile_close(profile *p, dev *d)
{
    d->kernels = p->real;
}
