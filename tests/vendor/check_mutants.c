/* Whether a mistake in what the CUDA module tells the vendor's libraries would be seen:
 *
 *     check_mutants [--every N] [--rebuild] [WALK...]
 *
 * walks of ops (walks.h) are done on the emulated GPU once for each place where something could be
 * wrong: a number, type or address told, an algorithm, a call left out. Each time in a process of
 * its own, something has to fail: a result, the bytes of a row alone, a rule of the stand-ins, a
 * call. Prints who survives; fails under 98 %, not counting those that are excused below, one by
 * one. --every: each N-th place; --rebuild: attention is compiled anew each time, which takes half
 * an hour; WALK: only these. */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/vendor/vendor.h"
#include "tests/vendor/walks.h"

enum { CHILDREN = 2, SECONDS = 120, LEAST_PERCENT = 98, PLACES_MOST = 20000 };

/* What one mutant has come to; written by its process. */
typedef struct {
    bool survived;
    char place[140];
} outcome;

/* A walk in a process of its own; its mutants are children of that. */
typedef struct {
    walk_kind kind;
    char folder[64]; /* choices, and plans that are not to be made anew */
    long every, places, running;
    const walk_results *ref;
    outcome *of;
    outcome *mine; /* of a mutant */
} trial;

typedef struct {
    long tried, excused, survived;
} tally;

static const vendor_controls *vendor;

/* ---------------------------------------------------------------- mutants that are none */

/* Which of the places of a name, and why nothing can tell. */
typedef struct {
    walk_kind kind;
    const char *place, *reason;
    int first, last, step;
} excuse;

static const excuse excuses[] = {
    {WALK_PRODUCTS, "cudaMemsetAsync 0[0]", "zeros are the bias of convolutions: none here", 1, 1,
     1},
    {WALK_PRODUCTS, "cudaMemsetAsync 1[0]", "the same", 1, 1, 1},
    {WALK_PRODUCTS, "cudaMemsetAsync not done", "the same", 1, 1, 1},
    {WALK_ATTENTION, "cudaMemsetAsync 0[0]", "the same", 1, 1, 1},
    {WALK_ATTENTION, "cudaMemsetAsync 1[0]", "the same", 1, 1, 1},
    {WALK_ATTENTION, "cudaMemsetAsync not done", "the same", 1, 1, 1},
    {WALK_KERNELS, "cudaMemsetAsync 0[0]", "the same", 1, 1, 1},
    {WALK_KERNELS, "cudaMemsetAsync 1[0]", "the same", 1, 1, 1},
    {WALK_KERNELS, "cudaMemsetAsync not done", "the same", 1, 1, 1},
    {WALK_CONVOLUTIONS, "cudaMemsetAsync 1[0]", "half of the zeros are enough for 16384 channels",
     1, 1, 1},
    {WALK_CONVOLUTIONS, "cuDNN's attribute 1001[4]",
     "the bias is zeros, and so are those behind it", 1, 3, 1},
    {WALK_CONVOLUTIONS, "cuDNN's attribute 1003[0]", "the plan takes no workspace", 1, 21, 1},
    {WALK_ATTENTION, "cuDNN's attribute 1003[0]", "the plan takes no workspace", 1, 6, 1},
    {WALK_PRODUCTS, "cublasLtMatmul's algorithm 0[0]", "the other one adds in the same order", 3,
     17, 7},
    {WALK_PRODUCTS, "a layout 6[0]", "the stride of a batch of one", 19, 36, 1},
    /* A played step is waited for even when it asks nothing; so is every reading of results. */
    {WALK_CONVOLUTIONS, "cudaStreamSynchronize not done", "the next wait comes before any use", 4,
     10, 3},
    {WALK_PRODUCTS, "cudaStreamSynchronize not done", "the next wait comes before any use", 3, 7,
     2},
    {WALK_ATTENTION, "cudaStreamSynchronize not done", "the next wait comes before any use", 2, 6,
     2},
    /* An upload is recorded for whoever fills its half of the staging memory again; the last two
     * before the stream is waited for, nobody needs. */
    {WALK_CONVOLUTIONS, "cudaEventRecord not done", "of the last two before a wait", 3, 12, 1},
    {WALK_PRODUCTS, "cudaEventRecord not done", "of the last two before a wait", 2, 7, 1},
    {WALK_ATTENTION, "cudaEventRecord not done", "the only one before a wait", 1, 5, 1},
    {WALK_KERNELS, "cudaEventRecord not done", "the second of three before a wait", 2, 14, 3},
    {WALK_KERNELS, "cudaEventRecord not done", "the last of three before a wait", 3, 15, 3},
};

