/* EXIF blocks, text encodings, and the parameters text in PNG, JPEG and WebP files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "proto/exif.h"
#include "proto/infotext.h"
#include "proto/recode.h"
#include "tests/support/picture.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---- A file under construction ---- */

typedef struct {
    uint8_t bytes[8192];
    size_t size;
} file;

static void put(file *f, const void *bytes, size_t size)
{
    assert_true(size <= sizeof f->bytes - f->size);
    if (size)
        memcpy(f->bytes + f->size, bytes, size);
    f->size += size;
}

static void put_number(file *f, size_t value, int bytes, bool big_endian)
{
    for (int i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * (big_endian ? bytes - 1 - i : i));
        put(f, &byte, 1);
    }
}

static void png_start(file *f)
{
    f->size = 0;
    put(f, "\x89PNG\r\n\x1a\n", 8);
}

static void png_chunk(file *f, const char *name, const void *bytes, size_t size)
{
    put_number(f, size, 4, true);
    put(f, name, 4);
    put(f, bytes, size);
    put_number(f, 0, 4, true); /* nobody checks the sum */
}

static void png_file(file *f, const char *name, const void *bytes, size_t size)
{
    png_start(f);
    png_chunk(f, "IHDR", "0123456789abc", 13);
    png_chunk(f, name, bytes, size);
    png_chunk(f, "IEND", "", 0);
}

static void jpeg_file(file *f, const uint8_t *block, size_t size)
{
    f->size = 0;
    put(f, "\xFF\xD8\xFF\xE0\0\4ab\xFF\xFF\xFF\x01\xFF\xE1", 14); /* APP0, fill, a lone marker */
    put_number(f, size + 8, 2, true);
    put(f, exif_prefix, EXIF_PREFIX_BYTES);
    put(f, block, size);
    put(f, "\xFF\xDA\0\2", 4);
}

static void webp_file(file *f, const uint8_t *block, size_t size)
{
    f->size = 0;
    put(f,
        "RIFF\0\0\0\0WEBPVP8X\3\0\0\0abc\0"
        "EXIF",
        28);
    put_number(f, size, 4, false);
    put(f, block, size);
}

/* ---- Looking into it: an exact copy, so that a sanitizer sees every byte too many ---- */

static int look(const file *f, size_t size, char **text, err *e)
{
    uint8_t *copy = malloc(size + !size);
    memcpy(copy, f->bytes, size);
    *text = NULL;
    int status = metadata_parameters(text, copy, size, e);
    free(copy);
    return status;
}

static void finds(const file *f, const char *want)
{
    char *text;
    err e = {0};
    if (look(f, f->size, &text, &e))
        fail_msg("%s", e.text);
    assert_string_equal(text, want);
    free(text);
}

static void fails(const file *f, err_code code, const char *says)
{
    char *text;
    err e = {0};
    assert_int_equal(look(f, f->size, &text, &e), code);
    assert_int_equal(e.code, code);
    if (!strstr(e.text, says))
        fail_msg("'%s' does not say '%s'", e.text, says);
    assert_null(text);
}

/* Every shorter file gives the text, or says that there is none, or that it is damaged. */
static void survives_truncation(const file *f, const char *want)
{
    size_t found = 0;
    for (size_t n = 0; n <= f->size; n++) {
        char *text;
        err e = {0};
        int status = look(f, n, &text, &e);
        if (status == 0)
            assert_string_equal(text, want);
        else
            assert_true(e.code == status && *e.text);
        found += status == 0;
        free(text);
    }
    assert_true(found >= 1 && found < f->size);
}

static size_t pack(uint8_t *to, size_t room, const void *bytes, size_t size)
{
    uLongf packed = room;
    assert_int_equal(compress2(to, &packed, bytes, size, 9), Z_OK);
    return packed;
}

