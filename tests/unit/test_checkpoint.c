/* worker/model/checkpoint: hostile files, truncated files, folders of both generations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "tests/support/golden.h"
#include "worker/model/safetensors.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* A file image in memory of exactly its size, so that ASan sees one byte too far. */
static uint8_t *image(const char *header, size_t data, size_t *size)
{
    uint64_t length = strlen(header);
    *size = 8 + length + data;
    uint8_t *bytes = calloc(1, *size);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(length >> 8 * i);
    memcpy(bytes + 8, header, length);
    return bytes;
}

static int read_image(const void *bytes, size_t size, size_t *tensors, err *e)
{
    tensor_list list = {0};
    problems p = {0};
    bool ok = safetensors_read(&list, bytes, size, "", &p);
    *tensors = list.count;
    tensor_list_done(&list);
    int rc = problems_report(&p, "FILE", e);
    assert_int_equal(ok, rc == 0);
    return rc;
}

#define A_F32(range) "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[" range "]}"

static void sound_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data, tensors;
    } table[] = {
        {"{}", 0, 0},
        {"{}       ", 0, 0},
        {"{" A_F32("0,8") "}", 8, 1},
        {"{\"__metadata__\":{\"format\":\"pt\"}," A_F32("0,8") "}  ", 8, 1},
        {"{\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]}," A_F32("0,8") "}", 11,
         2},
        {"{\"scalar\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}}", 8, 1},
        {"{\"empty\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]}," A_F32("0,8") "}",
         8, 2},
        {"{\"packed\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,2]}}", 2, 1},
        {"{\"\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, 1},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        err e = {0};
        size_t size, tensors;
        uint8_t *bytes = image(table[i].header, table[i].data, &size);
        if (read_image(bytes, size, &tensors, &e) < 0)
            fail_msg("%s: %s", table[i].header, e.text);
        assert_int_equal(tensors, table[i].tensors);
        free(bytes);
    }
}

static const struct {
    const char *header;
    size_t data;
    const char *says;
} hostile[] = {
    {"", 0, "not a JSON object"},
    {"[]", 0, "not a JSON object"},
    {" {}", 0, "not a JSON object"},
    {"{", 0, "header, byte"},
    {"{}x", 0, "header, byte"},
    {"{\"a\\u0000b\":{}}", 0, "header, byte"},
    {"{\"\xff\":{}}", 0, "header, byte"},
    {"{" A_F32("0,8") "," A_F32("0,8") "}", 8, "duplicate"},
    {"{\"a\":[]}", 0, "a is not described by an object"},
    {"{\"a\":null}", 0, "a is not described by an object"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "__metadata__: k is not a text"},
    {"{\"a\":{}}", 0, "a has no dtype; a has no shape; a has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "unknown type F33"},
    {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "no dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "not a size"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "not a size"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1,-2],\"data_offsets\":[0,8]}}", 8, "not a size"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, "5 dimensions"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
     "more elements than can be counted"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
     "4611686018427387904 elements of 32 bits"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]}}", 0,
     "header, byte"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
     "a has 8 bytes, its shape and type F32 make 3 elements of 32 bits"},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1, "3 elements of 4 bits"},
    {"{" A_F32("0,16") "}", 8, "lies at 0 to 16, the file has 8 bytes"},
    {"{" A_F32("8,0") "}", 8, "lies at 8 to 0"},
    {"{" A_F32("-8,0") "}", 8, "lies at -8 to 0"},
    {"{" A_F32("0") "}", 8, "no data_offsets"},
    {"{" A_F32("0,8,8") "}", 8, "no data_offsets"},
    {"{" A_F32("0,8.0") "}", 8, "no data_offsets"},
    {"{" A_F32("9223372036854775800,9223372036854775807") "}", 8, "lies at 9223372036854775800"},
    {"{" A_F32("0,8") "}", 9, "1 bytes after the last tensor"},
    {"{" A_F32("4,12") "}", 12, "4 bytes before a belong to no tensor"},
    {"{\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}," A_F32("0,8") "}", 8,
     "b overlaps a"},
    {"{\"b\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}," A_F32("0,8") "}", 8,
     "overlaps"},
    {"{\"a\\u001b[2J\":{}}", 0, "a?[2J has no dtype"},
};

