/* What can go wrong inside a worker: every job comes back exactly once, with a sentence that says
 * why, and the next one works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "tests/support/jobs.h"
#include "worker/model/checkpoint.h"
#include "worker/models.h"

static void assert_failed(const work *w, err_code code, const char *text)
{
    if (w->error.code != code || !strstr(w->error.text, text))
        print_error("%s: \"%s\", expected %s and \"%s\"\n", err_name(w->error.code), w->error.text,
                    err_name(code), text);
    assert_int_equal(w->error.code, code);
    assert_non_null(strstr(w->error.text, text));
}

/* Runs the job, which has to fail so, and then one that works. */
static void assert_fails_alone(service *s, work *w, err_code code, const char *text)
{
    work *next = jobs_simple("tiny3", "the next one works");
    jobs_run(s, &w, 1);
    assert_failed(w, code, text);
    jobs_run(s, &next, 1);
    jobs_assert_done(next);
    work_free(&w);
    work_free(&next);
}

static int open_service(void **state)
{
    *state = jobs_service("cpu", 1, 0, 0);
    return 0;
}

static int close_service(void **state)
{
    service *s = *state;
    service_free(&s);
    return 0;
}

/* ---------------------------------------------------------------- models */

static const char *file_in_build(char path[1024], const char *name)
{
    mkdir(MODELS_DIR, 0777);
    snprintf(path, 1024, MODELS_DIR "/%s-%d", name, (int)getpid());
    return path;
}

static work *job_with_model(const char *path)
{
    work *w = jobs_simple("tiny3", "a bad model");
    assert_true(strlen(path) < sizeof w->job.model);
    strcpy(w->job.model, path);
    return w;
}

