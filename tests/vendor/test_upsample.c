/* Nearest x2 and convolution as one transposed convolution, where the tuning table says so: nearly
 * the same numbers, each row its own, and memory that the dry device knows of. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/vendor/kept.h"

/* The decoder's: each level's last layer. The first two are switched on. */
static const char *const upsamples[] = {
    "upsample f16 2x2 64>64 k4 s2", "upsample f16 4x4 64>64 k4 s2", "upsample f16 8x8 64>64 k4 s2"};
enum { UPSAMPLES = 3, SWITCHED_ON = 2 };

/* A cache whose table says that, and nothing else. */
static char *cache_with_upsamples(void)
{
    char *cache = cache_new();
    tune_result result;
    plan_store store;
    tune(cache, 1e-6, &result);
    tuning t = table_of(cache, &result, &store);
    t.entries = 0;
    for (int i = 0; i < UPSAMPLES; i++)
        assert_true(
            tuning_set(&t, upsamples[i], &(choice){.kind = CHOICE_SWITCH, .on = i < SWITCHED_ON}));
    put_back(&store, &t);
    tuning_done(&t);
    return cache;
}

static double distance(const float *a, const float *b, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static void the_table_makes_it_one_convolution(void **state)
{
    (void)state;
    char *cache = cache_with_upsamples();
    rig plain = open_with(NULL, "1"), fused = open_with(cache, "1");
    float *before = decode(&plain, 0, ROWS), *both = decode(&fused, 0, ROWS);
    assert_true(before && both);
    const double off = distance(before, both, ROWS * VALUES);
    print_message("the largest difference is %.1e\n", off);
    assert_true(off > 0 && off < 0.02);
    assert_true(fused.m->weights.used > plain.m->weights.used);
    for (int64_t i = 0; i < ROWS; i++) {
        float *alone = decode(&fused, i, 1);
        assert_memory_equal(alone, both + i * VALUES, VALUES * sizeof *alone);
        free(alone);
    }
    assert_string_not_equal(plain.d->class_name, fused.d->class_name);
    free(before);
    free(both);
    rig_close(&plain);
    rig_close(&fused);
    cache_free(cache);
}

/* What a table wants takes memory, which is planned before anything is loaded. */
static void a_dry_device_knows_the_table(void **state)
{
    (void)state;
    char *cache = cache_with_upsamples();
    rig fused = open_with(cache, "1");
    rig dry = rig_open("tiny", (dev_options){.backend = "cuemu", .cache = cache, .dry = true});
    assert_string_equal(dry.d->class_name, fused.d->class_name);
    assert_true(dry.m->weights.used == fused.m->weights.used);
    float *pixels = decode(&fused, 0, ROWS);
    walk_decoder(dry.d, dry.m);
    assert_true(dry.d->counters.scratch_peak >= fused.d->counters.scratch_peak);
    free(pixels);
    rig_close(&dry);
    rig_close(&fused);
    cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_makes_it_one_convolution),
        cmocka_unit_test(a_dry_device_knows_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
