/* Loading a model when the n-th allocation fails, for every n: an error that says so, nothing kept.
 * The linker sends our code's allocations through this file (see tests/CMakeLists.txt); leaks show
 * in the builds with AddressSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/rig.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset);

static int64_t left = INT64_MAX; /* allocations that still succeed; the one after them fails */

static bool fails(void)
{
    return left-- == 0;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return fails() ? NULL : __real_realloc(old, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, bytes, protection, flags, file, offset);
}

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
        left = n;
        model *m = model_load(d, path, &e);
        bool met = left < 0;
        left = INT64_MAX;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_of_a_dry_load_is_an_error),
        cmocka_unit_test(failures_of_a_real_load_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
