/* The engine through a service without sockets: rows of many jobs in one batch, and the same files
 * as each of them alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/jobs.h"

enum { SEVEN_AND_ONE = 8 };

/* ---------------------------------------------------------------- joining and leaving */

static bool shows(const engine_status *s, const job_id *id)
{
    for (int i = 0; i < s->rows; i++)
        if (job_id_equal(&s->row[i].id, id))
            return true;
    return false;
}

static void short_job_overtakes_long_one(void **state)
{
    (void)state;
    service *s = jobs_service("cpu", 1, 0, 0);
    work *slow = jobs_simple("tiny3", "a slow one"), *fast = jobs_simple("tiny3", "a fast one");
    bool taken = false, together = false;
    work *first = NULL;
    slow->job.steps = 40;
    const job_id slow_id = slow->job.id, fast_id = fast->job.id;
    jobs_take(s, slow);
    while (!first) {
        engine_status now;
        service_event *ev = jobs_event(s);
        if (!taken && ev->kind == EVENT_PROGRESS && ev->progress.steps_done >= 3) {
            assert_true(ev->progress.steps_done < 30);
            jobs_take(s, fast);
            taken = true;
        }
        service_status(s, 0, &now);
        together |= shows(&now, &slow_id) && shows(&now, &fast_id);
        first = ev->work;
        ev->work = NULL;
        service_event_free(&ev);
    }
    assert_ptr_equal(first, fast);
    assert_true(together);
    assert_ptr_equal(jobs_next_complete(s), slow);
    jobs_assert_done(fast);
    jobs_assert_done(slow);
    work_free(&fast);
    work_free(&slow);
    service_free(&s);
}

/* Progress only grows, ends at the whole, and comes with previews when they are asked for. */
static void progress_and_previews(void **state)
{
    (void)state;
    service *s = jobs_service("cpu", 1, 0, 0);
    work *w = jobs_simple("tiny3", "watched");
    w->job.sampler = SAMPLER_HEUN; /* 2 * steps - 1 evaluations */
    w->job.steps = 5;
    w->job.batch_size = 3;
    w->job.want_preview = true;
    jobs_take(s, w);
    int previews = 0, reports = 0, last = 0, steps = 0;
    service_event *ev = jobs_event(s);
    assert_int_equal(ev->kind, EVENT_STARTED);
    for (; ev->kind != EVENT_COMPLETE; service_event_free(&ev), ev = jobs_event(s)) {
        if (ev->kind != EVENT_PROGRESS)
            continue;
        const work_progress *p = &ev->progress;
        assert_int_equal(p->evaluations, 3 * 9);
        assert_int_equal(p->steps, 3 * 5);
        assert_true(p->eta_seconds >= 0 && (p->eta_seconds > 0 || p->evaluations_done == 27));
        if (p->evaluations_done > last) { /* one with a preview may come after the next */
            last = p->evaluations_done;
            steps = p->steps_done;
        }
        reports++;
        if (!ev->preview)
            continue;
        image small;
        assert_int_equal(
            image_decode(&small, ev->preview, ev->preview_size, &image_default_limits, NULL), 0);
        assert_int_equal(small.w, 16); /* as small as the latent */
        assert_int_equal(small.h, 16);
        image_done(&small);
        previews++;
    }
    assert_true(previews >= 1);
    assert_true(reports >= 9);
    assert_int_equal(last, 27);
    assert_int_equal(steps, 15);
    service_event_free(&ev); /* with the work */
    service_free(&s);
}

/* A job of many pictures does not keep a small one waiting until most of them are done. */
static void many_pictures_leave_room(void **state)
{
    (void)state;
    service *s = jobs_service("cpu", 1, 0, 0);
    work *many = jobs_simple("tiny3", "twenty"), *one = jobs_simple("tiny3", "one");
    many->job.batch_size = 10;
    many->job.n_iter = 2;
    many->job.steps = one->job.steps = 1;
    many->job.cfg_scale = one->job.cfg_scale = 1;
    jobs_take(s, many);
    service_event *ev = jobs_event(s);
    assert_int_equal(ev->kind, EVENT_STARTED);
    service_event_free(&ev);
    jobs_take(s, one);
    assert_ptr_equal(jobs_next_complete(s), one);
    assert_ptr_equal(jobs_next_complete(s), many);
    jobs_assert_done(many);
    assert_int_equal(many->task.results, 20);
    assert_int_equal(many->task.result[19].seed, 20);
    work_free(&one);
    work_free(&many);
    service_free(&s);
}

