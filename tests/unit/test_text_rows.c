/* The texts of a batch's rows: what is copied when, and what a place is worth after trouble. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/support/rig.h"
#include "worker/text_rows.h"

enum { WIDTH = 8, SHORT = 2, LONG = 3, ROWS = 3 };

typedef struct {
    dev *d;
    text_rows kept;
    uint64_t numbers;
    bool stopped;
} desk;

static bool is_stopped(void *arg)
{
    return *(bool *)arg;
}

static desk open_desk(void)
{
    char why[256];
    desk k = {.d = dev_new(&(dev_options){.backend = "cpu", .threads = 1}, why)};
    assert_non_null(k.d);
    return k;
}

static void close_desk(desk *k)
{
    dev_drop(k->d, &k->kept.place);
    assert_int_equal(k->d->kept, 0);
    dev_free(&k->d);
}

/* A text all of one value. */
static text_row make(desk *k, int32_t tokens, float value)
{
    text_row r = {
        .text = dev_keep(k->d, F32, 1, 1, tokens, WIDTH), .tokens = tokens, .number = ++k->numbers};
    float values[LONG * WIDTH];
    for (int i = 0; i < tokens * WIDTH; i++)
        values[i] = value;
    dev_upload(k->d, r.text, values);
    return r;
}

/* Joins, and counts what that copied. */
static int join(desk *k, const text_row *row, int rows, tensor *all)
{
    const uint64_t before = k->d->counters.ops;
    *all = text_rows_join(&k->kept, k->d, row, rows);
    return (int)(k->d->counters.ops - before);
}

static void assert_rows(desk *k, tensor all, const text_row *row, int rows)
{
    float got[ROWS * LONG * WIDTH], want[LONG * WIDTH];
    assert_int_equal(all.dim[0], rows);
    dev_download(k->d, got, all);
    for (int i = 0; i < rows; i++) {
        dev_download(k->d, want, row[i].text);
        assert_memory_equal(got + i * all.dim[2] * WIDTH, want, tensor_bytes(row[i].text));
    }
}

/* Spoils what lies in a row, which shows that it is not written again. */
static void spoil(desk *k, tensor all, int row, float value)
{
    float values[LONG * WIDTH];
    tensor one = tensor_sample(all, row);
    for (int i = 0; i < tensor_count(one); i++)
        values[i] = value;
    dev_upload(k->d, one, values);
}

static void only_rows_that_change(void **state)
{
    (void)state;
    desk k = open_desk();
    text_row a = make(&k, LONG, 1), b = make(&k, SHORT, 2), c = make(&k, LONG, 3);
    tensor all;
    text_row row[ROWS] = {a, b, c};
    float got[ROWS * LONG * WIDTH];
    assert_int_equal(join(&k, row, 3, &all), 3);
    assert_rows(&k, all, row, 3);
    void *at = all.data;
    assert_int_equal(join(&k, row, 3, &all), 0);
    spoil(&k, all, 0, -1);
    spoil(&k, all, 2, -3);
    row[1] = a;
    assert_int_equal(join(&k, row, 3, &all), 1);
    dev_download(k.d, got, all);
    assert_true(got[0] == -1 && got[LONG * WIDTH] == 1 && got[2 * LONG * WIDTH] == -3);
    assert_int_equal(join(&k, row, 2, &all), 0); /* fewer rows lie where they lay */
    assert_ptr_equal(all.data, at);
    assert_int_equal(join(&k, row, 3, &all), 0);
    row[0] = row[1] = row[2] = b; /* shorter ones lie closer together */
    assert_int_equal(join(&k, row, 3, &all), 3);
    assert_rows(&k, all, row, 3);
    assert_ptr_equal(all.data, at);
    dev_drop(k.d, &a.text);
    dev_drop(k.d, &b.text);
    dev_drop(k.d, &c.text);
    close_desk(&k);
}

/* A text that is freed may leave its place to another one. */
static void numbers_decide(void **state)
{
    (void)state;
    desk k = open_desk();
    tensor all;
    text_row a = make(&k, LONG, 1);
    assert_int_equal(join(&k, &a, 1, &all), 1);
    float other[LONG * WIDTH] = {5};
    dev_upload(k.d, a.text, other); /* another text at the same address */
    a.number = ++k.numbers;
    assert_int_equal(join(&k, &a, 1, &all), 1);
    assert_rows(&k, all, &a, 1);
    a.number = 0; /* has none: nothing is known of it */
    assert_int_equal(join(&k, &a, 1, &all), 1);
    assert_int_equal(join(&k, &a, 1, &all), 1);
    dev_drop(k.d, &a.text);
    close_desk(&k);
}

/* The place grows, and what was in it is copied again; on the scratch stack everything is. */
static void larger_and_nowhere(void **state)
{
    (void)state;
    desk k = open_desk();
    tensor all;
    text_row row[ROWS] = {make(&k, SHORT, 1), make(&k, SHORT, 2), make(&k, SHORT, 3)};
    const size_t texts = k.d->kept, one = tensor_bytes(row[0].text);
    assert_int_equal(join(&k, row, 1, &all), 1);
    assert_int_equal(k.d->kept, texts + one);
    assert_int_equal(join(&k, row, 3, &all), 3);
    assert_int_equal(k.d->kept, texts + 3 * one);
    assert_rows(&k, all, row, 3);
    for (int i = 0; i < 2; i++) {
        const size_t mark = dev_mark(k.d);
        const uint64_t before = k.d->counters.ops;
        all = text_rows_join(NULL, k.d, row, 3);
        assert_int_equal(k.d->counters.ops - before, 3);
        assert_rows(&k, all, row, 3);
        dev_release(k.d, mark);
    }
    for (int i = 0; i < ROWS; i++)
        dev_drop(k.d, &row[i].text);
    close_desk(&k);
}

/* What was not copied is not there. */
static void trouble(void **state)
{
    (void)state;
    desk k = open_desk();
    tensor all;
    text_row made[ROWS] = {make(&k, LONG, 1), make(&k, LONG, 2), make(&k, LONG, 3)};
    text_row row[ROWS] = {made[0], made[1], made[2]};
    assert_int_equal(join(&k, row, 2, &all), 2);
    k.d->stop = is_stopped;
    k.d->stop_arg = &k.stopped;
    k.stopped = true;
    row[0] = row[2];
    text_rows_join(&k.kept, k.d, row, 2);
    assert_int_equal(k.d->status, DEV_STOPPED);
    k.stopped = false;
    dev_clear(k.d);
    assert_int_equal(join(&k, row, 2, &all), 1);
    assert_rows(&k, all, row, 2);
    dev_fail(k.d, DEV_NO_MEMORY, "as asked");
    text_rows_join(&k.kept, k.d, row, 3); /* would grow */
    assert_int_equal(k.d->status, DEV_NO_MEMORY);
    assert_false(tensor_given(k.kept.place));
    dev_clear(k.d);
    assert_int_equal(join(&k, row, 3, &all), 3);
    assert_rows(&k, all, row, 3);
    for (int i = 0; i < ROWS; i++)
        dev_drop(k.d, &made[i].text);
    close_desk(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_rows_that_change),
        cmocka_unit_test(numbers_decide),
        cmocka_unit_test(larger_and_nowhere),
        cmocka_unit_test(trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
