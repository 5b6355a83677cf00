/* The CUDA kernels through the bodies of tests/kerncheck, under emulation.
 *
 *     kerncheck_cuda [--seed N] [--rounds N] [--kernel NAME] [--real]
 *
 * The bodies draw a case and hand it to trial_run, which the linker replaces by the one below: the
 * inputs are rounded to the type of the kernels, the reference gets the same numbers, and the
 * kernels run on the emulated device in every schedule, with and without clusters, and one sample
 * at a time. Bits must not differ between schedules or with the number of samples; values may
 * differ from the reference by what is said in `allowance`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuemu/adapter.h"
#include "tests/cuemu/check_more.h"
#include "tests/cuemu/cuemu.h"
#include "tests/kerncheck/check.h"

enum { FAILURES_MOST = 5, SHAPES_MOST = 16 };

/* Beside what a trial tolerates in fp32, in units of half a step of the result's type: `of_row`
 * times the RMS of its row; the trial's own slack times `slack`. `types`: bits of what there is. */
typedef struct {
    const char *name;
    void (*check)(session *);
    double of_row, slack;
    unsigned types;
    bool clusters; /* with and without */
    bool copies;   /* asynchronous: late and early differ */
    unsigned real; /* bits of those real shapes that are small enough */
} entry;

enum { ALL = 1 << F32 | 1 << F16 | 1 << BF16, HALVES = 1 << F16 | 1 << BF16 };

static const entry entries[] = {
    {"conv2d", check_conv2d, 8, 1, ALL, false, false, 0}, /* only its end is ours */
    {"group_norm", check_group_norm, 0, 8, HALVES, true, true, 0x1e},
    {"tall_norm", check_tall_norm, 0, 8, 1 << F16, true, true, 0},
    {"layer_norm", check_layer_norm, 0, 8, ALL, false, false, 0xd},
    {"attention", check_attention, 4, 4096, ALL, false, true, 0x48}, /* weights are rounded too */
    {"flash", check_flash, 4, 1024, 1 << F16, false, true, (1 << CHECK_FLASH_SHAPES) - 1},
    {"geglu", check_geglu, 0, 1, ALL, false, false, 4},
    {"activate", check_activate, 0, 1, ALL, false, false, 3},
    {"add", check_add, 0, 1, ALL, false, false, 2},
    {"pixel_shuffle", check_pixel_shuffle, 0, 1, ALL, false, false, 1},
    {"pixel_unshuffle", check_pixel_unshuffle, 0, 1, ALL, false, false, 1},
    {"resize_nearest", check_resize_nearest, 0, 1, ALL, false, false, 0},
    {"timestep_embedding", check_timestep_embedding, 0, 1, ALL, false, false, 1},
    {"embed", check_embed, 0, 1, ALL, false, false, 0},
    {"emphasis", check_emphasis, 0, 1, ALL, false, false, 3},
    {"gather", check_gather, 0, 1, ALL, false, false, 1},
    {"step", check_step, 0, 1, ALL, false, false, 1},
    {"pixels_in", check_pixels_in, 0, 1, ALL, false, false, 0},
    {"pixels_out", check_pixels_out, 0, 1, ALL, false, false, 0},
    {"preview", check_preview, 0, 1, ALL, false, false, 0},
    {"finite", check_finite, 0, 1, ALL, false, false, 1},
};
enum { ENTRIES = sizeof entries / sizeof *entries };

static const double half_step[] = {[F32] = 0, [F16] = 0x1p-11, [BF16] = 0x1p-8};
static const double smallest[] = {[F32] = 0, [F16] = 0x1p-24, [BF16] = 0x1p-126};

static const entry *entry_of(const trial *t)
{
    for (int i = 0; i < ENTRIES; i++)
        if (strcmp(entries[i].name, t->s->kernel) == 0)
            return &entries[i];
    return NULL;
}

static double rms(const float *x, int64_t count)
{
    double squares = 0;
    for (int64_t i = 0; i < count; i++)
        squares += (double)x[i] * x[i];
    return sqrt(squares / (double)count);
}

/* The same float, where the type of the kernels cannot hold more: infinite. */
static bool same(float got, float expected, dtype type)
{
    return got == expected || (isnan(got) && isnan(expected)) ||
           (type == F16 && fabsf(expected) >= 65504 && fabsf(got) >= 65504);
}