static bool is_excused(walk_kind kind, const char *place)
{
    const char *number = strrchr(place, '#');
    const int nth = number ? (int)strtol(number + 1, NULL, 10) : 0;
    for (size_t i = 0; i < sizeof excuses / sizeof *excuses; i++) {
        const excuse *e = &excuses[i];
        const size_t n = strlen(e->place);
        if (e->kind == kind && strncmp(e->place, place, n) == 0 && place[n] == ' ' &&
            place[n + 1] == '#' && nth >= e->first && nth <= e->last &&
            (nth - e->first) % e->step == 0)
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------- runs */

/* Whether all is as it should be; otherwise what is not. */
static bool run(const trial *t, char what[WALK_WHAT])
{
    static walk_results got;
    const dev_options o = {.backend = "cuemu", .scratch_bytes = ARENA_STEP, .cache = t->folder};
    dev *d = dev_new(&o, what);
    if (!d)
        return false;
    const bool right = walk_all(d, t->kind, &got, t->ref, what);
    dev_free(&d);
    const char *report = vendor->reported();
    if (right && (report || vendor->taken()))
        snprintf(what, WALK_WHAT, "%s", report ? report : "memory is not given back");
    return right && !report && !vendor->taken();
}

static trial *now; /* of this process: the stand-ins' question has no room for it */

/* A mutant may crash or hang, and says so in no words of its own. */
static void begin_mutant(outcome *o, const char *place)
{
    now->mine = o;
    snprintf(o->place, sizeof o->place, "%s", place);
    alarm(SECONDS);
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDERR_FILENO);
}

/* At each place a child goes on that is wrong there; what came before they share. */
static bool choose(const char *place)
{
    trial *t = now;
    if (t->mine)
        return false; /* one at a time */
    const long n = t->places++;
    if (n % t->every != 0 || n >= PLACES_MOST)
        return false;
    while (t->running >= CHILDREN && wait(NULL) > 0)
        t->running--;
    const pid_t child = fork();
    t->running += child > 0;
    if (child == 0)
        begin_mutant(&t->of[n], place);
    return child == 0;
}

/* The undisturbed walk, from which mutants branch off. Nobody writes a file. */
static int walk_and_branch(trial *t, int to)
{
    char what[WALK_WHAT] = "";
    now = t;
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, 0});
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGXFSZ, SIG_IGN);
    vendor->mutate(choose);
    const bool right = run(t, what);
    if (t->mine) {
        t->mine->survived = right;
        return 0;
    }
    while (wait(NULL) > 0)
        ;
    return right && write(to, &t->places, sizeof t->places) == sizeof t->places ? 0 : 1;
}

/* False: the undisturbed walk is not as it should be. */
static bool try_all(trial *t)
{
    int pipes[2], status = 1;
    if (pipe(pipes) != 0)
        return false;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        _exit(walk_and_branch(t, pipes[1]));
    waitpid(child, &status, 0);
    const bool good = status == 0 && read(pipes[0], &t->places, sizeof t->places) > 0;
    close(pipes[0]);
    close(pipes[1]);
    return good && t->places <= PLACES_MOST;
}

static tally count(const trial *t)
{
    tally sum = {0};
    for (long n = 0; n < t->places; n += t->every) {
        const outcome *o = &t->of[n];
        const bool excused = o->survived && is_excused(t->kind, o->place);
        sum.tried++;
        sum.excused += excused;
        sum.survived += o->survived && !excused;
        if (o->survived && !excused)
            printf("%s: nothing tells: %s\n", walk_name(t->kind), o->place);
    }
    return sum;
}

/* ---------------------------------------------------------------- what is on disk */

