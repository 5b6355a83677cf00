/* The final latents of the golden jobs, and of rows that are evaluated together or one by one: a
 * run is driven by hand, without engine and threads, and looked at before it is decoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/golden.h"
#include "tests/support/jobs.h"
#include "worker/batch.h"

#define DISTANCE_MAX 1e-4 /* of golden/README */

typedef struct {
    residents held;
    int64_t stepping_budget; /* the budget while batches are picked */
    /* of the last run: */
    int most_rows;  /* of a batch */
    int ops[256];   /* of each batch */
    char seen[256]; /* the text of the first row: for each batch the number of its conditioning */
    models *names;
    tokenizer *words;
} bench;

enum { TIME_OPS = 4 }; /* of unet_times, once for all of a small job */

static const int64_t ROOMY = 4LL << 30;

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
    b.held = (residents){.d = open_device(false), .dry = open_device(true), .budget = ROOMY};
    b.stepping_budget = ROOMY;
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

/* The first sequence has what the UNet makes of its timestep now. */
static void check_time(bench *b, const batch *now)
{
    dev *d = b->held.d;
    const seq *s = now->seq[0];
    const unet *u = now->resident->model->unet;
    const size_t mark = dev_mark(d), bytes = tensor_bytes(seq_time(s));
    tensor want = tensor_sample(unet_times(d, NEW, u, &s->eval.timestep, 1), 0);
    char *values = malloc(2 * bytes);
    dev_download(d, values, seq_time(s));
    dev_download(d, values + bytes, want);
    assert_memory_equal(values, values + bytes, bytes);
    free(values);
    dev_release(d, mark);
}

/* Samples the only picture of the job to its end, but does not decode it: the sequence stays the
 * run's. */
static int sample(bench *b, run *r, err *e)
{
    bool finite[BATCH_ROWS_MAX];
    scene_input input;
    batch now;
    work *w = r->work;
    while (!run_has_texts(r))
        if (run_text(&b->held, r, e))
            return e->code;
    assert_int_equal(run_ask(r), 0);
    if (task_scene(&w->task, &w->job, 0, &input, e))
        return e->code;
    run_scene_made(r, 0, &input);
    if (run_must_encode(r, 0) && run_encode(&b->held, r, 0, e))
        return e->code;
    if (run_begin(&b->held, r, 0, 0, e))
        return e->code;
    b->most_rows = 0;
    memset(b->seen, 0, sizeof b->seen);
    memset(b->ops, 0, sizeof b->ops);
    b->held.budget = b->stepping_budget;
    for (uint64_t turn = 1; batch_pick(&now, &b->held, r, turn); turn++) {
        if (now.rows > b->most_rows)
            b->most_rows = now.rows;
        for (int i = 0; i < r->texts; i++)
            if (seq_text(r->first, 0) == r->text[i])
                b->seen[turn - 1] = (char)('0' + i);
        const uint64_t before = b->held.d->counters.ops;
        batch_evaluate(&now, &b->held, finite);
        b->ops[turn - 1] = (int)(b->held.d->counters.ops - before);
        check_time(b, &now);
        seq_step(b->held.d, now.seq, now.sequences);
        if (b->held.d->status != DEV_OK)
            return residents_error(&b->held, "stepping", e);
    }
    b->held.budget = ROOMY;
    return 0;
}