static void hostile_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(hostile); i++) {
        err e = {0};
        size_t size, tensors;
        uint8_t *bytes = image(hostile[i].header, hostile[i].data, &size);
        assert_int_equal(read_image(bytes, size, &tensors, &e), ERR_INVALID);
        if (!strstr(e.text, hostile[i].says) || strncmp(e.text, "FILE: ", 6) != 0)
            fail_msg("%s: \"%s\" does not say \"%s\"", hostile[i].header, e.text, hostile[i].says);
        free(bytes);
    }
}

static void header_lengths(void **state)
{
    (void)state;
    static const uint64_t length[] = {9,          1000,           1u << 31,  1ull << 32,
                                      1ull << 60, UINT64_MAX - 7, UINT64_MAX};
    for (size_t i = 0; i < COUNT(length); i++) {
        err e = {0};
        size_t size, tensors;
        uint8_t *bytes = image("{}", 6, &size);
        memcpy(bytes, &length[i], 8);
        assert_int_equal(read_image(bytes, size, &tensors, &e), ERR_INVALID);
        assert_non_null(strstr(e.text, "truncated, or not safetensors"));
        free(bytes);
    }
}

/* A header of 20 MB is refused before anything is made of it, however sound. */
static void header_too_large(void **state)
{
    (void)state;
    err e = {0};
    size_t size, tensors, spaces = 20 << 20;
    char *header = malloc(spaces + 1);
    assert_non_null(header);
    memset(header, ' ', spaces);
    memcpy(header, "{}", 2);
    header[spaces] = 0;
    uint8_t *bytes = image(header, 0, &size);
    assert_int_equal(read_image(bytes, size, &tensors, &e), ERR_TOO_LARGE);
    free(bytes);
    free(header);
}

static void truncated_anywhere(void **state)
{
    (void)state;
    size_t size, tensors;
    uint8_t *whole =
        image("{\"__metadata__\":{\"format\":\"pt\"}," A_F32(
                  "0,8") ",\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[8,20]}}  ",
              20, &size);
    for (size_t cut = 0; cut <= size; cut++) {
        err e = {0};
        uint8_t *part = malloc(cut + !cut);
        assert_non_null(part);
        memcpy(part, whole, cut);
        assert_int_equal(read_image(part, cut, &tensors, &e), cut < size ? ERR_INVALID : 0);
        assert_int_equal(e.text[0] != 0, cut < size);
        free(part);
    }
    free(whole);
}

/* A hundred problems: the first ones whole, the rest counted, the message never too long. */
static void many_problems(void **state)
{
    (void)state;
    problems p = {0};
    err e = {0};
    char path[1000], expected[32];
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = 0;
    for (int i = 0; i < 100; i++)
        problems_add(&p, i ? ERR_INVALID : ERR_IO, "problem number %d", i);
    assert_int_equal(problems_report(&p, path, &e), ERR_IO);
    assert_true(strlen(e.text) > 350);
    int listed = 0;
    for (const char *at = e.text; (at = strstr(at, "problem number ")); at++)
        listed++;
    assert_true(listed > 10);
    snprintf(expected, sizeof expected, "; and %d more", 100 - listed);
    assert_string_equal(e.text + strlen(e.text) - strlen(expected), expected);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(out);
}

static void check_refused(const char *path, int code, const char *says)
{
    err e = {0};
    assert_null(checkpoint_open(path, &e));
    assert_int_equal(e.code, code);
    if (!strstr(e.text, says))
        fail_msg("\"%s\" does not say \"%s\"", e.text, says);
}

