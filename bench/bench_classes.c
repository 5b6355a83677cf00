/* bench_classes: where the time of a UNet call and of a decoding goes, by class of kernel, and how
 * long layers of the shapes of SDXL take. Beside each class stands the least time that its matrix
 * products and its bytes could take at the rates that the device showed in the same run. */
#include <stdlib.h>

#include "bench/profile.h"
#include "bench/subject.h"
#include "bench/values.h"
#include "bench/yardstick.h"
#include "kernels/ops.h"
#include "tests/support/rig.h"

enum { ROWS_MOST = 64 };

typedef struct {
    subject of;
    int64_t width, height, rows, repeat, gemm, bytes;
    bool sdxl, small;
} settings;

typedef struct {
    const settings *s;
    dev *d;
    profile p;
    double gemm_gflops, bandwidth_gbs;
    err *e;
} bench;

static void tell(json_t *figures)
{
    json_dumpf(figures, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
    puts("");
    fflush(stdout);
    json_decref(figures);
}

static double floor_ms(const bench *b, const profile_class *c)
{
    const double by_products = b->gemm_gflops > 0 ? c->flops / b->gemm_gflops * 1e-6 : 0,
                 by_bytes = b->bandwidth_gbs > 0 ? c->bytes / b->bandwidth_gbs * 1e-6 : 0;
    return by_products > by_bytes ? by_products : by_bytes;
}

static void tell_class(const bench *b, const char *of, int64_t rows, const profile_class *c)
{
    tell(json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f}", "of", of, "class", c->name, "rows",
                   (json_int_t)rows, "calls", (json_int_t)c->calls, "ms", c->ms, "floor_ms",
                   floor_ms(b, c), "gflops", c->ms > 0 ? c->flops / c->ms * 1e-6 : 0, "gbs",
                   c->ms > 0 ? c->bytes / c->ms * 1e-6 : 0));
}

static void tell_all(const bench *b, const char *of, int64_t rows)
{
    profile_class all = {.name = "all"};
    double least = 0;
    for (int i = 0; i < b->p.classes; i++) {
        const profile_class *c = &b->p.of[i];
        tell_class(b, of, rows, c);
        all.calls += c->calls;
        all.ms += c->ms;
        all.flops += c->flops;
        all.bytes += c->bytes;
        least += floor_ms(b, c);
    }
    tell(json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f}", "of", of, "class", all.name, "rows",
                   (json_int_t)rows, "calls", (json_int_t)all.calls, "ms", all.ms, "floor_ms",
                   least, "gflops", all.ms > 0 ? all.flops / all.ms * 1e-6 : 0));
}

/* ---- a model ---- */

static void profile_unet(bench *b, const model *m)
{
    const model_config *c = &m->config;
    const int64_t rows = b->s->rows;
    int32_t tokens[ROWS_MOST];
    const size_t mark = dev_mark(b->d);
    for (int64_t i = 0; i < rows; i++)
        tokens[i] = c->positions;
    const tensor x = values_tensor(b->d, b->d->storage, rows, b->s->height / c->factor,
                                   b->s->width / c->factor, c->in_channels),
                 time = values_tensor(b->d, b->d->storage, rows, 1, 1, unet_time_width(m->unet)),
                 text = values_tensor(b->d, b->d->storage, rows, 1, c->positions,
                                      unet_text_width(m->unet));
    profile_open(&b->p, b->d, b->s->repeat);
    unet_forward(b->d, NEW, m->unet, x, time, text, tokens);
    profile_close(&b->p, b->d);
    dev_release(b->d, mark);
    tell_all(b, "unet", rows);
}

static void profile_decoder(bench *b, const model *m)
{
    const model_config *c = &m->config;
    const size_t mark = dev_mark(b->d);
    const tensor x = values_tensor(b->d, b->d->storage, 1, b->s->height / c->factor,
                                   b->s->width / c->factor, c->latent_channels);
    profile_open(&b->p, b->d, b->s->repeat);
    vae_decode(b->d, NEW, m->vae, x);
    profile_close(&b->p, b->d);
    dev_release(b->d, mark);
    tell_all(b, "decode", 1);
}

