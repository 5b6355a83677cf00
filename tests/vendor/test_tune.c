/* Choices as data on the emulated GPU: the first start asks the libraries and keeps what it chose,
 * the second asks nothing; tuning changes the class, and not what a picture may depend on; what is
 * wrong on disk costs time or is refused with a reason. The stand-ins' heuristics disagree between
 * two starts (OVERPAINT_VENDOR_SEED), as the vendor's may. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/vendor/kept.h"

/* Opens, decodes two rows, closes; how often a library was asked. */
static uint64_t start(const char *cache, const char *seed, float **pixels)
{
    rig r = open_with(cache, seed);
    *pixels = decode(&r, 0, ROWS);
    const uint64_t asked = r.d->asked;
    rig_close(&r);
    return asked;
}

static void assert_same(const float *a, const float *b)
{
    assert_memory_equal(a, b, ROWS * VALUES * sizeof *a);
}

/* ---- starting again ---- */

static void garble(const char *path)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -3, SEEK_END), 0);
    assert_int_equal(fputs("?!?", f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
}

static void empty(const char *path)
{
    assert_int_equal(truncate(path, 0), 0);
}

static void a_second_start_asks_nothing(void **state)
{
    (void)state;
    char *cache = cache_new();
    float *first, *second;
    assert_true(start(cache, "1", &first) > 0);
    assert_int_equal(start(cache, "2", &second), 0);
    assert_same(first, second);
    free(first);
    free(second);
    cache_free(cache);
}

static void a_torn_cache_costs_time(void **state)
{
    (void)state;
    static void (*const harm[])(const char *) = {garble, empty};
    char *cache = cache_new();
    float *first, *again;
    const uint64_t asked = start(cache, "1", &first);
    for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
        assert_true(each_plan(cache, harm[i]) > 0);
        assert_int_equal(start(cache, "1", &again), asked);
        assert_same(first, again);
        free(again);
        assert_int_equal(start(cache, "2", &again), 0); /* it has been kept anew */
        assert_same(first, again);
        free(again);
    }
    free(first);
    cache_free(cache);
}

/* What a step had to choose is on disk when it is over: the device need not be closed. */
static void a_crash_forgets_nothing(void **state)
{
    (void)state;
    char *cache = cache_new();
    float *pixels;
    rig r = open_with(cache, "1");
    dev_run(r.d, walk_decoder, r.m);
    rig_check(&r);
    assert_true(r.d->asked > 0);
    assert_int_equal(start(cache, "2", &pixels), 0);
    free(pixels);
    rig_close(&r);
    cache_free(cache);
}

/* ---- tuning ---- */

static void assert_class_of(dev_exact exact, const char *cache, uint64_t hash, bool is)
{
    char end[64];
    rig r = open_as(exact, cache, "4");
    snprintf(end, sizeof end, "tuning %016llx%s", (unsigned long long)hash,
             exact == EXACT_OFF ? ", exact off" : "");
    const size_t n = strlen(r.d->class_name), m = strlen(end);
    assert_true(n > m);
    assert_int_equal(strcmp(r.d->class_name + n - m, end) == 0, is);
    rig_close(&r);
}

static void assert_class(const char *cache, uint64_t hash, bool is)
{
    assert_class_of(EXACT_ON, cache, hash, is);
}

static void a_little_time_serves_the_most_work(void **state)
{
    (void)state;
    char *cache = cache_new();
    tune_result result;
    rig before = open_with(cache, "1");
    char class_before[sizeof before.d->class_name];
    strcpy(class_before, before.d->class_name);
    rig_close(&before);
    const uint64_t hash = tune(cache, 1e-6, &result);
    assert_int_equal(result.tuned, 1);
    assert_true(result.shapes > 10);
    assert_int_equal(access(result.path, R_OK), 0);
    assert_class(cache, hash, true);
    rig after = open_with(cache, "1");
    assert_string_not_equal(after.d->class_name, class_before);
    assert_string_equal(after.d->notice, "");
    rig_close(&after);
    cache_free(cache);
}

