/* bench_upscale: one picture through an upscaler's network, as a whole and in the tiles that a job
 * is cut into: milliseconds of wall clock and of processor time (all threads), the best of
 * --repeat after one call that is not counted. One line of JSON. */
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "proto/clock.h"
#include "proto/option.h"
#include "worker/image/tiles.h"
#include "worker/model/upscaler.h"
#include "worker/run.h"

typedef struct {
    double wall_ms, cpu_ms;
} figure;

static void run_tile(dev *d, const upscaler *u, int64_t w, int64_t h)
{
    const size_t mark = dev_mark(d);
    bool finite;
    tensor pixels = dev_tensor(d, U8, 1, h, w, 3);
    uint32_t state = 1;
    uint8_t *px = pixels.data;
    for (int64_t i = 0; px && i < tensor_count(pixels); i++) {
        state = state * 1664525 + 1013904223;
        px[i] = (uint8_t)(state >> 24);
    }
    upscaler_enlarge(d, NEW, u, pixels, &finite);
    dev_release(d, mark);
}

static figure measure(dev *d, const upscaler *u, const tile_grid *g, int64_t repeat)
{
    figure best = {0};
    for (int64_t i = 0; i <= repeat; i++) {
        const double wall = clock_seconds();
        const clock_t cpu = clock();
        for (int tile = 0; tile < tile_count(g); tile++)
            run_tile(d, u, g->tile_w, g->tile_h);
        const figure now = {(clock_seconds() - wall) * 1e3,
                            1e3 * (double)(clock() - cpu) / CLOCKS_PER_SEC};
        if (i == 1 || (i > 1 && now.cpu_ms < best.cpu_ms))
            best.cpu_ms = now.cpu_ms;
        if (i == 1 || (i > 1 && now.wall_ms < best.wall_ms))
            best.wall_ms = now.wall_ms;
    }
    return best;
}

typedef struct {
    const char *model;
    int64_t threads, width, height, repeat;
} settings;

static int run_both(const settings *s, err *e)
{
    char why[256];
    dev *d = dev_new(&(dev_options){.backend = "cpu", .threads = (int)s->threads}, why);
    if (!d)
        return err_set(e, ERR_DEVICE, "%s", why);
    upscaler *u = upscaler_load(d, s->model, e);
    const int w = (int)s->width, h = (int)s->height;
    tile_grid whole = {.w = w, .h = h, .tile_w = w, .tile_h = h};
    tile_grid tiles = tile_grid_within(w, h, RUN_TILE_SIDE, RUN_TILE_SIDE, RUN_TILE_OVERLAP);
    if (u && !tile_grid_init(&whole, e) && !tile_grid_init(&tiles, e)) {
        const figure one = measure(d, u, &whole, s->repeat),
                     many = measure(d, u, &tiles, s->repeat);
        json_t *j = json_pack("{s:s, s:f, s:f, s:i, s:f, s:f}", "program", "Overpaint", "whole_ms",
                              one.wall_ms, "whole_cpu_ms", one.cpu_ms, "tiles", tile_count(&tiles),
                              "tiles_ms", many.wall_ms, "tiles_cpu_ms", many.cpu_ms);
        if (d->status != DEV_OK)
            err_set(e, ERR_DEVICE, "%s", d->error);
        else if (!json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5)))
            puts("");
        json_decref(j);
    }
    upscaler_free(&u);
    dev_free(&d);
    return e->code;
}

int main(int argc, char **argv)
{
    settings s;
    const option table[] = {
        {"model", OPTION_TEXT, &s.model, .argument = "FILE",
         .fallback = "deploy/models/animevideov3-x4.safetensors", .help = "the network"},
        {"threads", OPTION_INT, &s.threads, "0", 0, 1024, .help = "0: one per processor"},
        {"width", OPTION_INT, &s.width, "640", 1, 4096, .help = "pixels of the picture"},
        {"height", OPTION_INT, &s.height, "427", 1, 4096, .help = "the same"},
        {"repeat", OPTION_INT, &s.repeat, "3", 1, 1000, .help = "counted calls"},
        {0}};
    err e = {0};
    option_result words;
    int rc = option_parse(table, argc, argv, &words, &e);
    if (!rc && words.help) {
        option_help(stdout, "bench_upscale [options]", table);
        return 0;
    }
    if (!rc)
        rc = run_both(&s, &e);
    if (rc)
        fprintf(stderr, "bench_upscale: %s\n", e.text);
    return rc ? 1 : 0;
}
