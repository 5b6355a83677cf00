/* The UNet against golden predictions, and what its results must not depend on: the other rows of
 * the batch, the longest context in it, band heights, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "tests/support/rig.h"

enum { ROWS_MAX = 4 };

/* One golden case, channels last. */
typedef struct {
    int64_t n, h, w, tokens, width;
    float *x, *context, *eps;
    double t[ROWS_MAX];
} unet_case;

static unet_case case_open(const checkpoint *golden, const char *arch, const char *name)
{
    int64_t dim[CHECKPOINT_DIMS];
    unet_case c = {0};
    float *t = golden_floats(golden, dim, "%s/%s/t", arch, name);
    c.n = dim[0];
    assert_in_range(c.n, 1, ROWS_MAX);
    for (int64_t i = 0; i < c.n; i++)
        c.t[i] = t[i];
    free(t);
    c.context = golden_floats(golden, dim, "%s/%s/ctx", arch, name);
    c.tokens = dim[1];
    c.width = dim[2];
    float *x = golden_floats(golden, dim, "%s/%s/x", arch, name);
    c.h = dim[2];
    c.w = dim[3];
    c.x = golden_nhwc(x, c.n, 4, c.h, c.w);
    free(x);
    float *eps = golden_floats(golden, dim, "%s/%s/eps", arch, name);
    c.eps = golden_nhwc(eps, c.n, 4, c.h, c.w);
    free(eps);
    return c;
}

static void case_close(unet_case *c)
{
    free(c->x);
    free(c->context);
    free(c->eps);
}

static tensor times_of(rig *r, const double *t, int64_t n)
{
    tensor times = unet_times(r->d, NEW, r->m->unet, t, (int)n);
    times.dim[0] = n;
    return times;
}

/* Runs rows first..first+n-1 of the case; each context is continued with garbage up to `t_max`
 * tokens. malloc'ed values. */
static float *run(rig *r, const unet_case *c, int64_t first, int64_t n, int64_t t_max)
{
    size_t mark = dev_mark(r->d), row = (size_t)(t_max * c->width);
    float *context = malloc((size_t)n * row * sizeof *context);
    assert_non_null(context);
    int32_t tokens[ROWS_MAX];
    for (int64_t i = 0; i < n; i++) {
        size_t used = (size_t)(c->tokens * c->width);
        memcpy(context + (size_t)i * row, c->context + (size_t)(first + i) * used,
               used * sizeof *context);
        for (size_t k = used; k < row; k++)
            context[(size_t)i * row + k] = (float)(k % 17) - 8;
        tokens[i] = (int32_t)c->tokens;
    }
    tensor x = rig_tensor(r, c->x + first * c->h * c->w * 4, n, c->h, c->w, 4);
    tensor ctx = rig_tensor(r, context, n, 1, t_max, c->width);
    tensor text = unet_text(r->d, NEW, r->m->unet, ctx);
    tensor eps = unet_forward(r->d, NEW, r->m->unet, x, times_of(r, c->t + first, n), text, tokens);
    float *values = rig_values(r, eps);
    free(context);
    dev_release(r->d, mark);
    return values;
}

static void check_golden(const checkpoint *golden, const char *backend, const char *arch)
{
    static const char *const names[] = {"square", "wide", "odd", "long"};
    rig r = rig_open(arch, (dev_options){.backend = backend, .threads = 2});
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unet_case c = case_open(golden, arch, names[i]);
        float *eps = run(&r, &c, 0, c.n, c.tokens);
        double distance = golden_distance(eps, c.eps, c.n * c.h * c.w * 4);
        print_message("%s %s %s: %.2e\n", backend, arch, names[i], distance);
        assert_true(distance <= rig_tolerance(&r, 2e-5));
        free(eps);
        case_close(&c);
    }
    rig_close(&r);
}

static void matches_golden(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("unet.safetensors");
    for (int i = 0; rig_backends()[i]; i++)
        for (int j = 0; rig_archs[j]; j++)
            check_golden(golden, rig_backends()[i], rig_archs[j]);
    checkpoint_free(&golden);
}

static void rows_are_independent(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("unet.safetensors");
    unet_case c = case_open(golden, "tiny3", "long");
    size_t row = (size_t)(c.h * c.w * 4);
    for (int i = 0; rig_backends()[i]; i++) {
        rig r = rig_open("tiny3", (dev_options){.backend = rig_backends()[i], .threads = 2});
        float *together = run(&r, &c, 0, c.n, c.tokens);
        for (int64_t k = 0; k < c.n; k++) {
            float *alone = run(&r, &c, k, 1, c.tokens);
            float *padded = run(&r, &c, k, 1, c.tokens + 77);
            assert_memory_equal(alone, together + (size_t)k * row, row * sizeof *alone);
            assert_memory_equal(padded, alone, row * sizeof *alone);
            free(alone);
            free(padded);
        }
        free(together);
        rig_close(&r);
    }
    case_close(&c);
    checkpoint_free(&golden);
}

