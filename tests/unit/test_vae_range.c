/* The autoencoder where numbers are large: what a scale of its inside changes, and pictures that
 * F16 alone cannot hold. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/golden.h"
#include "tests/support/jobs.h"
#include "tests/support/rig.h"
#include "worker/model/weights.h"

enum { SIDE = 8, PICTURE = 32 };

/* ---- an autoencoder by itself, in the form that a test wants ---- */

typedef struct {
    rig rig; /* its device */
    model_config config;
    vae_form form;
    vae *vae;
    arena weights;
} coder;

static void take(void *arg, params *p)
{
    coder *c = arg;
    c->vae = vae_load(&c->config, p, c->form);
}

static void forget(void *arg)
{
    vae_free(&((coder *)arg)->vae);
}

static coder coder_open(const char *arch, dev_options options, vae_form form)
{
    char path[1024], why[256];
    err e = {0};
    coder c = {.config = *fixture_config(arch), .form = form, .rig.d = dev_new(&options, why)};
    if (!c.rig.d)
        fail_msg("%s", why);
    checkpoint *file = checkpoint_open(fixture_shared(arch, path), &e);
    if (!file || weights_load(&c.weights, c.rig.d,
                              &(weights_source){file, NULL, &c, take, forget, NULL}, &e) != ERR_OK)
        fail_msg("%s", e.text);
    checkpoint_free(&file);
    return c;
}

static void coder_close(coder *c)
{
    vae_free(&c->vae);
    arena_done(&c->weights);
    dev_free(&c->rig.d);
}

typedef enum { ENCODE, DECODE } direction;

/* The same numbers for everybody, between -most and most. */
static float *numbers(int64_t count, float most)
{
    float *x = malloc((size_t)count * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < count; i++)
        x[i] = most * sinf((float)(i * i % 1009));
    return x;
}

/* A picture or a latent through it, malloc'ed; the number of values in *count. */
static float *through(coder *c, direction way, int64_t *count)
{
    const int64_t side = way == ENCODE ? PICTURE : SIDE, channels = way == ENCODE ? 3 : 4;
    size_t mark = dev_mark(c->rig.d);
    float *in = numbers(side * side * channels, way == ENCODE ? 1 : 4);
    tensor x = rig_tensor(&c->rig, in, 1, side, side, channels);
    tensor y =
        way == ENCODE ? vae_encode(c->rig.d, NEW, c->vae, x) : vae_decode(c->rig.d, NEW, c->vae, x);
    float *values = rig_values(&c->rig, y);
    *count = tensor_count(y);
    free(in);
    dev_release(c->rig.d, mark);
    return values;
}

/* ---- tests ---- */

/* Norms are exact in powers of two, their eps among them; so is the rest. */
static void check_scale(const char *backend, const char *arch, int winograd, int stream)
{
    const dev_options options = {.backend = backend, .threads = 2, .winograd_most = winograd};
    coder plain = coder_open(arch, options, (vae_form){0});
    coder scaled = coder_open(arch, options, (vae_form){.stream = stream});
    for (direction way = ENCODE; way <= DECODE; way++) {
        int64_t count;
        float *want = through(&plain, way, &count), *got = through(&scaled, way, &count);
        if (plain.rig.d->storage == F32)
            assert_memory_equal(got, want, (size_t)count * sizeof *got);
        else /* small numbers may be rounded */
            assert_true(golden_distance(got, want, count) <= 2e-3);
        free(want);
        free(got);
    }
    coder_close(&plain);
    coder_close(&scaled);
}

static void a_scale_changes_no_bit_of_fp32(void **state)
{
    (void)state;
    static const int streams[] = {VAE_F16_STREAM, 7};
    for (int b = 0; rig_backends()[b]; b++)
        for (int a = 0; rig_archs[a]; a++)
            for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
                check_scale(rig_backends()[b], rig_archs[a], i ? 0 : 128, streams[i]);
}

/* The largest number that a norm reads; wraps the table of a device in the host's memory. */
typedef struct {
    kernel_table table; /* first: the device's kernels lead here */
    const kernel_table *real;
    float most;
} listener;

static void listen(dev *d, const group_norm_args *a)
{
    listener *l = (listener *)d->kernels;
    const float *x = a->x.data;
    for (int64_t i = 0; i < tensor_count(a->x); i++)
        l->most = fmaxf(l->most, fabsf(x[i]));
    l->real->group_norm(d, a);
}

static float largest_inside(const char *arch, vae_form form, direction way)
{
    coder c = coder_open(arch, (dev_options){.backend = "cpu", .threads = 2}, form);
    listener l = {.table = *c.rig.d->kernels, .real = c.rig.d->kernels};
    int64_t count;
    l.table.group_norm = listen;
    c.rig.d->kernels = &l.table;
    free(through(&c, way, &count));
    c.rig.d->kernels = l.real;
    coder_close(&c);
    return l.most;
}

/* The loud model is what it is for: too large for F16, and not with the scale. */
static void the_scale_makes_a_loud_inside_fit(void **state)
{
    (void)state;
    for (direction way = ENCODE; way <= DECODE; way++) {
        const float plain = largest_inside("loud", (vae_form){0}, way);
        const float scaled = largest_inside("loud", (vae_form){.stream = VAE_F16_STREAM}, way);
        print_message("%s: %.3g, %.3g\n", way == ENCODE ? "encode" : "decode", plain, scaled);
        assert_true(plain > 65504 && scaled < 65504);
        assert_true(way == ENCODE || plain > 3e5f);
        assert_true(scaled == ldexpf(plain, VAE_F16_STREAM));
    }
}