/* Nor does a job of many texts while these are encoded, and it can be cancelled meanwhile. */
static void many_texts_leave_room(void **state)
{
    (void)state;
    char text[8192] = "[0";
    for (int i = 1; i < 150; i++) /* of three chunks each: seconds before the first step */
        sprintf(text + strlen(text), "|%d BREAK a fox BREAK snow", i);
    strcat(text, "]");
    service *s = jobs_service("cpu", 1, 0, 0);
    work *many = jobs_simple("tiny3", text), *one = jobs_simple("tiny3", "one");
    bool stepped = false;
    many->job.steps = 150;
    one->job.steps = 1;
    jobs_take(s, many);
    service_event *ev = jobs_event(s);
    assert_int_equal(ev->kind, EVENT_STARTED);
    jobs_take(s, one);
    for (; ev->kind != EVENT_COMPLETE; service_event_free(&ev), ev = jobs_event(s))
        stepped |= ev->kind == EVENT_PROGRESS && job_id_equal(&ev->id, &many->job.id);
    assert_ptr_equal(ev->work, one);
    jobs_assert_done(one);
    assert_false(stepped);
    service_event_free(&ev); /* with the work */
    service_cancel(s, many);
    assert_ptr_equal(jobs_next_complete(s), many);
    assert_int_equal(many->error.code, ERR_CANCELLED);
    assert_int_equal(many->task.guidances.texts, 151);
    work_free(&many);
    service_free(&s);
}

/* ---------------------------------------------------------------- the same bytes */

/* `chunks` chunks of 75 tokens. */
static void set_long_prompt(work *w, int chunks)
{
    char text[4096] = "";
    err e = {0};
    for (int i = 0; i < 75 * (chunks - 1) + 10; i++)
        strcat(text, i % 3 ? "red " : "(fox:1.2) ");
    assert_int_equal(job_set_text(&w->job.prompt, text, strlen(text), &e), 0);
}

/* Eight jobs that differ in everything. */
static void make_eight(work *works[SEVEN_AND_ONE])
{
    static const struct {
        const char *arch;
        sampler_kind sampler;
        schedule scheduler;
        int steps, chunks, width;
        double cfg;
        bool from_picture;
        picture_format format;
    } rows[SEVEN_AND_ONE] = {
        {"tiny", SAMPLER_EULER_A, SCHEDULE_AUTOMATIC, 7, 1, 64, 7, true, FORMAT_PNG},
        {"tiny", SAMPLER_DPMPP_2M, SCHEDULE_KARRAS, 4, 3, 64, 1, false, FORMAT_PNG},
        {"tiny", SAMPLER_HEUN, SCHEDULE_EXPONENTIAL, 3, 2, 64, 4.5, false, FORMAT_JPEG},
        {"tiny", SAMPLER_DPM2_A, SCHEDULE_AUTOMATIC, 3, 1, 64, 0, false, FORMAT_WEBP},
        {"tiny", SAMPLER_DDIM, SCHEDULE_AUTOMATIC, 6, 2, 64, 12, true, FORMAT_PNG},
        {"tiny", SAMPLER_EULER, SCHEDULE_SIMPLE, 5, 1, 72, 7, false, FORMAT_PNG},
        {"tiny3", SAMPLER_DPM2, SCHEDULE_UNIFORM, 3, 3, 64, 2, false, FORMAT_PNG},
        {"tiny", SAMPLER_EULER, SCHEDULE_SGM_UNIFORM, 9, 1, 64, 1, true, FORMAT_PNG},
    };
    for (int i = 0; i < SEVEN_AND_ONE; i++) {
        work *w = works[i] = jobs_simple(rows[i].arch, "");
        if (rows[i].from_picture)
            jobs_set_input(w, "cat.png");
        set_long_prompt(w, rows[i].chunks);
        w->job.sampler = rows[i].sampler;
        w->job.scheduler = rows[i].scheduler;
        w->job.steps = rows[i].steps;
        w->job.width = rows[i].width;
        w->job.cfg_scale = rows[i].cfg;
        w->job.format = rows[i].format;
        w->job.clip_skip = i % 2 + 1;
        w->job.rng = i % 3 ? RNG_NV : RNG_CPU;
        w->job.seed = 1000 + i;
    }
}

