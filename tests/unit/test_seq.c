/* Sequences under masks: every sampler with the toy denoiser against an independent implementation
 * in double precision, and what must hold whatever the picture is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "worker/seq.h"

enum { H = 4, W = 6, C = 4, PIXELS = H * W, VALUES = PIXELS * C, STEPS_MAX = 50 };

/* As the golden runs were made: options of every sequence here. */
typedef struct {
    dev *d;
    int same_text[STEPS_MAX];
    conditioning text, *texts[1];
    guidance guidance;
    tensor latent, mask;
    seq_options o;
} studio;

static dev *open_device(const char *backend)
{
    char why[256];
    dev *d = dev_new(&(dev_options){.backend = backend, .threads = 1}, why);
    if (!d)
        fail_msg("%s", why);
    return d;
}

static void upload_golden(dev *d, tensor to, const checkpoint *golden, const char *name)
{
    int64_t dim[CHECKPOINT_DIMS], c = to.dim[3];
    float *nchw = golden_floats(golden, dim, "%s", name), *nhwc = golden_nhwc(nchw, 1, c, H, W);
    dev_upload(d, to, nhwc);
    free(nchw);
    free(nhwc);
}

static void studio_open(studio *s, const char *backend)
{
    checkpoint *golden = golden_open("masked.safetensors");
    *s = (studio){.d = open_device(backend)};
    s->latent = dev_keep(s->d, F32, 1, H, W, C);
    s->mask = dev_keep(s->d, F32, 1, H, W, 1);
    upload_golden(s->d, s->latent, golden, "latent");
    upload_golden(s->d, s->mask, golden, "mask");
    s->texts[0] = &s->text;
    s->guidance = (guidance){.steps = STEPS_MAX, .rows = 2};
    s->guidance.row[0] = (guidance_row){1.5, s->same_text}; /* CFG scale 1.5 */
    s->guidance.row[1] = (guidance_row){-0.5, s->same_text};
    s->o = (seq_options){
        .steps = 7,
        .t_enc = 5,
        .seed = 31,
        .h = H,
        .w = W,
        .latent = &s->latent,
        .mask = &s->mask,
        .content = CONTENT_ORIGINAL,
        .soft = {.schedule_bias = 1, .preservation_strength = 0.5, .transition_contrast_boost = 4},
        .guidance = &s->guidance,
        .texts = s->texts,
        .preview = true};
    checkpoint_free(&golden);
}

static void studio_close(studio *s)
{
    dev_drop(s->d, &s->latent);
    dev_drop(s->d, &s->mask);
    assert_int_equal(s->d->kept, 0);
    dev_free(&s->d);
}

static void fill_mask(studio *s, float value)
{
    float mask[PIXELS];
    for (int i = 0; i < PIXELS; i++)
        mask[i] = value;
    dev_upload(s->d, s->mask, mask);
}

static seq *begin(studio *s)
{
    err e = {0};
    seq *q = seq_new(s->d, &s->o, &e);
    if (!q)
        fail_msg("%s%s", e.text, s->d->error);
    return q;
}

/* The toy model's rows: the conditional prediction of x0, and 0.8 of it without the prompt. */
static double toy(double x, double sigma, int row)
{
    const double s2 = sigma * sigma;
    return (row ? 0.8 : 1) * (x / (1 + s2) + 0.3 * tanh(x) * s2 / (1 + s2));
}

/* Plays the UNet: answers what the rows are asked, from what they are shown. */
static void predict(seq *q)
{
    const double sigma = q->eval.sigma;
    const double shrink = 1 / sqrt(1 + sigma * sigma); /* of the noised latent as it is shown */
    const float *input = q->input.data;
    for (int row = 0; row < q->rows; row++) {
        for (int i = 0; i < VALUES; i++) {
            const double x = input[i] / shrink;
            ((float *)q->row[row].prediction.data)[i] = (float)((x - toy(x, sigma, row)) / sigma);
        }
        q->row[row].ready = true;
    }
}

static void run_to_end(studio *s, seq *q)
{
    while (!seq_ended(q)) {
        predict(q);
        seq_step(s->d, &q, 1);
    }
    assert_int_equal(s->d->status, DEV_OK);
}

/* ---------------------------------------------------------------- against the oracle */

static void check_golden(studio *s, const checkpoint *golden, const char *sampler_name,
                         const char *which)
{
    int64_t dim[CHECKPOINT_DIMS];
    assert_int_equal(catalog_find_sampler(sampler_name, &s->o.sampler, NULL, NULL), 0);
    float *nchw = golden_floats(golden, dim, "%s/%s", sampler_name, which);
    float *expected = golden_nhwc(nchw, 1, C, H, W);
    seq *q = begin(s);
    run_to_end(s, q);
    const double distance = golden_distance(q->x.data, expected, VALUES);
    print_message("%s %s: %.1e\n", sampler_name, which, distance);
    assert_true(distance <= 1e-6);
    seq_free(s->d, &q);
    free(nchw);
    free(expected);
}

