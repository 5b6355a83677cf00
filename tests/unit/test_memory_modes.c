/* Memory modes: what the device has to hold in each, the same bits from each network, the same
 * pictures by jobs, and what a budget too small for one mode says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/support/fixture.h"
#include "tests/support/jobs.h"
#include "tests/support/rig.h"
#include "worker/model/plan.h"
#include "worker/residents.h"

enum { SIDE = 8, TOKENS = 77, PIXELS = 64, HALVES = 2, WALKS = 3, WINOGRAD = 128 };

/* ---------------------------------------------------------------- networks */

static rig open_as(const char *backend, memory_mode mode, bool dry, int winograd_most)
{
    char path[1024], why[256];
    err e = {0};
    dev_options options = {
        .backend = backend, .threads = 1, .winograd_most = winograd_most, .dry = dry};
    rig r = {.d = dev_new(&options, why)};
    if (!r.d)
        fail_msg("%s", why);
    r.m = model_load_as(r.d, fixture_shared("tiny", path), mode, &e);
    if (!r.m)
        fail_msg("%s", e.text);
    return r;
}

static void fill(float *to, int64_t count, int seed)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)((i * 7 + seed * 13) % 31 - 15) / 16;
}

static tensor input(rig *r, int64_t h, int64_t w, int64_t c, int seed)
{
    float *values = malloc((size_t)(h * w * c) * sizeof *values);
    assert_non_null(values);
    fill(values, h * w * c, seed);
    tensor t = rig_tensor(r, values, 1, h, w, c);
    free(values);
    return t;
}

/* What the networks make of the same inputs. */
typedef struct {
    uint8_t *text, *eps, *moments;
    size_t text_bytes, eps_bytes, moments_bytes;
    uint8_t picture[PIXELS * PIXELS * 3];
} results;

static uint8_t *bytes_of(rig *r, tensor t, size_t *bytes)
{
    *bytes = tensor_bytes(t);
    uint8_t *copy = malloc(*bytes);
    assert_non_null(copy);
    dev_download(r->d, copy, t);
    rig_check(r);
    return copy;
}

typedef struct {
    rig *r;
    tensor x, time, context, eps;
} step;

static void walk(dev *d, void *arg)
{
    step *s = arg;
    const int32_t tokens[1] = {TOKENS};
    unet_forward(d, &s->eps, s->r->m->unet, s->x, s->time, s->context, tokens);
}

/* All networks one after the other, and the UNet as often as it takes a device to have recorded it:
 * what was there before each is another network. */
static results run(rig *r)
{
    results made;
    static int32_t ids[TOKENS] = {49406, 320, 1000, 2000, 49407};
    const model_config *c = &r->m->config;
    dev *d = r->d;
    size_t mark = dev_mark(d);
    parts_enter(&r->m->parts, d, PART_TEXT);
    tensor context = clip_encode(d, NEW, &r->m->text, ids, 1, 1);
    made.text = bytes_of(r, context, &made.text_bytes);
    parts_enter(&r->m->parts, d, PART_ENCODER);
    tensor moments = vae_encode(d, NEW, r->m->vae, input(r, PIXELS, PIXELS, 3, 1));
    made.moments = bytes_of(r, moments, &made.moments_bytes);
    parts_enter(&r->m->parts, d, PART_UNET);
    tensor seen = unet_text(d, NEW, r->m->unet, context);
    tensor times = unet_times(d, NEW, r->m->unet, &(double){500}, 1);
    step s = {r, input(r, SIDE, SIDE, c->in_channels, 2), tensor_sample(times, 0), seen,
              dev_tensor(d, d->storage, 1, SIDE, SIDE, c->out_channels)};
    for (int i = 0; i < WALKS; i++) {
        parts_enter(&r->m->parts, d, PART_UNET);
        dev_run(d, walk, &s);
    }
    made.eps = bytes_of(r, s.eps, &made.eps_bytes);
    tensor latent = dev_tensor(d, F32, 1, SIDE, SIDE, c->latent_channels);
    float values[SIDE * SIDE * 8];
    fill(values, SIDE * SIDE * c->latent_channels, 3);
    dev_upload(d, latent, values);
    assert_true(model_decode(d, r->m, latent, made.picture));
    rig_check(r);
    dev_release(d, mark);
    return made;
}

static void same(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes)
{
    assert_int_equal(a_bytes, b_bytes);
    assert_memory_equal(a, b, a_bytes);
}

