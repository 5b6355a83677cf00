/* Choices as data on the emulated GPU: the first start asks the libraries and keeps what it chose,
 * the second asks nothing; tuning changes the class, and not what a picture may depend on; what is
 * wrong on disk costs time or is refused with a reason. The stand-ins' heuristics disagree between
 * two starts (OVERPAINT_VENDOR_SEED), as the vendor's may. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/cuda/plan_store.h"
#include "kernels/tune.h"
#include "tests/support/rig.h"

/* Rows of latents through the decoder: convolutions, products and attention, and quickly. */
enum { SIDE = 2, FACTOR = 8, ROWS = 2, VALUES = SIDE * SIDE * FACTOR * FACTOR * 3 };
enum { PATH_BYTES = 512 };

static const choice nothing = {.kind = CHOICE_SWITCH};
static const plan_key table_key = {.shape = "tuning", .choice = &nothing};

/* ---- a device with a cache ---- */

static char *cache_new(void)
{
    char *folder = strdup("/tmp/overpaint-tune-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

/* Calls `visit` for every file among the plans; how many there are. */
static int each_plan(const char *cache, void (*visit)(const char *path))
{
    char folder[PATH_BYTES], path[2 * PATH_BYTES];
    int n = 0;
    snprintf(folder, sizeof folder, "%s/plans", cache);
    DIR *plans = opendir(folder);
    for (struct dirent *f; plans && (f = readdir(plans));) {
        if (f->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        visit(path);
        n++;
    }
    if (plans)
        closedir(plans);
    return n;
}

static void remove_file(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static void cache_free(char *cache)
{
    char folder[PATH_BYTES];
    each_plan(cache, remove_file);
    snprintf(folder, sizeof folder, "%s/plans", cache);
    rmdir(folder);
    assert_int_equal(rmdir(cache), 0);
    free(cache);
}

static rig open_as(dev_exact exact, const char *cache, const char *seed)
{
    setenv("OVERPAINT_VENDOR_SEED", seed, 1);
    return rig_open("tiny", (dev_options){.backend = "cuemu", .cache = cache, .exact = exact});
}

static rig open_with(const char *cache, const char *seed)
{
    return open_as(EXACT_ON, cache, seed);
}

/* ---- what it computes ---- */

static float ramp(int64_t i)
{
    return (float)(i * 37 % 101) / 50 - 1;
}

/* Rows first..first+n-1 decoded, malloc'ed; NULL after an error of the device. */
static float *decode(rig *r, int64_t first, int64_t n)
{
    float values[ROWS * SIDE * SIDE * 4], *pixels = NULL;
    const size_t mark = dev_mark(r->d);
    for (int64_t i = 0; i < n * SIDE * SIDE * 4; i++)
        values[i] = ramp(first * SIDE * SIDE * 4 + i);
    tensor made = vae_decode(r->d, NEW, r->m->vae, rig_tensor(r, values, n, SIDE, SIDE, 4));
    assert_int_equal(tensor_count(made), n * VALUES);
    if (r->d->status == DEV_OK)
        pixels = rig_values(r, made);
    dev_release(r->d, mark);
    return pixels;
}

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

static void walk_decoding(dev *d, void *arg)
{
    const rig *r = arg;
    const size_t mark = dev_mark(d);
    vae_decode(d, NEW, r->m->vae, dev_tensor(d, d->storage, ROWS, SIDE, SIDE, 4));
    dev_release(d, mark);
}

/* What a step had to choose is on disk when it is over: the device need not be closed. */
static void a_crash_forgets_nothing(void **state)
{
    (void)state;
    char *cache = cache_new();
    float *pixels;
    rig r = open_with(cache, "1");
    dev_run(r.d, walk_decoding, &r);
    rig_check(&r);
    assert_true(r.d->asked > 0);
    assert_int_equal(start(cache, "2", &pixels), 0);
    free(pixels);
    rig_close(&r);
    cache_free(cache);
}

/* ---- tuning ---- */

static void walk_decoder(dev *dry, void *arg)
{
    const model *m = arg;
    vae_decode(dry, NEW, m->vae, dev_tensor(dry, dry->storage, ROWS, SIDE, SIDE, 4));
}

static void count_line(void *arg, const tune_line *l)
{
    assert_true(strlen(l->shape) > 0 && strlen(l->choice) > 0);
    assert_true(l->timed >= 2 && l->us > 0 && l->us <= l->first_us);
    (*(int *)arg)++;
}

/* Tunes for the decoder for so long; the table's hash. */
static uint64_t tune_as(dev_exact exact, const char *cache, double seconds, tune_result *result)
{
    int lines = 0;
    char why[256] = "";
    rig dry = rig_open("tiny", (dev_options){.backend = "cuemu", .dry = true, .exact = exact});
    rig real = open_as(exact, cache, "3");
    const tune_options o = {.dry = dry.d,
                            .walk = walk_decoder,
                            .arg = dry.m,
                            .seconds = seconds,
                            .tuned = count_line,
                            .tuned_arg = &lines};
    const bool good = dev_tune(real.d, &o, result, why);
    assert_string_equal(why, "");
    assert_true(good);
    assert_true(exact == EXACT_OFF ? lines >= result->tuned : lines == result->tuned);
    rig_close(&real);
    rig_close(&dry);
    return result->hash;
}

static uint64_t tune(const char *cache, double seconds, tune_result *result)
{
    return tune_as(EXACT_ON, cache, seconds, result);
}

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

/* The table that tuning has written, to be changed and put back. */
static tuning table_of(const char *cache, const tune_result *result, plan_store *store)
{
    char why[TUNING_WHY_BYTES], folder[PATH_BYTES], text[1 << 16];
    tuning t;
    FILE *f = fopen(result->path, "rb");
    assert_non_null(f);
    const size_t bytes = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[bytes] = 0;
    const char *from = strstr(text, "overpaint tuning 1\n");
    assert_non_null(from);
    assert_true(tuning_read(&t, from, bytes - (size_t)(from - text), why));
    snprintf(folder, sizeof folder, "%s/plans", cache);
    assert_true(plan_store_open(store, folder, &t.device, why));
    return t;
}

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

static void put_back(const plan_store *store, const tuning *t)
{
    char *text = tuning_write(t);
    assert_non_null(text);
    assert_true(plan_store_put(store, &table_key, text, strlen(text)));
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
