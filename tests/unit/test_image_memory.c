/* Running out of memory while a picture is decoded, fitted and encoded: the 1st, 2nd, … allocation
 * fails, also inside the picture libraries, until one run needs no more. Each failure must end in
 * ERR_NO_MEMORY (or in a message of the library that something could not be had), and in no crash.
 *
 * Files with a colour profile are left out: lcms 2.14 itself crashes when it gets no memory for a
 * lock, and so does libwebp 1.2.4 inside its lossless decoder.
 *
 * This program replaces malloc, so it cannot run under a sanitizer, which does the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/picture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CAN_FAIL = 0 };
static long countdown, blocks;
#else
enum { CAN_FAIL = 1 };

static long countdown; /* the allocation that fails, counted from here; 0: none does */
static long blocks;    /* allocated and not freed */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *block);

static bool refused(void)
{
    return countdown > 0 && --countdown == 0;
}

static void *counted(void *block)
{
    blocks += block != NULL;
    return block;
}

void *malloc(size_t size)
{
    return refused() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return refused() ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
    if (!old)
        return malloc(size);
    return refused() ? NULL : __libc_realloc(old, size);
}

void free(void *block)
{
    blocks -= block != NULL;
    __libc_free(block);
}
#endif

static int whole_path(const uint8_t *bytes, size_t size, picture_format format, err *e)
{
    image in = {0}, flat = {0}, fitted = {0};
    uint8_t *file = NULL;
    size_t file_size;
    static const uint8_t white[3] = {255, 255, 255};
    int rc = image_decode(&in, bytes, size, &image_default_limits, e);
    if (!rc)
        rc = image_flatten(&flat, &in, white, e);
    if (!rc)
        rc = image_fit(&fitted, &flat, RESIZE_FILL, 40, 16, e);
    if (!rc)
        rc = image_encode(&file, &file_size, &fitted, format, 90, "\xe7\x8c\xab Steps: 1", e);
    free(file);
    image_done(&in);
    image_done(&flat);
    image_done(&fitted);
    return rc;
}

/* With no failure left to meet, the run succeeds: that ends the loop. */
static void check(const char *name, picture_format format)
{
    size_t size;
    uint8_t *bytes = picture_bytes(name, &size);
    err warm = {0};
    assert_int_equal(whole_path(bytes, size, format, &warm), 0); /* what libraries keep for good */
    long failures = 0;
    for (long n = 1; n < 100000; n++) {
        err e = {0};
        long before = blocks;
        countdown = n;
        int rc = whole_path(bytes, size, format, &e);
        bool met = countdown == 0;
        countdown = 0;
        assert_int_equal(blocks, before);
        assert_int_equal(rc, e.code);
        if (!met)
            break;
        failures += rc != 0;
    }
    if (failures < 10)
        print_error("%s: only %ld failures reported\n", name, failures);
    assert_true(failures >= 10);
    free(bytes);
}

static void test_every_allocation(void **state)
{
    (void)state;
    if (!CAN_FAIL)
        skip();
    static const struct {
        const char *name;
        picture_format to;
    } rows[] = {
        {"formats/palette4-interlaced.png", FORMAT_PNG},
        {"formats/rgba16-interlaced.png", FORMAT_JPEG},
        {"formats/progressive.jpg", FORMAT_PNG},
        {"decode/orientation-5.jpg", FORMAT_JPEG},
        {"formats/cmyk.jpg", FORMAT_JPEG},
        {"formats/444.jpg", FORMAT_WEBP},
        {"formats/lossy.webp", FORMAT_WEBP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(rows[i].name, rows[i].to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