static void results_done(results *r)
{
    free(r->text);
    free(r->eps);
    free(r->moments);
}

static void networks_give_the_same_in_every_mode(void **state)
{
    (void)state;
    for (int i = 0; rig_backends()[i]; i++) {
        rig high = open_as(rig_backends()[i], MEMORY_HIGH, false, WINOGRAD);
        results want = run(&high);
        rig_close(&high);
        for (int mode = MEMORY_MEDIUM; mode < MEMORY_MODES; mode++) {
            rig r = open_as(rig_backends()[i], (memory_mode)mode, false, WINOGRAD);
            results got = run(&r);
            same(got.text, got.text_bytes, want.text, want.text_bytes);
            same(got.moments, got.moments_bytes, want.moments, want.moments_bytes);
            same(got.eps, got.eps_bytes, want.eps, want.eps_bytes);
            assert_memory_equal(got.picture, want.picture, sizeof want.picture);
            results_done(&got);
            rig_close(&r);
        }
        results_done(&want);
    }
}

static void a_mode_takes_what_the_dry_load_says(void **state)
{
    (void)state;
    for (int i = 0; rig_backends()[i]; i++)
        for (int mode = 0; mode < MEMORY_MODES; mode++) {
            rig dry = open_as(rig_backends()[i], (memory_mode)mode, true, WINOGRAD);
            rig real = open_as(rig_backends()[i], (memory_mode)mode, false, WINOGRAD);
            const size_t *bytes = dry.m->parts.bytes;
            assert_int_equal(bytes[MEMORY_HIGH], dry.m->weights.peak);
            assert_true(bytes[MEMORY_MEDIUM] < bytes[MEMORY_HIGH] * 9 / 10);
            assert_true(bytes[MEMORY_LOW] < bytes[MEMORY_MEDIUM]);
            assert_memory_equal(bytes, real.m->parts.bytes, sizeof real.m->parts.bytes);
            assert_int_equal(real.m->weights.used, bytes[mode]);
            assert_int_equal(real.m->weights.capacity, bytes[mode]);
            rig_close(&dry);
            rig_close(&real);
        }
}

/* Every piece has its own bytes in the stock, and no two of them that are needed together the same
 * place. */
static void pieces_do_not_meet(void **state)
{
    (void)state;
    for (int mode = 0; mode < MEMORY_MODES; mode++) {
        rig r = open_as("cpu", (memory_mode)mode, true, WINOGRAD);
        const model_parts *p = &r.m->parts;
        assert_true(p->pieces > 10);
        for (int a = 0; a < p->pieces; a++)
            for (int b = 0; b < a; b++) {
                const model_piece *one = &p->piece[a], *other = &p->piece[b];
                const bool turns = mode == MEMORY_LOW && one->turns && other->turns;
                const bool together = mode == MEMORY_HIGH || (one->of == other->of && !turns) ||
                                      (turns && a == b + 1);
                assert_true(one->stocked >= other->stocked + other->bytes);
                if (together)
                    assert_true(one->at >= other->at + other->bytes ||
                                other->at >= one->at + one->bytes);
                assert_true(one->at + one->bytes <= p->bytes[mode]);
            }
        rig_close(&r);
    }
}

static void only_what_is_elsewhere_is_fetched(void **state)
{
    (void)state;
    rig r = open_as("cpu", MEMORY_MEDIUM, false, WINOGRAD);
    model_parts *p = &r.m->parts;
    assert_int_equal(p->present, PARTS);
    parts_enter(p, r.d, PART_UNET);
    assert_int_equal(p->present, PART_UNET);
    memset(r.m->weights.base, 1, 8); /* fetched again, that would be gone */
    parts_enter(p, r.d, PART_UNET);
    assert_int_equal(r.m->weights.base[0], 1);
    dev_fail(r.d, DEV_NO_MEMORY, "a test");
    parts_enter(p, r.d, PART_TEXT);
    assert_int_equal(p->present, PARTS); /* nobody knows what is there */
    dev_clear(r.d);
    parts_enter(p, r.d, PART_UNET);
    assert_int_not_equal(r.m->weights.base[0], 1);
    rig_close(&r);
}

/* ---------------------------------------------------------------- jobs */