/* "parameters\0", then `header`, then `text`, compressed or not. */
static file text_chunk(const char *header, size_t header_size, const char *text, bool zipped)
{
    file f = {.size = 0};
    put(&f, "parameters", 11);
    put(&f, header, header_size);
    uint8_t packed[1024];
    if (zipped)
        put(&f, packed, pack(packed, sizeof packed, text, strlen(text)));
    else
        put(&f, text, strlen(text));
    return f;
}

static void png_texts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *header;
        size_t header_size;
        bool zipped;
        const char *text, *want;
    } rows[] = {
        {"tEXt", "", 0, false, "caf\xe9\nSteps: 1", "caf\u00e9\nSteps: 1"},
        {"zTXt", "\0", 1, true, "caf\xe9", "caf\u00e9"},
        {"iTXt", "\0\0\0\0", 4, false, "\U0001f98a", "\U0001f98a"},
        {"iTXt", "\0\7de\0Parameter\0", 15, false, "\u00fc", "\u00fc"},
        {"iTXt", "\1\0\0\0", 4, true, "\u00fc", "\u00fc"},
        {"tEXt", "", 0, false, "", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        file f, c = text_chunk(rows[i].header, rows[i].header_size, rows[i].text, rows[i].zipped);
        png_file(&f, rows[i].name, c.bytes, c.size);
        finds(&f, rows[i].want);
        survives_truncation(&f, rows[i].want);
    }
}

static void damaged_png_texts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t size;
        err_code code;
        const char *says;
    } rows[] = {
        {"tEXt", "parameters", 10, ERR_NOT_FOUND, "no parameters"},
        {"tEXt", "", 0, ERR_NOT_FOUND, "no parameters"},
        {"tEXt", "parameter\0text", 14, ERR_NOT_FOUND, "no parameters"},
        {"tEXt", "Parameters\0text", 15, ERR_NOT_FOUND, "no parameters"},
        {"teXt", "parameters\0text", 15, ERR_NOT_FOUND, "no parameters"},
        {"zTXt", "parameters\0", 11, ERR_INVALID, "chunk"},
        {"zTXt", "parameters\0\1", 12, ERR_INVALID, "chunk"},
        {"zTXt", "parameters\0\0", 12, ERR_INVALID, "compressed"},
        {"zTXt", "parameters\0\0abc", 15, ERR_INVALID, "compressed"},
        {"iTXt", "parameters\0", 11, ERR_INVALID, "chunk"},
        {"iTXt", "parameters\0\0", 12, ERR_INVALID, "chunk"},
        {"iTXt", "parameters\0\0\0", 13, ERR_INVALID, "chunk"},
        {"iTXt", "parameters\0\0\0de\0", 16, ERR_INVALID, "chunk"},
        {"iTXt", "parameters\0\1\1\0\0abc", 18, ERR_INVALID, "chunk"},
        {"iTXt", "parameters\0\1\0\0\0abc", 18, ERR_INVALID, "compressed"},
        {"iTXt", "parameters\0\0\0\0\0\xff", 16, ERR_INVALID, "UTF-8"},
        {"iTXt", "parameters\0\0\0\0\0a\xc3", 17, ERR_INVALID, "byte 1"},
        {"eXIf", "MM\0*", 4, ERR_NOT_FOUND, "no parameters"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        file f;
        png_file(&f, rows[i].name, rows[i].bytes, rows[i].size);
        fails(&f, rows[i].code, rows[i].says);
    }
}

static void bombs(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        bool fits;
    } rows[] = {{1 << 20, true}, {(1 << 20) + 1, false}, {5 << 20, false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t *zeros = malloc(rows[i].size);
        memset(zeros, 'a', rows[i].size);
        uint8_t chunk[8000] = "parameters";
        size_t size = 12 + pack(chunk + 12, sizeof chunk - 12, zeros, rows[i].size);
        file f;
        png_file(&f, "zTXt", chunk, size);
        char *text;
        err e = {0};
        assert_int_equal(look(&f, f.size, &text, &e), rows[i].fits ? 0 : ERR_TOO_LARGE);
        assert_true(!rows[i].fits || strlen(text) == rows[i].size);
        free(text);
        free(zeros);
    }
}