static const char *const samplers[SAMPLER_COUNT] = {
    [SAMPLER_DPMPP_2M] = "dpmpp_2m", [SAMPLER_EULER_A] = "euler_a", [SAMPLER_EULER] = "euler",
    [SAMPLER_HEUN] = "heun",         [SAMPLER_DPM2] = "dpm2",       [SAMPLER_DPM2_A] = "dpm2_a",
    [SAMPLER_DDIM] = "ddim",
};

static void every_sampler_under_a_mask(void **state)
{
    (void)state;
    static const char *const backends[] = {"ref", "cpu"};
    static const char *const contents[] = {[CONTENT_ORIGINAL] = "original",
                                           [CONTENT_LATENT_NOISE] = "noise",
                                           [CONTENT_LATENT_NOTHING] = "nothing"};
    checkpoint *golden = golden_open("masked.safetensors");
    for (int b = 0; b < 2; b++) {
        studio s;
        studio_open(&s, backends[b]);
        for (int i = 0; i < SAMPLER_COUNT; i++)
            for (int k = CONTENT_ORIGINAL; k < CONTENT_COUNT; k++) {
                s.o.content = (masked_content)k;
                check_golden(&s, golden, samplers[i], contents[k]);
            }
        s.o.content = CONTENT_FILL; /* is filled before it is encoded: nothing to do here */
        check_golden(&s, golden, "euler", "original");
        studio_close(&s);
    }
    checkpoint_free(&golden);
}

static void every_sampler_softly(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("masked.safetensors");
    studio s;
    studio_open(&s, "cpu");
    upload_golden(s.d, s.mask, golden, "soft_mask");
    s.o.soft.on = true;
    for (int i = 0; i < SAMPLER_COUNT; i++)
        check_golden(&s, golden, samplers[i], "soft");
    studio_close(&s);
    checkpoint_free(&golden);
}

/* ---------------------------------------------------------------- whatever the picture is */

/* Where all is repainted, a mask changes no bit of any step. */
static void repainting_all_is_no_mask(void **state)
{
    (void)state;
    studio s;
    studio_open(&s, "cpu");
    fill_mask(&s, 1);
    for (int i = 0; i < SAMPLER_COUNT; i++) {
        s.o.sampler = (sampler_kind)i;
        s.o.mask = NULL;
        seq *plain = begin(&s);
        s.o.mask = &s.mask;
        seq *masked = begin(&s);
        while (!seq_ended(plain)) {
            assert_memory_equal(masked->input.data, plain->input.data, VALUES * sizeof(float));
            predict(plain);
            predict(masked);
            seq_step(s.d, (seq *[]){plain, masked}, 2);
            assert_memory_equal(masked->x.data, plain->x.data, VALUES * sizeof(float));
            assert_memory_equal(masked->denoised.data, plain->denoised.data,
                                VALUES * sizeof(float));
        }
        assert_true(seq_ended(masked));
        seq_free(s.d, &plain);
        seq_free(s.d, &masked);
    }
    studio_close(&s);
}

/* What is not repainted comes out as it went in, to the bit, and is so in every preview; also when
 * DDIM has nothing to evaluate, and whatever the masked content. */
static void what_is_not_masked_stays(void **state)
{
    (void)state;
    studio s;
    studio_open(&s, "cpu");
    for (int i = 0; i < SAMPLER_COUNT; i++)
        for (int t_enc = 0; t_enc < s.o.steps; t_enc++)
            for (int k = 0; k < CONTENT_COUNT; k++) {
                s.o.sampler = (sampler_kind)i;
                s.o.t_enc = t_enc;
                s.o.content = (masked_content)k;
                seq *q = begin(&s);
                const float *latent = s.latent.data, *mask = s.mask.data;
                const float *x = q->x.data, *denoised = q->denoised.data;
                int repainted = 0;
                while (!seq_ended(q)) {
                    predict(q);
                    seq_step(s.d, &q, 1);
                    for (int v = 0; v < VALUES; v++)
                        assert_true(mask[v / C] == 1 || denoised[v] == latent[v]);
                }
                for (int v = 0; v < VALUES; v++) {
                    assert_true(mask[v / C] == 1 || x[v] == latent[v]);
                    repainted += x[v] != latent[v];
                }
                assert_in_range(repainted, VALUES / 4, VALUES * 3 / 4);
                seq_free(s.d, &q);
            }
    studio_close(&s);
}

