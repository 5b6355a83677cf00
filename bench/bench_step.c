/* bench_step: how long one call of each network takes on a device, and what memory it needs, beside
 * what the dry walk said. Calls before those that are counted are for what is done once (plans,
 * recording). The UNet works on --rows at a time, as the engine lets it; the autoencoder on one
 * picture. A call ends when the device has said whether its result is finite, so nothing of it is
 * left to wait for. Every call is told when it has been measured, the whole at the end (the best
 * times; the step's of the first number of rows). */
#include <stdlib.h>
#include <string.h>

#include "bench/subject.h"
#include "bench/timing.h"
#include "bench/values.h"
#include "bench/yardstick.h"
#include "kernels/ops.h"
#include "proto/clock.h"
#include "tests/support/rig.h"
#include "worker/model/tokenizer.h"

enum { ROWS_A_PICTURE = 2, ROWS_MOST = 64, LISTS_MOST = 16, WARM_UP = 3 };

typedef struct {
    subject of;
    int64_t width, height, batch, repeat, gemm;
    const char *rows;
} settings;

typedef struct {
    dev *d;
    model *m;
    const settings *s;
    double *ms;         /* of the calls of one measurement */
    int64_t rss_anon;   /* the most that was seen */
    double gemm_gflops; /* 0: not known */
    err *e;
} bench;

/* Anonymous memory of this process now, in bytes. */
static int64_t rss_anon(void)
{
    long long kib = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %lld kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

/* A call of a network and what it works on. */
typedef struct call call;
struct call {
    const char *name;
    tensor (*run)(dev *d, const call *c); /* leaves its result on the scratch stack */
    const bench *b;
    bool recorded; /* by dev_run */
    int64_t rows;
    tensor x, time, text;
    int32_t tokens[ROWS_MOST], ids[ROWS_A_PICTURE][CHUNK_TOKENS];
    bool finite[ROWS_MOST];
};

static void walk(dev *d, void *arg)
{
    call *c = arg;
    const size_t mark = dev_mark(d);
    op_finite(d, c->run(d, c), c->finite);
    dev_release(d, mark);
}

static void call_once(dev *d, call *c)
{
    if (c->recorded)
        dev_run(d, walk, c);
    else
        walk(d, c);
}

/* At once, so that it is not lost when a later call never ends. */
static void tell(const settings *s, json_t *figures)
{
    json_dumpf(figures, stdout, (s->of.json ? JSON_COMPACT : 0) | JSON_REAL_PRECISION(6));
    puts("");
    fflush(stdout);
    json_decref(figures);
}

/* Times a call and tells it; its best time, 0 after an error. flops: of one call; 0: not told. */
static double measure_call(bench *b, call *c, double flops)
{
    const int64_t warm_up = b->d->own_memory ? WARM_UP : 1, repeat = b->s->repeat;
    for (int64_t i = -warm_up; i < repeat && b->d->status == DEV_OK; i++) {
        const double start = clock_seconds();
        call_once(b->d, c);
        if (i >= 0)
            b->ms[i] = (clock_seconds() - start) * 1e3;
        const int64_t now = rss_anon();
        b->rss_anon = now > b->rss_anon ? now : b->rss_anon;
    }
    bool finite = true;
    for (int64_t i = 0; i < c->rows; i++)
        finite &= c->finite[i];
    if (b->d->status != DEV_OK)
        err_set(b->e, ERR_DEVICE, "%s", b->d->error);
    else if (!finite)
        err_set(b->e, ERR_DEVICE, "%s: the result has values that are not finite", c->name);
    if (b->e->code != ERR_OK)
        return 0;
    const timing t = timing_of(b->ms, repeat);
    json_t *j = timing_json(c->name, t);
    json_object_set_new(j, "rows", json_integer((json_int_t)c->rows));
    if (flops > 0)
        json_object_set_new(j, "gflops", json_real(flops / t.median * 1e-6));
    if (flops > 0 && b->gemm_gflops > 0)
        json_object_set_new(j, "gemm_share", json_real(flops / t.median * 1e-6 / b->gemm_gflops));
    tell(b->s, j);
    return t.best;
}

static tensor text(dev *d, const call *c)
{
    return clip_encode(d, NEW, &c->b->m->text, c->ids[0], ROWS_A_PICTURE, 1);
}

static tensor step(dev *d, const call *c)
{
    return unet_forward(d, NEW, c->b->m->unet, c->x, c->time, c->text, c->tokens);
}

static tensor encode(dev *d, const call *c)
{
    return vae_encode(d, NEW, c->b->m->vae, c->x);
}

static tensor decode(dev *d, const call *c)
{
    return vae_decode(d, NEW, c->b->m->vae, c->x);
}

static double measure_text(bench *b)
{
    call c = {.name = "text", .run = text, .b = b, .rows = ROWS_A_PICTURE};
    for (int i = 0; i < ROWS_A_PICTURE; i++)
        for (int j = 0; j < CHUNK_TOKENS; j++)
            c.ids[i][j] = j == 0 ? TOKEN_START : j < 20 * i ? 320 + j : TOKEN_END;
    return measure_call(b, &c, 0);
}

static double measure_step(bench *b, int64_t rows, double flops)
{
    const model_config *m = &b->m->config;
    const int64_t h = b->s->height / m->factor, w = b->s->width / m->factor;
    const size_t mark = dev_mark(b->d);
    call c = {.name = "unet", .run = step, .b = b, .recorded = true, .rows = rows};
    for (int64_t i = 0; i < rows; i++)
        c.tokens[i] = m->positions;
    c.x = values_tensor(b->d, b->d->storage, rows, h, w, m->in_channels);
    c.time = values_tensor(b->d, b->d->storage, rows, 1, 1, unet_time_width(b->m->unet));
    c.text = unet_text(b->d, NEW, b->m->unet,
                       values_tensor(b->d, b->d->storage, rows, 1, m->positions, m->context));
    const double best = measure_call(b, &c, flops);
    dev_release(b->d, mark);
    return best;
}

static double measure_vae(bench *b, bool back)
{
    const model_config *m = &b->m->config;
    const int64_t factor = back ? m->factor : 1, channels = back ? m->latent_channels : 3;
    const size_t mark = dev_mark(b->d);
    call c = {.name = back ? "decode" : "encode", .run = back ? decode : encode, .b = b, .rows = 1};
    c.x = values_tensor(b->d, b->d->storage, 1, b->s->height / factor, b->s->width / factor,
                        channels);
    const double best = measure_call(b, &c, 0);
    dev_release(b->d, mark);
    return best;
}

/* What the dry walk says of a step with so many rows. */
static int plan_rows(model_plan_result *plan, const settings *s, const dev_options *options,
                     int64_t rows, err *e)
{
    return model_needs(plan, options, s->of.path, (int)s->width, (int)s->height, (int)rows, e);
}

static int measure_steps(bench *b, const dev_options *options, const int64_t *rows, int n,
                         double *best)
{
    for (int i = 0; i < n && b->e->code == ERR_OK; i++) {
        model_plan_result plan;
        if (plan_rows(&plan, b->s, options, rows[i], b->e) != ERR_OK)
            break;
        const double ms = measure_step(b, rows[i], plan.costs.step.flops);
        *best = i == 0 ? ms : *best;
    }
    return b->e->code;
}

static int measure(json_t **figures, const settings *s, const dev_options *options,
                   const int64_t *rows, int n, err *e)
{
    char why[256];
    model_plan_result plan;
    double step_ms = 0;
    bench b = {.s = s, .e = e};
    if (plan_rows(&plan, s, options, rows[0], e) != ERR_OK)
        goto out;
    b.ms = malloc((size_t)s->repeat * sizeof *b.ms);
    b.d = dev_new(options, why);
    if (!b.d || !b.ms) {
        err_set(e, ERR_DEVICE, "%s", b.d ? "no memory" : why);
        goto out;
    }
    b.gemm_gflops = yardstick_gflops(b.d, s->gemm);
    const double start = clock_seconds();
    b.m = model_load(b.d, s->of.path, e);
    if (!b.m)
        goto out;
    const double load_ms = (clock_seconds() - start) * 1e3;
    const double text_ms = measure_text(&b), encode_ms = measure_vae(&b, false),
                 decode_ms = measure_vae(&b, true);
    if (measure_steps(&b, options, rows, n, &step_ms) != ERR_OK)
        goto out;
    const double gflops = plan.costs.step.flops / step_ms * 1e-6;
    *figures = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}",
        "device", b.d->name, "class", b.d->class_name, "model", s->of.path, "width",
        (json_int_t)s->width, "height", (json_int_t)s->height, "rows", (json_int_t)rows[0],
        "winograd_most", options->winograd_most, "load_ms", load_ms, "text_ms", text_ms,
        "unet_step_ms", step_ms, "vae_encode_ms", encode_ms, "vae_decode_ms", decode_ms, "gflops",
        gflops, "gemm_gflops", b.gemm_gflops, "gemm_share",
        b.gemm_gflops > 0 ? gflops / b.gemm_gflops : 0, "rss_anon_peak", (json_int_t)b.rss_anon,
        "dry_peak", (json_int_t)(plan.weights[MEMORY_HIGH] + plan.costs.peak));