static void bands_and_threads_change_nothing(void **state)
{
    (void)state;
    static const dev_options other[] = {
        {.backend = "cpu", .threads = 2, .band_rows = 1},
        {.backend = "cpu", .threads = 3, .band_rows = 3},
        {.backend = "cpu", .threads = 1, .band_rows = 64},
    };
    checkpoint *golden = golden_open("unet.safetensors");
    unet_case c = case_open(golden, "tiny", "odd");
    rig r = rig_open("tiny", (dev_options){.backend = "cpu", .threads = 1});
    float *want = run(&r, &c, 0, c.n, c.tokens);
    rig_close(&r);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        r = rig_open("tiny", other[i]);
        float *got = run(&r, &c, 0, c.n, c.tokens);
        assert_memory_equal(got, want, (size_t)(c.n * c.h * c.w * 4) * sizeof *got);
        free(got);
        rig_close(&r);
    }
    free(want);
    case_close(&c);
    checkpoint_free(&golden);
}

/* Scratch is given back to where it was, and the dry walk knows how much it will be. */
static void dry_walk_knows_the_scratch(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("unet.safetensors");
    unet_case c = case_open(golden, "tiny", "odd");
    for (int i = 0; rig_backends()[i]; i++) {
        dev_options options = {.backend = rig_backends()[i], .threads = 2};
        rig r = rig_open("tiny", options);
        dev_reset_peak(r.d);
        free(run(&r, &c, 0, c.n, c.tokens));
        assert_int_equal(dev_mark(r.d), 0);
        dev_counters real = r.d->counters;
        rig_close(&r);

        options.dry = true;
        r = rig_open("tiny", options);
        dev_reset_peak(r.d);
        tensor x = rig_tensor(&r, NULL, c.n, c.h, c.w, 4);
        tensor context = rig_tensor(&r, NULL, c.n, 1, c.tokens, c.width);
        tensor text = unet_text(r.d, NEW, r.m->unet, context);
        unet_forward(r.d, NEW, r.m->unet, x, times_of(&r, c.t, c.n), text, NULL);
        rig_check(&r);
        assert_int_equal(r.d->counters.scratch_peak, real.scratch_peak);
        assert_int_equal(r.d->counters.ops, real.ops);
        assert_true(r.d->counters.flops == real.flops && real.flops > 1e8);
        rig_close(&r);
    }
    case_close(&c);
    checkpoint_free(&golden);
}

static bool stop_after(void *arg)
{
    int *left = arg;
    return --*left < 0;
}

/* A stop between any two operations leaves the device usable and the next result right. */
static void stops_between_operations(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("unet.safetensors");
    unet_case c = case_open(golden, "tiny3", "wide");
    rig r = rig_open("tiny3", (dev_options){.backend = "cpu", .threads = 2});
    float *want = run(&r, &c, 0, c.n, c.tokens);
    for (int ops = 0; ops < 100; ops += 33) {
        int left = ops;
        int32_t tokens[ROWS_MAX] = {(int32_t)c.tokens};
        size_t mark = dev_mark(r.d);
        tensor x = rig_tensor(&r, c.x, c.n, c.h, c.w, 4);
        tensor context = rig_tensor(&r, c.context, c.n, 1, c.tokens, c.width);
        tensor text = unet_text(r.d, NEW, r.m->unet, context);
        tensor times = times_of(&r, c.t, c.n);
        r.d->stop = stop_after;
        r.d->stop_arg = &left;
        unet_forward(r.d, NEW, r.m->unet, x, times, text, tokens);
        assert_int_equal(r.d->status, DEV_STOPPED);
        assert_int_equal(left, -1);
        r.d->stop = NULL;
        dev_clear(r.d);
        dev_release(r.d, mark);
        float *again = run(&r, &c, 0, c.n, c.tokens);
        assert_memory_equal(again, want, (size_t)(c.n * c.h * c.w * 4) * sizeof *again);
        free(again);
    }
    free(want);
    rig_close(&r);
    case_close(&c);
    checkpoint_free(&golden);
}

/* What is made of a timestep does not depend on those it is made with. */
static void times_are_independent(void **state)
{
    (void)state;
    const double t[] = {981, 250.5, 0, 1.25, 999};
    const int n = sizeof t / sizeof *t;
    for (int i = 0; rig_backends()[i]; i++) {
        rig r = rig_open("tiny3", (dev_options){.backend = rig_backends()[i], .threads = 2});
        const size_t width = (size_t)unet_time_width(r.m->unet);
        float *all = rig_values(&r, times_of(&r, t, n));
        for (int k = 0; k < n; k++) {
            float *one = rig_values(&r, times_of(&r, &t[k], 1));
            assert_memory_equal(one, all + (size_t)k * width, width * sizeof *one);
            assert_true(k == 0 || memcmp(one, all, width * sizeof *one));
            free(one);
        }
        free(all);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_golden),
        cmocka_unit_test(rows_are_independent),
        cmocka_unit_test(times_are_independent),
        cmocka_unit_test(bands_and_threads_change_nothing),
        cmocka_unit_test(dry_walk_knows_the_scratch),
        cmocka_unit_test(stops_between_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
