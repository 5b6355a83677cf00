/* kerncheck for a whole backend, as the models call it: every kernel of kernels/table.h on a device
 * whose tensors are not the host's, against the reference on the same numbers. See narrow.h for
 * what is compared, and adapter.h for how a call gets there: as it is, and recorded and played.
 *
 *     kerncheck_device --device NAME[:N] [--seed N] [--rounds N] [--kernel NAME] [--real]
 *
 * Needs nothing but libc and the backend's module. --real adds the shapes of real models, compared
 * with the cpu backend, which kerncheck compares with the reference; on an emulated device only
 * those that are small. Exit status: 0 all good; 1 a check failed or the device is missing; 2
 * usage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/device/narrow.h"

enum { NAME_BYTES = 32, GUARD = 256, EMULATED_DIVISOR = 8 };
static const size_t SCRATCH_BYTES = (size_t)4 << 30, WEIGHT_BYTES = (size_t)1 << 30;

typedef struct {
    session s;
    adapter a;
    subject reference, quick; /* quick: the cpu backend, for real shapes */
    double worst;
    int rounds; /* as asked for */
    bool emulated;
} checker;

/* Once as it is, then with guards around the tensors and played; without guards it is the emulation
 * that sees a kernel beyond a tensor. */
enum { PLAIN, PLAYED, WAYS };

static bool run_there(const trial *t, int64_t first, unsigned way, outcome *o)
{
    dev *d = t->s->subject[0].real;
    adapter *a = d->impl;
    a->played = way == PLAYED;
    a->guard = a->played ? GUARD : 0;
    *o = (outcome){0};
    return run_once(t, d, (int)way, first, o);
}

void trial_run(trial *t)
{
    checker *c = (checker *)t->s;
    const dtype type = c->a.to->storage;
    t->s->ref = t->s->shape < 0 ? c->reference : c->quick;
    narrow_inputs(t, type, true);
    narrow_check(t, type, run_there, (1u << WAYS) - 1, &c->worst);
    trial_done(t);
}

static void check_kernel(checker *c, int which)
{
    session *s = &c->s;
    const long failures = s->failures, runs = s->runs;
    c->worst = 0;
    s->rounds = c->rounds * narrow_entries[which].times;
    narrow_kernel(s, which, c->emulated ? narrow_entries[which].real : ~0u);
    if (s->runs == runs) {
        printf("%s ran nothing\n", s->kernel);
        s->failures++;
    }
    printf("%-4s %s %s: %ld runs, largest error %.2f of what is allowed\n",
           s->failures == failures ? "ok" : "BAD", c->a.to->name, s->kernel, s->runs - runs,
           c->worst);
    fflush(stdout);
}

static int check_all(checker *c)
{
    printf("%s: class \"%s\", seed %llu\n", c->a.to->name, c->a.to->class_name,
           (unsigned long long)c->s.seed);
    for (int i = 0; i < narrow_count; i++)
        if (!c->s.only || strcmp(c->s.only, narrow_entries[i].name) == 0)
            check_kernel(c, i);
    if (c->s.runs == 0) {
        fprintf(stderr, "kerncheck_device: there is no kernel %s\n", c->s.only);
        return 2;
    }
    return c->s.failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool subject_open(subject *to, const char *name, char *why)
{
    dev_options o = {.backend = name, .scratch_bytes = SCRATCH_BYTES};
    to->real = dev_new(&o, why);
    o.dry = true;
    to->dry = to->real ? dev_new(&o, why) : NULL;
    return to->dry;
}

static void subject_close(subject *s)
{
    dev_free(&s->real);
    dev_free(&s->dry);
}

static bool open_device(checker *c, const char *device, char *why)
{
    char name[NAME_BYTES];
    const char *colon = strchrnul(device, ':');
    dev_options o = {.scratch_bytes = SCRATCH_BYTES, .ordinal = *colon ? atoi(colon + 1) : 0};
    snprintf(name, sizeof name, "%.*s", (int)(colon - device), device);
    o.backend = name;
    c->emulated = strcmp(name, "cuemu") == 0;
    c->s.random.divisor = c->emulated ? EMULATED_DIVISOR : 1;
    c->a.to = dev_new(&o, why);
    if (c->a.to && !c->a.to->backend->memory) {
        snprintf(why, WHY_BYTES, "%s computes in the host's memory: kerncheck is for it", name);
        return false;
    }
    o.dry = true;
    c->a.dry = c->a.to ? dev_new(&o, why) : NULL;
    return c->a.dry;
}

static bool open_all(checker *c, const char *device, char *why)
{
    session *s = &c->s;
    s->subjects = 1;
    c->rounds = s->rounds;
    if (!subject_open(&c->reference, "ref", why) || !subject_open(&c->quick, "cpu", why) ||
        !open_device(c, device, why))
        return false;
    s->subject[0].real = adapter_dev(&c->a, false, why);
    snprintf(why, WHY_BYTES, "no memory for weights");
    return s->subject[0].real && arena_init(&s->weights, WEIGHT_BYTES, false) &&
           arena_init(&s->dry_weights, WEIGHT_BYTES, true) &&
           dev_arena(c->a.to, &c->a.weights, WEIGHT_BYTES);
}

int main(int argc, char **argv)
{
    checker c = {.s = {.seed = 1, .rounds = 4, .shape = -1}};
    const char *device = NULL;
    char why[WHY_BYTES] = "";
    int status = EXIT_FAILURE;
    if (!narrow_options(&c.s, argc, argv, &device) || !device) {
        fprintf(stderr, "kerncheck_device --device NAME[:N] [--seed N] [--rounds N] "
                        "[--kernel NAME] [--real]\n");
        return 2;
    }
    if (open_all(&c, device, why))
        status = check_all(&c);
    else
        fprintf(stderr, "kerncheck_device: %s\n", why);
    arena_done(&c.a.weights);
    arena_done(&c.s.weights);
    arena_done(&c.s.dry_weights);
    dev_free(&c.s.subject[0].real);
    dev_free(&c.a.dry);
    dev_free(&c.a.to);
    subject_close(&c.reference);
    subject_close(&c.quick);
    return status;
}
