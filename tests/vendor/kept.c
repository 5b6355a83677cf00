/* kept: see kept.h. */
#include "tests/vendor/kept.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_BYTES = 512 };

char *cache_new(void)
{
    char *folder = strdup("/tmp/overpaint-tune-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

int each_plan(const char *cache, void (*visit)(const char *path))
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

void cache_free(char *cache)
{
    char folder[PATH_BYTES];
    each_plan(cache, remove_file);
    snprintf(folder, sizeof folder, "%s/plans", cache);
    rmdir(folder);
    assert_int_equal(rmdir(cache), 0);
    free(cache);
}

rig open_as(dev_exact exact, const char *cache, const char *seed)
{
    setenv("OVERPAINT_VENDOR_SEED", seed, 1);
    return rig_open("tiny", (dev_options){.backend = "cuemu", .cache = cache, .exact = exact});
}

rig open_with(const char *cache, const char *seed)
{
    return open_as(EXACT_ON, cache, seed);
}

static float ramp(int64_t i)
{
    return (float)(i * 37 % 101) / 50 - 1;
}

float *decode(rig *r, int64_t first, int64_t n)
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

void walk_decoder(dev *d, void *arg)
{
    const model *m = arg;
    const size_t mark = dev_mark(d);
    vae_decode(d, NEW, m->vae, dev_tensor(d, d->storage, ROWS, SIDE, SIDE, 4));
    dev_release(d, mark);
}

static void count_line(void *arg, const tune_line *l)
{
    assert_true(strlen(l->shape) > 0 && strlen(l->choice) > 0);
    assert_true(l->timed >= 2 && l->us > 0 && l->us <= l->first_us);
    (*(int *)arg)++;
}

uint64_t tune_as(dev_exact exact, const char *cache, double seconds, tune_result *result)
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

uint64_t tune(const char *cache, double seconds, tune_result *result)
{
    return tune_as(EXACT_ON, cache, seconds, result);
}

tuning table_of(const char *cache, const tune_result *result, plan_store *store)
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

void put_back(const plan_store *store, const tuning *t)
{
    char *text = tuning_write(t);
    assert_non_null(text);
    assert_true(plan_store_put(store, &table_key, text, strlen(text)));
    free(text);
}
