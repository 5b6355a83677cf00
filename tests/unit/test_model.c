/* Loading: exact sizes, names, refusals, allocation failures; plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/rig.h"
#include "worker/model/plan.h"

static void arena_is_exactly_as_large_as_the_dry_load_says(void **state)
{
    (void)state;
    for (int i = 0; rig_backends()[i]; i++)
        for (int j = 0; rig_archs[j]; j++) {
            dev_options options = {
                .backend = rig_backends()[i], .threads = 1, .winograd_most = 128};
            rig real = rig_open(rig_archs[j], options);
            options.dry = true;
            rig dry = rig_open(rig_archs[j], options);
            assert_int_equal(real.m->weights.used, real.m->weights.capacity);
            assert_int_equal(real.m->weights.used, dry.m->weights.peak);
            assert_true(real.m->weights.used > 1 << 20);
            rig_close(&real);
            rig_close(&dry);
        }
}

static void named_after_its_file(void **state)
{
    (void)state;
    char shared[1024], here[1024], path[1100], why[256];
    err e = {0};
    dev_options options = {.backend = "ref", .threads = 1, .dry = true};
    dev *d = dev_new(&options, why);
    assert_non_null(d);
    fixture_shared("tiny3", shared);
    snprintf(here, sizeof here, "%s/link-%d", MODELS_DIR, (int)getpid());
    static const char *const names[][2] = {
        {".safetensors", ""}, {".v1.5.safetensors", ".v1.5"}, {"", ""}, {".ckpt", ".ckpt"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char expected[1100];
        snprintf(path, sizeof path, "%s%s", here, names[i][0]);
        snprintf(expected, sizeof expected, "link-%d%s", (int)getpid(), names[i][1]);
        assert_int_equal(symlink(shared, path), 0);
        model *m = model_load(d, path, &e);
        unlink(path);
        assert_non_null(m);
        assert_string_equal(m->name, expected);
        assert_string_equal(m->path, path);
        model_free(&m);
        assert_null(m);
    }
    dev_free(&d);
}

static void refuses_what_is_not_there(void **state)
{
    (void)state;
    char why[256], long_path[2000];
    dev_options options = {.backend = "ref", .threads = 1};
    dev *d = dev_new(&options, why);
    assert_non_null(d);
    err e = {0};
    assert_null(model_load(d, "/nonexistent/model.safetensors", &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "/nonexistent/model.safetensors"));
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = 0;
    e = (err){0};
    assert_null(model_load(d, long_path, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    assert_null(model_load(d, "/nonexistent/model.safetensors", NULL));
    dev_free(&d);
}

/* A file with one wrong tensor; what the loader of parameters says about it. */
static void check_refusal(const char *header, size_t data, const char *name, const char *found)
{
    char path[1024], why[256];
    snprintf(path, sizeof path, "%s/params-%d.safetensors", MODELS_DIR, (int)getpid());
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    uint64_t length = strlen(header);
    fwrite(&length, sizeof length, 1, f);
    fwrite(header, 1, length, f);
    for (size_t i = 0; i < data; i++)
        fputc(0, f);
    fclose(f);

    err e = {0};
    checkpoint *file = checkpoint_open(path, &e);
    unlink(path);
    if (!file)
        fail_msg("%s", e.text);
    dev_options options = {.backend = "ref", .threads = 1};
    dev *d = dev_new(&options, why);
    arena a;
    assert_true(arena_init(&a, 4096, false));
    params p = {.d = d, .file = file, .to = &a, .e = &e};
    if (strstr(name, "norm"))
        params_norm(&p, "%s", name);
    else if (strstr(name, "table"))
        params_table(&p, true, "%s", name);
    else
        params_conv(&p, 1, "%s", name);
    assert_int_not_equal(e.code, ERR_OK);
    assert_non_null(strstr(e.text, path));
    if (!strstr(e.text, found))
        fail_msg("\"%s\" does not say \"%s\"", e.text, found);

    err before = e; /* the first problem stays, and nothing else is loaded */
    size_t used = a.used;
    params_conv(&p, 1, "other");
    params_norm(&p, "other");
    params_table(&p, false, "other");
    assert_string_equal(e.text, before.text);
    assert_int_equal(a.used, used);
    arena_done(&a);
    dev_free(&d);
    checkpoint_free(&file);
}

