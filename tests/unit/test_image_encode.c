/* Writing pictures: what comes back, what the files say, and that nothing is left to chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/infotext.h"
#include "tests/support/picture.h"

static const struct {
    const char *name;
    picture_format format;
    int quality, channels;
    double mean; /* what a sample may be off by on average; 0: equal. Colours at half size suffer:
                  the pattern is full of edges */
} kinds[] = {
    {"PNG", FORMAT_PNG, 90, 3, 0},
    {"grey PNG", FORMAT_PNG, 90, 1, 0},
    {"PNG with alpha", FORMAT_PNG, 90, 4, 0},
    {"JPEG", FORMAT_JPEG, 95, 3, 20},
    {"grey JPEG", FORMAT_JPEG, 95, 1, 3},
    {"WebP", FORMAT_WEBP, 95, 3, 20},
    {"grey WebP", FORMAT_WEBP, 95, 1, 6},
    {"WebP with alpha", FORMAT_WEBP, 95, 4, 20},
    {"lossless WebP", FORMAT_WEBP, 101, 3, 0},
    {"lossless WebP with alpha", FORMAT_WEBP, 101, 4, 0},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* What a decoder gives for a picture: grey comes back as RGB. */
static image as_decoded(const image *in)
{
    image out;
    int channels = in->channels == 1 ? 3 : in->channels;
    assert_int_equal(image_new(&out, in->w, in->h, channels, NULL), 0);
    for (int i = 0; i < in->w * in->h * channels; i++)
        out.px[i] = in->px[in->channels == 1 ? i / 3 : i];
    return out;
}

static double mean_difference(const image *a, const image *b)
{
    double sum = 0;
    int n = a->w * a->h * a->channels;
    for (int i = 0; i < n; i++)
        sum += abs(a->px[i] - b->px[i]);
    return sum / n;
}

static void check_round_trip(size_t kind, int w, int h)
{
    image in = picture_pattern(w, h, kinds[kind].channels), want = as_decoded(&in), got;
    uint8_t *bytes;
    size_t size;
    err e = {0};
    assert_int_equal(image_encode(&bytes, &size, &in, kinds[kind].format, kinds[kind].quality,
                                  "a cat\nSteps: 4, Seed: 1, Size: 8x8", &e),
                     0);
    assert_int_equal(image_decode(&got, bytes, size, &image_default_limits, &e), 0);
    assert_int_equal(got.w, w);
    assert_int_equal(got.h, h);
    assert_int_equal(got.channels, want.channels);
    double off = mean_difference(&got, &want);
    if (off > kinds[kind].mean)
        print_error("%s %dx%d: off by %g, expected %g\n", kinds[kind].name, w, h, off,
                    kinds[kind].mean);
    assert_true(off <= kinds[kind].mean);
    free(bytes);
    image_done(&in);
    image_done(&want);
    image_done(&got);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        check_round_trip(kind, 1, 1);
        check_round_trip(kind, 17, 33);
        check_round_trip(kind, 130, 70);
    }
}

static void test_same_bytes(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        image in = picture_pattern(61, 43, kinds[kind].channels);
        uint8_t *bytes[2];
        size_t size[2];
        for (int i = 0; i < 2; i++)
            assert_int_equal(image_encode(&bytes[i], &size[i], &in, kinds[kind].format,
                                          kinds[kind].quality, "text", NULL),
                             0);
        assert_int_equal(size[0], size[1]);
        assert_memory_equal(bytes[0], bytes[1], size[0]);
        free(bytes[0]);
        free(bytes[1]);
        image_done(&in);
    }
}

static void test_quality_counts(void **state)
{
    (void)state;
    image in = picture_pattern(128, 128, 3);
    for (picture_format f = FORMAT_JPEG; f <= FORMAT_WEBP; f++) {
        uint8_t *bytes;
        size_t low, high;
        assert_int_equal(image_encode(&bytes, &low, &in, f, 20, NULL, NULL), 0);
        free(bytes);
        assert_int_equal(image_encode(&bytes, &high, &in, f, 95, NULL, NULL), 0);
        free(bytes);
        assert_true(low < high);
    }
    image_done(&in);
}

static bool contains(const uint8_t *bytes, size_t size, const char *text)
{
    return memmem(bytes, size, text, strlen(text)) != NULL;
}

