/* Layers side by side: the joint one gives what each gives alone, with zeros where one has no bias;
 * what does not fit beside others is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "worker/model/params.h"

enum { IN = 5, FIRST = 64, SECOND = 32, OUT = FIRST + SECOND, ROWS = 3 };

/* Names, rows and columns (0: a vector) of the file's tensors, all F32; filters of 3x3. */
static const struct {
    const char *name;
    int rows, columns;
    bool filter;
} tensors[] = {{"a.weight", FIRST, IN, false}, {"b.weight", SECOND, IN, false},
               {"b.bias", SECOND, 0, false},   {"wider.weight", 32, IN + 1, false},
               {"odd.weight", 40, IN, false},  {"short.weight", 32, IN, false},
               {"short.bias", 31, 0, false},   {"filter.weight", 32, IN, true}};
enum { TENSORS = sizeof tensors / sizeof *tensors };

static int count_of(int i)
{
    return tensors[i].rows * (tensors[i].columns ? tensors[i].columns : 1) *
           (tensors[i].filter ? 9 : 1);
}

/* Small whole numbers, another one for each place. */
static float value_of(int which, int at)
{
    return (float)((at * 7 + which * 3) % 23 - 11);
}

static checkpoint *open_file(void)
{
    char path[] = "/tmp/overpaint-params-XXXXXX", header[2048];
    err e = {0};
    int used = snprintf(header, sizeof header, "{"), bytes = 0;
    FILE *f = fdopen(mkstemp(path), "wb");
    assert_non_null(f);
    for (int i = 0; i < TENSORS; i++) {
        const int end = bytes + count_of(i) * (int)sizeof(float);
        char columns[16] = "";
        if (tensors[i].columns)
            snprintf(columns, sizeof columns, ",%d%s", tensors[i].columns,
                     tensors[i].filter ? ",3,3" : "");
        used += snprintf(header + used, sizeof header - (size_t)used,
                         "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%d%s],\"data_offsets\":[%d,%d]}",
                         i ? "," : "", tensors[i].name, tensors[i].rows, columns, bytes, end);
        bytes = end;
    }
    used += snprintf(header + used, sizeof header - (size_t)used, "}");
    const uint64_t size = (uint64_t)used;
    assert_int_equal(fwrite(&size, sizeof size, 1, f), 1);
    assert_int_equal(fwrite(header, size, 1, f), 1);
    for (int i = 0; i < TENSORS; i++)
        for (int at = 0; at < count_of(i); at++) {
            const float v = value_of(i, at);
            assert_int_equal(fwrite(&v, sizeof v, 1, f), 1);
        }
    assert_int_equal(fclose(f), 0);
    checkpoint *c = checkpoint_open(path, &e);
    unlink(path);
    if (!c)
        fail_msg("%s", e.text);
    return c;
}

typedef struct {
    dev *d;
    arena weights;
    checkpoint *file;
    err e;
    params p;
} loader;

static void loader_open(loader *l, const char *backend)
{
    char why[256];
    memset(l, 0, sizeof *l);
    l->d = dev_new(&(dev_options){.backend = backend, .threads = 2}, why);
    if (!l->d)
        fail_msg("%s", why);
    assert_true(dev_arena(l->d, &l->weights, (size_t)1 << 20));
    l->file = open_file();
    l->p = (params){.d = l->d, .file = l->file, .to = &l->weights, .e = &l->e};
}

static void loader_close(loader *l)
{
    checkpoint_free(&l->file);
    arena_done(&l->weights);
    dev_free(&l->d);
}

/* Output o of row r, by hand: the sums are whole numbers, so there is one right answer. */
static float expected(int r, int o)
{
    const int which = o < FIRST ? 0 : 1, own = o < FIRST ? o : o - FIRST;
    float sum = o < FIRST ? 0 : value_of(2, own);
    for (int i = 0; i < IN; i++)
        sum += value_of(9, r * IN + i) * value_of(which, own * IN + i);
    return sum;
}

static void check_joint(const char *backend)
{
    loader l;
    joint all = {0};
    float x[ROWS * IN], y[ROWS * OUT];
    loader_open(&l, backend);
    assert_int_equal(params_beside(&l.p, &all, "%s", "a"), 0);
    assert_int_equal(params_beside(&l.p, &all, "b"), FIRST);
    const conv c = params_join(&l.p, &all);
    params_finish(&l.p);
    assert_int_equal(l.e.code, ERR_OK);
    assert_true(c.w.out == OUT && c.w.in == IN && c.bias.dim[3] == OUT);
    for (int i = 0; i < ROWS * IN; i++)
        x[i] = value_of(9, i);
    tensor in = dev_tensor(l.d, F32, 1, 1, ROWS, IN);
    dev_upload(l.d, in, x);
    dev_download(l.d, y, op_linear(l.d, NEW, in, &c.w, (conv2d_options){.bias = c.bias}));
    for (int r = 0; r < ROWS; r++)
        for (int o = 0; o < OUT; o++)
            assert_true(y[r * OUT + o] == expected(r, o));
    loader_close(&l);
}

static void joint_layers_give_what_each_gives(void **state)
{
    (void)state;
    check_joint("ref");
    check_joint("cpu");
}

static void no_bias_at_all(void **state)
{
    (void)state;
    loader l;
    joint all = {0};
    loader_open(&l, "ref");
    params_beside(&l.p, &all, "a");
    params_beside(&l.p, &all, "a");
    const conv c = params_join(&l.p, &all);
    assert_int_equal(l.e.code, ERR_OK);
    assert_true(c.w.out == 2 * FIRST && !tensor_given(c.bias));
    params_finish(&l.p);
    loader_close(&l);
}

static void refuses(const char *first, const char *second, const char *text)
{
    loader l;
    joint all = {0};
    loader_open(&l, "ref");
    params_beside(&l.p, &all, "%s", first);
    params_beside(&l.p, &all, "%s", second);
    params_join(&l.p, &all);
    assert_true(l.e.code == ERR_INVALID || l.e.code == ERR_TOO_LARGE);
    if (!strstr(l.e.text, text))
        fail_msg("'%s' does not say '%s'", l.e.text, text);
    loader_close(&l);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    refuses("a", "wider", "wider.weight is F32 [32, 6], expected [a multiple of 32, 5]");
    refuses("a", "odd", "odd.weight is F32 [40, 5], expected [a multiple of 32, 5]");
    refuses("a", "absent", "tensor absent.weight is missing");
    refuses("a", "short", "short.bias is F32 [31], expected 32 values");
    refuses("a", "filter", "filter.weight is F32 [32, 5, 3, 3], expected [a multiple of 32, 5]");
    refuses("filter", "short",
            "filter.weight is F32 [32, 5, 3, 3], expected [a multiple of 32, 5]");
}

static void too_many_are_refused(void **state)
{
    (void)state;
    loader l;
    joint all = {0};
    loader_open(&l, "ref");
    for (int i = 0; i <= PARAMS_BESIDE; i++)
        params_beside(&l.p, &all, "b");
    assert_int_equal(l.e.code, ERR_TOO_LARGE);
    assert_int_equal(all.count, PARAMS_BESIDE);
    loader_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joint_layers_give_what_each_gives),
        cmocka_unit_test(no_bias_at_all),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(too_many_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
