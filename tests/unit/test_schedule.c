/* Schedules: equal to the independent implementation; then what no file can list: any length. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "worker/sample/schedule.h"

static void assert_near(double a, double b, double relative)
{
    if (!(fabs(a - b) <= relative * fabs(b)))
        fail_msg("%.17g, expected %.17g", a, b);
}

static void golden_sigmas(void **state)
{
    (void)state;
    json_t *golden = golden_json("schedules.json");
    const char *key;
    json_t *list;
    int seen[SCHEDULE_COUNT] = {0};
    json_object_foreach(json_object_get(golden, "sigmas"), key, list)
    {
        char name[32];
        int n;
        schedule s;
        assert_int_equal(sscanf(key, "%31[^/]/%d", name, &n), 2);
        assert_int_equal(catalog_find_schedule(name, &s, NULL), 0);
        size_t count = json_array_size(list) - 1; /* the last one is the final 0 */
        assert_int_equal(schedule_sigmas(s, n), count);
        for (size_t i = 0; i < count; i++)
            assert_near(schedule_sigma_at(s, n, (int)i), json_real_value(json_array_get(list, i)),
                        1e-6);
        seen[s]++;
    }
    for (int s = SCHEDULE_AUTOMATIC + 1; s < SCHEDULE_COUNT; s++)
        assert_int_equal(seen[s], 8);
    json_decref(golden);
}

static void golden_training(void **state)
{
    (void)state;
    json_t *golden = golden_json("schedules.json"), *value;
    const char *key;
    json_object_foreach(json_object_get(golden, "alphas_cumprod"), key, value)
        assert_near(schedule_alpha_cumprod(atoi(key)), json_real_value(value), 0);
    json_object_foreach(json_object_get(golden, "sigma_to_t"), key, value)
        assert_near(schedule_timestep(atof(key)), json_real_value(value), 1e-6);
    json_decref(golden);
}

static void timestep_and_sigma_are_inverse(void **state)
{
    (void)state;
    for (double t = 0; t <= 999; t += 0.37)
        assert_near(schedule_timestep(schedule_sigma(t)), t, t < 1 ? 1e-9 : 1e-12);
    for (int t = 0; t <= 999; t++) {
        double ac = schedule_alpha_cumprod(t);
        assert_near(schedule_sigma(t), sqrt((1 - ac) / ac), 1e-14);
    }
    const double below = schedule_sigma(0) * (1 - 1e-6), above = schedule_sigma(999) * (1 + 1e-6);
    assert_true(schedule_timestep(below) == 0 && schedule_timestep(1e-300) == 0);
    assert_true(schedule_timestep(above) == 999 && schedule_timestep(1e300) == 999);
    assert_true(schedule_sigma(-5) == schedule_sigma(0));
    assert_true(schedule_sigma(1e9) == schedule_sigma(999));
}

static void any_length(void **state)
{
    (void)state;
    const int lengths[] = {1,   2,   3,   4,   7,    30,   150,   333,
                           499, 500, 501, 999, 1000, 1001, 15000, 150000};
    const double high = schedule_sigma(999), low = schedule_sigma(0);
    for (int s = SCHEDULE_AUTOMATIC + 1; s < SCHEDULE_COUNT; s++)
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            int n = lengths[k], count = schedule_sigmas((schedule)s, n);
            assert_true(count >= 1 && (s == SCHEDULE_DDIM || count == n));
            double last = high * (1 + 1e-12);
            for (int i = 0; i < count; i++) {
                double sigma = schedule_sigma_at((schedule)s, n, i);
                assert_true(sigma <= last && sigma >= low * (1 - 1e-12));
                last = sigma;
            }
            if (s != SCHEDULE_DDIM)
                assert_near(schedule_sigma_at((schedule)s, n, 0), high, 1e-12);
            bool to_the_end =
                s == SCHEDULE_UNIFORM || s == SCHEDULE_KARRAS || s == SCHEDULE_EXPONENTIAL;
            if (to_the_end && n > 1)
                assert_near(last, low, 1e-12);
        }
}

static void ddim_timesteps(void **state)
{
    (void)state;
    const struct {
        int n, count, second, last;
    } row[] = {
        {1, 1, 0, 1},         {7, 8, 143, 995},     {20, 20, 51, 951},      {30, 31, 34, 991},
        {28, 29, 36, 981},    {150, 167, 7, 997},   {500, 500, 3, 999},     {501, 1000, 2, 999},
        {1000, 1000, 2, 999}, {1001, 1000, 2, 999}, {150000, 1000, 2, 999},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int n = row[i].n, count = schedule_timesteps(n);
        assert_int_equal(count, row[i].count);
        assert_int_equal(schedule_timestep_at(n, 0), 1);
        if (count > 1)
            assert_int_equal(schedule_timestep_at(n, 1), row[i].second);
        assert_int_equal(schedule_timestep_at(n, count - 1), row[i].last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_sigmas),
        cmocka_unit_test(golden_training),
        cmocka_unit_test(timestep_and_sigma_are_inverse),
        cmocka_unit_test(any_length),
        cmocka_unit_test(ddim_timesteps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
