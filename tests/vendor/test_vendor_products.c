/* The stand-in for cuBLASLt under the module's own products: right numbers, the same bytes for any
 * number of rows with what the module takes, other bytes with what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cublasLt.h>

#include "kernels/cuda/product.h"
#include "tests/vendor/arrays.h"
#include "tests/vendor/vendor.h"

enum { ROWS_MOST = 16, SEEDS = 8 };

static const product_shape shapes[] = {
    {.type = F16, .tokens = 64, .in = 320, .w_row = 320, .out = 320, .bias = true},
    {.type = F16, .tokens = 77, .in = 768, .w_row = 1536, .out = 136},
    {.type = F16,
     .tokens = 1,
     .in = 1280,
     .w_row = 1280,
     .out = 320,
     .bias = true,
     .residual = true},
    {.type = BF16, .tokens = 33, .in = 40, .w_row = 40, .out = 24, .bias = true},
    {.type = BF16, .tokens = 16, .in = 640, .w_row = 640, .out = 64, .residual = true},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static cublasLtHandle_t open_handle(int seed)
{
    char text[16];
    cublasLtHandle_t handle;
    snprintf(text, sizeof text, "%d", seed);
    setenv("OVERPAINT_VENDOR_SEED", text, 1);
    assert_int_equal(cublasLtCreate(&handle), CUBLAS_STATUS_SUCCESS);
    return handle;
}

/* Operands of ROWS_MOST rows. */
typedef struct {
    array x, w, bias, residual, y;
} operands;

static operands operands_of(const product_shape *s)
{
    int64_t n = ROWS_MOST * s->tokens;
    return (operands){.x = array_random(s->type, n * s->in, 1),
                      .w = array_random(s->type, s->w_row * s->out, 2),
                      .bias = array_random(s->type, s->out, 3),
                      .residual = array_random(s->type, n * s->out, 4),
                      .y = array_empty(n * s->out)};
}

static void operands_done(operands *o)
{
    array *const all[] = {&o->x, &o->w, &o->bias, &o->residual, &o->y};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_done(all[i]);
}

static bool run(cublasLtHandle_t handle, const product_shape *s, const choice *c, const operands *o,
                int64_t rows)
{
    char why[PRODUCT_WHY_BYTES];
    product *p = product_new(s, rows, why);
    if (!p)
        fail_msg("%s", why);
    const product_places at = {.x = o->x.device,
                               .w = o->w.device,
                               .bias = s->bias ? o->bias.device : NULL,
                               .residual = s->residual ? o->residual.device : NULL,
                               .y = o->y.device};
    bool good = product_run(handle, p, c, &at, the_stream(), why);
    product_free(&p);
    if (good)
        array_get(&o->y);
    return good;
}

static choice choice_of(cublasLtHandle_t handle, const product_shape *s)
{
    char why[PRODUCT_WHY_BYTES];
    choice c;
    if (!product_choose(handle, s, EVERY_ROWS, &c, why))
        fail_msg("%s", why);
    return c;
}

static double *expected(const product_shape *s, const operands *o, int64_t rows)
{
    double *want = malloc((size_t)(rows * s->tokens * s->out) * sizeof *want);
    assert_non_null(want);
    for (int64_t i = 0; i < rows * s->tokens; i++)
        for (int64_t j = 0; j < s->out; j++) {
            double sum = s->bias ? array_at(&o->bias, s->type, j) : 0;
            for (int64_t l = 0; l < s->in; l++)
                sum += array_at(&o->x, s->type, i * s->in + l) *
                       array_at(&o->w, s->type, j * s->w_row + l);
            if (s->residual)
                sum += array_at(&o->residual, s->type, i * s->out + j);
            want[i * s->out + j] = sum;
        }
    return want;
}

