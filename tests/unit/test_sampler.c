/* Samplers: the coefficients, applied to a toy denoiser, retrace the trajectories of an independent
 * implementation; and for every sampler, schedule, length and strength the sums stay consistent. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/job.h"
#include "tests/support/golden.h"
#include "worker/sample/noise.h"
#include "worker/sample/sampler.h"
#include "worker/sample/schedule.h"

enum { SIDE = 4, VALUES = SIDE * SIDE * SIDE };

/* A latent on its way: what op_step does, in double or rounded to float at every addition. */
typedef struct {
    bool single;
    double value[TERM_COUNT][VALUES]; /* the terms now */
    double denoised[VALUES];
    noise stream;
} walk;

static double rounded(const walk *w, double v)
{
    return w->single ? (double)(float)v : v;
}

static void draw(walk *w)
{
    float nhwc[VALUES];
    noise_draw(&w->stream, nhwc, SIDE, SIDE, SIDE);
    for (int i = 0; i < VALUES; i++)
        w->value[TERM_NOISE][i] = nhwc[i % (SIDE * SIDE) * SIDE + i / (SIDE * SIDE)];
}

static void sum(const walk *w, const double coefficient[TERM_COUNT], double out[VALUES])
{
    for (int i = 0; i < VALUES; i++) {
        double v = 0;
        for (int t = 0; t < TERM_COUNT; t++)
            if (coefficient[t] != 0)
                v = rounded(w, v + rounded(w, rounded(w, coefficient[t]) * w->value[t][i]));
        out[i] = v;
    }
}

static void step(walk *w, const sampler_step *s)
{
    double x[VALUES], history[SAMPLER_HISTORY][VALUES];
    if (s->noise)
        draw(w);
    else
        assert_true(s->x[TERM_NOISE] == 0);
    sum(w, s->x, x);
    sum(w, s->denoised, w->denoised);
    for (int j = 0; j < SAMPLER_HISTORY; j++)
        if (s->stored[j])
            sum(w, s->history[j], history[j]);
    for (int j = 0; j < SAMPLER_HISTORY; j++)
        if (s->stored[j])
            memcpy(w->value[TERM_HISTORY + j], history[j], sizeof history[j]);
    memcpy(w->value[TERM_X], x, sizeof x);
}

/* D(x, sigma) as golden/README.md has it. x is the sampler's: unit variance for DDIM. */
static double toy(double x, double sigma)
{
    double s2 = sigma * sigma;
    return x / (1 + s2) + 0.3 * tanh(x) * s2 / (1 + s2);
}

static void predict(walk *w, const sampler_eval *e, bool unit_variance)
{
    double shrink = unit_variance ? sqrt(1 / (1 + e->sigma * e->sigma)) : 1;
    for (int i = 0; i < VALUES; i++) {
        double x = w->value[TERM_X][i] / shrink;
        w->value[TERM_EPS][i] = rounded(w, (x - toy(x, e->sigma)) / e->sigma);
    }
}

static void start(walk *w, const sampler *s, bool single)
{
    memset(w, 0, sizeof *w);
    w->single = single;
    noise_init(&w->stream, RNG_NV, 99);
    draw(w);
    for (int i = 0; i < VALUES; i++)
        w->value[TERM_X][i] = rounded(w, s->start_noise * w->value[TERM_NOISE][i]);
}