static work *run_job(int64_t budget, memory_mode mode, const char *name,
                     const char *const *settings)
{
    err e = {0};
    service_options o = {
        .devices = 1, .models = GOLDEN_DIR, .memory_budget = budget, .memory = mode};
    o.device[0] = (dev_options){.backend = "cpu", .threads = 1};
    service *s = service_new(&o, &e);
    assert_non_null(s);
    work *w = jobs_make(name, settings);
    jobs_run(s, &w, 1);
    service_free(&s);
    return w;
}

/* For one picture of 64 x 64 in the mode, as a worker packs under a budget that is tight: weights,
 * scratch, the texts of both halves of guidance, and `rest` for its latents. */
static int64_t budget_of(memory_mode mode, int64_t rest)
{
    rig r = open_as("cpu", mode, true, 0);
    const size_t scratch = model_measure(r.d, r.m, PIXELS, PIXELS, HALVES, TOKENS).peak;
    const size_t texts =
        residents_text_bytes(&(residents){.d = r.d}, &(resident){.model = r.m}, HALVES);
    const int64_t budget = (int64_t)(r.m->parts.bytes[mode] + scratch + texts) + rest;
    rig_close(&r);
    return budget;
}

static void refuses_and_advises(int64_t budget, memory_mode mode, const char *advice)
{
    work *w = run_job(budget, mode, "txt2img", (const char *const[]){NULL});
    assert_int_equal(w->error.code, ERR_NO_MEMORY);
    const char *fits = strstr(w->error.text, "fits with");
    if (advice ? !fits || !strstr(fits, advice) : fits != NULL)
        fail_msg("advice %s: %s", advice ? advice : "none", w->error.text);
    work_free(&w);
}

static void budgets_too_small_say_what_helps(void **state)
{
    (void)state;
    const int64_t medium = budget_of(MEMORY_MEDIUM, 1 << 20);
    const int64_t low = budget_of(MEMORY_LOW, 1 << 20);
    refuses_and_advises(medium, MEMORY_HIGH, "--memory medium");
    refuses_and_advises(low, MEMORY_HIGH, "--memory low");
    refuses_and_advises(low, MEMORY_MEDIUM, "--memory low");
    refuses_and_advises(low / 4, MEMORY_LOW, NULL);
    work *w = run_job(low, MEMORY_LOW, "txt2img", (const char *const[]){NULL});
    jobs_assert_done(w);
    work_free(&w);
}

/* Where the stock finds no place, jobs are for other workers, and are told which place it was. */
static void a_stock_without_a_place_is_told(void **state)
{
    (void)state;
    assert_int_equal(setenv("TMPDIR", "/nonexistent", 1), 0);
    work *w =
        run_job(budget_of(MEMORY_LOW, 4 << 20), MEMORY_LOW, "txt2img", (const char *const[]){NULL});
    assert_int_equal(unsetenv("TMPDIR"), 0);
    assert_int_equal(w->error.code, ERR_NO_MEMORY);
    assert_non_null(strstr(w->error.text, "/nonexistent"));
    work_free(&w);
}

/* Under every budget here the planned picture does not fit, so that all have one packing. */
static void jobs_give_the_same_in_every_mode(void **state)
{
    (void)state;
    static const char *const batch[] = {"batch-size", "2", "negative-prompt", "a dog", NULL};
    static const char *const changed[] = {"input", "pictures/cat.png", NULL};
    static const struct {
        const char *task;
        const char *const *settings;
    } jobs[] = {{"txt2img", batch}, {"img2img", changed}};
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        work *want =
            run_job(budget_of(MEMORY_HIGH, 4 << 20), MEMORY_HIGH, jobs[i].task, jobs[i].settings);
        for (int mode = MEMORY_MEDIUM; mode < MEMORY_MODES; mode++) {
            work *w = run_job(budget_of((memory_mode)mode, 4 << 20), (memory_mode)mode,
                              jobs[i].task, jobs[i].settings);
            jobs_assert_same(w, want);
            work_free(&w);
        }
        work_free(&want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_give_the_same_in_every_mode),
        cmocka_unit_test(a_mode_takes_what_the_dry_load_says),
        cmocka_unit_test(pieces_do_not_meet),
        cmocka_unit_test(only_what_is_elsewhere_is_fetched),
        cmocka_unit_test(budgets_too_small_say_what_helps),
        cmocka_unit_test(a_stock_without_a_place_is_told),
        cmocka_unit_test(jobs_give_the_same_in_every_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