static run *begin(bench *b, work *w)
{
    err e = {0};
    run *r = NULL;
    if (!task_prepare(&w->task, &w->job, b->words, &e))
        r = run_new(&b->held, b->names, w, &e);
    if (!r || sample(b, r, &e))
        fail_msg("%s", e.text);
    return r;
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

static void check_folder(bench *b, const char *folder, size_t count)
{
    char list[64], latents[64];
    snprintf(list, sizeof list, "%s/%s.json", folder, folder);
    snprintf(latents, sizeof latents, "%s/latents.safetensors", folder);
    json_t *all = golden_json(list), *entry;
    checkpoint *golden = golden_open(latents);
    const char *name;
    assert_int_equal(json_object_size(all), count);
    json_object_foreach(all, name, entry)
    {
        asked a;
        asked_read(&a, folder, name, entry);
        work *w = jobs_golden(&a);
        run *r = begin(b, w);
        compare(b, r->first, golden, name);
        run_free(&b->held, &r);
        work_free(&w);
    }
    checkpoint_free(&golden);
    json_decref(all);
}

static void latents_of_pictures(void **state)
{
    check_folder(*state, "pictures", 13);
}

static void latents_of_grammar(void **state)
{
    check_folder(*state, "grammar", 9);
}

/* The final latent of a job with eight rows; malloc'ed. */
static float *eight_rows(bench *b, size_t *bytes)
{
    work *w =
        jobs_simple("tiny", "[a|b|c] AND d:0.5 AND e BREAK f AND g AND h:-.3 AND i AND [j:k:.5]");
    w->job.sampler = SAMPLER_HEUN;
    run *r = begin(b, w);
    assert_int_equal(r->first->rows, 8);
    *bytes = tensor_bytes(r->first->x);
    float *latent = malloc(*bytes);
    dev_download(b->held.d, latent, r->first->x);
    run_free(&b->held, &r);
    work_free(&w);
    return latent;
}

/* Where memory has room for a row at a time, the rows of one evaluation come one by one, each with
 * the text of its step: the same bits. */
static void rows_one_by_one(void **state)
{
    bench *b = *state;
    size_t bytes;
    float *together = eight_rows(b, &bytes);
    assert_int_equal(b->most_rows, 8);
    b->stepping_budget = 0;
    float *apart = eight_rows(b, &bytes);
    assert_int_equal(b->most_rows, 1);
    b->stepping_budget = ROOMY;
    assert_memory_equal(apart, together, bytes);
    free(together);
    free(apart);
}

/* With a partner every other row is evaluated on a second device: the same bits, and of eight rows
 * each device does four. */
static void rows_on_two_devices(void **state)
{
    bench *b = *state;
    size_t bytes;
    err e = {0};
    residents_done(&b->held); /* models are loaded anew, with a copy for the partner */
    float *alone = eight_rows(b, &bytes);
    residents_done(&b->held);
    b->held.partner =
        partner_new(&(dev_options){.backend = "cpu", .threads = 2, .ordinal = 1}, b->held.d, &e);
    assert_non_null(b->held.partner);
    dev *other = partner_dev(b->held.partner);
    dev_reset_peak(b->held.d);
    float *shared = eight_rows(b, &bytes);
    assert_int_equal(b->most_rows, 8);
    assert_memory_equal(shared, alone, bytes);
    assert_true(other->counters.flops > 0.4 * b->held.d->counters.flops);
    assert_true(other->counters.flops < b->held.d->counters.flops); /* which encodes texts, too */
    free(shared);
    free(alone);
    residents_done(&b->held);
    assert_int_equal(other->kept, 0);
    partner_free(&b->held.partner);
}

/* The final latent of a small job with two rows; malloc'ed. */
static float *two_rows(bench *b, const char *text, size_t *bytes)
{
    work *w = jobs_simple("tiny3", text);
    run *r = begin(b, w);
    float *latent = malloc(*bytes = tensor_bytes(r->first->x));
    dev_download(b->held.d, latent, r->first->x);
    run_free(&b->held, &r);
    work_free(&w);
    return latent;
}

/* Texts are copied to where the UNet reads them when rows see others than in the batch before: not
 * again in the next step, nor by the next job with the same prompt; and where nothing may stay, in
 * every step. The same bits. */
static void texts_are_copied_when_rows_change(void **state)
{
    static const struct {
        const char *prompt;
        bool tight;
        int copies[4]; /* in each of the steps */
    } rows[] = {
        {"a bird", true, {2, 2, 2, 2}},  {"a bird", false, {2, 0, 0, 0}},
        {"a bird", false, {0, 0, 0, 0}}, {"[a bird|x]", false, {0, 1, 1, 1}},
        {"a bird", false, {1, 0, 0, 0}},
    };
    bench *b = *state;
    float *first = NULL;
    size_t bytes;
    int least = 0; /* ops of a batch that copies no text */
    residents_done(&b->held);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        b->held.tight = rows[i].tight;
        float *latent = two_rows(b, rows[i].prompt, &bytes);
        if (!first) {
            first = latent;
            least = b->ops[1] - 2;
        }
        for (int k = 0; k < 4; k++)
            assert_int_equal(b->ops[k] - least, rows[i].copies[k] + (k == 0 ? TIME_OPS : 0));
        if (!strcmp(rows[i].prompt, rows[0].prompt))
            assert_memory_equal(latent, first, bytes);
        if (latent != first)
            free(latent);
    }
    free(first);
}