static bool compare_row(const trial *t, const adapter *on, const float *got, const float *expected,
                        int64_t row, double slack)
{
    const entry *e = entry_of(t);
    const double step = half_step[on->type], size = rms(expected, row);
    for (int64_t i = 0; i < row; i++) {
        double allowed = (t->tolerance + e->of_row * step) * size + e->slack * slack +
                         step * fabs((double)expected[i]) + (step > 0 ? smallest[on->type] : 0);
        double error = fabs((double)got[i] - expected[i]);
        if (same(got[i], expected[i], on->type) || error <= allowed)
            continue;
        trial_fail(
            t, "type %d, schedule %u: value %lld of a row is %.9g, expected %.9g within %.3g",
            on->type, on->schedule, (long long)i, (double)got[i], (double)expected[i], allowed);
        return false;
    }
    return true;
}

static bool compare_slot(const trial *t, const adapter *on, int i, const outcome *got,
                         const outcome *expected)
{
    const tensor shape = t->at[i].t;
    const int64_t count = tensor_count(shape), sample = count / shape.dim[0];
    const int64_t row = t->by_sample ? sample : shape.dim[3];
    if (shape.type == U8) {
        const uint8_t *g = got->out[i], *e = expected->out[i];
        for (int64_t j = 0; j < count; j++)
            if (abs(g[j] - e[j]) > t->levels) {
                trial_fail(t, "type %d: byte %lld is %d, expected %d", on->type, (long long)j, g[j],
                           e[j]);
                return false;
            }
        return true;
    }
    for (int64_t from = 0; from < count; from += row) {
        const double slack = t->at[i].batched ? t->slack[from / sample] : t->slack[0];
        if (!compare_row(t, on, (const float *)got->out[i] + from,
                         (const float *)expected->out[i] + from, row, slack))
            return false;
    }
    return true;
}

static bool compare_slots(const trial *t, const adapter *on, const outcome *got,
                          const outcome *expected)
{
    for (int i = 0; i < SLOTS; i++)
        if (t->at[i].out && !compare_slot(t, on, i, got, expected))
            return false;
    return true;
}

/* One run on the emulated device; false: refused, or something was reported. */
static bool run_emulated(const trial *t, int64_t first, unsigned schedule, outcome *o)
{
    dev *d = t->s->subject[0].real;
    adapter *on = d->impl;
    *o = (outcome){0};
    on->schedule = schedule;
    cuemu_schedule(schedule);
    const bool good = run_once(t, d, (int)schedule, first, o);
    const char *error = cuemu_error();
    if (error)
        trial_fail(t, "type %d, schedule %u: %s", on->type, schedule, error);
    return good && !error && !on->beyond;
}

static bool check_bits(const trial *t, int64_t first, unsigned schedule, const char *what,
                       const outcome *expected)
{
    outcome got;
    const bool good = run_emulated(t, first, schedule, &got) &&
                      compare_bits(t, t->s->subject[0].real, what, &got, expected);
    outcome_done(&got);
    return good;
}

static bool check_alone(const trial *t, const outcome *batch)
{
    int64_t n = 1;
    for (int i = 0; i < SLOTS; i++)
        if (t->at[i].batched)
            n = t->at[i].t.dim[0];
    bool good = true;
    for (int64_t i = 0; i < n && n > 1 && !t->together && good; i++) {
        const trial one = trial_sample(t, i);
        outcome part = {0};
        for (int j = 0; j < SLOTS; j++)
            if (t->at[j].out && t->at[j].batched)
                part.out[j] = (char *)batch->out[j] + (size_t)i * tensor_bytes(one.at[j].t);
        good = check_bits(&one, i, 0, "a sample alone and in its batch", &part);
    }
    return good;
}

static void check_as(const trial *t, adapter *on)
{
    const bool copies = entry_of(t)->copies && on->type == F16;
    outcome expected = {0}, got = {0};
    if (run_dry(t, t->s->ref.dry, 0, &expected) && run_once(t, t->s->ref.real, 0, 0, &expected) &&
        run_emulated(t, 0, 0, &got) && compare_slots(t, on, &got, &expected)) {
        bool good = check_alone(t, &got);
        for (unsigned s = 1; s < CUEMU_SCHEDULES && good; s++)
            if (copies || s == CUEMU_BACKWARDS)
                good = check_bits(t, 0, s, "another schedule", &got);
    }
    outcome_done(&expected);
    outcome_done(&got);
}

/* What the kernels will see: finite stays finite. */
static void round_inputs(trial *t, dtype type)
{
    for (int i = 0; i < SLOTS; i++) {
        float *v = t->at[i].t.data;
        if (!v || t->at[i].t.type != F32 || !t->at[i].in || type == F32)
            continue;
        for (int64_t j = 0; j < tensor_count(t->at[i].t); j++) {
            if (isfinite(v[j]) && fabsf(v[j]) > 60000)
                v[j] = copysignf(60000, v[j]);
            v[j] = rounded_to(v[j], type);
        }
    }
}

