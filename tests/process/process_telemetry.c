/* Telemetry from end to end: a real worker's numbers of this machine in `overpaint status`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "tests/support/farm.h"

/* The first device's telemetry in `s`. */
static json_t *telemetry_in(const json_t *s)
{
    const json_t *worker = json_array_get(json_object_get(s, "workers"), 0);
    const json_t *device = json_array_get(json_object_get(worker, "devices"), 0);
    return json_object_get(device, "telemetry");
}

static bool knows_load(farm *f)
{
    json_t *s = farm_status(f);
    const bool known = json_object_get(telemetry_in(s), "utilisation_percent") != NULL;
    json_decref(s);
    return known;
}

static void test_machine(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1});
    json_int_t used, total, busy;
    FARM_UNTIL(f, knows_load(f));
    farm_outcome r = farm_command(f, WORDS("status", "--json"));
    farm_expect(&r, 0, "");
    json_t *s = json_loads(r.out, 0, NULL), *t = telemetry_in(s);
    assert_int_equal(json_unpack(t, "{s:I, s:I, s:I}", "memory_used_bytes", &used,
                                 "memory_total_bytes", &total, "utilisation_percent", &busy),
                     0);
    assert_int_equal(json_object_size(t), 3); /* a processor has no Xid, and no zero for it */
    assert_true(total == (json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    assert_in_range(used, 1, total);
    assert_in_range(busy, 0, 100);
    json_decref(s);
    r = farm_command(f, WORDS("status"));
    farm_expect(&r, 0, "");
    const char *line = strstr(r.out, "\n    hardware: ");
    assert_non_null(line);
    assert_non_null(strstr(line, " MiB in use, "));
    assert_non_null(strstr(line, " MiB in all, "));
    assert_non_null(strstr(line, " % busy\n"));
    assert_null(strstr(r.out, "Xid"));
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {farm_test(test_machine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
