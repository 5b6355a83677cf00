/* kerncheck: options, devices, and the loop over the kernel list. See check.h.
 *
 *     kerncheck [--seed N] [--rounds N] [--kernel NAME] [--backend ref|cpu] [--real]
 *               [--bench [--threads N] [--winograd CHANNELS] [--isa avx2]] [--require BACKEND]
 *
 * Exit status: 0 all good; 1 a check failed or a required backend is missing; 2 usage; 77 nothing
 * could run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/kerncheck/check.h"

enum { EXIT_USAGE = 2, EXIT_SKIPPED = 77, FAILURES_MOST = 5 };
static const size_t SCRATCH_BYTES = (size_t)1 << 31, WEIGHT_BYTES = (size_t)1 << 30;

typedef struct {
    long seed, rounds, real, bench, threads, winograd;
    const char *kernel, *backend, *isa, *require;
} options;

typedef struct {
    const char *name;
    long *number;      /* NULL: text or flag */
    const char **text; /* NULL: number or flag */
    long *flag;
} option;

static bool parse(int argc, char **argv, options *o)
{
    const option table[] = {
        {"--seed", &o->seed, NULL, NULL},       {"--rounds", &o->rounds, NULL, NULL},
        {"--threads", &o->threads, NULL, NULL}, {"--winograd", &o->winograd, NULL, NULL},
        {"--kernel", NULL, &o->kernel, NULL},   {"--backend", NULL, &o->backend, NULL},
        {"--isa", NULL, &o->isa, NULL},         {"--require", NULL, &o->require, NULL},
        {"--real", NULL, NULL, &o->real},       {"--bench", NULL, NULL, &o->bench},
    };
    for (int i = 1; i < argc; i++) {
        const option *found = NULL;
        for (size_t j = 0; j < sizeof table / sizeof *table; j++)
            if (strcmp(argv[i], table[j].name) == 0)
                found = &table[j];
        if (!found || (!found->flag && i + 1 == argc)) {
            fprintf(stderr, "kerncheck: %s: %s\n", argv[i],
                    found ? "a value is missing" : "unknown option");
            return false;
        }
        char *end = "";
        errno = 0;
        if (found->flag)
            *found->flag = 1;
        else if (found->text)
            *found->text = argv[++i];
        else
            *found->number = strtol(argv[++i], &end, 10);
        if (*end || errno) {
            fprintf(stderr, "kerncheck: %s is \"%s\", expected a number\n", found->name, argv[i]);
            return false;
        }
    }
    return true;
}

/* A device and its dry twin; false: this backend is not here. */
static bool subject_open(subject *to, dev_options o, int bits, char *why)
{
    o.scratch_bytes = SCRATCH_BYTES;
    to->bits = bits;
    to->real = dev_new(&o, why);
    o.dry = true;
    to->dry = to->real ? dev_new(&o, why) : NULL;
    return to->dry;
}

/* All the devices that must agree: by thread count and band height, for each choice of bits. */
static bool subjects_open(session *s, const options *o, char *why)
{
    static const struct {
        int threads, band_rows;
    } ways[] = {{1, 0}, {2, 0}, {3, 0}, {2, 1}, {3, 5}};
    static const struct {
        const char *isa;
        int winograd_most;
    } bits[BITS] = {{NULL, 0}, {NULL, 1 << 20}, {"avx2", 0}, {"avx2", 1 << 20}};
    dev_options with = {.backend = s->backend,
                        .isa = o->isa,
                        .threads = (int)o->threads,
                        .winograd_most = (int)o->winograd};
    if (s->bench)
        return subject_open(&s->subject[s->subjects++], with, 0, why);
    for (int i = 0; i < BITS; i++)
        for (size_t j = 0; j < sizeof ways / sizeof *ways; j++) {
            with.isa = bits[i].isa;
            with.winograd_most = bits[i].winograd_most;
            with.threads = ways[j].threads;
            with.band_rows = ways[j].band_rows;
            if (!subject_open(&s->subject[s->subjects++], with, i, why))
                return false;
        }
    return true;
}

static void session_close(session *s)
{
    for (int i = 0; i < s->subjects; i++) {
        dev_free(&s->subject[i].real);
        dev_free(&s->subject[i].dry);
    }
    dev_free(&s->ref.real);
    dev_free(&s->ref.dry);
    arena_done(&s->weights);
    arena_done(&s->dry_weights);
}

