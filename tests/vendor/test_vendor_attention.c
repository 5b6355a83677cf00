/* The stand-in for cuDNN under the module's own plans of attention, which are compiled: about a
 * second each, so every one is used for all there is to ask of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/cuda/plans.h"
#include "tests/vendor/arrays.h"
#include "tests/vendor/bench.h"
#include "tests/vendor/vendor.h"

enum { ROWS_MOST = 16, KEYS_MOST = 128 };
static const float scale = 0.375f;

#define OWN(type, heads, d, t)                                                                     \
    {                                                                                              \
        SHAPE_ATTENTION, type, .attention = {                                                      \
            heads,                                                                                 \
            d,                                                                                     \
            t,                                                                                     \
            t,                                                                                     \
            3 * heads * d,                                                                         \
            3 * heads * d,                                                                         \
            false                                                                                  \
        }                                                                                          \
    }
#define TEXT(type, heads, d, t, keys)                                                              \
    {                                                                                              \
        SHAPE_ATTENTION, type, .attention = { heads, d, t, keys, heads * d, 2 * heads * d, true }  \
    }
static const plan_shape shapes[] = {
    OWN(F16, 4, 8, 24),
    OWN(BF16, 2, 64, 40),
    TEXT(F16, 2, 40, 33, 77),
};
static const plan_shape tiny = TEXT(F16, 2, 16, 20, 77);

/* Counts are pairs of 16 bits of an array. */
typedef struct {
    array q, kv, y, queries, keys;
    int64_t k_at, v_at; /* values from the start of kv; of packed rows kv is not used */
} operands;

static int32_t count_of(const array *a, int64_t row)
{
    int32_t n;
    memcpy(&n, a->host + 2 * row, sizeof n);
    return n;
}

static array counts_of(int64_t rows, int32_t most, int32_t step)
{
    array a = array_empty(2 * rows);
    for (int64_t i = 0; i < rows; i++) {
        int32_t n = most - step * (int32_t)(i % 4);
        memcpy(a.host + 2 * i, &n, sizeof n);
    }
    array_put(&a);
    return a;
}

/* The counted ones have 77, 57, 37 and 17 keys in turn. */
static operands operands_of(const plan_shape *s, int64_t rows)
{
    const attention_shape *a = &s->attention;
    int64_t c = a->heads * a->d;
    return (operands){.q = array_random(s->type, rows * a->tq * a->q_row, 1),
                      .kv = array_random(s->type, rows * a->tk * a->kv_row, 2),
                      .y = array_empty(rows * a->tq * c),
                      .queries = counts_of(rows, (int32_t)a->tq, 0),
                      .keys = counts_of(rows, (int32_t)a->tk, a->counted ? 20 : 0),
                      .k_at = a->counted ? 0 : c,
                      .v_at = a->counted ? c : 2 * c};
}

static void operands_done(operands *o)
{
    array *const all[] = {&o->q, &o->kv, &o->y, &o->queries, &o->keys};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_done(all[i]);
}

static const array *keys_of(const plan_shape *s, const operands *o)
{
    return s->attention.counted ? &o->kv : &o->q;
}

static bool launch(const bench *b, const plan *p, const plan_shape *s, const operands *o)
{
    float value = scale;
    uint16_t *keys = keys_of(s, o)->device;
    void *workspace;
    plan_operand operand[] = {PLAN_Q, PLAN_K, PLAN_V, PLAN_Y, PLAN_SCALE, PLAN_QUERIES, PLAN_KEYS};
    void *at[] = {o->q.device, keys + o->k_at,    keys + o->v_at, o->y.device,
                  &value,      o->queries.device, o->keys.device};
    assert_int_equal(cudaMalloc(&workspace, (size_t)plan_workspace(p)), cudaSuccess);
    array_clear(&o->y);
    bool good = bench_launch(b, p, operand, at, s->attention.counted ? 7 : 5, workspace);
    value = NAN; /* the launch has its own */
    if (good)
        array_get(&o->y);
    assert_int_equal(cudaFree(workspace), cudaSuccess);
    return good;
}

typedef struct {
    int64_t row, head, query;
} place;

