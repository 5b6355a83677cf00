/* The emulation itself: right kernels give the right result under every schedule, and each planted
 * mistake is caught, either because the emulation says so or because the bytes of a result are
 * wrong under at least one schedule. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/half.h"
#include "tests/cuemu/cuemu.h"
#include "tests/cuemu/planted.h"

enum { MOST = PLANTED_THREADS * PLANTED_TILES };
typedef int runner(mistake m, float *out, const float *in);

static int reverse_two(mistake m, float *out, const float *in)
{
    return planted_reverse(m, out, in, 2);
}

static void expect_reversed(float *out, const float *in)
{
    for (int i = 0; i < 2 * PLANTED_THREADS; i++)
        out[i] =
            in[i / PLANTED_THREADS * PLANTED_THREADS + PLANTED_THREADS - 1 - i % PLANTED_THREADS];
}

static void expect_ring(float *out, const float *in)
{
    for (int i = 0; i < PLANTED_THREADS; i++) {
        out[i] = 0;
        for (int t = 0; t < PLANTED_TILES; t++)
            out[i] += in[t * PLANTED_THREADS + (i + 37) % PLANTED_THREADS];
    }
}

static void expect_cluster(float *out, const float *in)
{
    for (int i = 0; i < PLANTED_CLUSTER * PLANTED_THREADS; i++) {
        out[i] = 0;
        for (int r = 0; r < PLANTED_CLUSTER; r++)
            out[i] += in[r * PLANTED_THREADS + i % PLANTED_THREADS];
    }
}

static const struct {
    runner *run;
    void (*expect)(float *, const float *);
    int in, out; /* floats */
} cases[] = {{reverse_two, expect_reversed, 2 * PLANTED_THREADS, 2 * PLANTED_THREADS},
             {planted_ring, expect_ring, MOST, PLANTED_THREADS},
             {planted_cluster, expect_cluster, PLANTED_CLUSTER *PLANTED_THREADS,
              PLANTED_CLUSTER *PLANTED_THREADS}};

typedef struct {
    int said, wrong; /* schedules */
    char text[300];
} verdict;

/* One mistake in one case under every schedule. */
static verdict judge(int which, mistake m)
{
    verdict v = {0};
    for (unsigned s = 0; s < CUEMU_SCHEDULES; s++) {
        float expected[MOST];
        float *in = cuemu_malloc((size_t)cases[which].in * sizeof *in);
        float *out = cuemu_malloc((size_t)cases[which].out * sizeof *out);
        for (int i = 0; i < cases[which].in; i++)
            in[i] = (float)(i * 7 % 1009);
        cases[which].expect(expected, in);
        cuemu_schedule(s);
        const int status = cases[which].run(m, out, in);
        const char *error = cuemu_error();
        assert_int_equal(status != 0, error != NULL);
        if (error)
            strncpy(v.text, error, sizeof v.text - 1);
        v.said += error != NULL;
        v.wrong += memcmp(out, expected, (size_t)cases[which].out * sizeof *out) != 0;
        cuemu_free(in);
        cuemu_free(out);
    }
    cuemu_schedule(0);
    return v;
}

static void right_kernels_are_right(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        const verdict v = judge(i, RIGHT);
        assert_int_equal(v.said, 0);
        assert_int_equal(v.wrong, 0);
    }
}

static void mistakes_change_bytes(void **state)
{
    static const struct {
        int which;
        mistake m;
    } planted[] = {{0, NO_BARRIER}, {0, UNINITIALISED},      {1, NO_LOOP_BARRIER},
                   {1, NO_WAIT},    {2, NO_CLUSTER_BARRIER}, {2, ENDS_EARLY}};
    (void)state;
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
        const verdict v = judge(planted[i].which, planted[i].m);
        if (v.wrong == 0)
            fail_msg("mistake %d was not seen", (int)planted[i].m);
    }
}

static void mistakes_are_named(void **state)
{
    static const struct {
        int which;
        mistake m;
        const char *says;
    } planted[] = {{0, BESIDE_SHARED, "subscript 128 of a shared array of 128"},
                   {0, MISALIGNED, "no multiple of 16"},
                   {0, LOADS_BEYOND, "load of 4 bytes"},
                   {0, STORES_BEYOND, "store of 4 bytes"},
                   {0, HALF_A_WARP, "64 for their warp"},
                   {0, TWO_KINDS, "another collective"},
                   {0, LOST_AT_BARRIER, "have ended"},
                   {1, NO_LAST_WAIT, "nobody waited for"},
                   {2, ENDS_EARLY, "which has ended"}};
    (void)state;
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
        const verdict v = judge(planted[i].which, planted[i].m);
        if (v.said == 0 || !strstr(v.text, planted[i].says))
            fail_msg("mistake %d: \"%s\", expected \"%s\"", (int)planted[i].m, v.text,
                     planted[i].says);
    }
}

