/* bench_load: how long a model takes to load, beside the least that any loader does: reading the
 * file and touching as many bytes of new memory for the first time, in huge pages, with the threads
 * of the device. Rounds of the two take turns, each with the memory of the other given back, and
 * one round is not counted. CPU time (user and system) is reported beside wall time, because it
 * depends less on what else the machine does. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/subject.h"
#include "proto/clock.h"

enum { PIECE = 4 << 20, REPEAT_MOST = 99, THREADS_MOST = 64 };

typedef struct {
    subject of;
    int64_t repeat;
} settings;

/* Seconds. */
typedef struct {
    double wall, user, system;
} cost;

typedef struct {
    cost floor[REPEAT_MOST], load[REPEAT_MOST], plan;
    size_t file_bytes, weight_bytes;
    double cached; /* share of the file that was in the page cache at the start */
    int rounds, winograd_most;
} figures;

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

static cost cost_now(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (cost){clock_seconds(), seconds(u.ru_utime), seconds(u.ru_stime)};
}

static cost cost_since(cost start)
{
    cost now = cost_now();
    return (cost){now.wall - start.wall, now.user - start.user, now.system - start.system};
}

/* ---- the least that loading must do ---- */

/* One thread's share. */
typedef struct {
    int file;
    size_t from, to; /* of the file */
    char *memory;
    size_t bytes;
    int error;
} share;

static void *read_and_touch(void *arg)
{
    share *s = arg;
    char *piece = malloc(PIECE);
    if (!piece)
        s->error = ENOMEM;
    while (!s->error && s->from < s->to) {
        size_t left = s->to - s->from;
        ssize_t got = pread(s->file, piece, left < PIECE ? left : PIECE, (off_t)s->from);
        if (got <= 0)
            s->error = got ? errno : EIO;
        else
            s->from += (size_t)got;
    }
    free(piece);
    memset(s->memory, 1, s->bytes);
    return NULL;
}

/* 0 or an errno. */
static int read_and_touch_all(int file, size_t file_bytes, char *memory, size_t bytes, int threads)
{
    share part[THREADS_MOST];
    pthread_t thread[THREADS_MOST];
    int started = 0, error = 0;
    for (size_t i = 0, n = (size_t)threads; i < n && !error; i++) {
        size_t at = bytes * i / n;
        part[i] = (share){.file = file,
                          .from = file_bytes * i / n,
                          .to = file_bytes * (i + 1) / n,
                          .memory = memory + at,
                          .bytes = bytes * (i + 1) / n - at};
        error = pthread_create(&thread[i], NULL, read_and_touch, &part[i]);
        started += !error;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(thread[i], NULL);
        if (!error)
            error = part[i].error;
    }
    return error;
}

static int measure_floor(cost *c, const settings *s, const figures *f, int threads, err *e)
{
    int error = 0, file = open(s->of.path, O_RDONLY | O_CLOEXEC);
    arena memory = {0};
    if (file < 0)
        return err_set(e, ERR_IO, "%s: %s", s->of.path, strerror(errno));
    cost start = cost_now();
    if (!arena_init(&memory, f->weight_bytes, false))
        error = ENOMEM;
    else
        error = read_and_touch_all(file, f->file_bytes, memory.base, f->weight_bytes, threads);
    *c = cost_since(start);
    arena_done(&memory);
    close(file);
    return error ? err_set(e, ERR_IO, "%s: %s", s->of.path, strerror(error)) : 0;
}

/* ---- the run ---- */

static int measure_load(cost *c, const settings *s, dev *d, err *e)
{
    cost start = cost_now();
    model *m = model_load(d, s->of.path, e);
    *c = cost_since(start);
    model_free(&m);
    return e->code;
}

/* The share of the file's pages in the page cache; its size. */
static int look_at_file(figures *f, const char *path, err *e)
{
    struct stat s;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), cached = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    if (file < 0 || fstat(file, &s) || !S_ISREG(s.st_mode) || s.st_size == 0) {
        rc = err_set(e, ERR_INVALID, "%s: expected a file with a model", path);
        goto out;
    }
    f->file_bytes = (size_t)s.st_size;
    size_t pages = (f->file_bytes + page - 1) / page;
    unsigned char *resident = malloc(pages);
    void *at = mmap(NULL, f->file_bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (resident && at != MAP_FAILED && mincore(at, f->file_bytes, resident) == 0)
        for (size_t i = 0; i < pages; i++)
            cached += resident[i] & 1;
    f->cached = (double)cached / (double)pages;
    if (at != MAP_FAILED)
        munmap(at, f->file_bytes);
    free(resident);
out:
    if (file >= 0)
        close(file);
    return rc;
}