static void attend(const plan_shape *s, const operands *o, place p, double *to)
{
    const attention_shape *a = &s->attention;
    const array *kv = keys_of(s, o);
    int64_t keys = count_of(&o->keys, p.row), q = (p.row * a->tq + p.query) * a->q_row;
    double share[KEYS_MOST], all = 0;
    for (int64_t j = 0; j < keys; j++) {
        int64_t k = (p.row * a->tk + j) * a->kv_row + o->k_at + p.head * a->d;
        double sum = 0;
        for (int64_t i = 0; i < a->d; i++)
            sum += array_at(&o->q, s->type, q + p.head * a->d + i) * array_at(kv, s->type, k + i);
        all += share[j] = exp(scale * sum);
    }
    for (int64_t i = 0; i < a->d; i++) {
        to[i] = 0;
        for (int64_t j = 0; j < keys; j++)
            to[i] += share[j] / all *
                     array_at(kv, s->type,
                              (p.row * a->tk + j) * a->kv_row + o->v_at + p.head * a->d + i);
    }
}

static void assert_right(const plan_shape *s, const operands *o, int64_t rows)
{
    const attention_shape *a = &s->attention;
    int64_t n = rows * a->tq * a->heads;
    double *want = malloc((size_t)(n * a->d) * sizeof *want);
    assert_non_null(want);
    for (int64_t i = 0; i < n; i++)
        attend(s, o, (place){i / a->heads / a->tq, i % a->heads, i / a->heads % a->tq},
               want + i * a->d);
    array_assert_near(&o->y, s->type, want, n * a->d);
    free(want);
}

/* Its first configuration: what is chosen is compiled twice. */
static choice first_choice(const bench *b, const plan_shape *s)
{
    plan_candidate list[PLAN_CANDIDATES];
    char why[PLAN_WHY_BYTES];
    assert_true(planner_candidates(b->planner, s, REFERENCE_ROWS, list, why) > 0);
    return list[0].choice;
}

static void attention_is_right(void **state)
{
    const bench *b = *state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const choice c = first_choice(b, &shapes[i]);
        operands o = operands_of(&shapes[i], 2);
        plan *p = bench_plan(b, &shapes[i], &c, 2);
        assert_true(launch(b, p, &shapes[i], &o));
        assert_right(&shapes[i], &o, 2);
        assert_reported(NULL);
        plan_free(&p);
        operands_done(&o);
    }
}

/* At 1, 2 and 16 rows, as the module gets them: the first time built, the second time loaded. */
static void run_all(const bench *b, const plan_store *store, const operands *o, int built)
{
    static const int64_t rows[] = {16, 1, 2};
    char why[PLAN_WHY_BYTES];
    size_t row = (size_t)(o->y.n / ROWS_MOST) * sizeof *o->y.host;
    uint16_t *all = malloc(ROWS_MOST * row);
    plans *p = plans_new(&(plans_sources){.planner = b->planner, .store = store}, why);
    assert_true(all && p);
    for (int i = 0; i < 3; i++) {
        const plan *found = plans_get(p, &tiny, rows[i], why);
        if (!found)
            fail_msg("%s", why);
        assert_true(launch(b, found, &tiny, o));
        assert_right(&tiny, o, rows[i]);
        if (i == 0)
            memcpy(all, o->y.host, ROWS_MOST * row);
        assert_memory_equal(all, o->y.host, (size_t)rows[i] * row);
    }
    assert_int_equal(plans_count(p).built, built);
    assert_int_equal(plans_count(p).loaded, 3 - built);
    assert_true(plans_keep(p));
    plans_free(&p);
    free(all);
}

static void rows_give_the_same_bytes(void **state)
{
    static const tuning_device h200 = {"NVIDIA H200", 132, 13000, 91900, 130100};
    char folder[] = "/tmp/overpaint-plans-XXXXXX", why[TUNING_WHY_BYTES], command[64];
    plan_store store;
    operands o = operands_of(&tiny, ROWS_MOST);
    assert_true(mkdtemp(folder) && plan_store_open(&store, folder, &h200, why));
    run_all(*state, &store, &o, 3);
    run_all(*state, &store, &o, 0);
    assert_reported(NULL);
    operands_done(&o);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static void counts_are_what_they_say(void **state)
{
    const bench *b = *state;
    const choice c = first_choice(b, &tiny);
    operands o = operands_of(&tiny, 1);
    plan *p = bench_plan(b, &tiny, &c, 1);
    const int32_t none = 0, many = 78;
    memcpy(o.keys.host, &none, sizeof none);
    array_put(&o.keys);
    assert_true(launch(b, p, &tiny, &o));
    for (int64_t i = 0; i < o.y.n; i++)
        assert_int_equal(o.y.host[i], 0);
    assert_reported(NULL);
    memcpy(o.keys.host, &many, sizeof many);
    array_put(&o.keys);
    launch(b, p, &tiny, &o);
    assert_reported("78 of 77 tokens");
    plan_free(&p);
    operands_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_right),
        cmocka_unit_test(rows_give_the_same_bytes),
        cmocka_unit_test(counts_are_what_they_say),
    };
    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
