/* What is known of hardware: of GPUs through a stand-in for NVML that does everything a real one
 * may do, of the machine from texts as the kernel writes them and from others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/dev.h"
#include "kernels/machine.h"
#include "kernels/telemetry.h"
#include "tests/support/nvml_library.h"

#define STAND_IN     STAND_INS "/libstand_in_nvml.so"
#define STAND_IN_OLD STAND_INS "/libstand_in_nvml_old.so"
#define GPU          "0000:3b:00.0"
#define GPU_1        "0000:86:00.0"

static void *library;
static nvml_set *set;
static nvml_held *held;

/* Bits of what is known, in the order of TELEMETRY_VALUES. */
enum {
    USED = 1,
    TOTAL = 2,
    BUSY = 4,
    CELSIUS = 8,
    MILLIWATTS = 16,
    ECC = 32,
    XIDS = 64,
    LAST_XID = 128,
    MEMORY = USED | TOTAL,
    USUAL = MEMORY | BUSY | CELSIUS | MILLIWATTS | ECC | XIDS,
};

static unsigned known(const telemetry *t)
{
    unsigned bits = 0, next = 1;
#define BIT(name)                                                                                  \
    bits |= t->has_##name ? next : 0;                                                              \
    assert_true(t->has_##name || t->name == 0);                                                    \
    next <<= 1;
    TELEMETRY_VALUES(BIT)
#undef BIT
    return bits;
}

static const char *const usual[][2] = {{"bus", GPU "," GPU_1},
                                       {"total", "150754820096"},
                                       {"used", "1073741824"},
                                       {"busy", "37"},
                                       {"celsius", "63"},
                                       {"milliwatts", "251500"},
                                       {"ecc", "0"},
                                       {"xid", ""},
                                       {"fail", ""}};

static int load(void **state)
{
    (void)state;
    library = nvml_library_load(STAND_IN, &set, &held);
    return library ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    return dlclose(library);
}

/* Every test begins with the same GPU, and must give back what it took of the library. */
static int begin(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        set(usual[i][0], usual[i][1]);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return held();
}

static telemetry read_once(const char *hardware, const char *nvml, char *why)
{
    telemetry t;
    telemetry_reader *r = telemetry_open(&hardware, 1, nvml, why);
    assert_non_null(r);
    telemetry_read(r, &t);
    telemetry_close(&r);
    assert_null(r);
    return t;
}

/* ---------------------------------------------------------------- GPUs */

static void every_value(void **state)
{
    char why[TELEMETRY_WHY_BYTES];
    (void)state;
    const telemetry t = read_once(GPU, STAND_IN, why);
    assert_string_equal(why, "");
    assert_int_equal(known(&t), USUAL);
    assert_true(t.memory_total_bytes == 150754820096 && t.memory_used_bytes == 1073741824);
    assert_int_equal(t.utilisation_percent, 37);
    assert_int_equal(t.temperature_celsius, 63);
    assert_int_equal(t.power_milliwatts, 251500);
    assert_int_equal(t.ecc_errors, 0);
    assert_int_equal(t.xid_errors, 0);
}

static void what_does_not_work_is_not_known(void **state)
{
    static const struct {
        const char *nvml, *hardware, *fails;
        unsigned known;
        const char *why;
    } cases[] = {
        {NULL, GPU, "", 0, ""},
        {"", GPU, "", 0, ""},
        {"libnvidia-ml-that-is-nowhere.so.1", GPU, "", 0, "cannot open shared object"},
        {"/dev/null", GPU, "", 0, "/dev/null"},
        {"libm.so.6", GPU, "", 0, "libm.so.6 has no nvmlInit_v2"},
        {STAND_IN, "", "", 0, ""},
        {STAND_IN, "0000:00:00.0", "", 0, "nvmlDeviceGetHandleByPciBusId_v2 says 6 for 0000:00"},
        {STAND_IN, "not a bus id", "", 0, "says 6 for not a bus id"},
        {STAND_IN, GPU, "all", 0, "nvmlInit_v2 says 999"},
        {STAND_IN, GPU, "nvmlInit_v2", 0, "nvmlInit_v2 says 999"},
        {STAND_IN, GPU, "nvmlDeviceGetHandleByPciBusId_v2", 0, "says 999"},
        {STAND_IN, GPU, "nvmlDeviceGetMemoryInfo", USUAL & ~MEMORY, ""},
        {STAND_IN, GPU, "nvmlDeviceGetUtilizationRates", USUAL & ~BUSY, ""},
        {STAND_IN, GPU, "nvmlDeviceGetTemperature", USUAL & ~CELSIUS, ""},
        {STAND_IN, GPU, "nvmlDeviceGetPowerUsage", USUAL & ~MILLIWATTS, ""},
        {STAND_IN, GPU, "nvmlDeviceGetTotalEccErrors", USUAL & ~ECC, ""},
        {STAND_IN, GPU, "nvmlEventSetCreate", USUAL & ~XIDS, ""},
        {STAND_IN, GPU, "nvmlDeviceRegisterEvents", USUAL & ~XIDS, ""},
        {STAND_IN, GPU, "nvmlEventSetWait_v2", USUAL & ~XIDS, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[TELEMETRY_WHY_BYTES] = "from before";
        set("fail", cases[i].fails);
        const telemetry t = read_once(cases[i].hardware, cases[i].nvml, why);
        if (known(&t) != cases[i].known || !strstr(why, cases[i].why) ||
            !cases[i].why[0] != !why[0])
            fail_msg("case %zu: known %x, \"%s\"", i, known(&t), why);
        assert_int_equal(held(), 0);
    }
}

static void what_is_not_supported_is_not_known(void **state)
{
    static const struct {
        const char *setting;
        unsigned missing;
    } cases[] = {{"used", MEMORY},     {"total", MEMORY},          {"busy", BUSY},
                 {"celsius", CELSIUS}, {"milliwatts", MILLIWATTS}, {"ecc", ECC}};
    char why[TELEMETRY_WHY_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(NULL);
        set(cases[i].setting, "");
        const telemetry t = read_once(GPU, STAND_IN, why);
        assert_int_equal(known(&t), USUAL & ~cases[i].missing);
        assert_string_equal(why, "");
    }
}

/* The old library has settings of its own: those of the environment. */
static void an_old_library(void **state)
{
    char why[TELEMETRY_WHY_BYTES];
    (void)state;
    assert_int_equal(setenv("OVERPAINT_NVML_BUS", GPU, 1), 0);
    assert_int_equal(setenv("OVERPAINT_NVML_TOTAL", "2000", 1), 0);
    assert_int_equal(setenv("OVERPAINT_NVML_USED", "500", 1), 0);
    const telemetry t = read_once(GPU, STAND_IN_OLD, why);
    assert_string_equal(why, "");
    assert_int_equal(known(&t), MEMORY);
    assert_int_equal(t.memory_used_bytes, 500);
}

static void values_change(void **state)
{
    static const char *const hardware[] = {GPU};
    char why[TELEMETRY_WHY_BYTES];
    telemetry t;
    (void)state;
    telemetry_reader *r = telemetry_open(hardware, 1, STAND_IN, why);
    telemetry_read(r, &t);
    assert_int_equal(t.temperature_celsius, 63);
    set("celsius", "91");
    set("used", "18446744073709551615");
    telemetry_read(r, &t);
    assert_int_equal(t.temperature_celsius, 91);
    assert_true(t.memory_used_bytes == UINT64_MAX);
    set("fail", "all"); /* the card fell off the bus */
    telemetry_read(r, &t);
    assert_int_equal(known(&t), 0);
    set("fail", "");
    telemetry_read(r, &t);
    assert_int_equal(known(&t), USUAL);
    telemetry_close(&r);
}

static void xids_are_counted(void **state)
{
    static const char *const hardware[] = {GPU, GPU_1};
    char why[TELEMETRY_WHY_BYTES], many[2 * 100 + 1];
    telemetry t[2];
    (void)state;
    telemetry_reader *r = telemetry_open(hardware, 2, STAND_IN, why);
    set("xid", "13,79");
    telemetry_read(r, t);
    assert_int_equal(known(&t[0]), USUAL | LAST_XID);
    assert_int_equal(t[0].xid_errors, 2);
    assert_int_equal(t[0].last_xid, 79);
    assert_int_equal(known(&t[1]), XIDS);
    assert_int_equal(t[1].xid_errors, 0);
    set("xid1", "48");
    set("fail", "nvmlEventSetWait_v2"); /* what was counted stays known */
    telemetry_read(r, t);
    assert_int_equal(t[0].xid_errors, 2);
    assert_int_equal(known(&t[1]), 0);
    set("fail", "");
    telemetry_read(r, t);
    assert_int_equal(t[0].xid_errors, 2);
    assert_int_equal(t[1].xid_errors, 1);
    assert_int_equal(t[1].last_xid, 48);
    for (int i = 0; i < 100; i++)
        snprintf(many + 2 * i, 3, "7,");
    many[199] = 0;
    set("xid", many); /* a flood does not hold the reader up */
    telemetry_read(r, t);
    assert_in_range(t[0].xid_errors, 3, 101);
    telemetry_read(r, t);
    assert_int_equal(t[0].xid_errors, 102);
    telemetry_close(&r);
}

/* By its bus id, wherever the library counts it. */
static void several_devices(void **state)
{
    static const char *const hardware[] = {GPU_1, "0000:00:00.0", TELEMETRY_MACHINE, "", GPU};
    char why[TELEMETRY_WHY_BYTES];
    telemetry t[5];
    (void)state;
    set("celsius1", "22");
    telemetry_reader *r = telemetry_open(hardware, 5, STAND_IN, why);
    assert_non_null(strstr(why, "0000:00:00.0"));
    telemetry_read(r, t);
    assert_int_equal(t[0].temperature_celsius, 22);
    assert_int_equal(known(&t[1]), 0);
    assert_int_equal(known(&t[2]) & MEMORY, MEMORY);
    assert_int_equal(known(&t[3]), 0);
    assert_int_equal(t[4].temperature_celsius, 63);
    telemetry_close(&r);
    set("celsius1", "");
}

/* ---------------------------------------------------------------- the machine */

static void memory_of_the_machine(void **state)
{
    static const struct {
        const char *text;
        unsigned known;
        uint64_t used, total;
    } cases[] = {
        {"MemTotal:       24000 kB\nMemFree: 1 kB\nMemAvailable:    4000 kB\n", MEMORY, 20000 << 10,
         24000 << 10},
        {"MemTotal: 8 kB\n", TOTAL, 0, 8 << 10},
        {"MemAvailable: 8 kB\n", 0, 0, 0},
        {"MemTotal: 8 kB\nMemAvailable: 9 kB\n", TOTAL, 0, 8 << 10},
        {"MemTotal: 8 kB\nMemAvailable: 8 kB", MEMORY, 0, 8 << 10},
        {"MemTotal: 8 MB\n", 0, 0, 0},
        {"MemTotal: 8\n", 0, 0, 0},
        {"MemTotal: 8 k", 0, 0, 0},
        {"MemTotal: -8 kB\n", 0, 0, 0},
        {"MemTotal: 123456789012345678901234567890 kB\n", 0, 0, 0},
        {"MemTotal:\n", 0, 0, 0},
        {"MemTotal", 0, 0, 0},
        {"NotMemTotal: 8 kB\n", 0, 0, 0},
        {"\n\n\n", 0, 0, 0},
        {"", 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        telemetry t = {0};
        machine_memory(cases[i].text, &t);
        if (known(&t) != cases[i].known || t.memory_used_bytes != cases[i].used ||
            t.memory_total_bytes != cases[i].total)
            fail_msg("case %zu: known %x, %llu of %llu", i, known(&t),
                     (unsigned long long)t.memory_used_bytes,
                     (unsigned long long)t.memory_total_bytes);
    }
}

static void load_of_the_machine(void **state)
{
    static const struct {
        const char *text;
        bool good;
        machine_ticks ticks;
    } cases[] = {
        {"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n", true, {27, 36}},
        {"cpu 1 2 3 4 5 6 7 8", true, {27, 36}},
        {"cpu  1 2 3 4 5 6 7\n", false, {0}},
        {"cpu0 1 2 3 4 5 6 7 8\n", false, {0}},
        {"cpu  1 2 x 4 5 6 7 8\n", false, {0}},
        {"cpu  1 2 -3 4 5 6 7 8\n", false, {0}},
        {"cpu  99999999999999999999999 2 3 4 5 6 7 8\n", false, {0}},
        {"cpu", false, {0}},
        {"", false, {0}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        machine_ticks ticks;
        assert_int_equal(machine_load(cases[i].text, &ticks), cases[i].good);
        if (cases[i].good)
            assert_true(ticks.busy == cases[i].ticks.busy && ticks.all == cases[i].ticks.all);
    }
}

/* This machine: what the processors do is known from the second reading on. */
static void this_machine(void **state)
{
    static const char *const hardware[] = {TELEMETRY_MACHINE};
    char why[TELEMETRY_WHY_BYTES];
    telemetry t;
    (void)state;
    telemetry_reader *r = telemetry_open(hardware, 1, NULL, why);
    telemetry_read(r, &t);
    assert_int_equal(known(&t), MEMORY);
    const uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_true(t.memory_total_bytes == total);
    assert_in_range(t.memory_used_bytes, 1, total);
    for (int i = 0; i < 1000 && !t.has_utilisation_percent; i++) { /* until a tick has gone by */
        usleep(10000);
        telemetry_read(r, &t);
    }
    assert_int_equal(known(&t), MEMORY | BUSY);
    assert_in_range(t.utilisation_percent, 0, 100);
    telemetry_close(&r);
}

static void a_device_says_what_it_runs_on(void **state)
{
    char why[256];
    (void)state;
    dev *d = dev_new(&(dev_options){.backend = "cpu", .threads = 1}, why);
    assert_non_null(d);
    assert_string_equal(d->hardware, TELEMETRY_MACHINE);
    dev_free(&d);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(every_value),
        CASE(what_does_not_work_is_not_known),
        CASE(what_is_not_supported_is_not_known),
        CASE(an_old_library),
        CASE(values_change),
        CASE(xids_are_counted),
        CASE(several_devices),
        cmocka_unit_test(memory_of_the_machine),
        cmocka_unit_test(load_of_the_machine),
        cmocka_unit_test(this_machine),
        cmocka_unit_test(a_device_says_what_it_runs_on),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
