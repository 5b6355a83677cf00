/* bench_step: how long one call of each network takes on a device, and what memory it needs, beside
 * what the dry walk said. Times are the best of --repeat calls after one that is not counted; the
 * autoencoder works on one picture at a time, as the engine lets it. */
#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "bench/subject.h"
#include "proto/clock.h"
#include "worker/model/tokenizer.h"

enum { ROWS_A_PICTURE = 2 };

typedef struct {
    subject of;
    int64_t width, height, batch, repeat;
} settings;

typedef struct {
    dev *d;
    model *m;
    const settings *s;
    int64_t rss_anon; /* the most that was seen */
} bench;

typedef struct {
    double load_ms, text_ms, step_ms, encode_ms, decode_ms;
    double step_gflops, gemm_gflops;
    int64_t rss_anon, dry_peak;
} figures;

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

/* One call of a network; leaves nothing behind on the scratch stack. */
typedef void call(bench *b);

static double best_ms(bench *b, call *run)
{
    double best = 0;
    for (int64_t i = 0; i <= b->s->repeat; i++) {
        double start = clock_seconds();
        size_t mark = dev_mark(b->d);
        run(b);
        dev_release(b->d, mark);
        double ms = (clock_seconds() - start) * 1e3;
        if (i == 1 || (i > 1 && ms < best))
            best = ms;
        int64_t now = rss_anon();
        if (now > b->rss_anon)
            b->rss_anon = now;
    }
    return best;
}

