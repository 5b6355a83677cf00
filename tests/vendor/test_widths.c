/* A block of each level of SD 1.5's UNet, residual block and transformer, at its real widths on the
 * emulated GPU: heads of 40, 80 and 160, texts of 77 tokens 768 wide, and few pixels. Near the
 * CPU's results from the same weights, and each row alone the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/golden.h"
#include "tests/support/rig.h"
#include "worker/model/resblock.h"
#include "worker/model/transformer.h"
#include "worker/model/weights.h"
#include "worker/sample/noise.h"

enum { ROWS = 2, SIDE = 4, TOKENS = 77, LEVELS = 3, NAME_BYTES = 80 };

/* The first block of a level reads the width of the one before. */
typedef struct {
    int number, in, out;
} level;

static const level levels[LEVELS] = {{1, 320, 320}, {4, 320, 640}, {7, 640, 1280}};

typedef struct {
    char prefix[NAME_BYTES];
    int heads;
    resblock res;
    transformer attention;
    conv text, times;
} block;

/* What a block is given, NHWC; rows of the text have lengths of their own. */
typedef struct {
    float *x, *time, *context;
    int32_t tokens[ROWS];
} givens;

static void take(void *network, params *p)
{
    block *b = network;
    char name[NAME_BYTES + 8];
    joint text = {0}, times = {0};
    snprintf(name, sizeof name, "%s.0", b->prefix);
    resblock_load(&b->res, p, &resblock_of_unet, 0, name, &times);
    snprintf(name, sizeof name, "%s.1", b->prefix);
    transformer_load(&b->attention, p, b->heads, name, &text);
    b->text = params_join(p, &text);
    b->times = params_join(p, &times);
    params_finish(p);
}

static void forget(void *network)
{
    (void)network; /* it lives on the stack and has nothing else */
}

static float *draw(uint64_t seed, int count)
{
    noise stream;
    float *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    noise_init(&stream, RNG_NV, seed);
    noise_draw(&stream, values, 1, 1, count);
    return values;
}

/* Rows first .. first+n-1. malloc'ed values. */
static float *forward(rig *r, const block *b, const level *l, const givens *g, int first, int n)
{
    const model_config *c = fixture_config("sd15");
    const int64_t pixels = SIDE * SIDE, words = TOKENS * c->context;
    tensor x = rig_tensor(r, g->x + first * pixels * l->in, n, SIDE, SIDE, l->in);
    tensor time = rig_tensor(r, g->time + first * c->time_width, n, 1, 1, c->time_width);
    tensor context = rig_tensor(r, g->context + first * words, n, 1, TOKENS, c->context);
    tensor text = layer_linear(r->d, NEW, context, &b->text, (conv2d_options){0});
    tensor shift = layer_linear(r->d, NEW, time, &b->times, (conv2d_options){0});
    tensor y = resblock_forward(r->d, NEW, &b->res, x, (tensor){0}, shift);
    transformer_forward(r->d, &b->attention, y, text, g->tokens + first);
    return rig_values(r, y);
}

/* All rows together, and then each alone. */
static float *run(const char *backend, const char *path, const level *l, const givens *g)
{
    char why[256];
    err e = {0};
    arena weights = {0};
    block b = {.heads = fixture_config("sd15")->heads};
    const dev_options o = {.backend = backend, .threads = 2};
    rig r = {.d = dev_new(&o, why)};
    if (!r.d)
        fail_msg("%s", why);
    checkpoint *file = checkpoint_open(path, &e);
    snprintf(b.prefix, sizeof b.prefix, "model.diffusion_model.input_blocks.%d", l->number);
    if (!file ||
        weights_load(&weights, r.d, &(weights_source){file, NULL, &b, take, forget, NULL}, &e))
        fail_msg("%s", e.text);
    float *all = forward(&r, &b, l, g, 0, ROWS);
    const size_t row = (size_t)(SIDE * SIDE * l->out);
    for (int i = 0; i < ROWS; i++) {
        float *alone = forward(&r, &b, l, g, i, 1);
        assert_memory_equal(alone, all + (size_t)i * row, row * sizeof *alone);
        free(alone);
    }
    checkpoint_free(&file);
    arena_done(&weights);
    rig_close(&r);
    return all;
}

static void check_level(const level *l)
{
    char path[] = "/tmp/overpaint_widths_XXXXXX", part[NAME_BYTES];
    err e = {0};
    const model_config *c = fixture_config("sd15");
    close(mkstemp(path));
    snprintf(part, sizeof part, "model.diffusion_model.input_blocks.%d.", l->number);
    const fixture f = {.config = c, .seed = 1, .type = F16, .part = part};
    assert_int_equal(fixture_write(&f, path, &e), 0);
    givens g = {.x = draw(1, ROWS * SIDE * SIDE * l->in),
                .time = draw(2, ROWS * c->time_width),
                .context = draw(3, ROWS * TOKENS * c->context),
                .tokens = {TOKENS, 9}};
    float *want = run("cpu", path, l, &g), *got = run("cuemu", path, l, &g);
    const double distance = golden_distance(got, want, ROWS * SIDE * SIDE * l->out);
    print_message("%d channels, heads of %d: %.2e\n", l->out, l->out / c->heads, distance);
    assert_true(distance <= 4e-3);
    unlink(path);
    free(want);
    free(got);
    free(g.x);
    free(g.time);
    free(g.context);
}

static void heads_of_40(void **state)
{
    (void)state;
    check_level(&levels[0]);
}

static void heads_of_80(void **state)
{
    (void)state;
    check_level(&levels[1]);
}

static void heads_of_160(void **state)
{
    (void)state;
    check_level(&levels[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads_of_40), cmocka_unit_test(heads_of_80),
                                       cmocka_unit_test(heads_of_160)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