static bool is_finite(const float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* On the backend under test, as close to fp32 as a model of ordinary size; without the scale F16
 * gives nothing. */
static void a_loud_model_decodes_right(void **state)
{
    (void)state;
    coder cpu = coder_open("loud", (dev_options){.backend = "cpu", .threads = 2}, (vae_form){0});
    for (int b = 0; rig_backends()[b]; b++) {
        const dev_options options = {.backend = rig_backends()[b], .threads = 2};
        coder scaled = coder_open("loud", options, (vae_form){.stream = VAE_F16_STREAM});
        coder plain = coder_open("loud", options, (vae_form){0});
        for (direction way = ENCODE; way <= DECODE; way++) {
            int64_t count;
            float *want = through(&cpu, way, &count), *got = through(&scaled, way, &count);
            float *without = through(&plain, way, &count);
            assert_int_equal(is_finite(without, count), plain.rig.d->storage == F32);
            const double distance = golden_distance(got, want, count);
            print_message("%s %s: %.2e\n", rig_backends()[b], way == ENCODE ? "encode" : "decode",
                          distance);
            assert_true(distance <= rig_tolerance(&scaled.rig, 2e-5));
            free(without);
            free(want);
            free(got);
        }
        coder_close(&plain);
        coder_close(&scaled);
    }
    coder_close(&cpu);
}

/* ---- pictures in bytes ---- */

enum { BYTES = PICTURE * PICTURE * 3 };

/* The picture of a latent of this size; whether it is one. */
static bool picture(rig *r, float most, uint8_t px[BYTES])
{
    float *in = numbers(SIDE * SIDE * 4, most);
    tensor latent = dev_keep(r->d, F32, 1, SIDE, SIDE, 4);
    dev_upload(r->d, latent, in);
    const bool good = model_decode(r->d, r->m, latent, px);
    rig_check(r);
    dev_drop(r->d, &latent);
    free(in);
    return good;
}

static double rms(const uint8_t *a, const uint8_t *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum / count);
}

/* A latent that the loud decoder holds in F16, and one that it does not. */
static const float held = 0.7f, beyond = 70;

static void pictures_beyond_f16_are_decoded_all_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        float most;
        bool twice; /* where feature maps are F16 */
    } rows[] = {{"tiny3", held, false},
                {"loud", held, false},
                {"loud", beyond, true},
                {"louder", held, true}};
    uint64_t once = 0;
    for (int b = 0; rig_backends()[b]; b++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            uint8_t want[BYTES], got[BYTES];
            rig cpu = rig_open(rows[i].arch, (dev_options){.backend = "cpu", .threads = 2});
            rig r = rig_open(rows[i].arch, (dev_options){.backend = rig_backends()[b]});
            dev_reset_peak(r.d);
            assert_true(picture(&cpu, rows[i].most, want));
            assert_true(picture(&r, rows[i].most, got));
            const uint64_t ops = r.d->counters.ops;
            if (i == 0)
                once = ops;
            const bool twice = rows[i].twice && r.d->storage != F32;
            assert_int_equal(ops, twice ? 2 * once : once);
            const double distance = rms(got, want, BYTES);
            print_message("%s %s %g: %.2f\n", r.d->name, rows[i].arch, rows[i].most, distance);
            assert_true(distance <= (twice ? 2 : 0.5)); /* of 255: BF16 is coarser */
            rig_close(&r);
            rig_close(&cpu);
        }
}

/* Not on what the device did before, and in no more scratch than a decoding is known to take. */
static void the_way_depends_on_the_picture_alone(void **state)
{
    (void)state;
    for (int b = 0; rig_backends()[b]; b++) {
        const float most[] = {held, beyond, held, NAN, beyond, held};
        uint8_t px[6][BYTES];
        rig r = rig_open("loud", (dev_options){.backend = rig_backends()[b]});
        const dtype storage = r.d->storage;
        size_t peak = 0;
        for (int i = 0; i < 6; i++) {
            dev_reset_peak(r.d);
            assert_int_equal(picture(&r, most[i], px[i]), !isnan(most[i]));
            assert_int_equal(r.d->storage, storage);
            if (i == 0)
                peak = r.d->counters.scratch_peak;
            assert_int_equal(r.d->counters.scratch_peak, peak);
        }
        assert_memory_equal(px[2], px[0], BYTES);
        assert_memory_equal(px[5], px[0], BYTES);
        assert_memory_equal(px[4], px[1], BYTES);
        rig_close(&r);
    }
}

/* A whole job whose picture F16 cannot hold. */
static image picture_of_job(const char *backend)
{
    service *s = jobs_service(backend, 2, 0, 0);
    work *w = jobs_make("txt2img",
                        (const char *[]){"model", "louder", "steps", "1", "cfg-scale", "1", NULL});
    jobs_run(s, &w, 1);
    jobs_assert_done(w);
    image i = jobs_picture(w, 0);
    work_free(&w);
    service_free(&s);
    return i;
}

static void a_job_ends_with_such_a_picture(void **state)
{
    (void)state;
    image want = picture_of_job("cpu");
    for (int b = 0; rig_backends()[b]; b++) {
        image got = picture_of_job(rig_backends()[b]);
        assert_int_equal(got.w, want.w);
        assert_int_equal(got.h, want.h);
        const double distance = rms(got.px, want.px, want.w * want.h * 3);
        print_message("%s: %.2f\n", rig_backends()[b], distance);
        assert_true(distance <= 2);
        image_done(&got);
    }
    image_done(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scale_changes_no_bit_of_fp32),
        cmocka_unit_test(the_scale_makes_a_loud_inside_fit),
        cmocka_unit_test(a_loud_model_decodes_right),
        cmocka_unit_test(pictures_beyond_f16_are_decoded_all_the_same),
        cmocka_unit_test(the_way_depends_on_the_picture_alone),
        cmocka_unit_test(a_job_ends_with_such_a_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
