/* Models that engines share: read once and copied; and whatever happens to the one that reads, the
 * others get the model or their own error, and nobody waits for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/fixture.h"
#include "worker/shelf.h"

enum { DEVICES = 3, ROUNDS = 3 };

static dev *open_device(int ordinal)
{
    char why[256];
    const char *named = getenv("OVERPAINT_BACKEND");
    const dev_options o = {.backend = named ? named : "cpu", .threads = 1, .ordinal = ordinal};
    dev *d = dev_new(&o, why);
    if (!d)
        fail_msg("%s", why);
    return d;
}

static model_file file_of(const char *arch)
{
    char path[1024];
    err e = {0};
    model_file f;
    models *names = models_new(NULL, NULL, &e);
    assert_int_equal(models_find(names, fixture_shared(arch, path), &f, &e), 0);
    models_free(&names);
    return f;
}

static model *load(shelf *s, dev *d, const model_file *f, shelved **place)
{
    err e = {0};
    model *m = shelf_load(s, d, f, place, &e);
    if (!m)
        fail_msg("%s", e.text);
    assert_true(!s || *place);
    return m;
}

static void put_away(shelf *s, model **m, shelved **place)
{
    shelf_give_back(s, place);
    model_free(m);
    assert_null(*place);
}

/* ---------------------------------------------------------------- one after the other */

/* A byte that is another one on the first device than in the file. */
static void mark_weights(dev *d, const model *m)
{
    unsigned char byte;
    const tensor one = tensor_of(m->weights.base + m->weights.used / 2, U8, 1, 1, 1, 1);
    dev_download(d, &byte, one);
    byte ^= 1;
    dev_upload(d, one, &byte);
    dev_wait(d);
}

static unsigned char *weights_of(dev *d, const model *m)
{
    const size_t bytes = m->weights.used;
    unsigned char *to = malloc(bytes);
    assert_non_null(to);
    dev_download(d, to, tensor_of(m->weights.base, U8, 1, 1, 1, (int64_t)bytes));
    assert_int_equal(d->status, DEV_OK);
    return to;
}

static bool same_weights(dev *d, const model *a, dev *other, const model *b)
{
    unsigned char *one = weights_of(d, a), *two = weights_of(other, b);
    const bool same = a->weights.used == b->weights.used && !memcmp(one, two, a->weights.used);
    free(one);
    free(two);
    return same;
}

static void the_second_one_copies(void **state)
{
    (void)state;
    err e = {0};
    shelf *s = shelf_new(&e);
    dev *d[DEVICES];
    model *m[DEVICES], *read;
    shelved *place[DEVICES], *none;
    const model_file f = file_of("tiny3");
    for (int i = 0; i < DEVICES; i++)
        d[i] = open_device(i);
    m[0] = load(s, d[0], &f, &place[0]);
    read = load(NULL, d[1], &f, &none);
    assert_null(none);
    assert_true(same_weights(d[1], read, d[0], m[0]));
    mark_weights(d[0], m[0]);
    m[1] = load(s, d[1], &f, &place[1]);
    assert_true(same_weights(d[1], m[1], d[0], m[0]));
    assert_string_not_equal(d[1]->carrier, "");
    assert_string_equal(d[0]->carrier, ""); /* nobody brought it anything */
    assert_false(same_weights(d[1], m[1], d[1], read));
    assert_string_equal(m[1]->name, m[0]->name);
    put_away(s, &m[0], &place[0]);
    m[2] = load(s, d[2], &f, &place[2]); /* from the copy */
    assert_true(same_weights(d[2], m[2], d[1], m[1]));
    put_away(s, &m[1], &place[1]);
    put_away(s, &m[2], &place[2]);
    m[0] = load(s, d[0], &f, &place[0]); /* nobody has it: read */
    assert_true(same_weights(d[0], m[0], d[1], read));

    d[1]->options.winograd_most = d[0]->options.winograd_most + 320; /* packed otherwise, maybe */
    mark_weights(d[0], m[0]);
    m[1] = load(s, d[1], &f, &place[1]);
    assert_false(same_weights(d[1], m[1], d[0], m[0]));
    put_away(s, &m[1], &place[1]);
    put_away(s, &m[0], &place[0]);
    model_free(&read);
    shelf_free(&s);
    for (int i = 0; i < DEVICES; i++)
        dev_free(&d[i]);
}