static void products_are_right(void **state)
{
    (void)state;
    cublasLtHandle_t handle = open_handle(0);
    for (int i = 0; i < SHAPES; i++) {
        const product_shape *s = &shapes[i];
        operands o = operands_of(s);
        const choice c = choice_of(handle, s);
        double *want = expected(s, &o, 2);
        assert_true(run(handle, s, &c, &o, 2));
        array_assert_near(&o.y, s->type, want, 2 * s->tokens * s->out);
        free(want);
        operands_done(&o);
        assert_reported(NULL);
    }
    cublasLtDestroy(handle);
}

/* How many numbers of rows give other bytes than ROWS_MOST rows; -1 when one cannot be run. */
static int count_different(cublasLtHandle_t handle, const product_shape *s, const choice *c)
{
    operands o = operands_of(s);
    size_t row = (size_t)(s->tokens * s->out) * sizeof *o.y.host;
    uint16_t *all = malloc(ROWS_MOST * row);
    assert_non_null(all);
    int different = 0;
    bool good = run(handle, s, c, &o, ROWS_MOST);
    memcpy(all, o.y.host, ROWS_MOST * row);
    for (int i = 0; good && i < BUCKETS; i++) {
        array_clear(&o.y);
        good = run(handle, s, c, &o, bucket_rows[i]);
        different += memcmp(o.y.host, all, (size_t)bucket_rows[i] * row) != 0;
    }
    free(all);
    operands_done(&o);
    return good ? different : -1;
}

static void choices_give_the_same_bytes(void **state)
{
    (void)state;
    for (int seed = 0; seed < SEEDS; seed++) {
        cublasLtHandle_t handle = open_handle(seed);
        const product_shape *s = &shapes[seed % SHAPES];
        const choice c = choice_of(handle, s);
        assert_int_equal(count_different(handle, s, &c), 0);
        cublasLtDestroy(handle);
    }
    assert_reported(NULL);
}

/* The second of an algorithm's words is its number. What the module calls good is just what can be
 * run for any number of rows and gives the same bytes. */
static void refused_algorithms_give_others(void **state)
{
    (void)state;
    const product_shape *s = &shapes[0];
    cublasLtHandle_t handle = open_handle(0);
    choice c = choice_of(handle, s);
    int good = 0, different = 0, stuck = 0;
    size_t bytes;
    int32_t id;
    char why[PRODUCT_WHY_BYTES];
    for (c.algo[1] = 0; cublasLtMatmulAlgoConfigGetAttribute(
                            (const cublasLtMatmulAlgo_t *)c.algo, CUBLASLT_ALGO_CONFIG_ID, &id,
                            sizeof id, &bytes) == CUBLAS_STATUS_SUCCESS;
         c.algo[1]++) {
        int n = count_different(handle, s, &c);
        assert_int_equal(product_is_good(handle, s, EVERY_ROWS, &c, why), n == 0);
        good += n == 0;
        different += n > 0;
        stuck += n < 0;
    }
    assert_true(good >= 3 && different >= 2 && stuck >= 2);
    assert_reported(NULL);
    cublasLtDestroy(handle);
}

/* Seeds and numbers of rows disagree about the best, so that asking twice shows. */
static void heuristics_disagree(void **state)
{
    (void)state;
    choice first = {0};
    int others = 0;
    for (int seed = 0; seed < SEEDS; seed++) {
        cublasLtHandle_t handle = open_handle(seed);
        const choice c = choice_of(handle, &shapes[0]);
        if (seed == 0)
            first = c;
        others += memcmp(first.algo, c.algo, sizeof c.algo) != 0;
        cublasLtDestroy(handle);
    }
    assert_in_range(others, 1, SEEDS - 1);
}

/* With x and y in other places. */
static bool run_moved(cublasLtHandle_t handle, const operands *o, void *x, void *y, int64_t rows)
{
    operands broken = *o;
    choice c = choice_of(handle, &shapes[0]);
    broken.x.device = x;
    broken.y.device = y;
    return run(handle, &shapes[0], &c, &broken, rows);
}