static void hostile_files(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        err_code code;
    } rows[] = {
        {"", 0, ERR_INVALID},
        {"\x89PNG\r\n\x1a", 7, ERR_INVALID},
        {"GIF89a......", 12, ERR_INVALID},
        {"RIFF\0\0\0\0WAVE", 12, ERR_INVALID},
        {"\xFF\xD8", 2, ERR_INVALID},
        {"\x89PNG\r\n\x1a\n", 8, ERR_NOT_FOUND},
        {"\x89PNG\r\n\x1a\n\xFF\xFF\xFF\xFFtEXtparameters\0abcd", 31, ERR_NOT_FOUND},
        {"\x89PNG\r\n\x1a\n\0\0\0\0IEND\0\0\0\0\0\0\0\x0ctEXtparameters\0abcde", 44, ERR_NOT_FOUND},
        {"RIFF\0\0\0\0WEBP", 12, ERR_NOT_FOUND},
        {"RIFF\0\0\0\0WEBPEXIF\xFF\xFF\xFF\xFFMM\0*", 24, ERR_NOT_FOUND},
        {"RIFF\0\0\0\0WEBPEXIF\1\0\0\0M", 21, ERR_NOT_FOUND},
        {"\xFF\xD8\xFF", 3, ERR_NOT_FOUND},
        {"\xFF\xD8\xFF\xFF\xFF\xFF", 6, ERR_NOT_FOUND},
        {"\xFF\xD8\xFF\xE1", 4, ERR_NOT_FOUND},
        {"\xFF\xD8\xFF\xE1\0", 5, ERR_NOT_FOUND},
        {"\xFF\xD8\xFF\xE1\0\0", 6, ERR_NOT_FOUND},
        {"\xFF\xD8\xFF\xE1\0\1Exif", 10, ERR_NOT_FOUND},
        {"\xFF\xD8\xFF\xE1\0\2abcd", 10, ERR_NOT_FOUND},
        {"\xFF\xD8\xFF\xE1\xFF\xFF"
         "Exif\0\0",
         12, ERR_NOT_FOUND},
        {"\xFF\xD8\xFF\xD9\xFF\xE1\0\x08"
         "Exif\0\0",
         14, ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        file f = {.size = 0};
        put(&f, rows[i].bytes, rows[i].size);
        fails(&f, rows[i].code, "");
    }
}

/* ---- EXIF ---- */

/* Orientation and a comment, in either byte order. The comment: its code and its bytes. */
static file exif_block(bool big_endian, size_t orientation, const char *comment, size_t size)
{
    file f = {.size = 0};
    put(&f, big_endian ? "MM" : "II", 2);
    put_number(&f, 42, 2, big_endian);
    put_number(&f, 8, 4, big_endian);
    const struct {
        size_t value;
        int bytes;
    } fields[] = {
        {2, 2}, /* two entries */
        {0x0112, 2}, {3, 2}, {1, 4},    {orientation, 2}, {0, 2},
        {0x8769, 2}, {4, 2}, {1, 4},    {38, 4}, /* the EXIF directory */
        {0, 4},      {1, 2},                     /* one entry */
        {0x9286, 2}, {7, 2}, {size, 4}, {56, 4},          {0, 4},
    };
    for (size_t i = 0; i < COUNT(fields); i++)
        put_number(&f, fields[i].value, fields[i].bytes, big_endian);
    put(&f, comment, size);
    return f;
}