static void a_table_keeps_rows_independent(void **state)
{
    (void)state;
    char *cache = cache_new();
    tune_result result;
    tune(cache, 5, &result);
    assert_true(result.tuned > 0);
    rig r = open_with(cache, "5");
    float *both = decode(&r, 0, ROWS);
    for (int64_t i = 0; i < ROWS; i++) {
        float *alone = decode(&r, i, 1);
        assert_memory_equal(alone, both + i * VALUES, VALUES * sizeof *alone);
        free(alone);
    }
    /* Shapes with one safe choice have no entry. */
    assert_true(r.d->asked <= (uint64_t)(result.shapes - result.tuned));
    free(both);
    rig_close(&r);
    cache_free(cache);
}

/* ---- tables that must not be used ---- */

/* A convolution that an earlier start had to choose for. */
static void name_of_conv(const plan_store *store, char name[SHAPE_NAME_BYTES])
{
    const plan_key key = {.shape = "choices", .choice = &nothing};
    char why[TUNING_WHY_BYTES];
    size_t bytes;
    tuning t;
    char *text = plan_store_get(store, &key, &bytes);
    assert_non_null(text);
    assert_true(tuning_read(&t, text, bytes, why));
    int i = 0;
    while (i < t.entries && strncmp(t.entry[i].name, "conv ", 5) != 0)
        i++;
    assert_true(i < t.entries);
    strcpy(name, t.entry[i].name);
    tuning_done(&t);
    free(text);
}

static void a_foreign_table_is_told_and_not_used(void **state)
{
    (void)state;
    char *cache = cache_new();
    tune_result result;
    plan_store store;
    const uint64_t hash = tune(cache, 1e-6, &result);
    tuning t = table_of(cache, &result, &store);
    t.device.cublaslt++;
    put_back(&store, &t);
    assert_class(cache, hash, false);
    rig r = open_with(cache, "1");
    assert_non_null(strstr(r.d->notice, "cuemu:0: the tuning table is not used: it is of "));
    assert_non_null(strstr(r.d->notice, ". Tune again"));
    rig_close(&r);
    tuning_done(&t);
    cache_free(cache);
}

static void an_unsafe_entry_is_refused(void **state)
{
    (void)state;
    static const choice streams = {
        .kind = CHOICE_ENGINE, .engine = 41, .knobs = 1, .knob = {{38, 1}}};
    char *cache = cache_new(), name[SHAPE_NAME_BYTES];
    float *pixels;
    tune_result result;
    plan_store store;
    start(cache, "1", &pixels);
    free(pixels);
    tune(cache, 1e-6, &result);
    tuning t = table_of(cache, &result, &store);
    name_of_conv(&store, name);
    assert_true(tuning_set(&t, name, &streams));
    put_back(&store, &t);
    rig r = open_with(cache, "1");
    assert_null(decode(&r, 0, 1));
    assert_non_null(strstr(r.d->error, name));
    assert_non_null(strstr(r.d->error, ": the table's configuration is not safe: tune again"));
    dev_clear(r.d);
    rig_close(&r);
    tuning_done(&t);
    cache_free(cache);
}

static void without_a_folder_nothing_is_timed(void **state)
{
    (void)state;
    char why[256] = "";
    tune_result result;
    rig dry = rig_open("tiny", (dev_options){.backend = "cuemu", .dry = true});
    rig real = open_with(NULL, "1");
    const tune_options o = {.dry = dry.d, .walk = walk_decoder, .arg = dry.m, .seconds = 1};
    assert_false(dev_tune(real.d, &o, &result, why));
    assert_string_equal(why, "cuemu:0: there is no folder for the tuning table: neither "
                             "XDG_CACHE_HOME nor HOME is set");
    rig_close(&real);
    rig_close(&dry);
    rig cpu = rig_open("tiny", (dev_options){.backend = "cpu", .threads = 1});
    assert_false(dev_tune(cpu.d, &o, &result, why));
    assert_non_null(strstr(why, "cpu:0: has nothing to tune"));
    rig_close(&cpu);
}

/* ---- rows with choices of their own ---- */

