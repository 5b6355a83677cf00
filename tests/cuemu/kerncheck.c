/* The launchers of kernels/cuda through the bodies of tests/kerncheck, under emulation: in every
 * schedule, with and without clusters, in each type they take, at places that are no multiple of 16
 * bytes too. See tests/device/narrow.h for what is compared.
 *
 *     kerncheck_cuda [--seed N] [--rounds N] [--kernel NAME] [--real] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuemu/bare.h"
#include "tests/cuemu/cuemu.h"
#include "tests/device/narrow.h"

enum { ASKEW = 4 };

static adapter *adapter_of(const trial *t)
{
    return t->s->subject[0].real->impl;
}

static bool run_emulated(const trial *t, int64_t first, unsigned schedule, outcome *o)
{
    dev *d = t->s->subject[0].real;
    const bare *on = adapter_of(t)->to->impl;
    *o = (outcome){0};
    cuemu_schedule(schedule);
    const bool good = run_once(t, d, (int)schedule, first, o);
    const char *error = cuemu_error();
    if (error)
        trial_fail(t, "schedule %u: %s", schedule, error);
    return good && !error && !on->beyond;
}

void trial_run(trial *t)
{
    static const dtype types[] = {F32, F16, BF16}; /* the coarser the later */
    dev *to = adapter_of(t)->to;
    bare *on = to->impl;
    const narrow_entry *e = narrow_of(t);
    const long failures = t->s->failures;
    double worst = 0;
    adapter_of(t)->offset = t->s->round % 3 == 2 ? ASKEW : 0;
    for (int i = 0; i < 3; i++) {
        if (!(e->types & 1u << types[i]))
            continue;
        const bool copies = e->copies && types[i] == F16;
        to->storage = types[i];
        on->beyond = false;
        narrow_inputs(t, types[i], false);
        for (int clusters = 0; clusters <= e->clusters && t->s->failures == failures; clusters++) {
            on->clusters = clusters;
            narrow_check(t, types[i], run_emulated,
                         copies ? (1u << CUEMU_SCHEDULES) - 1 : 1u << CUEMU_BACKWARDS, &worst);
        }
    }
    trial_done(t);
}

static void check_kernel(session *s, int which)
{
    const long failures = s->failures, runs = s->runs;
    const uint64_t launches = cuemu_launches();
    narrow_kernel(s, which, narrow_entries[which].real);
    if (cuemu_launches() == launches) {
        printf("%s launched nothing\n", s->kernel);
        s->failures++;
    }
    printf("%-4s %s: %ld runs, %llu launches\n", s->failures == failures ? "ok" : "BAD", s->kernel,
           s->runs - runs, (unsigned long long)(cuemu_launches() - launches));
    fflush(stdout);
}

static int check_all(session *s)
{
    for (int i = 0; i < narrow_count; i++)
        if (narrow_entries[i].types && (!s->only || strcmp(s->only, narrow_entries[i].name) == 0))
            check_kernel(s, i);
    if (s->runs == 0) {
        fprintf(stderr, "kerncheck_cuda: there is no kernel %s\n", s->only);
        return 2;
    }
    return s->failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool open_all(session *s, adapter *a, bare *impl, char *why)
{
    dev_options o = {.backend = "ref", .threads = 1, .scratch_bytes = (size_t)1 << 28};
    s->subjects = 1;
    s->ref.real = dev_new(&o, why);
    o.dry = true;
    s->ref.dry = dev_new(&o, why);
    a->to = bare_dev(impl, why);
    s->subject[0].real = a->to ? adapter_dev(a, false, why) : NULL;
    return s->ref.real && s->ref.dry && s->subject[0].real &&
           arena_init(&s->weights, (size_t)1 << 28, false) &&
           arena_init(&s->dry_weights, (size_t)1 << 28, true) &&
           arena_init(&a->weights, (size_t)1 << 28, false);
}

int main(int argc, char **argv)
{
    session s = {.seed = 1, .rounds = 4, .shape = -1};
    char why[256] = "";
    bare impl = {0};
    adapter a = {0};
    int status = EXIT_FAILURE;
    if (!narrow_options(&s, argc, argv, NULL)) {
        fprintf(stderr, "kerncheck_cuda [--seed N] [--rounds N] [--kernel NAME] [--real]\n");
        return 2;
    }
    if (open_all(&s, &a, &impl, why))
        status = check_all(&s);
    else
        fprintf(stderr, "kerncheck_cuda: %s\n", why);
    dev_free(&s.subject[0].real);
    dev_free(&a.to);
    dev_free(&s.ref.dry);
    dev_free(&s.ref.real);
    arena_done(&s.weights);
    arena_done(&s.dry_weights);
    arena_done(&a.weights);
    return status;
}
