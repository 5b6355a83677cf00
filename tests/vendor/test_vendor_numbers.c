/* Numbers and sums of the libraries' stand-ins: every 16-bit value both ways, rounding half-way,
 * and sums whose order is what it says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/half.h"
#include "tests/vendor/sums.h"

enum { VALUES = 1 << 16 };

static float read_one(number_type type, uint16_t h)
{
    float f;
    numbers_read(&f, type, &h, 0, 1, 1);
    return f;
}

static uint16_t write_one(number_type type, float f)
{
    uint16_t h;
    numbers_write(&h, type, 0, 1, 1, &f);
    return h;
}

static void every_value_comes_back(void **state)
{
    (void)state;
    for (number_type type = NUMBER_F16; type <= NUMBER_BF16; type++)
        for (int i = 0; i < VALUES; i++) {
            uint16_t h = (uint16_t)i;
            float f = read_one(type, h),
                  wanted = type == NUMBER_F16 ? f16_to_float(h) : bf16_to_float(h);
            assert_true(isnan(f) ? isnan(wanted) : memcmp(&f, &wanted, sizeof f) == 0);
            if (isnan(f))
                assert_true(isnan(read_one(type, write_one(type, f))));
            else
                assert_int_equal(write_one(type, f), h);
        }
}

/* Between neighbours of either sign, the last of them infinity. */
static void half_way_goes_to_even(void **state)
{
    static const uint16_t infinity[] = {[NUMBER_F16] = 0x7c00, [NUMBER_BF16] = 0x7f80};
    (void)state;
    for (number_type type = NUMBER_F16; type <= NUMBER_BF16; type++)
        for (uint16_t h = 0; h < infinity[type]; h++) {
            double low = read_one(type, h);
            double high = h + 1 < infinity[type] ? (double)read_one(type, (uint16_t)(h + 1))
                                                 : 2 * low - read_one(type, (uint16_t)(h - 1));
            float middle = (float)((low + high) / 2);
            uint16_t even = (uint16_t)(h + (h & 1));
            for (int sign = 0; sign < 2; sign++) {
                float side = sign ? -1 : 1;
                assert_int_equal(write_one(type, side * middle), even | sign << 15);
                assert_int_equal(write_one(type, side * nextafterf(middle, 0)), h | sign << 15);
                assert_int_equal(write_one(type, side * nextafterf(middle, INFINITY)),
                                 (h + 1) | sign << 15);
            }
        }
}

enum { ROWS = 5, COLUMNS = 19, LENGTH = 77 };

typedef struct {
    float row[ROWS][LENGTH], column[COLUMNS][LENGTH], sum[ROWS][COLUMNS];
} matrices;

static void read_row(const void *from, int64_t i, float *to)
{
    memcpy(to, ((const matrices *)from)->row[i], LENGTH * sizeof *to);
}

static void read_column(const void *from, int64_t i, float *to)
{
    memcpy(to, ((const matrices *)from)->column[i], LENGTH * sizeof *to);
}

static void put_row(const void *from, int64_t i, const float *sum)
{
    memcpy(((matrices *)(uintptr_t)from)->sum[i], sum, COLUMNS * sizeof *sum);
}

/* One sum in the order of sums.h, term by term. */
static float in_order(const matrices *m, int i, int j, const sum_order *o)
{
    int tiles = (LENGTH + o->tile - 1) / o->tile, slices = o->slices > 1 ? (int)o->slices : 1;
    float all = 0;
    for (int s = 0; s < slices; s++) {
        int first = s * tiles / slices, end = (s + 1) * tiles / slices;
        float slice = 0;
        for (int t = first; t < end; t++) {
            int at = (o->backward ? first + end - 1 - t : t) * o->tile;
            float tile = 0;
            for (int l = at; l < at + o->tile && l < LENGTH; l++)
                tile += m->row[i][l] * m->column[j][l];
            slice += tile;
        }
        if (slices > 1)
            numbers_round(&slice, o->kept, 1);
        all += slice;
    }
    return all;
}

static void sums_are_in_order(void **state)
{
    static const sum_order orders[] = {{8, false, 1, NUMBER_F32},  {8, true, 0, NUMBER_F32},
                                       {32, true, 1, NUMBER_F32},  {16, false, 3, NUMBER_F32},
                                       {16, true, 16, NUMBER_F16}, {8, false, 2, NUMBER_BF16}};
    (void)state;
    matrices m;
    float *value = &m.row[0][0];
    for (size_t i = 0; i < (ROWS + COLUMNS) * LENGTH; i++)
        value[i] = sinf((float)(i * i % 10007));
    float first[ROWS][COLUMNS];
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
        const sums s = {.rows = ROWS,
                        .columns = COLUMNS,
                        .length = LENGTH,
                        .row = read_row,
                        .column = read_column,
                        .put = put_row,
                        .from = &m,
                        .order = orders[o]};
        assert_true(sums_run(&s));
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < COLUMNS; j++)
                assert_true(m.sum[i][j] == in_order(&m, i, j, &orders[o]));
        if (o == 0)
            memcpy(first, m.sum, sizeof first);
        else
            assert_memory_not_equal(first, m.sum, sizeof first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_comes_back),
        cmocka_unit_test(half_way_goes_to_even),
        cmocka_unit_test(sums_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