static void broken_rules_are_reported(void **state)
{
    (void)state;
    cublasLtHandle_t handle = open_handle(0);
    operands o = operands_of(&shapes[0]);
    uint16_t *x = o.x.device;
    assert_false(run_moved(handle, &o, x + 1, o.y.device, 2));
    assert_reported("B: ");
    assert_true(run_moved(handle, &o, x + 8, o.y.device, 2));
    assert_false(run_moved(handle, &o, x + 8, o.y.device, ROWS_MOST));
    assert_reported("B: ");
    array gone = array_empty(o.y.n);
    void *place = gone.device;
    array_done(&gone);
    assert_false(run_moved(handle, &o, place, o.y.device, 2));
    assert_reported("B: ");
    assert_false(run_moved(handle, &o, x, x + 8, 2));
    assert_reported("overlaps");
    operands_done(&o);
    cublasLtDestroy(handle);
}

/* The heuristic has algorithms for operands at multiples of 256, and ours are not. */
static void whole_vectors_are_enough(void **state)
{
    (void)state;
    operands o = operands_of(&shapes[0]);
    for (int seed = 0; seed < 4 * SEEDS; seed++) {
        cublasLtHandle_t handle = open_handle(seed);
        assert_true(run_moved(handle, &o, (uint16_t *)o.x.device + 8, o.y.device, 1));
        cublasLtDestroy(handle);
    }
    assert_reported(NULL);
    operands_done(&o);
}

static void a_missing_bias_is_reported(void **state)
{
    (void)state;
    const uint32_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const float one = 1, zero = 0;
    array a = array_random(F16, 64, 1), d = array_empty(64);
    cublasLtHandle_t handle = open_handle(0);
    cublasLtMatmulDesc_t how;
    cublasLtMatrixLayout_t square;
    cublasLtMatmulPreference_t like;
    cublasLtMatmulHeuristicResult_t best;
    int n;
    assert_int_equal(cublasLtMatmulDescCreate(&how, CUBLAS_COMPUTE_32F, CUDA_R_32F), 0);
    assert_int_equal(cublasLtMatmulDescSetAttribute(how, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                                    sizeof epilogue),
                     0);
    assert_int_equal(cublasLtMatrixLayoutCreate(&square, CUDA_R_16F, 8, 8, 8), 0);
    assert_int_equal(cublasLtMatmulPreferenceCreate(&like), 0);
    assert_int_equal(cublasLtMatmulAlgoGetHeuristic(handle, how, square, square, square, square,
                                                    like, 1, &best, &n),
                     0);
    assert_int_not_equal(cublasLtMatmul(handle, how, &one, a.device, square, a.device, square,
                                        &zero, d.device, square, d.device, square, &best.algo, NULL,
                                        0, the_stream()),
                         0);
    assert_reported("bias");
    cublasLtMatmulPreferenceDestroy(like);
    cublasLtMatrixLayoutDestroy(square);
    cublasLtMatmulDescDestroy(how);
    cublasLtDestroy(handle);
    array_done(&a);
    array_done(&d);
}

static void fail_at(int n)
{
    char text[32];
    snprintf(text, sizeof text, "%d", n);
    vendor_fail_at(text);
}

/* Any call may fail. */
static void failures_are_told(void **state)
{
    (void)state;
    cublasLtHandle_t handle = open_handle(0);
    char why[PRODUCT_WHY_BYTES];
    choice c;
    int failed = 0;
    for (int n = 1; n < 40; n++) {
        fail_at(n);
        bool chosen = product_choose(handle, &shapes[0], EVERY_ROWS, &c, why);
        assert_true(chosen || strstr(why, "no memory"));
        failed += !chosen;
    }
    vendor_fail_at(NULL);
    assert_in_range(failed, 6, 39);
    cublasLtDestroy(handle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(choices_give_the_same_bytes),
        cmocka_unit_test(refused_algorithms_give_others),
        cmocka_unit_test(heuristics_disagree),
        cmocka_unit_test(broken_rules_are_reported),
        cmocka_unit_test(whole_vectors_are_enough),
        cmocka_unit_test(a_missing_bias_is_reported),
        cmocka_unit_test(failures_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