out:
    free(b.ms);
    model_free(&b.m);
    dev_free(&b.d);
    return e->code;
}

int main(int argc, char **argv)
{
    settings s = {0};
    const option table[] = {
        SUBJECT_OPTIONS(s.of),
        {"width", OPTION_INT, &s.width, "512", 8, 4096, .help = "pixels"},
        {"height", OPTION_INT, &s.height, "512", 8, 4096, .help = "pixels"},
        {"batch", OPTION_INT, &s.batch, "1", 1, 32, .help = "pictures, two UNet rows each"},
        {"rows", OPTION_TEXT, &s.rows, .argument = "LIST", .fallback = "",
         .help = "UNet rows, like 1,2,4,8,16, in place of --batch"},
        {"repeat", OPTION_INT, &s.repeat, "3", 1, 100000, .help = "counted calls"},
        {"gemm", OPTION_INT, &s.gemm, "0", 0, 1 << 16,
         .help = "side of the matrices of the yardstick; 0: by device"},
        {0}};
    err e = {0};
    dev_options options;
    model_plan_result planned;
    json_t *figures = NULL;
    int64_t rows[LISTS_MOST];
    if (!subject_parse(&s.of, table, "bench_step --model FILE [options]", argc, argv, &e))
        goto out;
    rows[0] = ROWS_A_PICTURE * s.batch;
    int n = *s.rows ? rig_numbers(s.rows, rows, LISTS_MOST, 1, ROWS_MOST) : 1;
    if (n == 0)
        err_set(&e, ERR_INVALID, "--rows is \"%.60s\", expected numbers from 1 to %d, like 1,2,4",
                s.rows, ROWS_MOST);
    else if (subject_plan(&s.of, &options, &planned, &e) == ERR_OK &&
             measure(&figures, &s, &options, rows, n, &e) == ERR_OK)
        subject_print(&s.of, figures);
out:
    if (e.code != ERR_OK)
        fprintf(stderr, "bench_step: %s\n", e.text);
    return e.code == ERR_OK ? 0 : 1;
}