/* ---------------------------------------------------------------- at once */

typedef struct {
    shelf *s;
    dev *d;
    const model_file *f;
    pthread_t thread;
    int rounds, loaded;
    err e; /* of the last round */
} engine_like;

static void *load_and_put_away(void *arg)
{
    engine_like *g = arg;
    for (int i = 0; i < g->rounds; i++) {
        shelved *place;
        g->e = (err){0};
        model *m = shelf_load(g->s, g->d, g->f, &place, &g->e);
        dev_clear(g->d);
        if (!m)
            continue;
        g->loaded++;
        shelf_give_back(g->s, &place);
        model_free(&m);
    }
    return NULL;
}

static void begin(engine_like *g, shelf *s, dev *d, const model_file *f, int rounds)
{
    *g = (engine_like){.s = s, .d = d, .f = f, .rounds = rounds};
    assert_int_equal(pthread_create(&g->thread, NULL, load_and_put_away, g), 0);
}

static void all_at_once(const model_file *f, int loaded, err_code code)
{
    err e = {0};
    shelf *s = shelf_new(&e);
    engine_like g[DEVICES];
    for (int i = 0; i < DEVICES; i++)
        begin(&g[i], s, open_device(i), f, ROUNDS);
    for (int i = 0; i < DEVICES; i++) {
        pthread_join(g[i].thread, NULL);
        assert_int_equal(g[i].loaded, loaded);
        assert_int_equal(g[i].e.code, code);
        dev_free(&g[i].d);
    }
    shelf_free(&s);
}

static void many_come_and_go(void **state)
{
    (void)state;
    const model_file f = file_of("tiny3");
    all_at_once(&f, ROUNDS, ERR_OK);
}

/* Each reads for itself and says why it cannot. */
static void what_cannot_be_read_is_everybodys_error(void **state)
{
    (void)state;
    model_file gone = file_of("tiny3");
    snprintf(gone.path, sizeof gone.path, "/nowhere/at/all.safetensors");
    all_at_once(&gone, 0, ERR_NOT_FOUND);
}

/* ---------------------------------------------------------------- stopped */

typedef struct {
    sem_t reached, go_on;
    bool stops;
    int asked;
} gate;

/* Asked in the middle of reading: waits there, once. */
static bool hold(void *arg)
{
    gate *g = arg;
    if (g->asked++ == 0) {
        sem_post(&g->reached);
        sem_wait(&g->go_on);
    }
    return g->stops;
}

static bool at_once(void *arg)
{
    (void)arg;
    return true;
}

/* While one reads, another one that waits is stopped; then the reader is, or is not, and a third
 * gets the model either way. */
static void a_stop_frees_who_waits(void **state)
{
    (void)state;
    const model_file f = file_of("tiny3");
    for (int stops = 0; stops < 2; stops++) {
        err e = {0};
        shelf *s = shelf_new(&e);
        engine_like reader, third;
        gate g = {.stops = stops};
        sem_init(&g.reached, 0, 0);
        sem_init(&g.go_on, 0, 0);
        dev *d[DEVICES];
        for (int i = 0; i < DEVICES; i++)
            d[i] = open_device(i);
        d[0]->stop = hold;
        d[0]->stop_arg = &g;
        d[1]->stop = at_once;
        begin(&reader, s, d[0], &f, 1);
        sem_wait(&g.reached);
        shelved *place;
        assert_null(shelf_load(s, d[1], &f, &place, &e));
        assert_null(place);
        assert_int_equal(e.code, ERR_CANCELLED);
        assert_int_equal(d[1]->status, DEV_STOPPED);
        begin(&third, s, d[2], &f, 1);
        sem_post(&g.go_on);
        pthread_join(reader.thread, NULL);
        pthread_join(third.thread, NULL);
        assert_int_equal(reader.loaded, !stops);
        assert_int_equal(reader.e.code, stops ? ERR_CANCELLED : ERR_OK);
        assert_int_equal(third.loaded, 1);
        for (int i = 0; i < DEVICES; i++)
            dev_free(&d[i]);
        shelf_free(&s);
        sem_destroy(&g.reached);
        sem_destroy(&g.go_on);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_one_copies),
        cmocka_unit_test(many_come_and_go),
        cmocka_unit_test(what_cannot_be_read_is_everybodys_error),
        cmocka_unit_test(a_stop_frees_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
