/* The thread that asks for telemetry: what it learns is there for others, and a driver that hangs
 * holds nobody up. The library is the stand-in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "proto/clock.h"
#include "tests/support/nvml_library.h"
#include "worker/monitor.h"

#define STAND_IN STAND_INS "/libstand_in_nvml.so"
#define GPU      "0000:3b:00.0"

enum { PERIOD_MS = 20, PATIENCE_MS = 30000 };

static nvml_set *set;
static nvml_held *held;

static int load(void **state)
{
    (void)state;
    return nvml_library_load(STAND_IN, &set, &held) ? 0 : -1;
}

static int begin(void **state)
{
    (void)state;
    set("bus", GPU);
    set("total", "1000");
    set("used", "250");
    set("hang_ms", "");
    return 0;
}

static monitor *open_monitor(const char *hardware, const char *nvml)
{
    monitor_options o = {.devices = 1, .nvml = nvml, .period_ms = PERIOD_MS};
    err e = {0};
    snprintf(o.device[0].name, sizeof o.device[0].name, "cuda:0");
    snprintf(o.device[0].hardware, sizeof o.device[0].hardware, "%s", hardware);
    monitor *m = monitor_new(&o, &e);
    assert_non_null(m);
    return m;
}

/* Looks until `condition` holds of what is known; fails the test when it never does. */
#define UNTIL(m, t, condition)                                                                     \
    for (int64_t give_up = clock_ms() + PATIENCE_MS; monitor_get(m, 0, &t), !(condition);) {       \
        assert_true(clock_ms() < give_up);                                                         \
        usleep(1000);                                                                              \
    }

static void numbers_arrive_and_change(void **state)
{
    telemetry t;
    (void)state;
    monitor *m = open_monitor(GPU, STAND_IN);
    UNTIL(m, t, t.has_memory_used_bytes);
    assert_int_equal(t.memory_used_bytes, 250);
    assert_int_equal(t.memory_total_bytes, 1000);
    assert_false(t.has_temperature_celsius);
    set("used", "300");
    set("xid", "79");
    UNTIL(m, t, t.memory_used_bytes == 300 && t.has_last_xid);
    assert_int_equal(t.last_xid, 79);
    assert_int_equal(t.xid_errors, 1);
    monitor_free(&m);
    assert_null(m);
    assert_int_equal(held(), 0);
}

static void nothing_to_ask(void **state)
{
    static const struct {
        const char *hardware, *nvml;
    } cases[] = {{"", STAND_IN}, {GPU, NULL}, {GPU, "libnvidia-ml-that-is-nowhere.so.1"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        telemetry t;
        monitor *m = open_monitor(cases[i].hardware, cases[i].nvml);
        for (int times = 0; times < 10; times++) {
            monitor_get(m, 0, &t);
            assert_false(t.has_memory_total_bytes || t.has_xid_errors);
            usleep(PERIOD_MS * 1000 / 5);
        }
        monitor_free(&m);
    }
}

/* What was read before the driver got stuck is not passed off as what is. */
static void a_driver_that_hangs(void **state)
{
    telemetry t;
    (void)state;
    monitor *m = open_monitor(GPU, STAND_IN);
    UNTIL(m, t, t.has_memory_used_bytes);
    set("hang_ms", "400");
    UNTIL(m, t, !t.has_memory_used_bytes);
    UNTIL(m, t, t.has_memory_used_bytes); /* it came back */
    monitor_free(&m);
    assert_int_equal(held(), 0);
}

/* The thread is left behind, and ends by itself later. */
static void a_driver_that_never_returns(void **state)
{
    (void)state;
    set("hang_ms", "6000");
    monitor *m = open_monitor(GPU, STAND_IN);
    while (!held()) /* the thread is at it */
        usleep(1000);
    const int64_t start = clock_ms();
    monitor_free(&m);
    assert_null(m);
    assert_in_range(clock_ms() - start, 0, 5000);
    assert_int_equal(held(), 2); /* the library and its events: in use */
    for (const int64_t give_up = clock_ms() + PATIENCE_MS; held(); usleep(10000))
        assert_true(clock_ms() < give_up);
}

/* Ending at any moment, the first reading or the wait after it included. */
static void quick_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        monitor *m = open_monitor(i % 2 ? GPU : TELEMETRY_MACHINE, STAND_IN);
        usleep((useconds_t)(i * 50));
        monitor_free(&m);
        assert_int_equal(held(), 0);
    }
    monitor *none = NULL;
    monitor_free(&none);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        CASE(numbers_arrive_and_change),   CASE(nothing_to_ask), CASE(a_driver_that_hangs),
        CASE(a_driver_that_never_returns), CASE(quick_ends),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