static void exif_comments(void **state)
{
    (void)state;
    static const struct {
        const char *comment;
        size_t size;
        const char *want; /* NULL: none */
    } rows[] = {
        {"UNICODE\0\0a\0\xfc", 12, "a\u00fc"},
        {"UNICODE\0\xfe\xff\x72\xd0", 12, "\u72d0"},
        {"UNICODE\0\xff\xfe\xd0\x72", 12, "\u72d0"},
        {"UNICODE\0\0a\xd8\x3e\xdd\x8a", 14, "a\U0001f98a"},
        {"UNICODE\0\0a\xd8\x3e\0b", 14, "a\ufffdb"},
        {"UNICODE\0\0a\xdd\x8a\0b", 14, "a\ufffdb"},
        {"UNICODE\0\0a\xd8\x3e", 12, "a\ufffd"},
        {"UNICODE\0\0a\0", 11, "a\ufffd"},
        {"UNICODE\0\0a\0\0\0b", 14, "a"},
        {"UNICODE\0", 8, ""},
        {"ASCII\0\0\0plain", 13, "plain"},
        {"ASCII\0\0\0a\0b", 11, "a"},
        {"ASCII\0\0\0\xc3\xbc", 10, "\u00fc"},
        {"ASCII\0\0\0\xfc", 9, "\u00fc"},
        {"\0\0\0\0\0\0\0\0text", 12, "text"},
        {"JIS\0\0\0\0\0text", 12, NULL},
        {"text", 4, NULL},
        {"UNICODE", 7, NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int big_endian = 0; big_endian < 2; big_endian++) {
            file f = exif_block(big_endian, 6, rows[i].comment, rows[i].size);
            char *text = NULL;
            err e = {0};
            int status = exif_user_comment(&text, f.bytes, f.size, &e);
            assert_int_equal(status, rows[i].want ? 0 : ERR_NOT_FOUND);
            if (rows[i].want)
                assert_string_equal(text, rows[i].want);
            free(text);
            assert_int_equal(exif_orientation(f.bytes, f.size), 6);
        }
    /* Without a mark the block's own order decides, unless the text speaks against low byte first.
     */
    file big = exif_block(true, 1, "UNICODE\0\x72\xd0", 10);
    file little = exif_block(false, 1, "UNICODE\0\xd0\x72", 10);
    file even = exif_block(true, 1, "UNICODE\0\x4e\0", 10); /* looks like the other order */
    file narrow = exif_block(false, 1, "UNICODE\0N\0\x4e\0", 12);
    char *text = NULL;
    assert_int_equal(exif_user_comment(&text, big.bytes, big.size, NULL), 0);
    assert_string_equal(text, "\u72d0");
    free(text);
    assert_int_equal(exif_user_comment(&text, little.bytes, little.size, NULL), 0);
    assert_string_equal(text, "\u72d0");
    free(text);
    assert_int_equal(exif_user_comment(&text, even.bytes, even.size, NULL), 0);
    assert_string_equal(text, "\u4e00");
    free(text);
    assert_int_equal(exif_user_comment(&text, narrow.bytes, narrow.size, NULL), 0);
    assert_string_equal(text, "NN");
    free(text);
}

static void exif_orientations(void **state)
{
    (void)state;
    for (int big_endian = 0; big_endian < 2; big_endian++)
        for (size_t o = 0; o < 12; o++) {
            file f = exif_block(big_endian, o, "", 0);
            int want = o >= 1 && o <= 8 ? (int)o : 1;
            assert_int_equal(exif_orientation(f.bytes, f.size), want);
        }
}

/* Every byte of a block set to every hostile value, and every length: no read outside. */
static void hostile_exif(void **state)
{
    (void)state;
    static const uint8_t values[] = {0, 1, 0x7F, 0x80, 0xFF};
    file f = exif_block(true, 3, "UNICODE\0\0a\0b", 12);
    for (size_t n = 0; n <= f.size; n++) {
        uint8_t *copy = malloc(n + !n);
        for (size_t at = 0; at < n; at++)
            for (size_t v = 0; v < COUNT(values); v++) {
                memcpy(copy, f.bytes, n);
                copy[at] = values[v];
                int orientation = exif_orientation(copy, n);
                assert_in_range(orientation, 1, 8);
                char *text = NULL;
                int status = exif_user_comment(&text, copy, n, NULL);
                assert_true(status == ERR_NOT_FOUND || (status == 0 && text));
                free(text);
            }
        free(copy);
    }
}

static void exif_files(void **state)
{
    (void)state;
    static const char want[] = "a caf\u00e9 \U0001f98a\nSteps: 1";
    uint8_t *block = NULL;
    size_t size;
    err e = {0};
    assert_int_equal(exif_write_user_comment(&block, &size, want, &e), 0);
    file f;
    png_file(&f, "eXIf", block, size);
    finds(&f, want);
    survives_truncation(&f, want);
    jpeg_file(&f, block, size);
    finds(&f, want);
    survives_truncation(&f, want);
    webp_file(&f, block, size);
    finds(&f, want);
    survives_truncation(&f, want);
    /* The comment goes before a text chunk, wherever it stands; of texts the first counts. */
    for (int comment_first = 0; comment_first < 2; comment_first++) {
        png_start(&f);
        if (comment_first)
            png_chunk(&f, "eXIf", block, size);
        png_chunk(&f, "tEXt", "parameters\0one", 14);
        png_chunk(&f, "tEXt", "parameters\0two", 14);
        if (!comment_first)
            png_chunk(&f, "eXIf", block, size);
        finds(&f, want);
    }
    png_start(&f);
    png_chunk(&f, "tEXt", "parameters\0one", 14);
    png_chunk(&f, "tEXt", "parameters\0two", 14);
    finds(&f, "one");
    free(block);
    assert_int_equal(exif_write_user_comment(&block, &size, "a\xff", &e), ERR_INVALID);
}

/* Files of other programs, whose EXIF holds an orientation but no comment. */
static void golden_files(void **state)
{
    (void)state;
    static const char *const names[] = {"decode/orientation-6.jpg", "decode/lossless.webp",
                                        "decode/alpha.png"};
    for (size_t i = 0; i < COUNT(names); i++) {
        size_t size;
        uint8_t *bytes = picture_bytes(names[i], &size);
        char *text = NULL;
        assert_int_equal(metadata_parameters(&text, bytes, size, NULL), ERR_NOT_FOUND);
        free(bytes);
    }
}

static void encodings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *latin1;
        size_t size;
    } rows[] = {{"", "", 0},
                {"abc", "abc", 3},
                {"\u00fc\u00ff", "\xfc\xff", 2},
                {"\xc2\x80", "\x80", 1},
                {"\u0100", NULL, 0},
                {"\xff", NULL, 0}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *bytes = NULL, *back = NULL;
        size_t size = 0;
        int status = recode_to_latin1(&bytes, &size, rows[i].text, NULL);
        assert_int_equal(status, rows[i].latin1 ? 0 : ERR_INVALID);
        if (status)
            continue;
        assert_int_equal(size, rows[i].size);
        assert_memory_equal(bytes, rows[i].latin1, size + 1);
        assert_int_equal(recode_latin1(&back, (uint8_t *)bytes, size, NULL), 0);
        assert_string_equal(back, rows[i].text);
        free(bytes);
        free(back);
    }
    static const char *const texts[] = {"",           "a",          "\uffff",
                                        "\U00010000", "\U0010ffff", "a\U0001f98ab"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        uint8_t *wide = NULL;
        char *back = NULL;
        size_t size;
        assert_int_equal(recode_to_utf16be(&wide, &size, texts[i], NULL), 0);
        assert_int_equal(recode_utf16(&back, wide, size, true, NULL), 0);
        assert_string_equal(back, texts[i]);
        free(wide);
        free(back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_texts),     cmocka_unit_test(damaged_png_texts),
        cmocka_unit_test(bombs),         cmocka_unit_test(hostile_files),
        cmocka_unit_test(exif_comments), cmocka_unit_test(exif_orientations),
        cmocka_unit_test(hostile_exif),  cmocka_unit_test(exif_files),
        cmocka_unit_test(golden_files),  cmocka_unit_test(encodings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