/* Plans, but not which they are: those are made again. */
static void drop_plan(const char *path)
{
    char head[1024] = "";
    FILE *f = fopen(path, "rb");
    const size_t n = f ? fread(head, 1, sizeof head - 1, f) : 0;
    head[n] = 0;
    if (f)
        fclose(f);
    if (!strstr(head, "\nchoices, ") && !strstr(head, "\nproducts, "))
        unlink(path);
}

static void each_plan(const char *folder, void (*what)(const char *path))
{
    char path[512], plans[80];
    snprintf(plans, sizeof plans, "%s/plans", folder);
    DIR *d = opendir(plans);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", plans, e->d_name);
        if (e->d_name[0] != '.')
            what(path);
    }
    if (d)
        closedir(d);
    rmdir(plans);
}

static void drop(const char *path)
{
    unlink(path);
}

/* ---------------------------------------------------------------- */

static bool reference(walk_kind kind, walk_results *to)
{
    char what[WALK_WHAT];
    const dev_options o = {.backend = "ref", .scratch_bytes = ARENA_STEP};
    dev *d = dev_new(&o, what);
    const bool good = d && walk_all(d, kind, to, NULL, what);
    dev_free(&d);
    return good;
}

/* Once to have all choices and plans on disk. */
static bool prepare(const trial *t, bool rebuild)
{
    char what[WALK_WHAT] = "";
    const bool good = run(t, what);
    if (!good)
        printf("%s, undisturbed: %s\n", walk_name(t->kind), what);
    if (rebuild || t->kind != WALK_ATTENTION)
        each_plan(t->folder, drop_plan);
    return good;
}

static bool check(walk_kind kind, long every, bool rebuild, outcome *of, tally *sum)
{
    static walk_results ref;
    trial t = {.kind = kind,
               .folder = "/tmp/overpaint_mutants_XXXXXX",
               .every = every,
               .of = of,
               .ref = &ref};
    memset(of, 0, PLACES_MOST * sizeof *of);
    if (!mkdtemp(t.folder))
        return false;
    const bool good = reference(kind, &ref) && prepare(&t, rebuild) && try_all(&t);
    if (good)
        *sum = count(&t);
    printf("%s: %ld places, %ld tried, %ld excused, %ld survive\n", walk_name(kind), t.places,
           sum->tried, sum->excused, sum->survived);
    fflush(stdout);
    each_plan(t.folder, drop);
    rmdir(t.folder);
    return good;
}

static bool load(void)
{
    setenv("OVERPAINT_VENDOR_ORDER", "late", 1); /* what is not waited for has not happened */
    void *module = dlopen(VENDOR_MODULE, RTLD_NOW | RTLD_LOCAL);
    const vendor_controls *(*controls)(void) =
        module ? (const vendor_controls *(*)(void))dlsym(module, "overpaint_vendor") : NULL;
    vendor = controls ? controls() : NULL;
    return vendor != NULL;
}

static bool is_wanted(char *const *names, int n, walk_kind kind)
{
    bool wanted = n == 0;
    for (int i = 0; i < n; i++)
        wanted |= strcmp(names[i], walk_name(kind)) == 0;
    return wanted;
}

int main(int argc, char **argv)
{
    long every = 1;
    bool rebuild = false, good = load();
    tally all = {0};
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++)
        if (strcmp(argv[at], "--rebuild") == 0)
            rebuild = true;
        else if (strcmp(argv[at], "--every") == 0 && at + 1 < argc)
            every = strtol(argv[++at], NULL, 10);
        else
            good = false;
    outcome *of = mmap(NULL, PLACES_MOST * sizeof *of, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    good = good && every > 0 && of != MAP_FAILED;
    for (int i = 0; good && i < WALKS; i++) {
        tally one = {0};
        if (!is_wanted(argv + at, argc - at, (walk_kind)i))
            continue;
        good = check((walk_kind)i, every, rebuild, of, &one);
        all.tried += one.tried;
        all.excused += one.excused;
        all.survived += one.survived;
    }
    const long counted = all.tried - all.excused;
    const double percent = counted ? 100. * (double)(counted - all.survived) / (double)counted : 0;
    printf("%ld mutants, %ld are none, %ld of the others survive: %.2f %% make something fail\n",
           all.tried, all.excused, all.survived, percent);
    return good && percent >= LEAST_PERCENT ? 0 : 1;
}