static void free_all(work **works, int count)
{
    for (int i = 0; i < count; i++)
        work_free(&works[i]);
}

static service *two_devices(void)
{
    err e = {0};
    service_options o = {.devices = 2};
    for (int i = 0; i < 2; i++)
        o.device[i] = (dev_options){.backend = "cpu", .threads = 1, .ordinal = i};
    service *s = service_new(&o, &e);
    assert_non_null(s);
    return s;
}

static void same_bytes_among_seven_others(void **state)
{
    (void)state;
    work *alone[SEVEN_AND_ONE], *among[SEVEN_AND_ONE], *apart[SEVEN_AND_ONE];
    make_eight(alone);
    make_eight(among);
    make_eight(apart);
    service *s = jobs_service("cpu", 1, 0, 0);
    for (int i = 0; i < SEVEN_AND_ONE; i++)
        jobs_run(s, &alone[i], 1);
    jobs_run(s, among, SEVEN_AND_ONE);
    service_free(&s);
    s = two_devices();
    jobs_run(s, apart, SEVEN_AND_ONE);
    service_free(&s);
    bool second = false;
    for (int i = 0; i < SEVEN_AND_ONE; i++) {
        jobs_assert_same(among[i], alone[i]);
        jobs_assert_same(apart[i], alone[i]);
        second |= apart[i]->device == 1;
    }
    assert_true(second);
    free_all(alone, SEVEN_AND_ONE);
    free_all(among, SEVEN_AND_ONE);
    free_all(apart, SEVEN_AND_ONE);
}

static void picture_i_has_seed_plus_i(void **state)
{
    (void)state;
    service *s = jobs_service("cpu", 1, 0, 0);
    work *batch = jobs_simple("tiny3", "a batch");
    jobs_set_input(batch, "cat.png");
    batch->job.sampler = SAMPLER_EULER_A;
    batch->job.batch_size = 2;
    batch->job.n_iter = 2;
    batch->job.seed = 4294967294; /* over the edge of 32 bits */
    jobs_run(s, &batch, 1);
    jobs_assert_done(batch);
    assert_int_equal(batch->task.results, 4);
    for (int i = 0; i < 4; i++) {
        work *one = jobs_simple("tiny3", "a batch");
        jobs_set_input(one, "cat.png");
        one->job.sampler = SAMPLER_EULER_A;
        one->job.seed = batch->job.seed + i;
        jobs_run(s, &one, 1);
        assert_int_equal(batch->task.result[i].seed, one->job.seed);
        jobs_assert_same_picture(batch, i, one, 0);
        work_free(&one);
    }
    work_free(&batch);
    service_free(&s);
}

/* ---------------------------------------------------------------- few evaluations, or none */

static image picture_of(const work *w, int index)
{
    image out;
    jobs_assert_done(w);
    assert_int_equal(image_decode(&out, w->task.result[index].bytes, w->task.result[index].size,
                                  &image_default_limits, NULL),
                     0);
    return out;
}

static void untouched_input_is_the_resized_picture(void **state)
{
    (void)state;
    service *s = jobs_service("cpu", 1, 0, 0);
    work *w = jobs_simple("tiny", "nothing to do");
    jobs_set_input(w, "coffee.png");
    w->job.denoising_strength = 0;
    w->job.fix_steps = true;
    w->job.batch_size = 16;
    w->job.n_iter = 4;
    w->job.resize = RESIZE_CROP;
    jobs_run(s, &w, 1);
    image in, fitted, out;
    assert_int_equal(
        image_decode(&in, w->job.input[0].bytes, w->job.input[0].size, &image_default_limits, NULL),
        0);
    assert_int_equal(image_fit(&fitted, &in, RESIZE_CROP, 64, 64, NULL), 0);
    assert_int_equal(w->task.results, 64);
    for (int i = 0; i < 64; i += 9) {
        out = picture_of(w, i);
        assert_int_equal(out.w * out.h * out.channels, 64 * 64 * 3);
        assert_memory_equal(out.px, fitted.px, 64 * 64 * 3);
        image_done(&out);
    }
    image_done(&fitted);
    image_done(&in);
    work_free(&w);
    service_free(&s);
}

