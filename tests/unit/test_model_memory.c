/* Loading a model when the n-th allocation fails, for every n: an error that says so, nothing kept.
 * Leaks show in the builds with AddressSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/failing.h"
#include "tests/support/fixture.h"
#include "tests/support/rig.h"
#include "worker/model/upscaler.h"

/* Loads with failures at every step-th allocation until one load meets none. */
static void fail_every(int64_t step, dev_options options)
{
    char path[1024], why[256];
    fixture_shared("tiny3", path);
    dev *d = dev_new(&options, why);
    assert_non_null(d);
    for (int64_t n = 0;; n += step) {
        assert_true(n < 1 << 20);
        err e = {0};
        failing_after(n);
        model *m = model_load(d, path, &e);
        bool met = failing_stop();
        if (m) {
            assert_false(met);
            model_free(&m);
            print_message("a load asks for memory at most %lld times\n", (long long)(n + 1));
            break;
        }
        assert_true(met);
        assert_int_not_equal(e.code, ERR_OK);
        assert_true(strlen(e.text) > 0);
        assert_int_equal(dev_mark(d), 0);
        dev_clear(d);
    }
    dev_free(&d);
}

static void every_failure_of_a_dry_load_is_an_error(void **state)
{
    (void)state;
    fail_every(1, (dev_options){.backend = "cpu", .threads = 1, .dry = true});
}

static void failures_of_a_real_load_are_errors(void **state)
{
    (void)state;
    fail_every(23, (dev_options){.backend = "cpu", .threads = 2});
    fail_every(29, (dev_options){.backend = "ref", .threads = 1});
}

/* Upscalers, from both formats of torch.save. */
static void every_failure_of_an_upscaler_is_an_error(void **state)
{
    (void)state;
    static const char *const files[] = {GOLDEN_DIR "/upscalers/rrdb-x4.pth",
                                        GOLDEN_DIR "/upscalers/srvgg-x2-legacy.pth"};
    char why[256];
    dev_options options = {.backend = "cpu", .threads = 1};
    dev *d = dev_new(&options, why);
    assert_non_null(d);
    for (int i = 0; i < 2; i++)
        for (int64_t n = 0;; n++) {
            assert_true(n < 1 << 16);
            err e = {0};
            failing_after(n);
            upscaler *u = upscaler_load(d, files[i], &e);
            bool met = failing_stop();
            assert_int_equal(met, !u);
            if (u) {
                upscaler_free(&u);
                break;
            }
            assert_true(e.code != ERR_OK && strlen(e.text) > 0);
            dev_clear(d);
        }
    dev_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_of_a_dry_load_is_an_error),
        cmocka_unit_test(failures_of_a_real_load_are_errors),
        cmocka_unit_test(every_failure_of_an_upscaler_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