static double distance(const double *a, const double *b)
{
    double difference = 0, size = 0;
    for (int i = 0; i < VALUES; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return sqrt(difference / size);
}

/* `expected` holds x before each step, then the result. */
static void retrace(sampler s, const double *expected, int64_t count, bool single)
{
    walk w;
    sampler_eval e;
    sampler_step update;
    start(&w, &s, single);
    assert_int_equal(s.steps, count - 1);
    while (sampler_next(&s, &e)) {
        if (s.stage == 0)
            assert_true(distance(w.value[TERM_X], expected + s.step * VALUES) <=
                        (single ? 1e-5 : 1e-12));
        predict(&w, &e, s.kind == SAMPLER_DDIM);
        sampler_accept(&s, &update);
        step(&w, &update);
    }
    assert_true(distance(w.value[TERM_X], expected + (count - 1) * VALUES) <=
                (single ? 1e-5 : 1e-12));
}

static void check_levels(sampler s, const double *sigma, int64_t count)
{
    sampler_eval e;
    sampler_step update;
    assert_int_equal(s.steps, count - 1);
    for (; sampler_next(&s, &e); sampler_accept(&s, &update))
        if (s.stage == 0)
            assert_true(fabs(e.sigma - sigma[s.step]) <= 1e-12 * sigma[s.step]);
}

static void check_timesteps(sampler s, const int64_t *t, int64_t count)
{
    sampler_eval e;
    sampler_step update;
    assert_int_equal(s.steps, count - 1);
    for (; sampler_next(&s, &e); sampler_accept(&s, &update))
        assert_true(e.timestep == t[count - 1 - s.step]);
    for (int i = 0; i < count; i++)
        assert_int_equal(schedule_timestep_at(s.length, i), t[i]);
}

static void golden_trajectories(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("samplers.safetensors");
    int seen[SAMPLER_COUNT] = {0};
    for (size_t i = 0; i < checkpoint_count(golden); i++) {
        char name[64], sched_name[32] = "Automatic";
        snprintf(name, sizeof name, "%s", checkpoint_at(golden, i)->name);
        char *last = strrchr(name, '/'), sampler_name[32];
        if (strcmp(last, "/x"))
            continue;
        *last = 0;
        int n;
        if (sscanf(name, "%31[^/]/%31[^/]/%d", sampler_name, sched_name, &n) != 3) {
            strcpy(sched_name, "Automatic");
            assert_int_equal(sscanf(name, "%31[^/]/%d", sampler_name, &n), 2);
        }
        sampler s;
        sampler_kind kind;
        schedule sched;
        assert_int_equal(catalog_find_sampler(sampler_name, &kind, NULL, NULL), 0);
        assert_int_equal(catalog_find_schedule(sched_name, &sched, NULL), 0);
        assert_int_equal(sampler_init(&s, kind, sched, n, n - 1, false, NULL), 0);

        int64_t dim[CHECKPOINT_DIMS], levels[CHECKPOINT_DIMS];
        double *x = golden_doubles(golden, dim, "%s/x", name);
        retrace(s, x, dim[0], false);
        retrace(s, x, dim[0], true);
        void *list;
        if (kind == SAMPLER_DDIM)
            check_timesteps(s, list = golden_wholes(golden, levels, "%s/t", name), dim[0]);
        else
            check_levels(s, list = golden_doubles(golden, levels, "%s/sigmas", name), dim[0]);
        assert_int_equal(levels[0], dim[0]);
        free(list);
        free(x);
        seen[kind]++;
    }
    const int expected[SAMPLER_COUNT] = {
        [SAMPLER_DPMPP_2M] = 11, [SAMPLER_EULER_A] = 8, [SAMPLER_EULER] = 8, [SAMPLER_HEUN] = 8,
        [SAMPLER_DPM2] = 12,     [SAMPLER_DPM2_A] = 12, [SAMPLER_DDIM] = 3,
    };
    assert_memory_equal(seen, expected, sizeof seen);
    checkpoint_free(&golden);
}

static double real_of(json_t *object, const char *key, double otherwise)
{
    json_t *v = json_object_get(object, key);
    return v ? json_number_value(v) : otherwise;
}

/* The golden pictures say how many times their UNet was asked. */
static void golden_evaluations(void **state)
{
    (void)state;
    json_t *golden = golden_json("pictures/pictures.json"), *row;
    const char *name;
    assert_int_equal(json_object_size(golden), 13);
    json_object_foreach(golden, name, row)
    {
        json_t *settings = json_object_get(row, "job");
        const char *sched = json_string_value(json_object_get(settings, "schedule"));
        job j;
        job_init(&j);
        j.task = strcmp(json_string_value(json_object_get(settings, "task")), "txt2img")
                     ? TASK_IMG2IMG
                     : TASK_TXT2IMG;
        j.steps = (int32_t)real_of(settings, "steps", 0);
        j.denoising_strength = real_of(settings, "denoising_strength", 1);
        j.fix_steps = json_is_true(json_object_get(settings, "fix_steps"));
        assert_int_equal(
            catalog_find_sampler(json_string_value(json_object_get(settings, "sampler")),
                                 &j.sampler, NULL, NULL),
            0);
        if (sched)
            assert_int_equal(catalog_find_schedule(sched, &j.scheduler, NULL), 0);
        int steps, t_enc;
        sampler s;
        job_steps(&j, &steps, &t_enc);
        assert_int_equal(
            sampler_init(&s, j.sampler, j.scheduler, steps, t_enc, j.task == TASK_IMG2IMG, NULL),
            0);
        assert_int_equal(sampler_evaluations(&s), real_of(row, "evaluations", -1));
        job_done(&j);
    }
    json_decref(golden);
}

static void golden_strengths(void **state)
{
    (void)state;
    json_t *golden = golden_json("schedules.json"), *rules, *rule;
    const char *key, *which;
    json_object_foreach(json_object_get(golden, "strength"), key, rules)
        json_object_foreach(rules, which, rule)
    {
        int steps = (int)real_of(rule, "steps", 0), t_enc = (int)real_of(rule, "t_enc", 0);
        sampler s;
        sampler_eval e;
        assert_int_equal(sampler_init(&s, SAMPLER_EULER, SCHEDULE_KARRAS, steps, t_enc, true, NULL),
                         0);
        assert_int_equal(s.steps, real_of(rule, "runs", 0));
        assert_true(sampler_next(&s, &e));
        assert_true(s.start_latent == 1 && s.start_noise == e.sigma);
        assert_true(e.sigma == schedule_sigma_at(SCHEDULE_KARRAS, steps, steps - t_enc - 1));
    }
    json_decref(golden);
}

/* One value whose true picture is known: eps follows from it exactly, so every x0 prediction must
 * be it, and so must the end of every sigma sampler, noise or not. Returns the evaluations made. */
static int run_known(sampler s, bool exact)
{
    const double picture = 0.7, tolerance = 1e-9;
    double value[TERM_COUNT] = {0};
    value[TERM_X] = s.start_latent * picture + s.start_noise * -1.3;
    sampler_eval e;
    int evaluations = 0, draws = 0;
    while (sampler_next(&s, &e)) {
        assert_true(e.timestep >= 0 && e.timestep <= 999 && e.sigma > 0 && e.sigma < 15);
        assert_int_equal(sampler_evaluations_done(&s), evaluations);
        bool ddim = s.kind == SAMPLER_DDIM;
        assert_true(fabs(e.input_scale - (ddim ? 1 : 1 / sqrt(1 + e.sigma * e.sigma))) < 1e-15);
        double shrink = ddim ? 1 / sqrt(1 + e.sigma * e.sigma) : 1;
        value[TERM_EPS] = (value[TERM_X] / shrink - picture) / e.sigma;
        value[TERM_NOISE] = evaluations % 2 ? 0.9 : -1.1;
        sampler_step u;
        sampler_accept(&s, &u);
        double x = 0, denoised = 0, history[SAMPLER_HISTORY] = {0};
        for (int t = 0; t < TERM_COUNT; t++) {
            assert_true(isfinite(u.x[t]) && isfinite(u.denoised[t]));
            x += u.x[t] * value[t];
            denoised += u.denoised[t] * value[t];
            for (int j = 0; j < SAMPLER_HISTORY; j++) {
                assert_true(isfinite(u.history[j][t]) && (u.stored[j] || u.history[j][t] == 0));
                history[j] += u.history[j][t] * value[t];
            }
        }
        assert_true(u.noise || u.x[TERM_NOISE] == 0);
        assert_true(fabs(denoised - picture) < tolerance);
        for (int j = 0; j < SAMPLER_HISTORY; j++)
            if (u.stored[j])
                value[TERM_HISTORY + j] = history[j];
        value[TERM_X] = x;
        draws += u.noise;
        evaluations++;
    }
    if (exact)
        assert_true(fabs(value[TERM_X] - picture) < tolerance);
    assert_int_equal(draws, catalog_sampler(s.kind)->ancestral ? s.steps - 1 : 0);
    assert_int_equal(sampler_evaluations(&s), evaluations);
    assert_int_equal(sampler_evaluations_done(&s), evaluations);
    return evaluations;
}

static void check_all_samplers(int steps, int t_enc, bool from_latent)
{
    for (int kind = 0; kind < SAMPLER_COUNT; kind++)
        for (int sched = 0; sched < SCHEDULE_COUNT; sched++) {
            const sampler_row *row = catalog_sampler((sampler_kind)kind);
            sampler s;
            assert_int_equal(sampler_init(&s, (sampler_kind)kind, (schedule)sched, steps, t_enc,
                                          from_latent, NULL),
                             0);
            int made = run_known(s, !row->timesteps), asked = from_latent ? t_enc + 1 : steps;
            if (row->timesteps && from_latent && steps <= 1000)
                assert_int_equal(made, t_enc > 0 ? t_enc - 1 : 0);
            else if (!row->timesteps && s.sched != SCHEDULE_DDIM)
                assert_int_equal(made, row->second_order ? 2 * asked - 1 : asked);
            else
                assert_in_range(made, !row->timesteps, 2 * SCHEDULE_TRAINING_STEPS);
        }
}

static void every_combination(void **state)
{
    (void)state;
    const double strengths[] = {0, 0.03, 0.4, 0.75, 1};
    for (int steps = 1; steps <= 60; steps += steps < 12 ? 1 : 4) {
        check_all_samplers(steps, steps - 1, false);
        for (size_t k = 0; k < sizeof strengths / sizeof *strengths; k++) {
            double strength = fmin(strengths[k], 0.999);
            check_all_samplers(steps, (int)(strength * steps), true);
            if (strength > 0)
                check_all_samplers((int)(steps / strength), steps - 1, true);
        }
    }
}

/* fix_steps with strengths down to 0.001: schedules longer than the training schedule. */
static void long_schedules(void **state)
{
    (void)state;
    const int lengths[] = {501, 998, 999, 1000, 1001, 1500, 15000, 150000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        check_all_samplers(lengths[i], 0, true);
        check_all_samplers(lengths[i], 1, true);
        check_all_samplers(lengths[i], 149, true);
    }
    check_all_samplers(1500, 1499, true);
}

/* Where timesteps run out, the noise level of the start is the one asked for, to the two timesteps
 * that truncation and the 999th sigma of 1000 take. */
static void ddim_keeps_the_strength(void **state)
{
    (void)state;
    for (int steps = 1001; steps <= 150000; steps = steps * 3 / 2) {
        sampler s;
        const double expected = 1 + 149.0 * 1000 / steps;
        sampler_init(&s, SAMPLER_DDIM, SCHEDULE_AUTOMATIC, steps, 149, true, NULL);
        assert_true(fabs(schedule_timestep(s.start_noise / s.start_latent) - expected) <= 1);
        sampler_init(&s, SAMPLER_EULER, SCHEDULE_DDIM, steps, 149, true, NULL);
        assert_true(fabs(schedule_timestep(s.start_noise) - expected) <= 2);
    }
}

/* With t_enc 0 or 1 DDIM evaluates nothing; the start is the noised latent all the same. */
static void ddim_without_evaluations(void **state)
{
    (void)state;
    for (int t_enc = 0; t_enc <= 1; t_enc++) {
        sampler s;
        sampler_eval e;
        assert_int_equal(sampler_init(&s, SAMPLER_DDIM, SCHEDULE_KARRAS, 20, t_enc, true, NULL), 0);
        assert_int_equal(sampler_evaluations(&s), 0);
        assert_false(sampler_next(&s, &e));
        double a = schedule_alpha_cumprod(t_enc ? 51 : 1);
        assert_true(s.start_latent == sqrt(a) && s.start_noise == sqrt(1 - a));
    }
}

static void nothing_to_run(void **state)
{
    (void)state;
    for (int kind = 0; kind < SAMPLER_COUNT; kind++) {
        sampler s;
        err e = {0};
        assert_int_equal(sampler_init(&s, (sampler_kind)kind, SCHEDULE_AUTOMATIC, 0, 0, true, &e),
                         ERR_INVALID);
        assert_non_null(strstr(e.text, "steps is 0"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_trajectories),      cmocka_unit_test(golden_evaluations),
        cmocka_unit_test(golden_strengths),         cmocka_unit_test(every_combination),
        cmocka_unit_test(long_schedules),           cmocka_unit_test(ddim_keeps_the_strength),
        cmocka_unit_test(ddim_without_evaluations), cmocka_unit_test(nothing_to_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