static void profile_model(bench *b)
{
    model *m = model_load(b->d, b->s->of.path, b->e);
    if (m) {
        profile_unet(b, m);
        profile_decoder(b, m);
    }
    model_free(&m);
}

/* ---- layers of SDXL ---- */

typedef enum { CONV, LINEAR, SELF, CROSS, GROUP_NORM, LAYER_NORM, GEGLU } layer_kind;

/* `calls` of them are in a UNet call at 1024 x 1024 (latents of 128 x 128). */
typedef struct {
    layer_kind kind;
    int side, in, out, calls;
} layer;

static const layer layers[] = {
    {CONV, 128, 320, 320, 7},          {CONV, 128, 640, 320, 2},
    {CONV, 128, 960, 320, 1},          {CONV, 128, 640, 640, 1},
    {CONV, 64, 320, 640, 1},           {CONV, 64, 640, 640, 6},
    {CONV, 64, 960, 640, 1},           {CONV, 64, 1280, 640, 1},
    {CONV, 64, 1920, 640, 1},          {CONV, 64, 1280, 1280, 1},
    {CONV, 32, 640, 1280, 1},          {CONV, 32, 1280, 1280, 10},
    {CONV, 32, 1920, 1280, 1},         {CONV, 32, 2560, 1280, 2},
    {LINEAR, 64, 640, 640, 70},        {LINEAR, 64, 640, 5120, 10},
    {LINEAR, 64, 2560, 640, 10},       {LINEAR, 32, 1280, 1280, 372},
    {LINEAR, 32, 1280, 10240, 60},     {LINEAR, 32, 5120, 1280, 60},
    {SELF, 64, 640, 640, 10},          {CROSS, 64, 640, 640, 10},
    {SELF, 32, 1280, 1280, 60},        {CROSS, 32, 1280, 1280, 60},
    {GROUP_NORM, 128, 320, 320, 8},    {GROUP_NORM, 64, 640, 640, 11},
    {GROUP_NORM, 32, 1280, 1280, 16},  {LAYER_NORM, 64, 640, 640, 30},
    {LAYER_NORM, 32, 1280, 1280, 180}, {GEGLU, 64, 5120, 2560, 10},
    {GEGLU, 32, 10240, 5120, 60},
};

enum { HEAD = 64, TEXT = 77, SMALL_SIDE = 16, SMALL_CHANNELS = 5 };

static weight some_weight(dev *d, arena *to, const layer *l)
{
    weight w = {.out = l->out, .in = l->in, .k = l->kind == CONV ? 3 : 1};
    float *x = values_random(w.out * w.in * w.k * w.k);
    if (x)
        op_pack(d, &w, to, x, F32, 1);
    else
        dev_fail(d, DEV_NO_MEMORY, "no memory for weights");
    free(x);
    return w;
}

static void call_layer(dev *d, const layer *l, int64_t rows, const weight *w)
{
    const int64_t side = l->side, tokens = side * side;
    const size_t mark = dev_mark(d);
    const bool picture = l->kind == CONV || l->kind == GROUP_NORM;
    const tensor pixels = values_tensor(d, d->storage, rows, side, side, l->in);
    const tensor x = picture ? pixels : tensor_reshape(pixels, rows, 1, tokens, l->in);
    tensor y = {0}, scale = {0};
    if (l->kind == SELF || l->kind == CROSS)
        y = values_tensor(d, d->storage, rows, 1, l->kind == CROSS ? TEXT : tokens, l->in);
    if (l->kind == GROUP_NORM || l->kind == LAYER_NORM)
        scale = values_tensor(d, F32, 1, 1, 1, l->in);
    switch (l->kind) {
    case CONV: op_conv2d(d, NEW, x, w, (conv2d_options){0}); break;
    case LINEAR: op_linear(d, NEW, x, w, (conv2d_options){0}); break;
    case SELF:
    case CROSS: op_attention(d, NEW, x, y, y, l->in / HEAD, false, NULL); break;
    case GROUP_NORM:
        op_group_norm(d, NEW, x, scale, scale, (group_norm_options){.act = ACT_SILU});
        break;
    case LAYER_NORM: op_layer_norm(d, NEW, x, scale, scale, 1e-5); break;
    case GEGLU: op_geglu(d, NEW, x); break;
    }
    dev_release(d, mark);
}