static void not_model_files(void **state)
{
    const char *folder = *state;
    char path[256];
    check_refused("/nowhere/model.safetensors", ERR_NOT_FOUND, "No such file");
    check_refused("/dev/null", ERR_INVALID, "not a regular file");
    check_refused(folder, ERR_NOT_FOUND, "there is no unet/diffusion_pytorch_model.safetensors");
    check_refused(folder, ERR_NOT_FOUND, "there is no text_encoder/model.safetensors");
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    check_refused(path, ERR_INVALID, "not a regular file");
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/empty", folder);
    write_file(path, "", 0);
    check_refused(path, ERR_INVALID, "0 bytes are too few");
    assert_int_equal(unlink(path), 0);
}

/* Names of old text encoders are brought to the usual ones; two that meet are an error. */
static void older_text_names(void **state)
{
    static const char header[] =
        "{\"cond_stage_model.transformer.x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]"
        "},"
        "\"model_ema.decay\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[2,10]},"
        "\"cond_stage_model.transformer.text_model.%c\":"
        "{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[10,11]}}";
    char path[256], text[sizeof header];
    snprintf(path, sizeof path, "%s/old", (const char *)*state);
    for (char last = 'x'; last <= 'y'; last++) {
        err e = {0};
        size_t size;
        snprintf(text, sizeof text, header, last);
        uint8_t *bytes = image(text, 11, &size);
        bytes[size - 11] = 42;
        write_file(path, bytes, size);
        free(bytes);
        checkpoint *c = checkpoint_open(path, &e);
        assert_int_equal(c == NULL, last == 'x');
        if (!c) {
            assert_non_null(strstr(e.text, "two tensors are named cond_stage_model.transformer."
                                           "text_model.x"));
            continue;
        }
        const checkpoint_tensor *t =
            checkpoint_find(c, "cond_stage_model.transformer.text_model.x");
        assert_non_null(t);
        assert_int_equal(t->type, U8);
        assert_int_equal(t->dim[0], 2);
        assert_int_equal(t->dim[1], 1);
        assert_int_equal(*(const uint8_t *)t->data, 42);
        t = checkpoint_find(c, "model_ema.decay");
        assert_non_null(t);
        assert_int_equal(t->type, DTYPE_COUNT);
        assert_string_equal(t->type_name, "F64");
        assert_null(checkpoint_find(c, "cond_stage_model.transformer.x"));
        assert_true(checkpoint_has(c, "model_ema."));
        assert_false(checkpoint_has(c, "model_emb"));
        assert_false(checkpoint_has(c, "zzz"));
        assert_int_equal(checkpoint_count(c), 3);
        assert_int_equal(checkpoint_bytes(c), 11);
        assert_string_equal(checkpoint_path(c), path);
        checkpoint_free(&c);
        assert_null(c);
    }
    assert_int_equal(unlink(path), 0);
}

/* Letting pages go does not lose them. */
static void released_pages_return(void **state)
{
    (void)state;
    checkpoint *c = golden_open("text.safetensors");
    for (size_t i = 0; i < checkpoint_count(c); i++) {
        const checkpoint_tensor *t = checkpoint_at(c, i);
        uint8_t *before = malloc(t->bytes + 1);
        assert_non_null(before);
        memcpy(before, t->data, t->bytes);
        checkpoint_release(c, t);
        assert_memory_equal(before, t->data, t->bytes);
        free(before);
    }
    checkpoint_free(&c);
}

static void goldens_open(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        size_t tensors;
    } table[] = {{"noise.safetensors", 72},
                 {"ops.safetensors", 80},
                 {"full.safetensors", 8},
                 {"samplers.safetensors", 124},
                 {"text.safetensors", 6},
                 {"prompts.safetensors", 5},
                 {"unet.safetensors", 32},
                 {"vae.safetensors", 24},
                 {"pictures/latents.safetensors", 13}};
    for (size_t i = 0; i < COUNT(table); i++) {
        checkpoint *c = golden_open(table[i].file);
        assert_int_equal(checkpoint_count(c), table[i].tensors);
        checkpoint_free(&c);
    }
}

