/* Picture files: what Pillow says they hold, and what hostile ones may not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/picture.h"

static const uint8_t white[3] = {255, 255, 255}, green[3] = {12, 200, 99};

static void assert_pixels(const char *file, const image *got, const image *want, int levels)
{
    int difference = picture_difference(got, want);
    if (difference > levels)
        print_error("%s: %dx%dx%d, expected %dx%dx%d; differs by %d, expected %d\n", file, got->w,
                    got->h, got->channels, want->w, want->h, want->channels, difference, levels);
    assert_in_range(difference, 0, levels);
}

static void check_pair(const char *file, const char *pixels, const uint8_t *background, int levels)
{
    image got = picture_golden(file), want = picture_golden(pixels);
    if (background) {
        image flat;
        assert_int_equal(image_flatten(&flat, &got, background, NULL), 0);
        image_done(&got);
        got = flat;
    }
    assert_pixels(file, &got, &want, levels);
    image_done(&got);
    image_done(&want);
}

static void test_goldens(void **state)
{
    (void)state;
    static const struct {
        const char *file, *pixels;
        const uint8_t *background;
    } rows[] = {
        {"decode/alpha.png", "decode/alpha-on-white.png", white},
        {"decode/alpha.png", "decode/alpha-on-green.png", green},
        {"decode/palette.png", "decode/palette-rgb.png", NULL},
        {"decode/palette-transparent.png", "decode/palette-transparent-on-white.png", white},
        {"decode/grey.png", "decode/grey-rgb.png", NULL},
        {"decode/grey16.png", "decode/grey-rgb.png", NULL},
        {"decode/bilevel.png", "decode/bilevel-rgb.png", NULL},
        {"decode/lossless.webp", "decode/lossless-rgb.png", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_pair(rows[i].file, rows[i].pixels, rows[i].background, 0);
    for (int i = 1; i <= 8; i++) {
        char file[64], pixels[64];
        snprintf(file, sizeof file, "decode/orientation-%d.jpg", i);
        snprintf(pixels, sizeof pixels, "decode/orientation-%d.png", i);
        check_pair(file, pixels, NULL, 3);
    }
}

static void test_formats(void **state)
{
    (void)state;
    json_t *rows = json_load_file(GOLDEN_DIR "/formats/formats.json", 0, NULL);
    assert_non_null(rows);
    assert_true(json_object_size(rows) > 30);
    const char *name;
    json_t *row;
    json_object_foreach(rows, name, row)
    {
        char file[128], pixels[128];
        snprintf(file, sizeof file, "formats/%s", name);
        snprintf(pixels, sizeof pixels, "formats/%s",
                 json_string_value(json_object_get(row, "pixels")));
        check_pair(file, pixels, NULL, (int)json_integer_value(json_object_get(row, "levels")));
    }
    json_decref(rows);
}

static void test_flatten_copies_what_has_no_alpha(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 3; channels += 2) {
        image in = picture_pattern(7, 5, channels), out;
        assert_int_equal(image_flatten(&out, &in, green, NULL), 0);
        assert_ptr_not_equal(in.px, out.px);
        assert_int_equal(picture_difference(&in, &out), 0);
        image_done(&in);
        image_done(&out);
    }
}

/* Decodes a copy of exactly `size` bytes, so that a sanitizer sees every read past the end. */
static int decode_copy(image *out, const uint8_t *bytes, size_t size, const image_limits *limits,
                       err *e)
{
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    int rc = image_decode(out, copy, size, limits, e);
    free(copy);
    return rc;
}

static void assert_refused(const uint8_t *bytes, size_t size, const image_limits *limits, int code,
                           const char *text)
{
    image out;
    err e = {0};
    int rc = decode_copy(&out, bytes, size, limits, &e);
    if (rc != code || !strstr(e.text, text))
        print_error("%zu bytes: code %d, \"%s\", expected %d and \"%s\"\n", size, rc, e.text, code,
                    text);
    assert_int_equal(rc, code);
    assert_int_equal(e.code, code);
    assert_non_null(strstr(e.text, text));
    assert_null(out.px);
}

static const char *const samples[] = {
    "formats/rgba-interlaced.png",
    "formats/palette4-interlaced.png",
    "formats/icc-alpha.png",
    "formats/orientation-6.png",
    "decode/orientation-5.jpg",
    "formats/progressive.jpg",
    "formats/cmyk.jpg",
    "formats/icc.jpg",
    "formats/lossy.webp",
    "formats/alpha-lossy.webp",
    "formats/icc.webp",
    "formats/animated.webp",
};

enum { SAMPLES = sizeof samples / sizeof *samples };

/* A file that ends too early is refused wherever it ends. */
static void test_truncated(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t size;
        uint8_t *bytes = picture_bytes(samples[i], &size);
        for (size_t cut = 0; cut < size; cut++)
            assert_refused(bytes, cut, &image_default_limits, ERR_INVALID, "");
        free(bytes);
    }
}

/* A file with one wrong byte gives a picture within the limits or a message. */
static void test_damaged(void **state)
{
    (void)state;
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    static const image_limits small = {.bytes = 1 << 16, .side = 64, .pixels = 4096, .ratio = 64};
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t size;
        uint8_t *bytes = picture_bytes(samples[i], &size);
        for (size_t at = 0; at < size; at++) {
            image out;
            err e = {0};
            bytes[at] ^= masks[at % 3];
            int rc = decode_copy(&out, bytes, size, &small, &e);
            bytes[at] ^= masks[at % 3];
            if (rc) {
                assert_int_equal(rc, e.code);
                assert_true(e.text[0] && !out.px);
            } else {
                assert_int_equal(e.code, ERR_OK);
                assert_in_range(out.w, 1, small.side);
                assert_in_range(out.h, 1, small.side);
                image_done(&out);
            }
        }
        free(bytes);
    }
}

