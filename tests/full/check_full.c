/* check_full: SD 1.5 at full size against golden data, in a budget. Inputs come from the noise
 * source, so that only outputs are stored (see full() of the oracle). */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/clock.h"
#include "proto/option.h"
#include "tests/support/fixture.h"
#include "tests/support/golden.h"
#include "tests/support/rig.h"
#include "worker/model/plan.h"
#include "worker/sample/noise.h"

enum { TEXTS = 2, TOKENS = 77, STRIDE = 8, CROP = 224, CROP_SIDE = 64 };
static const double LIMIT = 5e-5, LIMIT_F16 = 1e-2; /* by what the device stores */

typedef struct {
    rig r;
    checkpoint *golden;
    int failures;
} full;

/* Draw 0 of an NV stream shaped [n,c,h,w], as [n,h,w,c]. */
static float *draw(uint64_t seed, int n, int c, int h, int w)
{
    noise stream;
    size_t pixels = (size_t)h * w;
    float *all = malloc(pixels * n * c * sizeof *all), *x = malloc(pixels * n * c * sizeof *x);
    assert(all && x);
    noise_init(&stream, RNG_NV, seed);
    noise_draw(&stream, all, n * c, h, w);
    for (size_t i = 0; i < (size_t)n; i++)
        for (size_t p = 0; p < pixels; p++)
            memcpy(x + (i * pixels + p) * c, all + p * n * c + i * c, (size_t)c * sizeof *x);
    free(all);
    return x;
}

/* Compares a [n,h,w,c] result from row `y0`, column `x0` on, every `step`-th pixel, with a golden
 * [n,c,h',w']; tokens with [n,t,c]. */
static void compare(full *f, const char *name, tensor result, int64_t first, int64_t step)
{
    int64_t dim[CHECKPOINT_DIMS];
    float *stored = golden_floats(f->golden, dim, "%s", name), *want = stored;
    bool tokens = result.dim[1] == 1;
    int64_t n = dim[0], h = tokens ? 1 : dim[2], w = tokens ? dim[1] : dim[3];
    int64_t c = tokens ? dim[2] : dim[1], count = n * h * w * c;
    if (!tokens)
        want = golden_nhwc(stored, n, c, h, w);
    float *got = malloc((size_t)count * sizeof *got), *all = rig_values(&f->r, result);
    assert(got);
    for (int64_t i = 0; i < n; i++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++) {
                int64_t from_y = tokens ? 0 : first + y * step, from_x = first + x * step;
                int64_t from = (i * result.dim[1] + from_y) * result.dim[2] + from_x;
                memcpy(got + ((i * h + y) * w + x) * c, all + from * c, (size_t)c * sizeof *got);
            }
    double distance = golden_distance(got, want, count);
    bool good = distance <= (f->r.d->storage == F32 ? LIMIT : LIMIT_F16);
    printf("%-24s %.2e %s\n", name, distance, good ? "ok" : "TOO FAR");
    fflush(stdout);
    f->failures += !good;
    if (want != stored)
        free(want);
    free(stored);
    free(got);
    free(all);
}

/* The two prompts' conditioning; stays on the scratch stack. */
static tensor check_text(full *f)
{
    const checkpoint_tensor *ids = checkpoint_find(f->golden, "ids");
    int32_t id[TEXTS * TOKENS];
    assert(ids && ids->bytes == sizeof id);
    memcpy(id, ids->data, sizeof id);
    tensor context = clip_encode(f->r.d, NEW, &f->r.m->text, id, TEXTS, 1);
    compare(f, "text/rows", context, 0, STRIDE);
    size_t mark = dev_mark(f->r.d);
    tensor skip2 = clip_encode(f->r.d, NEW, &f->r.m->text, id, TEXTS, 2);
    compare(f, "text/skip2/rows", skip2, 0, STRIDE);
    dev_release(f->r.d, mark);
    return context;
}

static void check_unet(full *f, const char *name, tensor context, int h, int w)
{
    static const double t[TEXTS] = {981, 250.5};
    static const int32_t tokens[TEXTS] = {TOKENS, TOKENS};
    size_t mark = dev_mark(f->r.d);
    float *x = draw(100, TEXTS, 4, h, w);
    tensor in = rig_tensor(&f->r, x, TEXTS, h, w, 4);
    tensor text = unet_text(f->r.d, NEW, f->r.m->unet, context);
    tensor times = unet_times(f->r.d, NEW, f->r.m->unet, t, TEXTS);
    times.dim[0] = TEXTS;
    compare(f, name, unet_forward(f->r.d, NEW, f->r.m->unet, in, times, text, tokens), 0, 1);
    free(x);
    dev_release(f->r.d, mark);
}

static void check_vae(full *f)
{
    size_t mark = dev_mark(f->r.d);
    float *image = draw(101, 1, 3, 512, 512), *latent = draw(102, 1, 4, 64, 64);
    for (int i = 0; i < 512 * 512 * 3; i++)
        image[i] = tanhf(image[i]);
    for (int i = 0; i < 64 * 64 * 4; i++)
        latent[i] = (float)(latent[i] / f->r.m->config.latent_scale);

    tensor x = rig_tensor(&f->r, image, 1, 512, 512, 3);
    compare(f, "vae/512/moments", vae_encode(f->r.d, NEW, f->r.m->vae, x), 0, 1);
    dev_release(f->r.d, mark);

    tensor z = rig_tensor(&f->r, latent, 1, 64, 64, 4);
    tensor picture = vae_decode(f->r.d, NEW, f->r.m->vae, z);
    compare(f, "vae/512/decoded", picture, 0, STRIDE);
    compare(f, "vae/512/decoded-crop", picture, CROP, 1);
    dev_release(f->r.d, mark);
    free(image);
    free(latent);
}

int main(int argc, char **argv)
{
    const char *device;
    int64_t threads, budget;
    const option table[] = {
        {"device", OPTION_TEXT, &device, .fallback = "cpu", .help = "cpu, ref or cuda, or with :N"},
        {"threads", OPTION_INT, &threads, "0", 0, 1024, .help = "0: one per processor"},
        {"memory-budget", OPTION_BYTES, &budget, "7G", 0, 1e15, .help = "0: no limit"},
        {0}};
    err e = {0};
    option_result words;
    if (option_parse(table, argc, argv, &words, &e) != ERR_OK || words.help) {
        option_help(words.help ? stdout : stderr, "check_full [options]", table);
        return words.help ? 0 : 2;
    }
    char path[1024];
    model_plan_result plan;
    dev_options options = {.threads = (int)threads};
    if (!rig_device(device, &options)) {
        fprintf(stderr, "check_full: --device is \"%.60s\", expected cpu, ref or cuda\n", device);
        return 2;
    }
    double start = clock_seconds();
    if (model_plan(&options, fixture_shared("sd15", path), budget, 512, 512, TEXTS, &plan, &e) !=
        ERR_OK) {
        fprintf(stderr, "check_full: %s\n", e.text);
        return 2;
    }
    full f = {.r = rig_open("sd15", options), .golden = golden_open("full.safetensors")};
    printf("%s, loaded after %.0f s\n", f.r.d->class_name, clock_seconds() - start);
    tensor context = check_text(&f);
    check_unet(&f, "unet/64x64/eps", context, 64, 64);
    check_unet(&f, "unet/40x72/eps", context, 40, 72);
    check_vae(&f);
    printf("%d failures after %.0f s\n", f.failures, clock_seconds() - start);
    checkpoint_free(&f.golden);
    rig_close(&f.r);
    return f.failures ? 1 : 0;
}