/* Values between -1 and 1 that are neither constant nor alike. */
static tensor some_values(dev *d, int64_t n, int64_t h, int64_t w, int64_t c)
{
    tensor t = dev_tensor(d, F32, n, h, w, c);
    float *x = t.data;
    uint32_t state = 1;
    for (int64_t i = 0; x && i < tensor_count(t); i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
    return t;
}

static void run_text(bench *b)
{
    int32_t ids[ROWS_A_PICTURE][CHUNK_TOKENS];
    for (int i = 0; i < ROWS_A_PICTURE; i++)
        for (int j = 0; j < CHUNK_TOKENS; j++)
            ids[i][j] = j == 0 ? TOKEN_START : j < 20 * i ? 320 + j : TOKEN_END;
    clip_encode(b->d, NEW, &b->m->text, ids[0], ROWS_A_PICTURE, 1);
}

static void run_step(bench *b)
{
    const model_config *c = &b->m->config;
    int64_t rows = ROWS_A_PICTURE * b->s->batch;
    double t[ROWS_A_PICTURE * 64];
    int32_t tokens[ROWS_A_PICTURE * 64];
    for (int64_t i = 0; i < rows; i++) {
        t[i] = 500;
        tokens[i] = c->positions;
    }
    int64_t h = b->s->height / c->factor, w = b->s->width / c->factor;
    tensor x = some_values(b->d, rows, h, w, c->in_channels);
    tensor context = some_values(b->d, rows, 1, c->positions, c->context);
    unet_forward(b->d, NEW, b->m->unet, x, t, context, tokens);
}

static void run_encode(bench *b)
{
    vae_encode(b->d, NEW, b->m->vae, some_values(b->d, 1, b->s->height, b->s->width, 3));
}

static void run_decode(bench *b)
{
    const model_config *c = &b->m->config;
    int64_t h = b->s->height / c->factor, w = b->s->width / c->factor;
    vae_decode(b->d, NEW, b->m->vae, some_values(b->d, 1, h, w, c->latent_channels));
}

/* GFLOP/s of a large matrix product by the library with as many threads: what this machine can do
 * in this run. 0 without memory. */
static double gemm_rate(int threads)
{
    enum { SIDE = 2048, TRIES = 4 };
    double best = 0;
    float *m = calloc(3 * (size_t)SIDE * SIDE, sizeof *m), *a = m, *b = m + SIDE * SIDE,
          *c = m + 2 * SIDE * SIDE;
    for (size_t i = 0; m && i < 2 * (size_t)SIDE * SIDE; i++)
        m[i] = (float)(i % 29) - 14;
    omp_set_num_threads(threads);
    for (int i = 0; m && i < TRIES; i++) {
        double start = clock_seconds();
        dnnl_sgemm('N', 'N', SIDE, SIDE, SIDE, 1, a, SIDE, b, SIDE, 0, c, SIDE);
        double rate = 2e-9 * SIDE * SIDE * SIDE / (clock_seconds() - start);
        if (rate > best)
            best = rate;
    }
    free(m);
    return best;
}

static int measure(figures *f, const settings *s, const dev_options *options, err *e)
{
    char why[256];
    model_plan_result plan;
    bench b = {.s = s};
    if (model_needs(&plan, options, s->of.path, (int)s->width, (int)s->height,
                    (int)(ROWS_A_PICTURE * s->batch), e) != ERR_OK)
        return e->code;
    b.d = dev_new(options, why);
    if (!b.d)
        return err_set(e, ERR_DEVICE, "%s", why);
    double start = clock_seconds();
    b.m = model_load(b.d, s->of.path, e);
    if (!b.m)
        goto out;
    f->load_ms = (clock_seconds() - start) * 1e3;
    f->dry_peak = (int64_t)(plan.weights + plan.costs.peak);
    f->text_ms = best_ms(&b, run_text);
    f->encode_ms = best_ms(&b, run_encode);
    f->step_ms = best_ms(&b, run_step);
    f->decode_ms = best_ms(&b, run_decode);
    f->rss_anon = b.rss_anon;
    f->step_gflops = plan.costs.step.flops / f->step_ms * 1e-6;
    f->gemm_gflops = gemm_rate(b.d->options.threads);
    if (b.d->status != DEV_OK)
        err_set(e, ERR_DEVICE, "%s", b.d->error);
out:
    model_free(&b.m);
    dev_free(&b.d);
    return e->code;
}

static void print(const settings *s, const dev_options *options, const figures *f)
{
    json_t *j =
        json_pack("{s:s, s:I, s:I, s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}", "model",
                  s->of.path, "width", (json_int_t)s->width, "height", (json_int_t)s->height,
                  "batch", (json_int_t)s->batch, "winograd_most", options->winograd_most, "load_ms",
                  f->load_ms, "text_ms", f->text_ms, "unet_step_ms", f->step_ms, "vae_encode_ms",
                  f->encode_ms, "vae_decode_ms", f->decode_ms, "gflops", f->step_gflops,
                  "gemm_share", f->gemm_gflops > 0 ? f->step_gflops / f->gemm_gflops : 0,
                  "rss_anon_peak", (json_int_t)f->rss_anon, "dry_peak", (json_int_t)f->dry_peak);
    subject_print(&s->of, j);
}

int main(int argc, char **argv)
{
    settings s = {0};
    const option table[] = {
        SUBJECT_OPTIONS(s.of),
        {"width", OPTION_INT, &s.width, "512", 8, 4096, .help = "pixels"},
        {"height", OPTION_INT, &s.height, "512", 8, 4096, .help = "pixels"},
        {"batch", OPTION_INT, &s.batch, "1", 1, 64, .help = "pictures, two UNet rows each"},
        {"repeat", OPTION_INT, &s.repeat, "3", 1, 1000, .help = "counted calls"},
        {0}};
    err e = {0};
    dev_options options;
    model_plan_result planned;
    figures f = {0};
    if (subject_parse(&s.of, table, "bench_step --model FILE [options]", argc, argv, &e) &&
        subject_plan(&s.of, &options, &planned, &e) == ERR_OK &&
        measure(&f, &s, &options, &e) == ERR_OK)
        print(&s, &options, &f);
    if (e.code != ERR_OK)
        fprintf(stderr, "bench_step: %s\n", e.text);
    return e.code == ERR_OK ? 0 : 1;
}