static void put_be(uint8_t *to, unsigned value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

/* Where the marker 0xff `code` starts. */
static size_t find_marker(const uint8_t *bytes, size_t size, uint8_t code)
{
    size_t at = 0;
    while (at + 1 < size && !(bytes[at] == 0xff && bytes[at + 1] == code))
        at++;
    assert_true(at + 1 < size);
    return at;
}

static void test_giants(void **state)
{
    (void)state;
    const image_limits *limits = &image_default_limits;
    size_t size, frame;
    uint8_t *png = picture_bytes("formats/gamma.png", &size);
    put_be(png + 16, 20000, 4);
    put_be(png + 20, 20000, 4);
    assert_refused(png, size, limits, ERR_TOO_LARGE,
                   "20000 x 20000 pixels, expected at most 16384");
    put_be(png + 16, 0xffffffff, 4);
    assert_refused(png, size, limits, ERR_TOO_LARGE, "4294967295 x 20000");
    put_be(png + 16, 0, 4);
    assert_refused(png, size, limits, ERR_INVALID, "0 x 20000 pixels, expected at least 1 x 1");
    put_be(png + 16, 16000, 4);
    put_be(png + 20, 16000, 4);
    assert_refused(png, size, limits, ERR_TOO_LARGE, "expected at most 67108864 in all");
    put_be(png + 20, 240, 4);
    assert_refused(png, size, limits, ERR_TOO_LARGE, "sides of at most 64 to 1");
    free(png);

    uint8_t *jpeg = picture_bytes("formats/444.jpg", &size);
    frame = find_marker(jpeg, size, 0xc0);
    put_be(jpeg + frame + 5, 65500, 2);
    put_be(jpeg + frame + 7, 65500, 2);
    assert_refused(jpeg, size, limits, ERR_TOO_LARGE, "65500 x 65500 pixels");
    free(jpeg);

    uint8_t *webp = picture_bytes("formats/animated.webp", &size);
    memset(webp + 24, 0xff, 2); /* canvas width - 1 in three bytes, low first */
    assert_refused(webp, size, limits, ERR_TOO_LARGE, "65536 x 17 pixels");
    free(webp);
}

/* Each limit by itself, on one file of 23 x 17 pixels: just enough is accepted. */
static void test_limits(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = picture_bytes("formats/gamma.png", &size);
    const image_limits enough = {.bytes = size, .side = 23, .pixels = 23 * 17, .ratio = 23 / 17.0};
    image out;
    assert_int_equal(image_decode(&out, bytes, size, &enough, NULL), 0);
    image_done(&out);
    image_limits less = enough;
    less.bytes--;
    assert_refused(bytes, size, &less, ERR_TOO_LARGE, "bytes, expected at most");
    less = enough;
    less.side--;
    assert_refused(bytes, size, &less, ERR_TOO_LARGE, "expected at most 22 a side");
    less = enough;
    less.pixels--;
    assert_refused(bytes, size, &less, ERR_TOO_LARGE, "expected at most 390 in all");
    less = enough;
    less.ratio = 1.3;
    assert_refused(bytes, size, &less, ERR_TOO_LARGE, "sides of at most 1.3 to 1");
    free(bytes);
}

static void test_not_a_picture(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *text;
    } rows[] = {
        {"", 0, "no picture file"},
        {"GIF89a\1\0\1\0", 10, "expected PNG, JPEG or WebP"},
        {"\x89PNG\r\n\x1a", 7, "no picture file"},
        {"\x89PNG\r\n\x1a\n", 8, "has no header"},
        {"\x89PNG\r\n\x1a\n\0\0\0\rIDAT\0\0\0\1\0\0\0\1", 24, "has no header"},
        {"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x8\2\0\0\0\x90\x77\x53\xde"
         "\x7f\0\0\0eXIfMM\0*\0\0\0\x8\0\1",
         52, "ends too early"},
        {"\xff\xd8\xff", 3, "Premature end"},
        {"\xff\xd8\xff\xd9", 4, "JPEG file is damaged"},
        {"RIFF\4\0\0\0WEBP", 12, "WebP file is damaged"},
        {"RIFF\4\0\0\0WAVE", 12, "no picture file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_refused((const uint8_t *)rows[i].bytes, rows[i].size, &image_default_limits,
                       ERR_INVALID, rows[i].text);
}

/* Every scan of a progressive file costs a pass over the picture; 200 of them are an attack. */
static void test_too_many_scans(void **state)
{
    (void)state;
    enum { SCANS = 200 };
    size_t size;
    uint8_t *bytes = picture_bytes("formats/progressive.jpg", &size);
    size_t scan = size - 2; /* the last scan goes up to the end marker */
    while (!(bytes[scan] == 0xff && bytes[scan + 1] == 0xda))
        scan--;
    size_t length = size - 2 - scan;
    uint8_t *many = malloc(size + SCANS * length);
    assert_non_null(many);
    memcpy(many, bytes, size - 2);
    for (size_t i = 0; i < SCANS; i++)
        memcpy(many + size - 2 + i * length, bytes + scan, length);
    memcpy(many + size - 2 + SCANS * length, "\xff\xd9", 2);
    assert_refused(many, size + SCANS * length, &image_default_limits, ERR_TOO_LARGE,
                   "more than 100 scans");
    free(many);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_flatten_copies_what_has_no_alpha),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_giants),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_not_a_picture),
        cmocka_unit_test(test_too_many_scans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