static void nan_weights_are_named(void **state)
{
    static const struct {
        const char *tensor;
        const char *text;
    } rows[] = {
        {"cond_stage_model.transformer.text_model.final_layer_norm.weight", "text encoder"},
        {"model.diffusion_model.out.0.weight", "UNet"},
        {"first_stage_model.encoder.norm_out.weight", "the encoder of model"},
        {"first_stage_model.decoder.norm_out.weight", "decoding"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[1024];
        err e = {0};
        checkpoint *c = checkpoint_open(fixture_shared("tiny3", path), &e);
        const checkpoint_tensor *t = checkpoint_find(c, rows[i].tensor);
        assert_non_null(t);
        fixture_defect defect = {.name = rows[i].tensor, .dims = t->dims, .nan = true};
        memcpy(defect.dim, t->dim, sizeof defect.dim);
        fixture f = {.config = fixture_config("tiny3"),
                     .seed = 1,
                     .type = F16,
                     .defect = &defect,
                     .defects = 1};
        assert_int_equal(fixture_write(&f, file_in_build(path, "nan"), &e), 0);
        work *w = job_with_model(path);
        jobs_set_input(w, "cat.png");
        assert_fails_alone(*state, w, ERR_DEVICE, rows[i].text);
        checkpoint_free(&c);
        unlink(path);
    }
}

static void bad_models(void **state)
{
    char good[1024], path[1024];
    fixture_shared("tiny3", good);
    assert_fails_alone(*state, job_with_model("/nowhere/model"), ERR_NOT_FOUND, "/nowhere/model");
    assert_fails_alone(*state, job_with_model("absent"), ERR_NOT_FOUND, "no model absent in ");

    FILE *in = fopen(good, "rb"), *out = fopen(file_in_build(path, "cut"), "wb");
    assert_true(in && out);
    static char bytes[200000];
    size_t got = fread(bytes, 1, sizeof bytes, in);
    assert_int_equal(fwrite(bytes, 1, got, out), got);
    fclose(in);
    fclose(out);
    assert_fails_alone(*state, job_with_model(path), ERR_INVALID, path);
    unlink(path);

    const fixture_defect defect = {
        .name = "model.diffusion_model.out.2.weight", .dims = 2, .dim = {3, 5, 1, 1}};
    const fixture f = {
        .config = fixture_config("tiny3"), .seed = 1, .type = F16, .defect = &defect, .defects = 1};
    assert_int_equal(fixture_write(&f, file_in_build(path, "shape"), NULL), 0);
    assert_fails_alone(*state, job_with_model(path), ERR_INVALID, "out.2.weight");
    unlink(path);
}

static work *job_with_upscaler(const char *path)
{
    work *w = jobs_simple("tiny3", "");
    jobs_set_input(w, "cat.png");
    w->job.task = TASK_UPSCALE;
    w->job.upscale.scale = 2;
    assert_true(strlen(path) < sizeof w->job.upscale.upscaler);
    strcpy(w->job.upscale.upscaler, path);
    return w;
}

static void no_folder_of_models(void **state)
{
    (void)state;
    err e = {0};
    model_file file;
    models *m = models_new(NULL, NULL, &e);
    assert_non_null(m);
    assert_int_equal(models_find(m, "absent", &file, &e), ERR_NOT_FOUND);
    assert_string_equal(e.text,
                        "no model absent: this worker has no folder of models (--models DIR)");
    models_free(&m);
}

/* A file that is loaded as one kind is not taken for the other. */
static void files_of_the_other_kind(void **state)
{
    const char *network = GOLDEN_DIR "/../../deploy/models/animevideov3-x4.safetensors";
    char model[1024], path[1024];
    assert_non_null(realpath(network, path));
    work *w = job_with_upscaler(path);
    jobs_run(*state, &w, 1);
    jobs_assert_done(w);
    work_free(&w);
    assert_fails_alone(*state, job_with_model(path), ERR_INVALID, "no diffusion network");
    fixture_shared("tiny3", model); /* loaded by the one that worked */
    assert_fails_alone(*state, job_with_upscaler(model), ERR_INVALID, "no upscaler");
}

static void nan_upscalers_are_named(void **state)
{
    static char bytes[2000000];
    char path[1024];
    FILE *in = fopen(GOLDEN_DIR "/../../deploy/models/animevideov3-x4.safetensors", "rb");
    FILE *out = fopen(file_in_build(path, "nan.safetensors"), "wb");
    assert_true(in && out);
    const size_t got = fread(bytes, 1, sizeof bytes, in);
    assert_true(got > 64 && got < sizeof bytes);
    for (size_t i = got - 64; i < got; i += 2)
        memcpy(bytes + i, "\xff\x7f", 2); /* NaN as F16 and as F32 */
    assert_int_equal(fwrite(bytes, 1, got, out), got);
    fclose(in);
    fclose(out);
    assert_fails_alone(*state, job_with_upscaler(path), ERR_DEVICE, "gave NaN or infinity");
    unlink(path);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

/* The file that a job has loaded is gone: the one in its place would have another hash. */
static void hash_is_of_the_loaded_file(void **state)
{
    (void)state;
    char path[1024], other[1024], hex[65];
    const atomic_bool cancelled = false;
    model_file loaded, now;
    err e = {0};
    write_text(file_in_build(path, "replaced"), "old");
    write_text(file_in_build(other, "other"), "newer");
    models *m = models_new(NULL, NULL, &e);
    assert_non_null(m);
    assert_int_equal(models_find(m, path, &loaded, &e), 0);
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(models_hash(m, &loaded, &cancelled, hex, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "was replaced"));
    assert_int_equal(models_find(m, path, &now, NULL), 0);
    assert_int_equal(models_hash(m, &now, &cancelled, hex, NULL), 0);
    assert_int_equal(strlen(hex), 64);
    unlink(path);
    models_free(&m);
}

/* ---------------------------------------------------------------- inputs */

static void long_prompts(void **state)
{
    work *w = jobs_simple("tiny3", "");
    err e = {0};
    const size_t size = 300000;
    free(w->job.prompt);
    w->job.prompt = malloc(size + 1);
    assert_non_null(w->job.prompt);
    memset(w->job.prompt, 'a', size);
    w->job.prompt[size] = 0;
    assert_int_equal(job_check(&w->job, &e), ERR_TOO_LARGE);
    assert_non_null(strstr(e.text, "65536"));
    for (size_t i = 1; i < 75 * 2 * 33; i += 2)
        w->job.prompt[i] = ' ';
    w->job.prompt[75 * 2 * 33] = 0; /* 33 chunks of words with one letter */
    assert_fails_alone(*state, w, ERR_TOO_LARGE, "2400 tokens");
}

static void hostile_pictures(void **state)
{
    /* a PNG that says 20000 x 20000, and a file that is no picture */
    static const uint8_t huge[] =
        "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x4e\x20\0\0\x4e\x20\x08\x02\0\0\0\x6c\x12\xd1\x6e";
    static const uint8_t text[] = "this is no picture at all";
    work *w = jobs_simple("tiny3", "");
    w->job.task = TASK_IMG2IMG;
    assert_int_equal(
        job_add_input(&w->job, (job_picture){.bytes = huge, .size = sizeof huge - 1}, NULL), 0);
    assert_fails_alone(*state, w, ERR_TOO_LARGE, "20000");
    w = jobs_simple("tiny3", "");
    w->job.task = TASK_IMG2IMG;
    assert_int_equal(
        job_add_input(&w->job, (job_picture){.bytes = text, .size = sizeof text - 1}, NULL), 0);
    assert_fails_alone(*state, w, ERR_INVALID, "");
    w = jobs_simple("tiny3", "");
    w->job.task = TASK_IMG2IMG;
    assert_int_equal(job_add_input(&w->job, (job_picture){.path = "/nowhere/cat.png"}, NULL), 0);
    assert_fails_alone(*state, w, ERR_NOT_FOUND, "/nowhere/cat.png");
}

static void jobs_that_do_not_fit_the_model(void **state)
{
    work *w = jobs_simple("tiny3", "");
    w->job.width = 71;
    assert_fails_alone(*state, w, ERR_INVALID, "size is 71x64, expected multiples of 4");
    w = jobs_simple("tiny3", "");
    w->job.clip_skip = 12;
    assert_fails_alone(*state, w, ERR_INVALID, "clip skip is 12");
}

/* Pictures of noise hardly shrink. The job ends with the one that is too much, not with the last:
 * nothing is sampled here, so all of them are there to be written. */
static void result_too_large(void **state)
{
    enum { SIDE = 1024, PICTURES = 60 };
    work *w = jobs_simple("tiny3", "");
    image noise;
    uint32_t random = 1;
    int written = 0;
    assert_int_equal(image_new(&noise, SIDE, SIDE, 3, NULL), 0);
    for (size_t i = 0; i < (size_t)SIDE * SIDE * 3; i++)
        noise.px[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
    w->job.task = TASK_IMG2IMG;
    w->job.width = w->job.height = SIDE;
    w->job.fix_steps = true;
    w->job.denoising_strength = 0;
    w->job.n_iter = PICTURES;
    jobs_add_picture(w, INPUT_PICTURE, &noise);
    image_done(&noise);
    jobs_run(*state, &w, 1);
    assert_failed(w, ERR_TOO_LARGE, "a result may have 67043328: ask for fewer, or for JPEG");
    for (int i = 0; i < PICTURES; i++)
        written += w->task.result[i].bytes != NULL;
    assert_in_range(written, 20, 30);
    work_free(&w);
}

/* ---------------------------------------------------------------- memory budgets */

static uint64_t memory_now(service *s)
{
    engine_status now;
    service_status(s, 0, &now);
    return now.memory_bytes;
}

static void budget_too_small(void **state)
{
    (void)state;
    service *s = jobs_service("cpu", 1, 0, 20 << 20);
    work *w = jobs_simple("tiny", "no room for the model");
    jobs_run(s, &w, 1);
    assert_failed(w, ERR_NO_MEMORY, "the memory budget is 20 MiB");
    assert_non_null(strstr(w->error.text, "needs "));
    work_free(&w);
    service_free(&s);

    s = jobs_service("cpu", 1, 0, (int64_t)400 << 20);
    w = jobs_simple("tiny", "no room for the picture");
    w->job.width = w->job.height = 4096;
    jobs_run(s, &w, 1);
    assert_failed(w, ERR_NO_MEMORY, "4096x4096 with model tiny");
    assert_non_null(strstr(w->error.text, "the memory budget is 400 MiB"));
    work_free(&w);
    w = jobs_simple("tiny", "room for this one");
    jobs_run(s, &w, 1);
    jobs_assert_done(w);
    work_free(&w);
    service_free(&s);
}

/* Two models of which only one fits beside what such pictures take: the jobs take turns, and the
 * budget holds all the time. Each is cancelled when it has begun, for they would take long. */
static void models_take_turns(void **state)
{
    (void)state;
    enum { JOBS = 4 };
    const int64_t budget = (int64_t)275 << 20;
    service *s = jobs_service("cpu", 1, 0, budget);
    work *works[JOBS];
    for (int i = 0; i < JOBS; i++) {
        works[i] = jobs_simple(i % 2 ? "tiny" : "tiny3", "taking turns");
        works[i]->job.width = 576;
        works[i]->job.height = 512;
        jobs_take(s, works[i]);
    }
    int begun = 0;
    for (int done = 0; done < JOBS;) {
        engine_status now;
        service_event *ev = jobs_event(s);
        service_status(s, 0, &now);
        assert_true((int64_t)now.memory_bytes <= budget);
        if (ev->kind == EVENT_STARTED) {
            int i = 0; /* the crew may have prepared them in another order */
            while (!job_id_equal(&ev->id, &works[i]->job.id))
                i++;
            assert_int_equal(now.models, 1);
            assert_string_equal(now.model[0], i % 2 ? "tiny" : "tiny3");
            service_cancel(s, works[i]);
            begun++;
        }
        done += ev->kind == EVENT_COMPLETE;
        ev->work = NULL;
        service_event_free(&ev);
    }
    assert_int_equal(begun, JOBS);
    for (int i = 0; i < JOBS; i++) {
        assert_failed(works[i], ERR_CANCELLED, "cancelled");
        work_free(&works[i]);
    }
    work *w = jobs_simple("tiny", "after all of them");
    jobs_run(s, &w, 1);
    jobs_assert_done(w);
    work_free(&w);
    service_free(&s);
}

/* ---------------------------------------------------------------- cancelling, stopping */

/* Cancels at the n-th event of the job (0: at once), and counts how often it comes back. */
static err_code cancel_at(service *s, work *w, int event, bool *after_all_steps)
{
    int seen = 0, complete = 0;
    err_code code = ERR_OK;
    jobs_take(s, w);
    if (event == 0)
        service_cancel(s, w);
    while (!complete) {
        service_event *ev = jobs_event(s);
        if (ev->kind == EVENT_COMPLETE) {
            complete++;
            code = ev->work->error.code;
        } else if (++seen == event) {
            *after_all_steps |= ev->kind == EVENT_PROGRESS &&
                                ev->progress.evaluations_done == ev->progress.evaluations;
            service_cancel(s, w);
        }
        service_event_free(&ev);
    }
    assert_null(service_next(s));
    return code;
}

static work *two_pictures(void)
{
    work *w = jobs_simple("tiny3", "cancelled");
    jobs_set_input(w, "cat.png");
    w->job.steps = 3;
    w->job.batch_size = 2;
    return w;
}

static void cancel_at_every_event(void **state)
{
    service *s = *state;
    bool after_all_steps = false;
    work *w = two_pictures();
    jobs_run(s, &w, 1); /* what is kept from here on is there now */
    work_free(&w);
    const uint64_t before = memory_now(s);
    int cancelled = 0;
    for (int event = 0; event < 6; event++) {
        err_code code = cancel_at(s, two_pictures(), event, &after_all_steps);
        assert_true(code == ERR_CANCELLED || code == ERR_OK);
        cancelled += code == ERR_CANCELLED;
    }
    assert_true(cancelled >= 3);
    assert_true(after_all_steps); /* while decoding or composing */
    w = two_pictures();
    jobs_run(s, &w, 1);
    jobs_assert_done(w);
    work_free(&w);
    assert_int_equal(memory_now(s), before);
}

/* Cancelled while its model is loaded, while it waits behind others, and in a batch with others. */
static void cancel_in_company(void **state)
{
    (void)state;
    enum { JOBS = 24 };
    service *s = jobs_service("cpu", 1, 0, 0);
    work *works[JOBS];
    for (int i = 0; i < JOBS; i++) {
        works[i] = jobs_simple(i % 4 ? "tiny3" : "tiny", "in company");
        works[i]->job.steps = 2 + i % 3;
        jobs_take(s, works[i]);
    }
    for (int i = 0; i < JOBS; i += 2)
        service_cancel(s, works[i]);
    for (int i = 0; i < JOBS; i++)
        jobs_next_complete(s);
    assert_null(service_next(s));
    for (int i = 0; i < JOBS; i++) {
        if (i % 2)
            jobs_assert_done(works[i]);
        else
            assert_failed(works[i], ERR_CANCELLED, "cancelled");
        work_free(&works[i]);
    }
    service_free(&s);
}

/* The service ends with works in every state inside it; sanitizers see what is left or used late.
 */
static void ends_with_work_inside(void **state)
{
    (void)state;
    for (int events = 0; events < 12; events += 2) {
        service *s = jobs_service("cpu", 1, 0, 0);
        for (int i = 0; i < 20; i++)
            jobs_take(s, two_pictures());
        for (int i = 0; i < events; i++) {
            service_event *ev = jobs_event(s);
            service_event_free(&ev);
        }
        service_free(&s);
        assert_null(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nan_weights_are_named),
        cmocka_unit_test(bad_models),
        cmocka_unit_test(no_folder_of_models),
        cmocka_unit_test(files_of_the_other_kind),
        cmocka_unit_test(nan_upscalers_are_named),
        cmocka_unit_test(hash_is_of_the_loaded_file),
        cmocka_unit_test(long_prompts),
        cmocka_unit_test(hostile_pictures),
        cmocka_unit_test(jobs_that_do_not_fit_the_model),
        cmocka_unit_test(result_too_large),
        cmocka_unit_test(budget_too_small),
        cmocka_unit_test(models_take_turns),
        cmocka_unit_test(cancel_at_every_event),
        cmocka_unit_test(cancel_in_company),
        cmocka_unit_test(ends_with_work_inside),
    };
    return cmocka_run_group_tests(tests, open_service, close_service);
}