/* Norms of values whose variance is about eps, every other round. The slack was found for more. */
static void make_quiet(trial *t)
{
    enum { FIRST = 1, LAST = 3 }; /* slots of the inputs */
    for (int i = FIRST; i <= LAST; i++) {
        float *v = t->at[i].t.data;
        for (int64_t j = 0; v && j < tensor_count(t->at[i].t); j++)
            v[j] *= 0x1p-8f;
    }
}

/* In place of the one of tests/kerncheck/trial.c: linked with --wrap. */
void __wrap_trial_run(trial *t);
void __wrap_trial_run(trial *t)
{
    static const dtype types[] = {F32, F16, BF16}; /* the coarser the later */
    adapter *on = t->s->subject[0].real->impl;
    const long failures = t->s->failures;
    if (strstr(t->s->kernel, "_norm") && t->s->round % 2 == 1)
        make_quiet(t);
    for (int i = 0; i < 3; i++) {
        if (!(entry_of(t)->types & 1u << types[i]))
            continue;
        on->type = types[i];
        on->beyond = false;
        on->askew = t->s->round % 3 == 2;
        round_inputs(t, types[i]);
        for (int clusters = 0; clusters < 2; clusters++) {
            on->clusters = clusters;
            if (t->s->failures == failures && (!clusters || entry_of(t)->clusters))
                check_as(t, on);
        }
    }
    for (int i = 0; i < SLOTS; i++)
        free(t->at[i].t.data);
}

static bool subject_open(subject *to, const kernel_table *table, adapter *impl, char *why)
{
    dev_options o = {.backend = "ref", .threads = 1, .scratch_bytes = (size_t)1 << 28};
    to->real = dev_new(&o, why);
    o.dry = true;
    to->dry = to->real ? dev_new(&o, why) : NULL;
    for (int i = 0; to->dry && table && i < 2; i++) {
        dev *d = i ? to->dry : to->real;
        d->kernels = table;
        d->impl = impl;
    }
    return to->dry;
}

static void subject_close(subject *s)
{
    dev_free(&s->real);
    dev_free(&s->dry);
}

/* Each round has its own stream, so that one kernel alone gives the same trials. */
static void check_kernel(session *s, int which)
{
    const long failures = s->failures, runs = s->runs;
    const uint64_t launches = cuemu_launches();
    s->kernel = entries[which].name;
    for (int i = 0; i < s->rounds && s->failures < failures + FAILURES_MOST; i++) {
        s->round = i;
        s->random.state = s->seed * 0x100000001b3u + (uint64_t)which * 1000003u + (uint64_t)i;
        entries[which].check(s);
    }
    s->round = 0;
    for (s->shape = 0; s->real && s->shape < SHAPES_MOST; s->shape++)
        if (entries[which].real >> s->shape & 1 && s->failures == failures)
            entries[which].check(s);
    s->shape = -1;
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
    for (int i = 0; i < ENTRIES; i++)
        if (!s->only || strcmp(s->only, entries[i].name) == 0)
            check_kernel(s, i);
    if (s->runs == 0) {
        fprintf(stderr, "kerncheck_cuda: there is no kernel %s\n", s->only);
        return 2;
    }
    return s->failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool parse(int argc, char **argv, session *s)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--real") == 0)
            s->real = true;
        else if (i + 1 == argc)
            return false;
        else if (strcmp(argv[i], "--seed") == 0)
            s->seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0)
            s->rounds = atoi(argv[++i]);
        else if (strcmp(argv[i], "--kernel") == 0)
            s->only = argv[++i];
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    session s = {.seed = 1, .rounds = 4, .shape = -1};
    char why[256] = "";
    adapter impl = {.type = F32};
    if (!parse(argc, argv, &s)) {
        fprintf(stderr, "kerncheck_cuda [--seed N] [--rounds N] [--kernel NAME] [--real]\n");
        return 2;
    }
    const kernel_table table = adapter_table();
    s.subjects = 1;
    int status = EXIT_FAILURE;
    if (!arena_init(&s.weights, (size_t)1 << 28, false) ||
        !arena_init(&s.dry_weights, (size_t)1 << 28, true))
        goto out;
    if (subject_open(&s.ref, NULL, NULL, why) && subject_open(&s.subject[0], &table, &impl, why))
        status = check_all(&s);
    else
        fprintf(stderr, "kerncheck_cuda: %s\n", why);
out:
    subject_close(&s.ref);
    subject_close(&s.subject[0]);
    arena_done(&s.weights);
    arena_done(&s.dry_weights);
    return status;
}
