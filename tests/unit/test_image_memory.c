/* Running out of memory while a picture is decoded, fitted, composed and encoded: the 1st, 2nd, …
 * allocation fails, also inside the picture libraries, until one run needs no more. Each failure
 * must end in ERR_NO_MEMORY (or in a message of the library that something could not be had), and
 * in no crash.
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
#include "worker/image/compose.h"
#include "worker/image/mask.h"
#include "worker/image/match.h"
#include "worker/image/outpaint.h"
#include "worker/image/tiles.h"

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

/* One thing that is tried with the 1st, 2nd, … allocation failing. */
typedef struct {
    const char *name;
    int (*run)(const void *input, err *e);
    const void *input;
    long failures; /* reported at least */
} attempt;

/* With no failure left to meet, the run succeeds: that ends the loop. */
static void check(const attempt *a)
{
    err warm = {0};
    assert_int_equal(a->run(a->input, &warm), 0); /* what libraries keep for good */
    long failures = 0;
    for (long n = 1; n < 100000; n++) {
        err e = {0};
        long before = blocks;
        countdown = n;
        int rc = a->run(a->input, &e);
        bool met = countdown == 0;
        countdown = 0;
        assert_int_equal(blocks, before);
        assert_int_equal(rc, e.code);
        if (!met)
            break;
        failures += rc != 0;
    }
    if (failures < a->failures)
        print_error("%s: only %ld failures reported\n", a->name, failures);
    assert_true(failures >= a->failures);
}

typedef struct {
    uint8_t *bytes;
    size_t size;
    picture_format to;
} file;

static int run_file(const void *input, err *e)
{
    const file *f = input;
    return whole_path(f->bytes, f->size, f->to, e);
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
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        file f = {.to = rows[i].to};
        f.bytes = picture_bytes(rows[i].name, &f.size);
        check(&(attempt){rows[i].name, run_file, &f, 10});
        free(f.bytes);
    }
}

/* The picture arithmetic: small pictures, made before anything fails. */
typedef struct {
    image rgb, alpha, mask;
} pictures;

static int run_sources(const void *input, err *e)
{
    const pictures *p = input;
    image mask = {0}, sketch = {0}, picture = {0};
    int rc = mask_from_picture(&mask, &p->alpha, true, e);
    image_done(&mask);
    if (!rc)
        rc = mask_from_transparency(&mask, &p->alpha, e);
    if (!rc)
        rc = mask_from_sketch(&sketch, &picture, &p->rgb, &p->rgb, 0.5, 3, e);
    image_done(&mask);
    image_done(&sketch);
    image_done(&picture);
    return rc;
}

static int run_mask(const void *input, err *e)
{
    const pictures *p = input;
    image mask = {0}, fitted = {0}, overlay = {0}, latent = {0};
    int rc = mask_from_picture(&mask, &p->mask, true, e);
    if (!rc)
        rc = mask_blur(&mask, 4, 3, e);
    if (!rc)
        rc = mask_fit(&fitted, &mask, RESIZE_FILL, 40, 40, e);
    if (!rc)
        rc = mask_overlay(&overlay, &fitted, e);
    if (!rc)
        rc = mask_latent(&latent, &fitted, 5, 5, true, e);
    image *all[] = {&mask, &fitted, &overlay, &latent};
    for (size_t i = 0; i < 4; i++)
        image_done(all[i]);
    return rc;
}

static int run_compose(const void *input, err *e)
{
    const pictures *p = input;
    image filled = {0}, pasted = {0}, cut = {0}, small = {0};
    image_box all = {0, 0, p->rgb.w, p->rgb.h}, part = {3, 2, 20, 20};
    int rc = image_crop(&filled, &p->rgb, all, e);
    if (!rc)
        rc = image_fill_masked(&filled, &p->mask, e);
    if (!rc)
        rc = image_match_colours(&filled, &p->rgb, e);
    if (!rc)
        rc = image_paste_back(&pasted, &p->rgb, &p->mask, &filled, part, e);
    if (!rc)
        rc = image_cut_out(&cut, &p->mask, &filled, part, e);
    if (!rc)
        rc = image_resample(&small, &cut, FILTER_NEAREST, 7, 9, e);
    image *made[] = {&filled, &pasted, &cut, &small};
    for (size_t i = 0; i < 4; i++)
        image_done(made[i]);
    return rc;
}

static int run_outpaint(const void *input, err *e)
{
    const pictures *p = input;
    image canvas = {0}, mask = {0}, combined = {0};
    int rc = image_crop(&canvas, &p->rgb, (image_box){-8, 0, p->rgb.w + 8, p->rgb.h}, e);
    if (!rc)
        rc = outpaint_mask(&mask, canvas.w, canvas.h, (image_box){8, 0, p->rgb.w, p->rgb.h}, e);
    if (!rc)
        rc = outpaint_fill(&canvas, &mask, 1.5, 0.1, e);
    tile_grid g = {.w = 60, .h = 30, .tile_w = p->rgb.w, .tile_h = p->rgb.h, .overlap = 20};
    image tiles[] = {p->rgb, p->rgb, p->rgb};
    if (!rc)
        rc = tile_grid_init(&g, e);
    assert_true(rc || tile_count(&g) <= 3);
    if (!rc)
        rc = tiles_combine(&combined, &g, tiles, 1, e);
    image_done(&canvas);
    image_done(&mask);
    image_done(&combined);
    return rc;
}

static void test_arithmetic(void **state)
{
    (void)state;
    if (!CAN_FAIL)
        skip();
    pictures p = {picture_pattern(40, 30, 3), picture_pattern(40, 30, 4), {0}};
    assert_int_equal(outpaint_mask(&p.mask, 40, 30, (image_box){0, 0, 25, 15}, NULL), 0);
    const attempt rows[] = {
        {"sources", run_sources, &p, 11},
        {"mask", run_mask, &p, 20},
        {"compose", run_compose, &p, 40},
        {"outpaint", run_outpaint, &p, 30},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(&rows[i]);
    image_done(&p.rgb);
    image_done(&p.alpha);
    image_done(&p.mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation),
                                       cmocka_unit_test(test_arithmetic)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
