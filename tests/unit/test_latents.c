/* The final latents of the golden jobs: a run is driven by hand, without engine and threads, and
 * looked at before it is decoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/golden.h"
#include "tests/support/jobs.h"
#include "worker/batch.h"

#define DISTANCE_MAX 1e-4 /* of golden/README */

typedef struct {
    residents held;
    models *names;
    tokenizer *words;
} bench;

static dev *open_device(bool dry)
{
    char why[256];
    dev *d = dev_new(&(dev_options){.backend = "cpu", .threads = 2, .dry = dry}, why);
    if (!d)
        fail_msg("%s", why);
    return d;
}

static int open_bench(void **state)
{
    static bench b;
    err e = {0};
    b.held = (residents){.d = open_device(false), .dry = open_device(true), .budget = 4LL << 30};
    b.names = models_new(NULL, NULL, &e);
    b.words = tokenizer_new(&e);
    *state = &b;
    return b.names && b.words ? 0 : -1;
}

static int close_bench(void **state)
{
    bench *b = *state;
    residents_done(&b->held);
    models_free(&b->names);
    tokenizer_free(&b->words);
    dev_free(&b->held.dry);
    dev_free(&b->held.d);
    return 0;
}

/* The only picture of the job, sampled to its end but not decoded; its sequence is the run's. */
static seq *sample(bench *b, run *r, err *e)
{
    bool finite[BATCH_ROWS_MAX];
    scene_input input;
    batch now;
    work *w = r->work;
    while (!run_has_texts(r))
        if (run_text(&b->held, r, e))
            return NULL;
    assert_int_equal(run_ask(r), 0);
    if (task_scene(&w->task, &w->job, 0, &input, e))
        return NULL;
    run_scene_made(r, 0, &input);
    if (run_must_encode(r, 0) && run_encode(&b->held, r, 0, e))
        return NULL;
    if (run_begin(&b->held, r, 0, 0, e))
        return NULL;
    for (uint64_t turn = 1; batch_pick(&now, &b->held, r, turn); turn++) {
        batch_evaluate(&now, &b->held, finite);
        seq_step(b->held.d, now.seq, now.sequences);
        if (b->held.d->status != DEV_OK) {
            residents_error(&b->held, "stepping", e);
            return NULL;
        }
    }
    return r->first;
}

static void compare(bench *b, const seq *s, const checkpoint *golden, const char *name)
{
    int64_t dim[CHECKPOINT_DIMS];
    float *nchw = golden_floats(golden, dim, "%s", name);
    float *want = golden_nhwc(nchw, 1, 4, dim[2], dim[3]), *got = malloc(tensor_bytes(s->x));
    assert_int_equal(s->x.dim[1], dim[2]);
    assert_int_equal(s->x.dim[2], dim[3]);
    dev_download(b->held.d, got, s->x);
    const double distance = golden_distance(got, want, tensor_count(s->x));
    print_message("%s: %.1e\n", name, distance);
    assert_true(distance <= DISTANCE_MAX);
    free(nchw);
    free(want);
    free(got);
}

static void check_folder(bench *b, const char *list, const char *latents, size_t count)
{
    json_t *all = golden_json(list), *entry;
    checkpoint *golden = golden_open(latents);
    const char *name;
    assert_int_equal(json_object_size(all), count);
    json_object_foreach(all, name, entry)
    {
        err e = {0};
        work *w = jobs_golden(name, entry);
        run *r = NULL;
        seq *s = NULL;
        if (!task_prepare(&w->task, &w->job, b->words, &e))
            r = run_new(&b->held, b->names, w, &e);
        if (r)
            s = sample(b, r, &e);
        if (!s)
            fail_msg("%s: %s", name, e.text);
        compare(b, s, golden, name);
        run_free(&b->held, &r);
        work_free(&w);
    }
    checkpoint_free(&golden);
    json_decref(all);
}

static void latents_of_pictures(void **state)
{
    check_folder(*state, "pictures/pictures.json", "pictures/latents.safetensors", 13);
}

static void latents_of_grammar(void **state)
{
    check_folder(*state, "grammar/grammar.json", "grammar/latents.safetensors", 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latents_of_pictures),
        cmocka_unit_test(latents_of_grammar),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