/* DDIM below a few steps evaluates nothing: the noisy start is decoded. */
static void ddim_at_low_strengths(void **state)
{
    (void)state;
    static const double strengths[] = {0, 0.01, 0.05, 0.1, 0.15};
    enum { COUNT = sizeof strengths / sizeof *strengths };
    service *s = jobs_service("cpu", 1, 0, 0);
    work *works[COUNT + 1];
    for (int i = 0; i <= COUNT; i++) {
        works[i] = jobs_simple("tiny3", "hardly anything");
        works[i]->job.sampler = SAMPLER_DDIM;
        works[i]->job.steps = 20;
        if (i == COUNT)
            works[i]->job.steps = 1; /* txt2img: nothing but noise */
        else
            jobs_set_input(works[i], "cat.png");
        if (i < COUNT)
            works[i]->job.denoising_strength = strengths[i];
    }
    jobs_run(s, works, COUNT + 1);
    for (int i = 0; i <= COUNT; i++) {
        image out = picture_of(works[i], 0);
        assert_int_equal(out.w, 64);
        image_done(&out);
    }
    free_all(works, COUNT + 1);
    service_free(&s);
}

static void noop_through_pool_and_engine(void **state)
{
    (void)state;
    service *s = jobs_service("cpu", 1, 0, 0);
    work *w = work_new();
    job_init(&w->job);
    job_id_new(&w->job.id);
    w->job.task = TASK_NOOP;
    w->job.noop_engine = true;
    jobs_run(s, &w, 1);
    jobs_assert_done(w);
    assert_int_equal(w->task.results, 0);
    work_free(&w);
    service_free(&s);
}

/* ---------------------------------------------------------------- the parameters text */

static void schedule_type_is_the_web_uis(void **state)
{
    (void)state;
    static const struct {
        sampler_kind sampler;
        schedule scheduler;
        const char *shown;
    } rows[] = {
        {SAMPLER_DPMPP_2M, SCHEDULE_AUTOMATIC, "Sampler: DPM++ 2M, Schedule type: Karras,"},
        {SAMPLER_EULER_A, SCHEDULE_AUTOMATIC, "Sampler: Euler a, Schedule type: Automatic,"},
        {SAMPLER_EULER, SCHEDULE_UNIFORM, "Sampler: Euler, Schedule type: Uniform,"},
        {SAMPLER_HEUN, SCHEDULE_EXPONENTIAL, "Sampler: Heun, Schedule type: Exponential,"},
        {SAMPLER_DDIM, SCHEDULE_AUTOMATIC, "Sampler: DDIM, Schedule type: Automatic,"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        scene_plan scene = {.width = 64, .height = 96, .seed = 5};
        const task t = {.scene = &scene, .scenes = 1, .samples = true};
        char *text;
        job j;
        job_init(&j);
        j.sampler = rows[i].sampler;
        j.scheduler = rows[i].scheduler;
        j.seed = 5;
        j.clip_skip = 2;
        assert_int_equal(task_infotext(&text, &t, &j, 0, 3, "m", "0123456789abcdef", NULL), 0);
        assert_non_null(strstr(text, rows[i].shown));
        assert_non_null(strstr(text,
                               "CFG scale: 7.0, Seed: 8, Size: 64x96, Model hash: 0123456789, "
                               "Model: m, Clip skip: 2, RNG: NV, Version: overpaint"));
        free(text);
        assert_int_equal(task_infotext(&text, &t, &j, 0, 3, "m", "", NULL), 0);
        assert_non_null(strstr(text, "Size: 64x96, Model: m, "));
        free(text);
        job_done(&j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_job_overtakes_long_one),
        cmocka_unit_test(progress_and_previews),
        cmocka_unit_test(many_pictures_leave_room),
        cmocka_unit_test(many_texts_leave_room),
        cmocka_unit_test(same_bytes_among_seven_others),
        cmocka_unit_test(picture_i_has_seed_plus_i),
        cmocka_unit_test(untouched_input_is_the_resized_picture),
        cmocka_unit_test(ddim_at_low_strengths),
        cmocka_unit_test(noop_through_pool_and_engine),
        cmocka_unit_test(schedule_type_is_the_web_uis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
