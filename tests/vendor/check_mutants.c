/* Whether a mistake in what the CUDA module tells the vendor's libraries would be seen:
 *
 *     check_mutants [--every N] [--rebuild] [WALK...]
 *
 * walks of ops (walks.h) are done on the emulated GPU once for each place where something could be
 * wrong: a number, type or address told, an algorithm, a call left out. Each time in a process of
 * its own, something has to fail: a result, the bytes of a row alone, a rule of the stand-ins, a
 * call. Prints who survives; fails when under 98 % of a walk's mutants make something fail. Those
 * that change nothing are counted by themselves, with the rule that says why. --every: each N-th
 * place; --rebuild: attention is compiled anew each time, which takes half an hour; WALK: only
 * these. */
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
    bool tried, begun, ended, survived; /* neither: it crashed, hung or was killed */
    char where[48], place[140];
    char same[100]; /* why nothing would differ: not tried */
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
    long tried, same, survived, lost, cut; /* never begun; begun and not ended */
} tally;

static const vendor_controls *vendor;

/* ---------------------------------------------------------------- mutants that change nothing */

/* What is done where, and why it makes no difference; the vendor's own rules are the stand-ins'. */
typedef struct {
    const char *where, *place, *why;
} rule;

static const rule rules[] = {
    {"opening or closing", "cudaMemsetAsync 1[0]",
     "the zeros of opening are for wider layers than any here"},
    {"3x3, stride 2, padded behind", "cuDNN's attribute 104",
     "a second row of padding behind, which no window of stride 2 reaches"},
    {"3x3 with residual", "cuDNN's attribute 1001[4]",
     "the bias is zeros, and so are those behind it"},
    {"spoiling", "cudaMemcpyAsync", "what is spoiled need not be spoiled"},
    {"spoiling", "cudaMemsetAsync", "memory that is spoiled at once"},
    {"spoiling", "cudaEventRecord", "the stream is waited for before the memory is filled again"},
    {"checking", "", "nothing but zeros are read, after zeros"},
};

static const char *same_by_rule(const char *place)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].where, walk_where()) == 0 &&
            strncmp(rules[i].place, place, strlen(rules[i].place)) == 0)
            return rules[i].why;
    return NULL;
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
static void begin_mutant(outcome *o)
{
    now->mine = o;
    o->begun = true;
    alarm(SECONDS);
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDERR_FILENO);
}

static void note(outcome *o, const char *place, const char *same)
{
    snprintf(o->where, sizeof o->where, "%s", walk_where());
    snprintf(o->place, sizeof o->place, "%s", place);
    snprintf(o->same, sizeof o->same, "%s", same ? same : "");
    o->tried = !same;
}

/* At each place a child goes on that is wrong there; what came before they share. All walks open
 * the same device: that is tried with the one that uses everything of it. */
static bool choose(const char *place, const char *same)
{
    trial *t = now;
    if (t->mine || (t->kind != WALK_CONVOLUTIONS && !walk_is_on()))
        return false; /* one at a time */
    const long n = t->places++;
    if (n % t->every != 0 || n >= PLACES_MOST)
        return false;
    note(&t->of[n], place, same ? same : same_by_rule(place));
    if (!t->of[n].tried)
        return false;
    while (t->running >= CHILDREN && wait(NULL) > 0)
        t->running--;
    const pid_t child = fork();
    t->running += child > 0;
    if (child == 0)
        begin_mutant(&t->of[n]);
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
        t->mine->ended = true;
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

/* Each reason once, with how many there are of it. */
static void print_same(const trial *t)
{
    for (long n = 0; n < t->places; n++) {
        long before = 0, count = 0;
        for (long i = 0; t->of[n].same[0] && i < t->places; i++) {
            const bool alike = strcmp(t->of[i].same, t->of[n].same) == 0;
            before += alike && i < n;
            count += alike;
        }
        if (count && !before)
            printf("%s: %ld equivalent: %s\n", walk_name(t->kind), count, t->of[n].same);
    }
}

static tally count(const trial *t)
{
    tally sum = {0};
    for (long n = 0; n < t->places; n++) {
        const outcome *o = &t->of[n];
        sum.tried += o->tried;
        sum.same += o->same[0] != 0;
        sum.survived += o->survived;
        sum.lost += o->tried && !o->begun;
        sum.cut += o->begun && !o->ended;
        if (o->survived)
            printf("%s, %s: nothing tells: %s\n", walk_name(t->kind), o->where, o->place);
    }
    print_same(t);
    return sum;
}

static double percent(const tally *t)
{
    return t->tried ? 100. * (double)(t->tried - t->survived) / (double)t->tried : 0;
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
    printf("%s: %ld places, %ld mutants and %ld equivalent ones, %ld survive: %.2f %% make "
           "something fail (%ld of them crash or hang)\n",
           walk_name(kind), t.places, sum->tried, sum->same, sum->survived, percent(sum), sum->cut);
    if (sum->lost)
        printf("%s: %ld mutants could not be started\n", walk_name(kind), sum->lost);
    fflush(stdout);
    each_plan(t.folder, drop);
    rmdir(t.folder);
    return good && sum->lost == 0 && percent(sum) >= LEAST_PERCENT;
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
    bool rebuild = false, good = load(), right = true;
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
        if (is_wanted(argv + at, argc - at, (walk_kind)i))
            right &= check((walk_kind)i, every, rebuild, of, &one);
        all.tried += one.tried;
        all.same += one.same;
        all.survived += one.survived;
    }
    printf("%ld mutants, %ld survive: %.2f %% make something fail; %ld more are equivalent\n",
           all.tried, all.survived, percent(&all), all.same);
    return good && right ? 0 : 1;
}