static void products_are_exact(void **state)
{
    (void)state;
    float *out = cuemu_malloc(16 * 8 * sizeof *out);
    uint16_t *a = cuemu_malloc(16 * 16 * sizeof *a), *b = cuemu_malloc(16 * 8 * sizeof *b);
    for (int i = 0; i < 256; i++)
        a[i] = (uint16_t)(0x3c00 + i * 37 % 1024); /* 1 to 2 */
    for (int i = 0; i < 128; i++)
        b[i] = (uint16_t)((i % 3 ? 0x4000 : 0xc000) + i * 29 % 1024);
    assert_int_equal(planted_product(out, a, b), 0);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            double sum = 0;
            for (int k = 0; k < 16; k++)
                sum += (double)f16_to_float(a[i * 16 + k]) * f16_to_float(b[k * 8 + j]);
            assert_true(fabs(out[i * 8 + j] - sum) < 1e-4);
        }
    cuemu_free(out);
    cuemu_free(a);
    cuemu_free(b);
}

/* Every finite half, and what lies half-way to the next. */
static void halves_are_rounded(void **state)
{
    (void)state;
    for (uint16_t h = 0; h < 0x7c00; h++) {
        const float v = f16_to_float(h), next = h == 0x7bff ? 65536 : f16_to_float(h + 1);
        const float middle = (v + next) / 2;
        assert_int_equal(cuemu_round_f16(v), h);
        assert_int_equal(cuemu_round_f16(-v), h | 0x8000);
        assert_int_equal(cuemu_round_f16(middle), h + h % 2);
        assert_int_equal(cuemu_round_f16(nextafterf(middle, 0)), h);
        assert_int_equal(cuemu_round_f16(nextafterf(middle, 1e9f)), h + 1);
    }
    for (uint16_t h = 0; h < 0x7f7f; h++) {
        const float v = bf16_to_float(h), middle = v + (bf16_to_float(h + 1) - v) / 2;
        assert_int_equal(cuemu_round_bf16(-v), h | 0x8000);
        assert_int_equal(cuemu_round_bf16(middle), h + h % 2);
        assert_int_equal(cuemu_round_bf16(nextafterf(middle, INFINITY)), h + 1);
    }
    assert_true(isnan(f16_to_float(cuemu_round_f16(NAN))));
    assert_true(isnan(bf16_to_float(cuemu_round_bf16(NAN))));
}

static void launches_are_refused(void **state)
{
    static const struct {
        int64_t x, y;
        unsigned threads, cluster;
        size_t shared, allowed;
        int good;
    } launch[] = {
        {1, 1, 1024, 1, 0, 0, 1},
        {1, 1, 1056, 1, 0, 0, 0},
        {1, 1, 100, 1, 0, 0, 0},
        {0, 1, 32, 1, 0, 0, 0},
        {1, 65535, 32, 1, 0, 0, 1},
        {1, 65536, 32, 1, 0, 0, 0},
        {8, 1, 32, 8, 0, 0, 1},
        {8, 1, 32, 3, 0, 0, 0},
        {16, 1, 32, 16, 0, 0, 0},
        {1, 1, 32, 1, 48 << 10, 0, 1},
        {1, 1, 32, 1, (48 << 10) + 1, 0, 0},
        {1, 1, 32, 1, 100 << 10, 100 << 10, 1},
        {1, 1, 32, 1, 100 << 10, 1, 0},
        {1, 1, 32, 1, 1, 228 << 10, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof launch / sizeof *launch; i++) {
        const int status = planted_launch(launch[i].x, launch[i].y, launch[i].threads,
                                          launch[i].cluster, launch[i].shared, launch[i].allowed);
        if ((status == 0) != launch[i].good)
            fail_msg("launch %zu: status %d", i, status);
        cuemu_error();
    }
}

static void guards_are_checked(void **state)
{
    (void)state;
    char *p = cuemu_malloc(100);
    p[100] = 0;
    cuemu_free(p);
    assert_string_equal(cuemu_error(), "written beyond an allocation");
    assert_null(cuemu_error());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_kernels_are_right), cmocka_unit_test(mistakes_change_bytes),
        cmocka_unit_test(mistakes_are_named),      cmocka_unit_test(products_are_exact),
        cmocka_unit_test(halves_are_rounded),      cmocka_unit_test(launches_are_refused),
        cmocka_unit_test(guards_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