static layer sized(layer l, bool small)
{
    if (small)
        l = (layer){l.kind, l.side / SMALL_SIDE, l.in / SMALL_CHANNELS, l.out / SMALL_CHANNELS,
                    l.calls};
    return l;
}

/* One layer's weights at a time. */
static void profile_layer(bench *b, const layer *l)
{
    arena weights;
    weight w = {0};
    const bool weighty = l->kind == CONV || l->kind == LINEAR;
    const size_t most = (size_t)(l->in * l->out) * 9 * sizeof(float) * 4 + ARENA_STEP;
    if (!dev_arena(b->d, &weights, most)) {
        dev_fail(b->d, DEV_NO_MEMORY, "no memory for weights");
        return;
    }
    if (weighty)
        w = some_weight(b->d, &weights, l);
    b->p.stands_for = l->calls;
    b->d->kernels = &b->p.table;
    call_layer(b->d, l, b->s->rows, &w);
    profile_close(&b->p, b->d);
    arena_done(&weights);
}

static void profile_sdxl(bench *b)
{
    profile_open(&b->p, b->d, b->s->repeat);
    profile_close(&b->p, b->d); /* each layer opens it again */
    for (size_t i = 0; i < sizeof layers / sizeof *layers && b->d->status == DEV_OK; i++) {
        const layer l = sized(layers[i], b->s->small);
        profile_layer(b, &l);
    }
    tell_all(b, "layers of SDXL", b->s->rows);
}

static int run(const settings *s, const dev_options *options, err *e)
{
    char why[256];
    bench b = {.s = s, .e = e};
    b.d = dev_new(options, why);
    if (!b.d)
        return err_set(e, ERR_DEVICE, "%s", why);
    b.gemm_gflops = yardstick_gflops(b.d, s->gemm);
    b.bandwidth_gbs = yardstick_bandwidth(b.d, s->bytes);
    if (s->sdxl)
        profile_sdxl(&b);
    else
        profile_model(&b);
    if (e->code == ERR_OK && b.d->status != DEV_OK)
        err_set(e, ERR_DEVICE, "%s", b.d->error);
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
        {"rows", OPTION_INT, &s.rows, "2", 1, ROWS_MOST, .help = "of the UNet"},
        {"repeat", OPTION_INT, &s.repeat, "20", 1, 10000, .help = "of each kernel"},
        {"sdxl", OPTION_FLAG, &s.sdxl, .help = "layers of SDXL in place of a model"},
        {"small", OPTION_FLAG, &s.small, .help = "those layers, much smaller"},
        {"gemm", OPTION_INT, &s.gemm, "0", 0, 1 << 16,
         .help = "side of the matrices of the yardstick; 0: by device"},
        {"bytes", OPTION_BYTES, &s.bytes, "256M", 1 << 20, 1e11,
         .help = "of each array of the other yardstick"},
        {0}};
    err e = {0};
    dev_options options;
    option_result words;
    model_plan_result planned;
    if (option_parse(table, argc, argv, &words, &e))
        goto out;
    if (words.help) {
        option_help(stdout, "bench_classes --model FILE | --sdxl [options]", table);
    } else if (s.sdxl == (*s.of.path != 0)) {
        err_set(&e, ERR_INVALID, "expected one of --model and --sdxl");
    } else if ((s.sdxl ? subject_device(&s.of, &options, &e)
                       : subject_plan(&s.of, &options, &planned, &e)) == ERR_OK) {
        run(&s, &options, &e);
    }
out:
    if (e.code != ERR_OK)
        fprintf(stderr, "bench_classes: %s\n", e.text);
    return e.code == ERR_OK ? 0 : 1;
}