typedef struct {
    uint64_t asked_one, asked_both; /* after one row alone, and then both */
    int others;                     /* rows that are not the same in both */
    double distance;                /* the most that a pixel differs */
} by_rows;

static by_rows compare_rows(rig *r)
{
    by_rows found = {0};
    float *alone[ROWS], *both;
    for (int i = 0; i < ROWS; i++)
        alone[i] = decode(r, i, 1);
    found.asked_one = r->d->asked;
    both = decode(r, 0, ROWS);
    rig_check(r);
    found.asked_both = r->d->asked;
    for (int i = 0; i < ROWS; i++) {
        const float *other = both + i * VALUES;
        found.others += memcmp(alone[i], other, VALUES * sizeof *other) != 0;
        for (int k = 0; k < VALUES; k++)
            found.distance = fmax(found.distance, fabs((double)alone[i][k] - (double)other[k]));
        free(alone[i]);
    }
    free(both);
    return found;
}

static void only_off_chooses_for_each_number_of_rows(void **state)
{
    (void)state;
    static const dev_exact strict[] = {EXACT_ON, EXACT_PAIRS};
    char *cache = cache_new();
    for (int i = 0; i < 2; i++) {
        rig r = open_as(strict[i], NULL, "1");
        const by_rows same = compare_rows(&r);
        assert_true(same.asked_one > 0);
        assert_int_equal(same.asked_both, same.asked_one);
        assert_int_equal(same.others, 0);
        assert_int_equal(dev_rows(r.d, 3), strict[i] == EXACT_PAIRS ? 3 : 4);
        rig_close(&r);
    }
    for (int start = 0; start < 2; start++) {
        rig r = open_as(EXACT_OFF, cache, "1");
        const by_rows own = compare_rows(&r);
        print_message("off: asked %d and %d times, %d rows are others, by %.1e\n",
                      (int)own.asked_one, (int)own.asked_both, own.others, own.distance);
        assert_int_equal(own.asked_one > 0, start == 0); /* the second start asks nothing */
        assert_int_equal(own.asked_both > own.asked_one, start == 0);
        assert_true(own.others > 0 && own.distance < 0.02);
        assert_int_equal(dev_rows(r.d, 3), 4);
        rig_close(&r);
    }
    rig r = open_with(cache, "2"); /* what it left behind is nothing to others */
    const by_rows same = compare_rows(&r);
    assert_true(same.asked_one > 0);
    assert_int_equal(same.others, 0);
    rig_close(&r);
    cache_free(cache);
}

/* Each mode has a table of its own. */
static void off_is_tuned_row_by_row(void **state)
{
    (void)state;
    char *cache = cache_new();
    tune_result result, other;
    plan_store store;
    const uint64_t hash = tune_as(EXACT_OFF, cache, 0.5, &result);
    assert_true(result.tuned > 0);
    assert_class_of(EXACT_OFF, cache, hash, true);
    assert_class_of(EXACT_ON, cache, hash, false);
    tuning t = table_of(cache, &result, &store);
    assert_true(t.entries >= result.tuned);
    for (int i = 0; i < t.entries; i++)
        assert_non_null(strstr(t.entry[i].name, ", rows "));
    tuning_done(&t);
    const uint64_t same = tune(cache, 1e-6, &other);
    assert_string_not_equal(other.path, result.path);
    assert_class_of(EXACT_ON, cache, same, true);
    assert_class_of(EXACT_OFF, cache, hash, true);
    rig r = open_as(EXACT_OFF, cache, "5");
    compare_rows(&r);
    rig_close(&r);
    cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_start_asks_nothing),
        cmocka_unit_test(a_crash_forgets_nothing),
        cmocka_unit_test(a_torn_cache_costs_time),
        cmocka_unit_test(a_little_time_serves_the_most_work),
        cmocka_unit_test(a_table_keeps_rows_independent),
        cmocka_unit_test(a_foreign_table_is_told_and_not_used),
        cmocka_unit_test(an_unsafe_entry_is_refused),
        cmocka_unit_test(without_a_folder_nothing_is_timed),
        cmocka_unit_test(only_off_chooses_for_each_number_of_rows),
        cmocka_unit_test(off_is_tuned_row_by_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