static void parameters_say_what_they_found(void **state)
{
    (void)state;
    static const struct {
        const char *header, *name, *found;
        size_t data;
    } rows[] = {
        {"{\"a.weight\":{\"dtype\":\"F16\",\"shape\":[2,3,5,5],\"data_offsets\":[0,300]}}", "a",
         "a.weight is F16 [2, 3, 5, 5], expected [out, in]", 300},
        {"{\"a.weight\":{\"dtype\":\"F16\",\"shape\":[2,3,3,1],\"data_offsets\":[0,36]}}", "a",
         "F16 [2, 3, 3, 1]", 36},
        {"{\"a.weight\":{\"dtype\":\"I64\",\"shape\":[2,3],\"data_offsets\":[0,48]}}", "a",
         "I64 [2, 3]", 48},
        {"{\"a.weight\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}", "a", "F32 [6]",
         24},
        {"{\"a.bias\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}", "a",
         "a.weight is missing", 24},
        {"{\"a.weight\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
         "\"a.bias\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[12,18]}}",
         "a", "a.bias is F16 [3], expected 2 values", 18},
        {"{\"norm.weight\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}", "norm",
         "norm.bias is missing", 4},
        {"{\"norm.weight\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
         "\"norm.bias\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[4,10]}}",
         "norm", "norm.bias is F16 [3], expected 2 values", 10},
        {"{\"table\":{\"dtype\":\"F16\",\"shape\":[2,2,2],\"data_offsets\":[0,16]}}", "table",
         "F16 [2, 2, 2], expected a table", 16},
        {"{\"table\":{\"dtype\":\"F16\",\"shape\":[64,32],\"data_offsets\":[0,4096]}}", "table",
         "more than the 4096 bytes", 4096},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_refusal(rows[i].header, rows[i].data, rows[i].name, rows[i].found);
}

static void plan_takes_the_largest_choice_that_fits(void **state)
{
    (void)state;
    char path[1024];
    err e = {0};
    model_plan_result open, least;
    dev_options options = {.backend = "cpu", .threads = 2};
    fixture_shared("tiny", path);
    assert_int_equal(model_plan(&options, path, 0, 256, 256, 2, &open, &e), ERR_OK);
    int widest = options.winograd_most;
    assert_true(widest >= 1 << 20);
    assert_true(open.costs.step.flops > 0 && open.costs.peak >= open.costs.decode.scratch);

    options.winograd_most = 0;
    assert_int_equal(model_needs(&least, &options, path, 256, 256, 2, &e), ERR_OK);
    assert_true(least.weights[MEMORY_HIGH] <= open.weights[MEMORY_HIGH]);
    int64_t needed = (int64_t)(least.weights[MEMORY_HIGH] + least.costs.peak);

    /* just too little, then just enough and what the process takes beside it */
    assert_int_equal(model_plan(&options, path, needed, 256, 256, 2, &open, &e), ERR_NO_MEMORY);
    assert_non_null(strstr(e.text, "256x256"));
    e = (err){0};
    assert_int_equal(model_plan(&options, path, needed + (64 << 20), 256, 256, 2, &open, &e),
                     ERR_OK);
    assert_true((int64_t)(open.weights[MEMORY_HIGH] + open.costs.peak) <= needed + (64 << 20));

    assert_int_equal(model_plan(&options, path, 0, 250, 256, 2, &open, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "multiples of 8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_is_exactly_as_large_as_the_dry_load_says),
        cmocka_unit_test(named_after_its_file),
        cmocka_unit_test(refuses_what_is_not_there),
        cmocka_unit_test(parameters_say_what_they_found),
        cmocka_unit_test(plan_takes_the_largest_choice_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