/* A draw more or less would show in the noise that follows. */
static void latent_noise_is_the_noise_of_sampling(void **state)
{
    (void)state;
    studio s;
    studio_open(&s, "cpu");
    fill_mask(&s, 1);
    s.o.sampler = SAMPLER_EULER_A;
    s.o.content = CONTENT_LATENT_NOISE;
    seq *q = begin(&s);
    const float *x = q->x.data, *known = q->known.data, *draw = q->draw.data;
    for (int v = 0; v < VALUES; v++) {
        assert_true(known[v] == draw[v]);
        assert_float_equal(x[v], draw[v] * (1 + q->eval.sigma), 1e-5);
    }
    assert_int_equal(q->noise.draws, 1);
    seq_free(s.d, &q);
    studio_close(&s);
}

/* Masked, soft and plain sequences in one step give the bits that each gives alone. */
static void sequences_do_not_mix(void **state)
{
    (void)state;
    enum { KINDS = 3 };
    studio s;
    float alone[KINDS][VALUES];
    seq *together[KINDS];
    studio_open(&s, "cpu");
    s.o.sampler = SAMPLER_DPM2_A;
    for (int i = 0; i < KINDS; i++) {
        s.o.mask = i ? &s.mask : NULL;
        s.o.soft.on = i == 2;
        seq *q = begin(&s);
        run_to_end(&s, q);
        dev_download(s.d, alone[i], q->x);
        seq_free(s.d, &q);
        together[i] = begin(&s);
    }
    while (!seq_ended(together[0])) {
        for (int i = 0; i < KINDS; i++)
            predict(together[i]);
        seq_step(s.d, together, KINDS);
    }
    for (int i = 0; i < KINDS; i++) {
        assert_memory_equal(together[i]->x.data, alone[i], sizeof alone[i]);
        assert_true(i == 0 || memcmp(alone[i], alone[i - 1], sizeof alone[i]) != 0);
        seq_free(s.d, &together[i]);
    }
    studio_close(&s);
}

/* The latent is read when a sequence is made and never again. */
static void the_latent_may_go(void **state)
{
    (void)state;
    studio s;
    float kept[VALUES], zeros[VALUES] = {0};
    studio_open(&s, "cpu");
    seq *q = begin(&s), *other = begin(&s);
    run_to_end(&s, q);
    dev_download(s.d, kept, q->x);
    dev_upload(s.d, s.latent, zeros);
    run_to_end(&s, other);
    assert_memory_equal(other->x.data, kept, sizeof kept);
    seq_free(s.d, &q);
    seq_free(s.d, &other);
    studio_close(&s);
}

/* What seq_bytes promises is what a sequence with a mask takes. */
static void bytes_are_as_promised(void **state)
{
    (void)state;
    studio s;
    studio_open(&s, "cpu");
    const size_t before = s.d->kept, latent = VALUES * sizeof(float);
    for (int masked = 0; masked < 2; masked++) {
        s.o.mask = masked ? &s.mask : NULL;
        seq *q = begin(&s);
        assert_int_equal(s.d->kept - before, seq_bytes(H, W, 2) - (masked ? 0 : latent));
        seq_free(s.d, &q);
        assert_int_equal(s.d->kept, before);
    }
    studio_close(&s);
}

static void distances(void **state)
{
    (void)state;
    studio s;
    float distance[PIXELS];
    err e = {0};
    studio_open(&s, "cpu");
    seq *q = begin(&s);
    run_to_end(&s, q);
    float *x = q->x.data;
    const float *mask = s.mask.data;
    for (int k = 0; k < C; k++) /* a pixel that is 3, 0, 4, 0 away */
        x[k] = ((float *)q->known.data)[k] + (k == 0 ? 3 : k == 2 ? 4 : 0);
    assert_int_equal(seq_distance(s.d, q, distance, &e), 0);
    assert_float_equal(distance[0], 5, 1e-5);
    for (int p = 1; p < PIXELS; p++)
        assert_true((distance[p] == 0) == (mask[p] == 0));
    seq_free(s.d, &q);
    studio_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sampler_under_a_mask),
        cmocka_unit_test(every_sampler_softly),
        cmocka_unit_test(repainting_all_is_no_mask),
        cmocka_unit_test(what_is_not_masked_stays),
        cmocka_unit_test(latent_noise_is_the_noise_of_sampling),
        cmocka_unit_test(sequences_do_not_mix),
        cmocka_unit_test(the_latent_may_go),
        cmocka_unit_test(bytes_are_as_promised),
        cmocka_unit_test(distances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