static int measure(figures *f, const settings *s, err *e)
{
    char why[256];
    model_plan_result plan;
    dev_options options;
    if (look_at_file(f, s->of.path, e))
        return e->code;
    cost start = cost_now();
    if (subject_plan(&s->of, &options, &plan, e))
        return e->code;
    f->plan = cost_since(start);
    f->weight_bytes = plan.weights[MEMORY_HIGH];
    f->winograd_most = options.winograd_most;
    dev *d = dev_new(&options, why);
    if (!d)
        return err_set(e, ERR_DEVICE, "%s", why);
    if (d->options.threads > THREADS_MOST)
        err_set(e, ERR_INVALID, "%d threads, expected at most %d", d->options.threads,
                THREADS_MOST);
    cost unused;
    for (int i = -1; i < s->repeat && e->code == ERR_OK; i++, f->rounds = i)
        if (!measure_floor(i < 0 ? &unused : &f->floor[i], s, f, d->options.threads, e))
            measure_load(i < 0 ? &unused : &f->load[i], s, d, e);
    dev_free(&d);
    return e->code;
}

/* ---- the report ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef double figure_of(const cost *c);

static double wall_of(const cost *c)
{
    return c->wall;
}

static double cpu_of_run(const cost *c)
{
    return c->user + c->system;
}

static double user_of(const cost *c)
{
    return c->user;
}

/* Median and least of one figure, in milliseconds. */
typedef struct {
    double median, least;
} spread;

static spread spread_of(const cost *c, int n, figure_of *figure)
{
    double ms[REPEAT_MOST];
    for (int i = 0; i < n; i++)
        ms[i] = 1e3 * figure(&c[i]);
    qsort(ms, (size_t)n, sizeof *ms, by_size);
    return (spread){.median = ms[n / 2], .least = ms[0]};
}

/* 0: too short to be seen. */
static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* {"floor": [median, least], "load": ..., "ratio": ...} */
static json_t *compare(const figures *f, figure_of *figure)
{
    spread least = spread_of(f->floor, f->rounds, figure);
    spread load = spread_of(f->load, f->rounds, figure);
    return json_pack("{s:[f,f], s:[f,f], s:[f,f]}", "floor", least.median, least.least, "load",
                     load.median, load.least, "ratio", ratio(load.median, least.median),
                     ratio(load.least, least.least));
}

static void print(const settings *s, const figures *f)
{
    json_t *j = json_pack("{s:s, s:I, s:I, s:i, s:f, s:i, s:f, s:o, s:o, s:o}", "model", s->of.path,
                          "file_bytes", (json_int_t)f->file_bytes, "weight_bytes",
                          (json_int_t)f->weight_bytes, "winograd_most", f->winograd_most,
                          "page_cache_share", f->cached, "rounds", f->rounds, "plan_ms",
                          1e3 * f->plan.wall, "wall_ms", compare(f, wall_of), "cpu_ms",
                          compare(f, cpu_of_run), "user_ms", compare(f, user_of));
    subject_print(&s->of, j);
}

int main(int argc, char **argv)
{
    settings s = {0};
    const option table[] = {
        SUBJECT_OPTIONS(s.of),
        {"repeat", OPTION_INT, &s.repeat, "5", 1, REPEAT_MOST, .help = "counted rounds"},
        {0}};
    err e = {0};
    figures *f = calloc(1, sizeof *f);
    if (!f)
        err_set(&e, ERR_NO_MEMORY, "no memory for the figures");
    else if (subject_parse(&s.of, table, "bench_load --model FILE [options]", argc, argv, &e) &&
             measure(f, &s, &e) == ERR_OK)
        print(&s, f);
    if (e.code != ERR_OK)
        fprintf(stderr, "bench_load: %s\n", e.text);
    free(f);
    return e.code == ERR_OK ? 0 : 1;
}