/* The parameters come back from every format, whatever script they are in. */
static void test_parameters(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Seed: 1",
        "caf\xc3\xa9 \xc3\xbc",                      /* Latin-1 can hold it */
        "\xe7\x8c\xab, \xf0\x9f\x90\x88\nSteps: 20", /* a cat in Chinese and as a picture */
    };
    image in = picture_pattern(19, 13, 3);
    for (size_t kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; kinds[kind].channels == 3 && i < sizeof texts / sizeof *texts; i++) {
            uint8_t *bytes;
            size_t size;
            char *text;
            err e = {0};
            assert_int_equal(image_encode(&bytes, &size, &in, kinds[kind].format,
                                          kinds[kind].quality, texts[i], &e),
                             0);
            assert_int_equal(metadata_parameters(&text, bytes, size, &e), 0);
            assert_string_equal(text, texts[i]);
            if (kinds[kind].format == FORMAT_PNG) {
                assert_int_equal(contains(bytes, size, "tEXtparameters"), i < 2);
                assert_int_equal(contains(bytes, size, "iTXtparameters"), i == 2);
            }
            free(text);
            free(bytes);
        }
    image_done(&in);
}

static void test_no_parameters(void **state)
{
    (void)state;
    image in = picture_pattern(19, 13, 3);
    for (picture_format f = 0; f < FORMAT_COUNT; f++) {
        uint8_t *bytes;
        size_t size;
        char *text;
        assert_int_equal(image_encode(&bytes, &size, &in, f, 90, NULL, NULL), 0);
        assert_int_equal(metadata_parameters(&text, bytes, size, NULL), ERR_NOT_FOUND);
        free(bytes);
    }
    image_done(&in);
}

static void assert_refused(const image *in, picture_format format, int quality,
                           const char *parameters, int code, const char *text)
{
    uint8_t *bytes;
    size_t size;
    err e = {0};
    assert_int_equal(image_encode(&bytes, &size, in, format, quality, parameters, &e), code);
    if (!strstr(e.text, text))
        print_error("\"%s\", expected \"%s\"\n", e.text, text);
    assert_non_null(strstr(e.text, text));
    assert_null(bytes);
    assert_int_equal(size, 0);
}

static void test_refused(void **state)
{
    (void)state;
    image alpha = picture_pattern(8, 8, 4), wide = picture_pattern(70000, 1, 3);
    assert_refused(&alpha, FORMAT_JPEG, 90, NULL, ERR_INVALID, "alpha channel, which JPEG cannot");
    assert_refused(&alpha, FORMAT_COUNT, 90, NULL, ERR_INVALID, "picture format is 3");
    assert_refused(&alpha, FORMAT_PNG, 90, "\xff", ERR_INVALID, "not UTF-8");
    assert_refused(&alpha, FORMAT_WEBP, 102, NULL, ERR_INVALID, "quality is 102, expected 1 to");
    assert_refused(&wide, FORMAT_JPEG, 90, NULL, ERR_TOO_LARGE, "at most 65500 a side in a JPEG");
    assert_refused(&wide, FORMAT_WEBP, 90, NULL, ERR_TOO_LARGE, "at most 16383 a side in a WebP");
    image_done(&alpha);
    image_done(&wide);
}

/* A JPEG holds what one marker holds; a longer text is refused, never cut. */
static void test_long_text(void **state)
{
    (void)state;
    enum { LONG = 40000 };
    image in = picture_pattern(8, 8, 3);
    char *text = calloc(LONG + 1, 1);
    assert_non_null(text);
    memset(text, 'x', LONG);
    assert_refused(&in, FORMAT_JPEG, 90, text, ERR_TOO_LARGE, "expected at most 65527 in a JPEG");
    for (picture_format f = 0; f < FORMAT_COUNT; f++) {
        uint8_t *bytes;
        size_t size;
        char *back;
        text[f == FORMAT_JPEG ? 32000 : LONG] = 0;
        assert_int_equal(image_encode(&bytes, &size, &in, f, 90, text, NULL), 0);
        assert_int_equal(metadata_parameters(&back, bytes, size, NULL), 0);
        assert_string_equal(back, text);
        text[f == FORMAT_JPEG ? 32000 : LONG - 1] = 'x';
        free(back);
        free(bytes);
    }
    free(text);
    image_done(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_quality_counts), cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_no_parameters),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