static void remove_folder(const char *path)
{
    static const char *const file[] = {"unet/diffusion_pytorch_model.safetensors",
                                       "vae/diffusion_pytorch_model.safetensors",
                                       "vae/diffusion_pytorch_model.fp16.safetensors",
                                       "text_encoder/model.safetensors",
                                       "unet",
                                       "vae",
                                       "text_encoder"};
    char inside[512];
    for (size_t i = 0; i < COUNT(file); i++) {
        snprintf(inside, sizeof inside, "%s/%s", path, file[i]);
        remove(inside);
    }
    assert_int_equal(rmdir(path), 0);
}

/* Every name of diffusers' own list, both generations: the same numbers under the same name. */
static void folder_equals_file(const char *arch, fixture_layout layout, const char *folder)
{
    err e = {0};
    char file[1024], path[256];
    snprintf(path, sizeof path, "%s/folder", folder);
    fixture f = {.config = fixture_config(arch), .seed = 1, .type = F16, .layout = layout};
    if (fixture_write(&f, path, &e) < 0)
        fail_msg("%s", e.text);
    checkpoint *a = checkpoint_open(fixture_shared(arch, file), &e);
    checkpoint *b = checkpoint_open(path, &e);
    if (!a || !b)
        fail_msg("%s", e.text);
    assert_int_equal(checkpoint_count(a), checkpoint_count(b));
    assert_int_equal(checkpoint_bytes(a), checkpoint_bytes(b));
    for (size_t i = 0; i < checkpoint_count(a); i++) {
        const checkpoint_tensor *x = checkpoint_at(a, i), *y = checkpoint_find(b, x->name);
        if (!y)
            fail_msg("the folder has no %s", x->name);
        assert_int_equal(x->type, y->type);
        assert_memory_equal(x->dim, y->dim, sizeof x->dim);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
    checkpoint_free(&a);
    checkpoint_free(&b);
    remove_folder(path);
}

static void folders_equal_files(void **state)
{
    folder_equals_file("tiny", FIXTURE_FOLDER_OLD, *state);
    folder_equals_file("tiny", FIXTURE_FOLDER_NEW, *state);
    folder_equals_file("tiny3", FIXTURE_FOLDER_OLD, *state);
    folder_equals_file("tiny3", FIXTURE_FOLDER_NEW, *state);
}

static void folder_with_missing_parts(void **state)
{
    err e = {0};
    char path[256], vae[512], other[512];
    snprintf(path, sizeof path, "%s/parts", (const char *)*state);
    snprintf(vae, sizeof vae, "%s/vae/diffusion_pytorch_model.safetensors", path);
    snprintf(other, sizeof other, "%s/vae/diffusion_pytorch_model.fp16.safetensors", path);
    fixture f = {.config = fixture_config("tiny3"),
                 .type = F16,
                 .layout = FIXTURE_FOLDER_NEW,
                 .zeros = true};
    assert_int_equal(fixture_write(&f, path, &e), 0);
    assert_int_equal(rename(vae, other), 0);
    checkpoint *c = checkpoint_open(path, &e);
    assert_non_null(c);
    checkpoint_free(&c);
    assert_int_equal(truncate(other, 1000), 0);
    check_refused(path, ERR_INVALID, "vae/diffusion_pytorch_model.fp16.safetensors: the header");
    assert_int_equal(unlink(other), 0);
    check_refused(path, ERR_NOT_FOUND,
                  "there is no vae/diffusion_pytorch_model.safetensors (nor "
                  "diffusion_pytorch_model.fp16.safetensors)");
    remove_folder(path);
}

static int make_folder(void **state)
{
    static char folder[] = "/tmp/test_checkpoint.XXXXXX";
    *state = mkdtemp(folder);
    return *state ? 0 : -1;
}

static int drop_folder(void **state)
{
    return rmdir(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_headers),         cmocka_unit_test(hostile_headers),
        cmocka_unit_test(header_lengths),        cmocka_unit_test(header_too_large),
        cmocka_unit_test(truncated_anywhere),    cmocka_unit_test(many_problems),
        cmocka_unit_test(not_model_files),       cmocka_unit_test(older_text_names),
        cmocka_unit_test(released_pages_return), cmocka_unit_test(goldens_open),
        cmocka_unit_test(folders_equal_files),   cmocka_unit_test(folder_with_missing_parts),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
