/* Plans on disk: what was put is got, for its own key only; a broken file is a miss. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/cuda/plan_store.h"

static const tuning_device h200 = {"NVIDIA H200", 132, 13000, 91900, 130100};
static const choice some = {.kind = CHOICE_ENGINE, .engine = 41, .knobs = 1, .knob = {{25, 1}}};
static const plan_key key = {"conv f16 64x64 320>320 k3 s1 +bias", 2, &some};
static const char text[] = "{\"a plan\": 1}";

typedef struct {
    char folder[64];
    plan_store store;
} place;

static int begin(void **state)
{
    char why[TUNING_WHY_BYTES], folder[80];
    place *p = calloc(1, sizeof *p);
    if (!p)
        return -1;
    strcpy(p->folder, "/tmp/overpaint-plans-XXXXXX");
    *state = p;
    if (!mkdtemp(p->folder))
        return -1;
    snprintf(folder, sizeof folder, "%s/new", p->folder);
    return plan_store_open(&p->store, folder, &h200, why) ? 0 : -1;
}

static int finish(void **state)
{
    place *p = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", p->folder);
    int rc = system(command);
    free(p);
    return rc;
}

static bool has(const plan_store *s, const plan_key *k)
{
    size_t bytes;
    char *got = plan_store_get(s, k, &bytes);
    bool same = got && bytes == strlen(text) && strcmp(got, text) == 0;
    assert_true(same || !got);
    free(got);
    return same;
}

/* The path of the only file. */
static void path_of(const place *p, char path[256])
{
    char command[160];
    snprintf(command, sizeof command, "ls %s/new/*", p->folder);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%255s", path), 1);
    char more[8];
    assert_int_equal(fscanf(f, "%7s", more), EOF);
    pclose(f);
}

static void what_was_put_is_got(void **state)
{
    const place *p = *state;
    assert_false(has(&p->store, &key));
    assert_true(plan_store_put(&p->store, &key, text, strlen(text)));
    assert_true(plan_store_put(&p->store, &key, text, strlen(text)));
    assert_true(has(&p->store, &key));
}

static void other_keys_miss(void **state)
{
    const place *p = *state;
    assert_true(plan_store_put(&p->store, &key, text, strlen(text)));
    choice other = some;
    other.knob[0].value = 0;
    const plan_key shape = {"conv", 2, &some}, rows = {key.shape, 4, &some},
                   chosen = {key.shape, 2, &other};
    assert_false(has(&p->store, &shape) || has(&p->store, &rows) || has(&p->store, &chosen));
    plan_store elsewhere = p->store;
    elsewhere.device.driver++;
    assert_false(has(&elsewhere, &key));
}

static void rewrite(const char *path, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static void broken_files_miss(void **state)
{
    const place *p = *state;
    char path[256], file[1024];
    assert_true(plan_store_put(&p->store, &key, text, strlen(text)));
    path_of(p, path);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, file, sizeof file);
    close(fd);
    assert_in_range(n, 100, sizeof file - 2);
    for (ssize_t i = 0; i < n; i++) {
        rewrite(path, file, (size_t)i);
        assert_false(has(&p->store, &key));
        file[i] ^= 1;
        rewrite(path, file, (size_t)n);
        assert_false(has(&p->store, &key));
        file[i] ^= 1;
    }
    rewrite(path, file, (size_t)n + 1);
    assert_false(has(&p->store, &key));
    rewrite(path, file, (size_t)n);
    assert_true(has(&p->store, &key));
}

static void files_of_others_miss(void **state)
{
    const place *p = *state;
    char path[256], aside[270], why[TUNING_WHY_BYTES];
    plan_store s;
    assert_true(plan_store_put(&p->store, &key, text, strlen(text)));
    path_of(p, path);
    chmod(path, 0620);
    assert_false(has(&p->store, &key));
    chmod(path, 0600);
    assert_true(has(&p->store, &key));
    snprintf(aside, sizeof aside, "%s.aside", path);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(aside, path), 0);
    assert_false(has(&p->store, &key));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(has(&p->store, &key));

    chmod(p->folder, 0777);
    assert_false(plan_store_open(&s, p->folder, &h200, why));
    assert_non_null(strstr(why, "only we"));
    assert_false(plan_store_open(&s, aside, &h200, why));
    assert_false(plan_store_open(&s, "/tmp/overpaint-none/none", &h200, why));
    char name[PLAN_STORE_PATH + 1];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = 0;
    assert_false(plan_store_open(&s, name, &h200, why));
}

static void what_cannot_be_kept_is_told(void **state)
{
    plan_store s = ((const place *)*state)->store;
    strcat(s.folder, "/gone");
    assert_false(plan_store_put(&s, &key, text, strlen(text)));
    char *big = calloc(1, PLAN_STORE_MOST);
    assert_non_null(big);
    assert_false(plan_store_put(&((const place *)*state)->store, &key, big, PLAN_STORE_MOST));
    free(big);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, finish)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(what_was_put_is_got),         IN_A_FOLDER(other_keys_miss),
        IN_A_FOLDER(broken_files_miss),           IN_A_FOLDER(files_of_others_miss),
        IN_A_FOLDER(what_cannot_be_kept_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