typedef struct {
    const char *name;
    void (*check)(session *);
} entry;

#define ENTRY(name, cpu) {#name, check_##name},
static const entry entries[] = {KERNELS(ENTRY)};
enum { ENTRIES = sizeof entries / sizeof *entries };

/* Each round has its own stream, so that one kernel alone gives the same trials. */
static void one_round(session *s, const entry *e, int round, int shape)
{
    s->round = round;
    s->shape = shape;
    s->random.state = s->seed * 0x100000001b3u + (uint64_t)(e - entries) * 1000003u +
                      (uint64_t)(round + 1000 * (shape + 1));
    e->check(s);
}

static void check_kernel(session *s, const entry *e)
{
    long failures = s->failures, runs = s->runs;
    s->kernel = e->name;
    s->shapes = 0;
    for (int i = 0; i < s->rounds && s->failures < failures + FAILURES_MOST; i++)
        one_round(s, e, i, -1);
    if (s->real)
        for (int i = 0; i == 0 || (i < s->shapes && s->failures < failures + FAILURES_MOST); i++)
            one_round(s, e, i, i);
    if (s->runs == runs) {
        printf("%s %s ran nothing\n", s->backend, e->name);
        s->failures++;
    }
    if (!s->bench)
        printf("%-4s %s %s: %ld runs\n", s->failures == failures ? "ok" : "BAD", s->backend,
               e->name, s->runs - runs);
    fflush(stdout);
}

static int check_backend(session *s, const options *o)
{
    char why[256] = "";
    if (!subjects_open(s, o, why)) {
        printf("skipped %s: %s\n", s->backend, why);
        return EXIT_SKIPPED;
    }
    printf("%s: class \"%s\", seed %llu\n", s->backend, s->subject[0].real->class_name,
           (unsigned long long)s->seed);
    for (int i = 0; i < ENTRIES; i++)
        if (!s->only || strcmp(s->only, entries[i].name) == 0)
            check_kernel(s, &entries[i]);
    return s->failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_backend(const options *o, const char *backend)
{
    session s = {.seed = (uint64_t)o->seed,
                 .rounds = o->bench ? 0 : (int)o->rounds,
                 .real = o->real || o->bench,
                 .bench = o->bench,
                 .only = o->kernel,
                 .backend = backend};
    char why[256] = "";
    int status = EXIT_FAILURE;
    if (s.bench) {
        s.ceiling = bench_ceiling();
        printf("ceiling: %.1f GFLOP/s (matrix product, all processors)\n", s.ceiling);
    }
    if (!subject_open(&s.ref, (dev_options){.backend = "ref", .threads = 1}, 0, why) ||
        !arena_init(&s.weights, WEIGHT_BYTES, false) ||
        !arena_init(&s.dry_weights, WEIGHT_BYTES, true))
        fprintf(stderr, "kerncheck: %s\n", why);
    else
        status = check_backend(&s, o);
    printf("%s: %ld runs, %ld failures\n", backend, s.runs, s.failures);
    if (status == EXIT_SUCCESS && s.runs == 0) {
        fprintf(stderr, "kerncheck: nothing ran; is \"%s\" a kernel?\n",
                o->kernel ? o->kernel : "");
        status = EXIT_FAILURE;
    }
    session_close(&s);
    return status;
}

int main(int argc, char **argv)
{
    static const char *const backends[] = {"ref", "cpu", "cuda"};
    options o = {.seed = (long)time(NULL), .rounds = 40};
    bool ran = false, failed = false, known = false;
    if (!parse(argc, argv, &o))
        return EXIT_USAGE;
    bool required = !o.require;
    if (!o.backend && o.bench)
        o.backend = "cpu";
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        if (o.backend && strcmp(o.backend, backends[i]) != 0)
            continue;
        known = true;
        int status = run_backend(&o, backends[i]);
        ran |= status == EXIT_SUCCESS;
        failed |= status == EXIT_FAILURE;
        required |= status == EXIT_SUCCESS && o.require && strcmp(o.require, backends[i]) == 0;
    }
    if (!required)
        fprintf(stderr, "kerncheck: %s is required and did not run\n", o.require);
    failed |= !required;
    if (!known)
        fprintf(stderr, "kerncheck: backend is \"%s\", expected ref, cpu or cuda\n", o.backend);
    return !known ? EXIT_USAGE : failed ? EXIT_FAILURE : ran ? EXIT_SUCCESS : EXIT_SKIPPED;
}