/* They go before anything else does when memory is wanted. */
static void texts_of_batches_give_way(void **state)
{
    bench *b = *state;
    residents *held = &b->held;
    err e = {0};
    size_t bytes;
    free(two_rows(b, "a bird", &bytes));
    const size_t kept = tensor_bytes(held->rows.place);
    resident *r = held->first;
    const call_shape call = {2, 8, 8, 77};
    const size_t peak = residents_cost(held, r, call).peak;
    const int64_t all = residents_bytes(held) - (int64_t)held->d->scratch.peak;
    assert_int_equal(kept, 2 * 77 * unet_text_width(r->model->unet) * sizeof(float));
    held->budget = all + (int64_t)peak;
    assert_int_equal(residents_fit(held, r, call, 0, &e), 0);
    assert_int_equal(tensor_bytes(held->rows.place), kept); /* nobody wanted it */
    assert_int_equal(residents_fit(held, r, call, 1, &e), 0);
    assert_null(held->rows.place.data);
    assert_int_equal(residents_bytes(held) - (int64_t)held->d->scratch.peak, all - (int64_t)kept);
    assert_non_null(r->texts);
    assert_null(residents_text_rows(held, r, (call_shape){4, 8, 8, 77}));
    held->budget = ROOMY;
    assert_ptr_equal(residents_text_rows(held, r, call), &held->rows);
    residents_relieve(held);
    assert_true(held->tight);
}

/* Which evaluation sees which text: steps count from 1 among those that run, and both evaluations
 * of a second-order step see the same. */
static void texts_of_evaluations(void **state)
{
    static const struct {
        sampler_kind sampler;
        int steps;
        double strength; /* 0: txt2img */
        const char *prompt, *seen;
    } rows[] = {
        {SAMPLER_EULER, 5, 0, "[a|b]", "01010"},
        {SAMPLER_EULER, 5, 0, "[a:b:0.5]", "00111"},
        {SAMPLER_HEUN, 3, 0, "[a|b]", "00110"},
        {SAMPLER_DPM2, 4, 0, "[a:b:2]", "0000111"},
        {SAMPLER_DPM2_A, 3, 0, "[a:b:0.7]", "00001"},
        {SAMPLER_DPMPP_2M, 4, 0, "x [a:2]", "0011"},
        {SAMPLER_EULER_A, 20, 0.5, "[a:b:0.5]", "00000111111"},
        {SAMPLER_EULER, 20, 0.25, "[a:b:0.5]", "000111"},
        {SAMPLER_HEUN, 8, 0.5, "[a:b:0.25]", "001111111"},
        {SAMPLER_DDIM, 20, 0.5, "[a:b:0.5]", "000011111"}, /* nine evaluations */
        {SAMPLER_DDIM, 5, 0, "[a|b|c]", "0120"},
        {SAMPLER_EULER, 3, 0, "b AND c", "000"},
    };
    bench *b = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        work *w = jobs_simple("tiny3", rows[i].prompt);
        w->job.sampler = rows[i].sampler;
        w->job.steps = rows[i].steps;
        if (rows[i].strength > 0) {
            jobs_set_input(w, "cat.png");
            w->job.denoising_strength = rows[i].strength;
        }
        run *r = begin(b, w);
        if (strcmp(b->seen, rows[i].seen))
            fail_msg("%s of %s: %s, expected %s", rows[i].prompt,
                     catalog_sampler(rows[i].sampler)->name, b->seen, rows[i].seen);
        run_free(&b->held, &r);
        work_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latents_of_pictures),
        cmocka_unit_test(latents_of_grammar),
        cmocka_unit_test(rows_one_by_one),
        cmocka_unit_test(rows_on_two_devices),
        cmocka_unit_test(texts_of_evaluations),
        cmocka_unit_test(texts_are_copied_when_rows_change),
        cmocka_unit_test(texts_of_batches_give_way),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
