/* tests/support/fixture: the formula's values are those of the independent implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/half.h"
#include "tests/support/fixture.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define FIRST       "model.diffusion_model.input_blocks.0.0.weight"

typedef struct {
    const char *name;
    int64_t dim[4];
    int dims;
} wanted;

static void take_shape(void *arg, const char *name, const int64_t *dim, int dims)
{
    wanted *w = arg;
    if (strcmp(name, w->name) == 0) {
        memcpy(w->dim, dim, sizeof w->dim);
        w->dims = dims;
    }
}

/* Elements 0, 1, 2 and the last under seed 1, from tests/golden. */
static void values_of_the_oracle(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *name;
        uint16_t value[4];
    } table[] = {
        {"tiny", FIRST, {0xa58c, 0x2f60, 0x30d0, 0x278d}},
        {"tiny", "first_stage_model.encoder.conv_out.weight", {0x2980, 0x2989, 0xb10b, 0x2f49}},
        {"tiny3",
         "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
         {0xb5b2, 0x35b0, 0x9daf, 0xb548}},
        {"sd15",
         "model.diffusion_model.middle_block.1.norm.bias",
         {0xb011, 0xac26, 0xae27, 0xa3e9}},
        {"sd15", "model.diffusion_model.out.2.weight", {0x2124, 0xa1f1, 0x2090, 0xa581}},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        wanted w = {.name = table[i].name};
        uint16_t value[4];
        model_config_tensors(fixture_config(table[i].arch), take_shape, &w);
        assert_true(w.dims > 0);
        int64_t last = w.dim[0] * w.dim[1] * w.dim[2] * w.dim[3] - 1;
        fixture_values(value, w.name, w.dim, w.dims, 1, 0, 3);
        fixture_values(value + 3, w.name, w.dim, w.dims, 1, last, 1);
        assert_memory_equal(value, table[i].value, sizeof value);
    }
}

/* Any slice, from odd elements too, gives the values of the whole. */
static void slices_of_the_whole(void **state)
{
    (void)state;
    static const int64_t dim[4] = {7, 9, 3, 3};
    enum { ALL = 7 * 9 * 3 * 3 };
    uint16_t whole[ALL], part[ALL], other[ALL];
    fixture_values(whole, "x.weight", dim, 4, 5, 0, ALL);
    for (int64_t first = 0; first < 20; first++) {
        int64_t count = ALL - 20 - first;
        fixture_values(part, "x.weight", dim, 4, 5, first, count);
        assert_memory_equal(part, whole + first, (size_t)count * sizeof *part);
    }
    fixture_values(other, "x.weight", dim, 4, 6, 0, ALL);
    assert_memory_not_equal(other, whole, sizeof whole);
    fixture_values(other, "y.weight", dim, 4, 5, 0, ALL);
    assert_memory_not_equal(other, whole, sizeof whole);
}

/* F32 files hold the F16 values exactly, BF16 files the nearest. */
static void types_of_one_model(void **state)
{
    checkpoint *file[3] = {0}; /* by dtype: F32, F16, BF16 */
    for (dtype type = F32; type <= BF16; type++) {
        err e = {0};
        char path[256];
        snprintf(path, sizeof path, "%s/%d.safetensors", (const char *)*state, (int)type);
        const fixture f = {.config = fixture_config("tiny3"), .seed = 3, .type = type};
        if (fixture_write(&f, path, &e) < 0 || !(file[type] = checkpoint_open(path, &e)))
            fail_msg("%s", e.text);
        assert_int_equal(unlink(path), 0);
    }
    const checkpoint_tensor *f32 = checkpoint_find(file[F32], FIRST);
    const checkpoint_tensor *f16 = checkpoint_find(file[F16], FIRST);
    const checkpoint_tensor *bf16 = checkpoint_find(file[BF16], FIRST);
    assert_int_equal(f32->type, F32);
    assert_int_equal(f16->type, F16);
    assert_int_equal(bf16->type, BF16);
    for (size_t i = 0; i < f16->bytes / 2; i++) {
        uint16_t half, brain;
        float full;
        memcpy(&half, (const char *)f16->data + 2 * i, 2);
        memcpy(&brain, (const char *)bf16->data + 2 * i, 2);
        memcpy(&full, (const char *)f32->data + 4 * i, 4);
        assert_true(full == f16_to_float(half));
        assert_true(fabsf(bf16_to_float(brain) - full) <= fabsf(full) * 0x1p-8f);
    }
    for (int i = 0; i < 3; i++)
        checkpoint_free(&file[i]);
}

static void errors(void **state)
{
    (void)state;
    err e = {0};
    assert_null(fixture_config("tiny2"));
    assert_int_equal(fixture_model("tiny2", 1, "/tmp/x", &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "tiny2"));
    e = (err){0};
    assert_int_equal(fixture_model("tiny3", 1, "/nowhere/x", &e), ERR_IO);
    assert_non_null(strstr(e.text, "/nowhere/x"));
}

static int make_folder(void **state)
{
    static char folder[] = "/tmp/test_fixture.XXXXXX";
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
        cmocka_unit_test(values_of_the_oracle),
        cmocka_unit_test(slices_of_the_whole),
        cmocka_unit_test(types_of_one_model),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
