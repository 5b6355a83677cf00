/* Two devices behind one engine: the second has copies of what it needs and does every other row;
 * what goes wrong there is the first one's trouble; and pictures are the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/fixture.h"
#include "tests/support/jobs.h"
#include "tests/support/rig.h"
#include "worker/batch.h"

static const dev_options second = {.backend = "cpu", .threads = 1, .ordinal = 1};

typedef struct {
    rig r;
    partner *p;
} pair_of_devices;

static pair_of_devices open_pair(const char *arch)
{
    err e = {0};
    pair_of_devices both = {.r = rig_open(arch, (dev_options){.backend = "cpu", .threads = 1})};
    both.p = partner_new(&second, both.r.d, &e);
    if (!both.p)
        fail_msg("%s", e.text);
    return both;
}

static void close_pair(pair_of_devices *both)
{
    partner_free(&both->p);
    rig_close(&both->r);
}

/* ---------------------------------------------------------------- copies */

static void weights_and_texts_are_copied(void **state)
{
    (void)state;
    err e = {0};
    pair_of_devices both = open_pair("tiny3");
    const model *m = both.r.m;
    unet_copy copy = {0};
    partner_load(both.p, both.r.d, &copy, m, &e);
    if (e.code)
        fail_msg("%s", e.text);
    assert_non_null(copy.unet);
    const model_piece range = parts_range(&m->parts, PART_UNET);
    assert_int_equal(copy.weights.used, range.bytes);
    assert_true(range.bytes > 0 && range.at > 0);
    assert_true(range.at + range.bytes < m->weights.used); /* the autoencoder comes behind */
    assert_memory_equal(copy.weights.base, m->weights.base + range.at, range.bytes);

    tensor t = dev_keep(both.r.d, F32, 1, 1, 77, 8);
    float values[77 * 8], there[77 * 8];
    for (int i = 0; i < 77 * 8; i++)
        values[i] = (float)i;
    dev_upload(both.r.d, t, values);
    tensor kept = partner_keep(both.p, both.r.d, t);
    dev_drop(both.r.d, &t);
    dev_download(partner_dev(both.p), there, kept);
    assert_memory_equal(there, values, sizeof values);
    assert_int_equal(partner_bytes(both.p), partner_dev(both.p)->kept);
    partner_drop(both.p, &kept);
    assert_int_equal(partner_bytes(both.p), 0);
    assert_false(tensor_given(partner_keep(NULL, both.r.d, t))); /* without a partner: nothing */
    unet_copy_done(&copy);
    close_pair(&both);
}

/* The file is another one by now: nothing half copied is used. */
static void another_file_is_refused(void **state)
{
    (void)state;
    err e = {0};
    pair_of_devices both = open_pair("tiny3");
    char path[1024];
    model other = *both.r.m;
    unet_copy copy = {0};
    snprintf(other.path, sizeof other.path, "%s", fixture_shared("tiny9", path));
    partner_load(both.p, both.r.d, &copy, &other, &e);
    assert_int_equal(e.code, ERR_INVALID);
    assert_null(copy.unet);
    assert_null(copy.weights.base);
    assert_int_equal(both.r.d->status, DEV_OK);
    close_pair(&both);
}

/* ---------------------------------------------------------------- trouble */

typedef struct {
    pthread_t thread;
    dev_status fails;
} walked;

static void walk(dev *d, void *arg)
{
    walked *w = arg;
    w->thread = pthread_self();
    if (w->fails != DEV_OK)
        dev_fail(d, w->fails, "%s: as asked", d->name);
}

static void trouble_becomes_the_first_ones(void **state)
{
    (void)state;
    static const dev_status kinds[] = {DEV_NO_MEMORY, DEV_BROKEN, DEV_STOPPED, DEV_OK};
    pair_of_devices both = open_pair("tiny3");
    dev *d = both.r.d;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        walked w = {.fails = kinds[i]};
        partner_begin(both.p, walk, &w);
        partner_end(both.p, d);
        assert_false(pthread_equal(w.thread, pthread_self()));
        assert_int_equal(d->status, kinds[i]);
        assert_string_equal(d->error, kinds[i] ? "cpu:1: as asked" : "");
        assert_int_equal(partner_dev(both.p)->status, DEV_OK);
        dev_clear(d);
    }
    dev_fail(d, DEV_NO_MEMORY, "was first");
    walked w = {.fails = DEV_BROKEN};
    partner_begin(both.p, walk, &w);
    partner_end(both.p, d);
    assert_string_equal(d->error, "was first");
    assert_int_equal(d->status, DEV_NO_MEMORY);
    assert_int_equal(partner_dev(both.p)->status, DEV_OK);
    close_pair(&both);
}

