/* Products: descriptors that say the right thing, and which algorithms are taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cuda/product.h"
#include "kernels/half.h"
#include "tests/cuda/fake_cublaslt.h"

enum { ROWS = 2, TOKENS = 3, IN = 16, W_ROW = IN + 8, OUT = 8 };

typedef struct {
    uint16_t x[ROWS][TOKENS][IN], w[OUT][W_ROW], bias[OUT], residual[ROWS][TOKENS][OUT],
        y[ROWS][TOKENS][OUT];
} operands;

static struct cublasLtContext *no_handle(void)
{
    static int place;
    return (struct cublasLtContext *)&place;
}

static void fill(uint16_t *to, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        float value = (float)(seed >> 30); /* 0 to 3: sums stay exact */
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        to[i] = (uint16_t)(bits >> 16);
    }
}

static float expected(const operands *o, const product_shape *s, int n, int t, int c)
{
    float sum = s->bias ? bf16_to_float(o->bias[c]) : 0;
    for (int i = 0; i < IN; i++)
        sum += bf16_to_float(o->x[n][t][i]) * bf16_to_float(o->w[c][i]);
    return sum + (s->residual ? bf16_to_float(o->residual[n][t][c]) : 0);
}

static void assert_computed(bool bias, bool residual)
{
    const fake_algo plain = {.slices = 1};
    const product_shape s = {.type = BF16,
                             .tokens = TOKENS,
                             .in = IN,
                             .w_row = W_ROW,
                             .out = OUT,
                             .residual = residual,
                             .bias = bias};
    operands o;
    choice c;
    char why[PRODUCT_WHY_BYTES];
    fill(&o.x[0][0][0], sizeof o / sizeof(uint16_t), 1);
    fake_cublaslt_offer(&plain, 1);
    assert_true(product_choose(no_handle(), &s, EVERY_ROWS, &c, why));
    product *p = product_new(&s, ROWS, why);
    if (!p)
        fail_msg("%s", why);
    const product_places at = {.x = o.x,
                               .w = o.w,
                               .bias = bias ? o.bias : NULL,
                               .residual = residual ? o.residual : NULL,
                               .y = o.y};
    if (!product_run(no_handle(), p, &c, &at, NULL, why))
        fail_msg("%s", why);
    for (int n = 0; n < ROWS; n++)
        for (int t = 0; t < TOKENS; t++)
            for (int i = 0; i < OUT; i++)
                assert_true(bf16_to_float(o.y[n][t][i]) == expected(&o, &s, n, t, i));
    product_free(&p);
    assert_null(p);
}

static void products_are_what_they_say(void **state)
{
    (void)state;
    assert_computed(false, false);
    assert_computed(true, false);
    assert_computed(false, true);
    assert_computed(true, true);
}

static const product_shape shape = {
    .type = F16, .tokens = 4096, .in = 320, .w_row = 320, .out = 320};

static uint64_t chosen(const fake_algo *algo, int n)
{
    choice c;
    char why[PRODUCT_WHY_BYTES];
    fake_cublaslt_offer(algo, n);
    if (product_choose(no_handle(), &shape, EVERY_ROWS, &c, why))
        return c.algo[0];
    assert_true(why[0]);
    return UINT64_MAX;
}

static void the_first_that_serves_all_rows_is_taken(void **state)
{
    (void)state;
    const fake_algo list[] = {{.slices = 2},
                              {.slices = 1, .scheme = 1},
                              {.slices = 1, .refuses_rows = 16},
                              {.slices = 1, .workspace_rows = 8},
                              {.slices = 1},
                              {.slices = 0}};
    assert_int_equal(chosen(list, 6), 4);
    assert_int_equal(chosen(list + 4, 2), 0);
    assert_true(chosen(list, 4) == UINT64_MAX);
    assert_true(chosen(list, 0) == UINT64_MAX);
}

static void choices_of_another_kind_are_refused(void **state)
{
    (void)state;
    const choice engine = {.kind = CHOICE_ENGINE, .engine = 41};
    char why[PRODUCT_WHY_BYTES] = "";
    assert_false(product_is_good(no_handle(), &shape, EVERY_ROWS, &engine, why));
    assert_non_null(strstr(why, "product f16 4096 320>320"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_what_they_say),
        cmocka_unit_test(the_first_that_serves_all_rows_is_taken),
        cmocka_unit_test(choices_of_another_kind_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