static bool stopped(void *arg)
{
    return *(bool *)arg;
}

static void try_to_work(dev *d, void *arg)
{
    (void)arg;
    const size_t mark = dev_mark(d);
    op_activate(d, NEW, dev_tensor(d, F32, 1, 1, 1, 8), ACT_SILU);
    dev_release(d, mark);
}

static void both_are_stopped(void **state)
{
    (void)state;
    err e = {0};
    bool stop = false;
    rig r = rig_open("tiny3", (dev_options){.backend = "cpu", .threads = 1});
    r.d->stop = stopped;
    r.d->stop_arg = &stop;
    partner *p = partner_new(&second, r.d, &e);
    assert_non_null(p);
    for (int i = 0; i < 2; i++, stop = true) {
        partner_begin(p, try_to_work, NULL);
        partner_end(p, r.d);
        assert_int_equal(r.d->status, stop ? DEV_STOPPED : DEV_OK);
    }
    partner_free(&p);
    r.d->stop = NULL;
    rig_close(&r);
}

static void unlike_devices_are_refused(void **state)
{
    (void)state;
    err e = {0};
    service_options o = {.devices = 2,
                         .cfg_parallel = true,
                         .device = {{.backend = "cpu", .threads = 1}, {.backend = "ref"}}};
    assert_null(service_new(&o, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "--cfg-parallel wants devices of one kind in a pair: cpu:0 is"));
    assert_non_null(strstr(e.text, "ref:0 is"));
}

/* ---------------------------------------------------------------- pictures */

static service *paired(int devices)
{
    err e = {0};
    service_options o = {.devices = devices, .cfg_parallel = true, .models = GOLDEN_DIR};
    for (int i = 0; i < devices; i++)
        o.device[i] = (dev_options){.backend = "cpu", .threads = 1, .ordinal = i};
    service *s = service_new(&o, &e);
    if (!s)
        fail_msg("%s", e.text);
    return s;
}

/* One row and several, texts of several lengths, an odd number of rows, and a model that sees more
 * than the latent. */
static const struct {
    const char *task, *words[16];
} rows[] = {
    {"txt2img", {"prompt", "a fox", "sampler", "heun"}},
    {"txt2img", {"prompt", "a [fox|bird] AND snow:0.5 BREAK x", "cfg-scale", "3"}},
    {"txt2img", {"prompt", "a bird", "cfg-scale", "1", "sampler", "euler_a"}},
    {"img2img", {"prompt", "a cat", "input", "pictures/cat.png", "batch-size", "3"}},
    {"inpaint",
     {"input", "96x64", "mask", "inpaint/whole-fill-mask.png", "model", "tiny9", "prompt", "x"}},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void make_all(work *works[ROWS])
{
    for (int i = 0; i < ROWS; i++)
        works[i] = jobs_make(rows[i].task, rows[i].words);
}

static void pictures_are_the_same(void **state)
{
    (void)state;
    work *one[ROWS], *two[ROWS], *apart[ROWS];
    make_all(one);
    make_all(two);
    make_all(apart);
    service *s = jobs_service("cpu", 1, 0, 0);
    jobs_run(s, one, ROWS);
    service_free(&s);
    s = paired(2);
    engine_status status;
    service_status(s, 0, &status);
    assert_int_equal(service_devices(s), 1);
    assert_string_equal(status.name, "cpu:0+cpu:1");
    jobs_run(s, two, ROWS); /* in company */
    for (int i = 0; i < ROWS; i++)
        jobs_run(s, &apart[i], 1);
    service_free(&s);
    for (int i = 0; i < ROWS; i++) {
        jobs_assert_done(one[i]);
        jobs_assert_same(two[i], one[i]);
        jobs_assert_same(apart[i], one[i]);
        work_free(&one[i]);
        work_free(&two[i]);
        work_free(&apart[i]);
    }
}

/* Four devices are two engines. */
static void pairs_share_the_jobs(void **state)
{
    (void)state;
    work *works[ROWS];
    bool used[2] = {false, false};
    make_all(works);
    service *s = paired(4);
    assert_int_equal(service_devices(s), 2);
    jobs_run(s, works, ROWS);
    service_free(&s);
    for (int i = 0; i < ROWS; i++) {
        jobs_assert_done(works[i]);
        used[works[i]->device] = true;
        work_free(&works[i]);
    }
    assert_true(used[0] && used[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_and_texts_are_copied),   cmocka_unit_test(another_file_is_refused),
        cmocka_unit_test(trouble_becomes_the_first_ones), cmocka_unit_test(both_are_stopped),
        cmocka_unit_test(unlike_devices_are_refused),     cmocka_unit_test(pictures_are_the_same),
        cmocka_unit_test(pairs_share_the_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
